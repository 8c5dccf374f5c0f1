//! Which pages does a file hold, and what are their contents?

use std::collections::HashSet;

use lopdf::{Dictionary, Object, ObjectId};
use memchr::memmem;

use super::{
    annotation,
    file::File,
    graphics::Pieces,
    interpreter,
    matrix::Matrix,
    objects::Objects,
    open::{self, damaged},
    page::{Page, Rect},
    stream::{self, StreamError},
};
use crate::report::{Refusal, budget::Budget};

/// The size that viewers give a page that says none.
const LETTER: Rect = Rect { x0: 0.0, y0: 0.0, x1: 612.0, y1: 792.0 };
/// What pages refer to beside their content.
const PAGE_KEYS: [&[u8]; 8] = [b"Thumb", b"Metadata", b"Annots", b"B", b"Resources", b"PieceInfo", b"AF", b"Parent"];

/// An opened file.
pub(crate) struct Document<'b> {
    file: File<'b>,
    pages: Vec<ObjectId>,
}

impl<'b> Document<'b> {
    /// Opens a file and finds its pages.
    ///
    /// # Errors
    /// As [`open::load`]; `damaged` where pages are missing or listed twice. `budget` where it is too large.
    pub(crate) fn open(bytes: &[u8], budget: &'b Budget) -> Result<Self, Refusal> {
        let file = open::load(bytes, budget)?;
        let pages: Vec<_> = file.page_iter().collect();
        budget.check_pages(pages.len())?;
        if pages.iter().collect::<HashSet<_>>().len() < pages.len() {
            return Err(damaged("a page is listed twice, and may stand in the place of another"));
        }
        let root = file.catalog().and_then(|catalog| catalog.get_deref(b"Pages", &file)).and_then(Object::as_dict);
        let counted = root.and_then(|root| root.get_deref(b"Count", &file)).and_then(Object::as_i64).ok();
        if pages.is_empty() || counted.is_some_and(|counted| usize::try_from(counted) != Ok(pages.len())) {
            let text =
                format!("the PDF says that it has {} pages, but {} can be found", counted.unwrap_or(0), pages.len());
            return Err(damaged(text));
        }
        let document = Self { file: File::new(Objects { file, budget }), pages };
        document.check_contents()?;
        Ok(document)
    }

    fn objects(&self) -> &Objects<'b> {
        &self.file.objects
    }

    /// Pages may print the same content, if a printer found it to be the same; but then no other
    /// content is left over that one of them should have printed.
    fn check_contents(&self) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        let mut is_new = |page: &ObjectId| {
            let Ok(contents) = self.objects().file.get_dictionary(*page).and_then(|page| page.get(b"Contents")) else {
                return true;
            };
            let is_first = contents.as_reference().map_or(true, |id| seen.insert(id));
            let parts = self.objects().resolve(contents).as_array().map(Vec::as_slice).unwrap_or_default();
            is_first && parts.iter().filter_map(|part| part.as_reference().ok()).all(|id| seen.insert(id))
        };
        if self.pages.iter().all(&mut is_new) {
            return Ok(());
        }
        if self.has_content_left_over() {
            return Err(damaged("a content is printed twice, and another one by no page"));
        }
        Ok(())
    }

    /// Is there a stream of no known kind, with texts, that nothing refers to? It may be what a page should print.
    #[must_use]
    pub(crate) fn has_content_left_over(&self) -> bool {
        let mut referred = HashSet::new();
        let mut open: Vec<&Object> = self.objects().file.objects.values().collect();
        while let Some(object) = open.pop() {
            match object {
                Object::Reference(id) => drop(referred.insert(*id)),
                Object::Array(list) => open.extend(list),
                Object::Dictionary(dict) => open.extend(dict.iter().map(|(_, value)| value)),
                Object::Stream(stream) => open.extend(stream.dict.iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        let shows_text = |id: &ObjectId| {
            // what cannot be decoded may show anything
            self.objects().stream_bytes(&Object::Reference(*id)).is_none_or(|bytes| {
                memmem::find(&bytes, b"BT").is_some()
                    && [&b"Tj"[..], b"TJ"].iter().any(|show| memmem::find(&bytes, show).is_some())
            })
        };
        let is_left_over = |(id, object): (&ObjectId, &Object)| {
            let kind = object.as_stream().ok().map(|stream| stream.dict.get(b"Type").and_then(Object::as_name));
            kind.is_some_and(|kind| kind.is_err()) && !referred.contains(id) && shows_text(id)
        };
        self.objects().file.objects.iter().any(is_left_over)
    }

    /// How many pages there are.
    #[must_use]
    pub(crate) fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// Interprets page `index` (from 0), turned so that most of its text stands upright; what lies outside
    /// its edges is dropped.
    ///
    /// # Errors
    /// `damaged` where a content stream is missing or cannot be decoded to its end, `budget` where
    /// that costs too much.
    pub(crate) fn page(&self, index: usize, pieces: Pieces) -> Result<Page, Refusal> {
        let number = index + 1;
        let id = self.pages[index];
        let dict =
            self.objects().file.get_dictionary(id).map_err(|error| damaged(format!("page {number}: {error}")))?;
        let mut content = Vec::new();
        if let Ok(contents) = dict.get(b"Contents") {
            self.collect_content(contents, &mut content, self.objects().budget.limits.depth).map_err(|error| {
                match error {
                    StreamError::Budget(exceeded) => exceeded.into(),
                    StreamError::Broken(why) => damaged(format!("page {number}: {why}")),
                }
            })?;
        } else if dict.iter().any(|(key, value)| !PAGE_KEYS.contains(&key.as_slice()) && self.leads_to_stream(value)) {
            return Err(damaged(format!("page {number}: it has no content, but something like it under another name")));
        }
        let empty = Dictionary::new();
        let resources =
            self.inherited(dict, b"Resources").and_then(|object| self.objects().dict(object)).unwrap_or(&empty);
        let (base, size) = self.upright(dict).ok_or_else(|| damaged(format!("page {number}: it has no size")))?;
        let mut page = interpreter::interpret(&self.file, &content, resources, base, pieces)?;
        page.fields = annotation::shown(&self.file, dict, base);
        page.size = size;
        page.crop();
        let turns = page.turns();
        if turns != 0 {
            let (turn, size) = quarter_turns(4 - turns, size);
            let base = base.then(turn);
            page = interpreter::interpret(&self.file, &content, resources, base, pieces)?;
            page.fields = annotation::shown(&self.file, dict, base);
            page.size = size;
            page.crop();
        }
        super::accent::compose(&mut page);
        page.number = number;
        Ok(page)
    }

    fn leads_to_stream(&self, object: &Object) -> bool {
        match self.objects().resolve(object) {
            Object::Stream(_) => true,
            Object::Array(list) => list.iter().any(|item| matches!(self.objects().resolve(item), Object::Stream(_))),
            _ => false,
        }
    }

    fn collect_content(&self, contents: &Object, into: &mut Vec<u8>, depth: usize) -> Result<(), StreamError> {
        let broken = |why: &str| Err(StreamError::Broken(why.to_owned()));
        match self.objects().resolve(contents) {
            Object::Stream(part) => {
                stream::decode(part, self.objects().budget, into)?;
                into.push(b'\n');
                Ok(())
            }
            Object::Array(_) if depth == 0 => broken("its content is nested too deeply"),
            Object::Array(parts) => parts.iter().try_for_each(|part| {
                self.objects().budget.spend_content(0, 1)?;
                self.collect_content(part, into, depth - 1)
            }),
            // `/Contents null` is an empty page; a reference to nothing is a lost one
            Object::Null if matches!(contents, Object::Null) => Ok(()),
            Object::Null => broken("its content is missing from the file"),
            _ => broken("its content is not a stream"),
        }
    }

    /// An attribute of a page or the nearest of its ancestors that has it.
    fn inherited<'a>(&'a self, page: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
        let mut node = page;
        for _ in 0..=self.objects().budget.limits.depth {
            if let Ok(object) = node.get(key) {
                return Some(self.objects().resolve(object));
            }
            node = self.objects().dict(node.get(b"Parent").ok()?)?;
        }
        None
    }

    /// Turns a page's space so that what viewers show of it stands upright, as `/Rotate` says; and its
    /// size. `None` if the page has a size that is none.
    fn upright(&self, page: &Dictionary) -> Option<(Matrix, (f64, f64))> {
        let area = |key: &[u8]| -> Option<Option<Rect>> {
            let Some(Object::Array(list)) = self.inherited(page, key) else { return Some(None) };
            let numbers: Vec<f64> = list.iter().filter_map(|number| self.objects().number(number)).collect();
            let [x0, y0, x1, y1] = numbers[..] else { return None };
            Some(Some(Rect::around((x0, y0), (x1, y1))))
        };
        let media = area(b"MediaBox")?.unwrap_or(LETTER);
        let shown = area(b"CropBox").flatten().map_or(media, |crop| crop.intersection(media));
        // a crop that leaves nothing is ignored
        let shown = if shown.width() > 0.0 && shown.height() > 0.0 { shown } else { media };
        let turns =
            self.inherited(page, b"Rotate").and_then(|object| self.objects().number(object)).unwrap_or(0.0) as i64;
        let turns = (turns / 90).rem_euclid(4) as usize;
        let (turn, size) = quarter_turns((4 - turns) % 4, (shown.width(), shown.height()));
        Some((Matrix::translation(-shown.x0, -shown.y0).then(turn), size))
    }
}

/// Turns a page of `size` by quarters, anticlockwise, back into the first quadrant.
fn quarter_turns(turns: usize, (width, height): (f64, f64)) -> (Matrix, (f64, f64)) {
    match turns {
        1 => (Matrix([0.0, 1.0, -1.0, 0.0, height, 0.0]), (height, width)),
        2 => (Matrix([-1.0, 0.0, 0.0, -1.0, width, height]), (width, height)),
        3 => (Matrix([0.0, -1.0, 1.0, 0.0, 0.0, width]), (height, width)),
        _ => (Matrix::IDENTITY, (width, height)),
    }
}

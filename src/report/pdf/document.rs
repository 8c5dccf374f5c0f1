//! Which pages does a file hold, and what are their contents, resources and fonts? All use of lopdf.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use lopdf::{Dictionary, LoadOptions, Object, ObjectId, xref::XrefRecovery};

use super::{
    font::Font,
    interpreter,
    matrix::Matrix,
    page::Page,
    stream::{self, StreamError},
};
use crate::report::{Refusal, RefusalCode, budget::Budget};

/// Bytes that one glyph of a decoded font costs the budget.
const GLYPH_COST: u64 = 12;

/// An opened file.
pub struct Document<'b> {
    file: lopdf::Document,
    pages: Vec<ObjectId>,
    fonts: Mutex<HashMap<ObjectId, Arc<Font>>>,
    /// Layers that are switched off.
    off: HashSet<ObjectId>,
    /// What reading it may still cost.
    pub budget: &'b Budget,
}

fn damaged(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Damaged, text)
}

impl<'b> Document<'b> {
    /// Opens a file; needs no password other than the empty one.
    ///
    /// # Errors
    /// `needs_password` or `damaged`: a file whose cross-reference had to be rebuilt may have lost
    /// pages unseen, and so is refused rather than read in part. `budget` where it is too large.
    pub fn open(bytes: &[u8], budget: &'b Budget) -> Result<Self, Refusal> {
        let options = LoadOptions {
            max_decompressed_size: usize::try_from(budget.limits.stream_bytes).ok(),
            ..LoadOptions::default()
        };
        let file = lopdf::Document::load_mem_with_options(bytes, options).map_err(|error| match error {
            lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_) => needs_password(),
            other => damaged(format!("the PDF cannot be opened: {other}")),
        })?;
        if file.is_encrypted() {
            return Err(needs_password());
        }
        if matches!(file.xref_recovery, Some(XrefRecovery::Reconstructed)) {
            return Err(damaged("the PDF is damaged or was cut off: its cross-reference table cannot be read"));
        }
        budget.check_objects(file.objects.len())?;
        budget.check_time()?;
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
        let mut document = Self { file, pages, fonts: Mutex::default(), off: HashSet::new(), budget };
        document.off = document.layers_off().unwrap_or_default();
        document.check_contents()?;
        Ok(document)
    }

    fn layers_off(&self) -> Option<HashSet<ObjectId>> {
        let layers = self.dict(self.file.catalog().ok()?.get(b"OCProperties").ok()?)?;
        let off = self.array(self.dict(layers.get(b"D").ok()?)?, b"OFF")?;
        Some(off.iter().filter_map(|layer| layer.as_reference().ok()).collect())
    }

    /// Is this a layer that is switched off?
    pub fn is_off(&self, layer: &Object) -> bool {
        layer.as_reference().is_ok_and(|layer| self.off.contains(&layer))
    }

    /// Pages may print the same content, if a printer found it to be the same; but then no other
    /// content is left over that one of them should have printed.
    fn check_contents(&self) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        let mut is_new = |page: &ObjectId| {
            let Ok(contents) = self.file.get_dictionary(*page).and_then(|page| page.get(b"Contents")) else {
                return true;
            };
            let is_first = contents.as_reference().map_or(true, |id| seen.insert(id));
            let parts = self.resolve(contents).as_array().map(Vec::as_slice).unwrap_or_default();
            is_first && parts.iter().filter_map(|part| part.as_reference().ok()).all(|id| seen.insert(id))
        };
        if self.pages.iter().all(&mut is_new) {
            return Ok(());
        }
        let mut referred = HashSet::new();
        let mut open: Vec<&Object> = self.file.objects.values().collect();
        while let Some(object) = open.pop() {
            match object {
                Object::Reference(id) => drop(referred.insert(*id)),
                Object::Array(list) => open.extend(list),
                Object::Dictionary(dict) => open.extend(dict.iter().map(|(_, value)| value)),
                Object::Stream(stream) => open.extend(stream.dict.iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        let is_left_over = |(id, object): (&ObjectId, &Object)| {
            let kind = object.as_stream().ok().map(|stream| stream.dict.get(b"Type").and_then(Object::as_name));
            kind.is_some_and(|kind| kind.is_err()) && !referred.contains(id)
        };
        if self.file.objects.iter().any(is_left_over) {
            return Err(damaged("a content is printed twice, and another one by no page"));
        }
        Ok(())
    }

    /// How many pages there are.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// Interprets page `index` (from 0), turned so that most of its text stands upright.
    ///
    /// # Errors
    /// `damaged` where a content stream is missing or cannot be decoded to its end, `budget` where
    /// that costs too much.
    pub fn page(&self, index: usize) -> Result<Page, Refusal> {
        let number = index + 1;
        let id = self.pages[index];
        let dict = self.file.get_dictionary(id).map_err(|error| damaged(format!("page {number}: {error}")))?;
        let mut content = Vec::new();
        if let Ok(contents) = dict.get(b"Contents") {
            self.collect_content(contents, &mut content, self.budget.limits.depth).map_err(|error| match error {
                StreamError::Budget(exceeded) => exceeded.into(),
                StreamError::Broken(why) => damaged(format!("page {number}: {why}")),
            })?;
        }
        let empty = Dictionary::new();
        let resources = self.inherited(dict, b"Resources").and_then(|object| self.dict(object)).unwrap_or(&empty);
        let (base, size) = self.upright(dict).ok_or_else(|| damaged(format!("page {number}: it has no size")))?;
        let mut page = interpreter::interpret(self, &content, resources, base)?;
        page.size = size;
        let turns = page.turns();
        if turns != 0 {
            let (turn, size) = quarter_turns(4 - turns, size);
            page = interpreter::interpret(self, &content, resources, base.then(turn))?;
            page.size = size;
        }
        super::accent::compose(&mut page);
        page.number = number;
        Ok(page)
    }

    fn collect_content(&self, contents: &Object, into: &mut Vec<u8>, depth: usize) -> Result<(), StreamError> {
        let broken = |why: &str| Err(StreamError::Broken(why.to_owned()));
        match self.resolve(contents) {
            Object::Stream(part) => {
                stream::decode(part, self.budget, into)?;
                into.push(b'\n');
                Ok(())
            }
            Object::Array(_) if depth == 0 => broken("its content is nested too deeply"),
            Object::Array(parts) => parts.iter().try_for_each(|part| {
                self.budget.spend_content(0, 1)?;
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
        for _ in 0..=self.budget.limits.depth {
            if let Ok(object) = node.get(key) {
                return Some(self.resolve(object));
            }
            node = self.dict(node.get(b"Parent").ok()?)?;
        }
        None
    }

    /// Turns a page's space so that it stands upright, as `/Rotate` shows it; and its size. `None` if the
    /// page does not say how large it is.
    fn upright(&self, page: &Dictionary) -> Option<(Matrix, (f64, f64))> {
        let numbers: Vec<f64> = match self.inherited(page, b"MediaBox") {
            Some(Object::Array(list)) => list.iter().filter_map(|number| self.number(number)).collect(),
            _ => Vec::new(),
        };
        let turns = self.inherited(page, b"Rotate").and_then(|object| self.number(object)).unwrap_or(0.0) as i64;
        let turns = (turns / 90).rem_euclid(4) as usize;
        let [x0, y0, x1, y1] = numbers[..] else { return None };
        let (turn, size) = quarter_turns((4 - turns) % 4, ((x1 - x0).abs(), (y1 - y0).abs()));
        Some((Matrix::translation(-x0.min(x1), -y0.min(y1)).then(turn), size))
    }

    /// Follows references.
    pub fn resolve<'a>(&'a self, object: &'a Object) -> &'a Object {
        self.file.dereference(object).map_or(&Object::Null, |(_, object)| object)
    }

    /// A dictionary, or a stream's.
    pub fn dict<'a>(&'a self, object: &'a Object) -> Option<&'a Dictionary> {
        match self.resolve(object) {
            Object::Dictionary(dict) => Some(dict),
            Object::Stream(stream) => Some(&stream.dict),
            _ => None,
        }
    }

    /// An array under `key`.
    pub fn array<'a>(&'a self, dict: &'a Dictionary, key: &[u8]) -> Option<&'a Vec<Object>> {
        self.resolve(dict.get(key).ok()?).as_array().ok()
    }

    /// A number.
    pub fn number(&self, object: &Object) -> Option<f64> {
        match self.resolve(object) {
            Object::Integer(number) => Some(*number as f64),
            Object::Real(number) => Some(f64::from(*number)),
            _ => None,
        }
    }

    /// A named entry of a resource category.
    pub fn resource<'a>(&'a self, resources: &'a Dictionary, category: &[u8], name: &[u8]) -> Option<&'a Object> {
        self.dict(resources.get(category).ok()?)?.get(&plain_name(name)).ok()
    }

    /// A stream's decoded bytes; `None` if it is none, or broken.
    pub fn stream_bytes(&self, object: &Object) -> Option<Vec<u8>> {
        let stream = self.resolve(object).as_stream().ok()?;
        let mut bytes = Vec::new();
        stream::decode(stream, self.budget, &mut bytes).ok().map(|()| bytes)
    }

    /// The font that `object` is or refers to, read once per document.
    pub fn font_of(&self, object: &Object) -> Option<Arc<Font>> {
        let load = || {
            let font = Font::load(self, self.dict(object)?);
            self.budget.check_time().ok()?;
            self.budget.spend_bytes(font.len() as u64 * GLYPH_COST).ok()?;
            Some(Arc::new(font))
        };
        let Ok(id) = object.as_reference() else { return load() };
        let mut fonts = self.fonts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(font) = fonts.get(&id) {
            return Some(font.clone());
        }
        let font = load()?;
        fonts.insert(id, font.clone());
        Some(font)
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

/// A name as dictionaries have it: `#46` is `F`.
fn plain_name(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'#') {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        let escaped = tail.get(..2).filter(|_| *byte == b'#').and_then(|digits| hex::decode(digits).ok());
        plain.extend(escaped.as_deref().unwrap_or(&[*byte]));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    Cow::Owned(plain)
}

fn needs_password() -> Refusal {
    Refusal::new(RefusalCode::NeedsPassword, "the PDF is encrypted and needs a password; export it without one")
}

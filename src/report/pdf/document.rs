//! Which pages does a file hold, and what are their contents, resources and fonts? All use of lopdf.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use lopdf::{Dictionary, LoadOptions, Object, ObjectId, Stream, xref::XrefRecovery};

use super::{font::Font, interpreter, matrix::Matrix, page::Page};
use crate::report::{Refusal, RefusalCode};

/// No single stream of a report inflates to more.
const MAX_STREAM: usize = 64 << 20;
/// Page trees are flat in practice; a deeper one is an attack.
const MAX_DEPTH: usize = 64;

/// An opened file.
pub struct Document {
    file: lopdf::Document,
    pages: Vec<ObjectId>,
    fonts: Mutex<HashMap<ObjectId, Arc<Font>>>,
}

fn damaged(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Damaged, text)
}

impl Document {
    /// Opens a file; needs no password other than the empty one.
    ///
    /// # Errors
    /// `needs_password` or `damaged`: a file whose cross-reference had to be rebuilt may have lost
    /// pages unseen, and so is refused rather than read in part.
    pub fn open(bytes: &[u8]) -> Result<Self, Refusal> {
        let options = LoadOptions { max_decompressed_size: Some(MAX_STREAM), ..LoadOptions::default() };
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
        let pages: Vec<_> = file.page_iter().collect();
        let root = file.catalog().and_then(|catalog| catalog.get_deref(b"Pages", &file)).and_then(Object::as_dict);
        let counted = root.and_then(|root| root.get_deref(b"Count", &file)).and_then(Object::as_i64).ok();
        if pages.is_empty() || counted.is_some_and(|counted| usize::try_from(counted) != Ok(pages.len())) {
            let text =
                format!("the PDF says that it has {} pages, but {} can be found", counted.unwrap_or(0), pages.len());
            return Err(damaged(text));
        }
        Ok(Self { file, pages, fonts: Mutex::default() })
    }

    /// How many pages there are.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// Interprets page `index` (from 0).
    ///
    /// # Errors
    /// `damaged` where a content stream is missing or cannot be inflated to its end.
    pub fn page(&self, index: usize) -> Result<Page, Refusal> {
        let id = self.pages[index];
        let dict = self.file.get_dictionary(id).map_err(|error| damaged(format!("page {}: {error}", index + 1)))?;
        let mut content = Vec::new();
        if let Ok(contents) = dict.get(b"Contents") {
            self.collect_content(contents, &mut content, MAX_DEPTH)
                .map_err(|why| damaged(format!("page {}: {why}", index + 1)))?;
        }
        let empty = Dictionary::new();
        let resources = self.inherited(dict, b"Resources").and_then(|object| self.dict(object)).unwrap_or(&empty);
        let mut page = interpreter::interpret(self, &content, resources, self.upright(dict));
        page.number = index + 1;
        Ok(page)
    }

    fn collect_content(&self, contents: &Object, into: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        match self.resolve(contents) {
            Object::Stream(stream) => {
                inflate(stream, into)?;
                into.push(b'\n');
                Ok(())
            }
            Object::Array(_) if depth == 0 => Err("its content is nested too deeply".to_owned()),
            Object::Array(parts) => parts.iter().try_for_each(|part| self.collect_content(part, into, depth - 1)),
            Object::Null => Ok(()),
            _ => Err("its content is not a stream".to_owned()),
        }
    }

    /// An attribute of a page or the nearest of its ancestors that has it.
    fn inherited<'a>(&'a self, page: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
        let mut node = page;
        for _ in 0..MAX_DEPTH {
            if let Ok(object) = node.get(key) {
                return Some(self.resolve(object));
            }
            node = self.dict(node.get(b"Parent").ok()?)?;
        }
        None
    }

    /// Turns a page's space so that it stands upright, as `/Rotate` shows it.
    fn upright(&self, page: &Dictionary) -> Matrix {
        let numbers: Vec<f64> = match self.inherited(page, b"MediaBox") {
            Some(Object::Array(list)) => list.iter().filter_map(|number| self.number(number)).collect(),
            _ => Vec::new(),
        };
        let [x0, y0, x1, y1] = numbers[..] else { return Matrix::IDENTITY };
        let turns = self.inherited(page, b"Rotate").and_then(|object| self.number(object)).unwrap_or(0.0) as i64;
        let moved = Matrix::translation(-x0.min(x1), -y0.min(y1));
        let (width, height) = ((x1 - x0).abs(), (y1 - y0).abs());
        moved.then(match turns.rem_euclid(360) {
            90 => Matrix([0.0, -1.0, 1.0, 0.0, 0.0, width]),
            180 => Matrix([-1.0, 0.0, 0.0, -1.0, width, height]),
            270 => Matrix([0.0, 1.0, -1.0, 0.0, height, 0.0]),
            _ => Matrix::IDENTITY,
        })
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
        self.dict(resources.get(category).ok()?)?.get(name).ok()
    }

    /// A stream's decoded bytes.
    pub fn stream_bytes(&self, object: Option<&Object>) -> Option<Vec<u8>> {
        let stream = self.resolve(object?).as_stream().ok()?;
        let mut bytes = Vec::new();
        inflate(stream, &mut bytes).ok().map(|()| bytes)
    }

    /// The font called `name`, read once per document.
    pub fn font(&self, resources: &Dictionary, name: &[u8]) -> Option<Arc<Font>> {
        let object = self.resource(resources, b"Font", name)?;
        let Ok(id) = object.as_reference() else {
            return Some(Arc::new(Font::load(self, self.dict(object)?)));
        };
        let mut fonts = self.fonts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(font) = fonts.get(&id) {
            return Some(font.clone());
        }
        let font = Arc::new(Font::load(self, self.dict(object)?));
        fonts.insert(id, font.clone());
        Some(font)
    }
}

fn needs_password() -> Refusal {
    Refusal::new(RefusalCode::NeedsPassword, "the PDF is encrypted and needs a password; export it without one")
}

/// Appends a stream's decoded bytes. lopdf returns what it has when a Flate stream breaks off; a
/// report's page that ends early must be an error, so plain Flate is inflated here, to its end mark.
fn inflate(stream: &Stream, into: &mut Vec<u8>) -> Result<(), String> {
    let filters = stream.filters().unwrap_or_default();
    let has_parameters = stream.dict.get(b"DecodeParms").is_ok_and(|parameters| !matches!(parameters, Object::Null));
    match filters[..] {
        [] => into.extend_from_slice(&stream.content),
        [b"FlateDecode" | b"Fl"] if !has_parameters => {
            let before = into.len();
            let mut decoder = flate2::read::ZlibDecoder::new(stream.content.as_slice()).take(MAX_STREAM as u64 + 1);
            decoder.read_to_end(into).map_err(|error| format!("a compressed stream is broken: {error}"))?;
            if into.len() - before > MAX_STREAM {
                return Err(format!("a stream inflates to more than {} MiB", MAX_STREAM >> 20));
            }
        }
        _ => into.extend(
            stream
                .decompressed_content_with_limit(MAX_STREAM)
                .map_err(|error| format!("a stream cannot be decoded: {error}"))?,
        ),
    }
    Ok(())
}

//! What does an object of a file say? References are followed, streams decoded.

use std::borrow::Cow;

use lopdf::{Dictionary, Object};

use super::stream;
use crate::report::budget::Budget;

/// The objects of an opened file.
pub(crate) struct Objects<'b> {
    pub file: lopdf::Document,
    /// What reading it may still cost.
    pub budget: &'b Budget,
}

impl Objects<'_> {
    /// Follows references.
    pub(crate) fn resolve<'a>(&'a self, object: &'a Object) -> &'a Object {
        self.file.dereference(object).map_or(&Object::Null, |(_, object)| object)
    }

    /// A dictionary, or a stream's.
    pub(crate) fn dict<'a>(&'a self, object: &'a Object) -> Option<&'a Dictionary> {
        match self.resolve(object) {
            Object::Dictionary(dict) => Some(dict),
            Object::Stream(stream) => Some(&stream.dict),
            _ => None,
        }
    }

    /// An array under `key`.
    pub(crate) fn array<'a>(&'a self, dict: &'a Dictionary, key: &[u8]) -> Option<&'a Vec<Object>> {
        self.resolve(dict.get(key).ok()?).as_array().ok()
    }

    /// A number.
    pub(crate) fn number(&self, object: &Object) -> Option<f64> {
        match self.resolve(object) {
            Object::Integer(number) => Some(*number as f64),
            Object::Real(number) => Some(f64::from(*number)),
            _ => None,
        }
    }

    /// A named entry of a resource category.
    pub(crate) fn resource<'a>(
        &'a self,
        resources: &'a Dictionary,
        category: &[u8],
        name: &[u8],
    ) -> Option<&'a Object> {
        self.dict(resources.get(category).ok()?)?.get(&plain_name(name)).ok()
    }

    /// A stream's decoded bytes; `None` if it is none, or broken.
    pub(crate) fn stream_bytes(&self, object: &Object) -> Option<Vec<u8>> {
        let stream = self.resolve(object).as_stream().ok()?;
        let mut bytes = Vec::new();
        stream::decode(stream, self.budget, &mut bytes).ok().map(|()| bytes)
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

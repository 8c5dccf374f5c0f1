//! Which headers are known, and what do their columns hold?

use std::collections::{HashMap, HashSet};

use crate::sync_type::{ValueType, header::normalise};

/// Parts of header words with fewer letters than this say nothing.
const SHORTEST_PART: usize = 3;

/// The headers that are known, however they are spelled.
#[derive(Debug, Default)]
pub(crate) struct Known {
    headers: HashSet<String>,
    keys: HashSet<String>,
    /// The words that headers are made of, and what is left of them where they are cut.
    words: HashSet<String>,
    /// The types of the report's own columns.
    types: HashMap<String, ValueType>,
}

impl Known {
    /// All types' headers, those of the report's own type with what its columns hold, and those of its key.
    pub(crate) fn of<'a>(
        headers: impl Iterator<Item = &'a String>,
        own: impl Iterator<Item = (&'a String, ValueType)>,
        keys: impl Iterator<Item = &'a String>,
    ) -> Self {
        let plain = |header: &String| normalise(header);
        let headers: Vec<&String> = headers.collect();
        Self {
            words: headers
                .iter()
                .flat_map(|header| header.split_whitespace())
                .flat_map(|word| parts(&normalise(word)))
                .collect(),
            headers: headers.into_iter().map(plain).collect(),
            keys: keys.map(plain).collect(),
            types: own.map(|(header, value_type)| (plain(header), value_type)).collect(),
        }
    }

    /// Is this a header of any sync type?
    pub(crate) fn is_header(&self, text: &str) -> bool {
        self.headers.contains(&normalise(text))
    }

    /// Is this a word of any header, or a part of one?
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.words.contains(&normalise(word))
    }

    /// Is this the header of the key?
    pub(crate) fn is_key(&self, text: &str) -> bool {
        self.keys.contains(&normalise(text))
    }

    /// What the column of this header holds, if it is one of the report's own type.
    pub(crate) fn value_type(&self, text: &str) -> Option<ValueType> {
        self.types.get(&normalise(text)).copied()
    }
}

/// A word, its beginnings and its ends.
fn parts(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let length = letters.len();
    let beginnings = (SHORTEST_PART..length).map(|end| letters[..end].iter().collect());
    let ends = (1..length.saturating_sub(SHORTEST_PART - 1)).map(|start| letters[start..].iter().collect());
    beginnings.chain(ends).chain([word.to_owned()]).collect()
}

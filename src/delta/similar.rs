//! Which new keys are stored already, but in another spelling? Capitals, kinds of blanks, signs nobody sees.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// A key that the ERP prints otherwise than before, or two that people will take for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimilarKey {
    /// As the report has it.
    pub key: String,
    /// As a live record has it.
    pub stored: String,
}

/// A key as it is spoken: without capitals, with one kind of blank, and none at its ends.
fn spoken(key: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    if key.bytes().all(is_plain) {
        return key.into();
    }
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return key.to_ascii_lowercase().into();
    }
    let is_seen = |character: &char| !matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let plain: String = key.nfkc().filter(is_seen).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// Those of the `new` keys that one of the `live` ones is, in another spelling.
pub(super) fn find<'a>(
    new: impl Iterator<Item = &'a String>,
    live: impl Iterator<Item = &'a String>,
) -> Vec<SimilarKey> {
    let mut new = new.peekable();
    if new.peek().is_none() {
        return Vec::new();
    }
    let stored: HashMap<Cow<'a, str>, &String> = live.map(|key| (spoken(key), key)).collect();
    if stored.is_empty() {
        return Vec::new();
    }
    let similar = |key: &String| {
        stored.get(&spoken(key)).map(|stored| SimilarKey { key: key.clone(), stored: (*stored).clone() })
    };
    let mut found: Vec<SimilarKey> = new.filter_map(similar).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::spoken;

    #[test]
    fn spellings_of_one_key_are_told_from_other_keys() {
        for other in
            ["ord/26000123 a", "ORD/26000123\u{a0}A", " ORD/26000123  A", "ORD/26000123\u{200b} A", "ＯＲＤ/26000123 A"]
        {
            assert_eq!(spoken(other), spoken("ORD/26000123 A"), "{other}");
        }
        for other in ["ORD/26000124 A", "ORD/26000123A", "ORD26000123 A", "ÒRD/26000123 A"] {
            assert_ne!(spoken(other), spoken("ORD/26000123 A"), "{other}");
        }
    }
}

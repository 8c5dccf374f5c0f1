//! Which new keys are stored already, but in another spelling? Capitals, kinds of blanks, signs nobody sees.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::plan::{Change, ChangeKind, Snapshot};

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
fn spoken(key: &str) -> String {
    let is_seen = |character: &char| !matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let plain: String = key.nfkc().filter(is_seen).flat_map(char::to_lowercase).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys among `compared` that are new, while a live record has the same key in another spelling.
pub(super) fn find(compared: &[(String, Option<Change>)], snapshot: &Snapshot) -> Vec<SimilarKey> {
    let is_new = |change: &&Change| change.kind == ChangeKind::Insert;
    let mut inserted = compared.iter().filter_map(|(_, change)| change.as_ref()).filter(is_new).peekable();
    if inserted.peek().is_none() || snapshot.rows.is_empty() {
        return Vec::new();
    }
    let live = snapshot.rows.iter().filter(|(_, row)| row.is_live());
    let stored: HashMap<String, &String> = live.map(|(key, _)| (spoken(key), key)).collect();
    let similar = |change: &Change| {
        let stored = stored.get(&spoken(&change.key))?;
        Some(SimilarKey { key: change.key.clone(), stored: (*stored).clone() })
    };
    let mut found: Vec<SimilarKey> = inserted.filter_map(similar).collect();
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

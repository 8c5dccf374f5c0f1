//! How is a report laid out, and has that changed since the last one?

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cycle::Cycles;
use crate::sync_type::header::normalise;

/// The headers of each page of a cycle, as printed; what the ERP's users change when they hide, add,
/// widen or move columns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layout {
    /// Page by page, from left to right.
    pub pages: Vec<Vec<String>>,
}

/// What differs between two layouts of one type's reports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutChange {
    /// Headers that are not printed any more.
    pub gone: Vec<String>,
    /// Headers that were not printed before.
    pub added: Vec<String>,
    /// Do the headers that both have stand in another order?
    pub reordered: bool,
    /// Pages in a cycle before.
    pub cycle_before: usize,
    /// Pages in a cycle now.
    pub cycle: usize,
}

impl Layout {
    pub(super) fn of(cycles: &Cycles<'_>) -> Self {
        let mut pages = vec![Vec::new(); cycles.length];
        for ((page, _), header) in cycles.headers() {
            pages[page].push(header.to_owned());
        }
        Self { pages }
    }

    /// Equal exactly for layouts with the same headers (case, accents and spaces apart) on the same
    /// pages: SHA-256 in hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let pages: Vec<String> = self
            .pages
            .iter()
            .map(|page| page.iter().map(|header| normalise(header)).collect::<Vec<_>>().join("|"))
            .collect();
        hex::encode(Sha256::digest(pages.join("\n")))
    }

    /// What changed since `before`; `None` if no column did. Which page one stands on is none: that follows from how
    /// wide the texts are.
    #[must_use]
    pub fn change_since(&self, before: &Self) -> Option<LayoutChange> {
        if self.fingerprint() == before.fingerprint() {
            return None;
        }
        let (now, then) = (self.headers(), before.headers());
        // a header may stand twice: each is matched once
        let missing = |from: &[(String, &String)], within: &[(String, &String)]| -> Vec<String> {
            let mut left: Vec<&str> = within.iter().map(|(plain, _)| plain.as_str()).collect();
            let mut missing = Vec::new();
            for (plain, printed) in from {
                match left.iter().position(|other| other == plain) {
                    Some(at) => drop(left.swap_remove(at)),
                    None => missing.push((*printed).clone()),
                }
            }
            missing
        };
        let common = |from: &[(String, &String)], within: &[(String, &String)]| -> Vec<String> {
            from.iter()
                .filter(|(plain, _)| within.iter().any(|(other, _)| other == plain))
                .map(|(plain, _)| plain.clone())
                .collect()
        };
        let change = LayoutChange {
            gone: missing(&then, &now),
            added: missing(&now, &then),
            reordered: common(&now, &then) != common(&then, &now),
            cycle_before: before.pages.len(),
            cycle: self.pages.len(),
        };
        (change.reordered || !change.gone.is_empty() || !change.added.is_empty()).then_some(change)
    }

    fn headers(&self) -> Vec<(String, &String)> {
        self.pages.iter().flatten().map(|header| (normalise(header), header)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(pages: &[&[&str]]) -> Layout {
        Layout { pages: pages.iter().map(|page| page.iter().map(|header| (*header).to_owned()).collect()).collect() }
    }

    #[test]
    fn changes_are_told_by_name() {
        let before = layout(&[&["ID", "CITTÀ"], &["NOME", "NOME"]]);
        assert_eq!(layout(&[&["ID", "Citta"], &["NOME", "NOME:"]]).change_since(&before), None);
        let after = layout(&[&["NOME", "ID", "NUOVA"]]);
        let change = after.change_since(&before).unwrap();
        assert_eq!(
            (change.gone, change.added),
            (vec!["CITTÀ".to_owned(), "NOME".to_owned()], vec!["NUOVA".to_owned()])
        );
        assert_eq!((change.reordered, change.cycle_before, change.cycle), (true, 2, 1));
        // only the page boundary moved
        for moved in [&[&["ID"][..], &["CITTÀ", "NOME", "NOME"]][..], &[&["ID", "CITTÀ", "NOME", "NOME"]]] {
            assert_eq!(layout(moved).change_since(&before), None);
        }
    }
}

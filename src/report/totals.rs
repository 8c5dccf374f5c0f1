//! Does a totals row prove that every row was read?

use rust_decimal::Decimal;

use super::{Refusal, RefusalCode, cell, cycle::WideRow, table::BREAK};
use crate::{domain::Value, sync_type::ValueType};

/// Sums may differ by so much, because each printed cell was rounded.
const TOLERANCE: Decimal = Decimal::from_parts(10, 0, 0, false, 2);
/// What totals rows begin with in Italian, English, German, French and Spanish; a type may name others.
const WORDS: [&str; 22] = [
    "totale",
    "totali",
    "tot.",
    "subtotale",
    "somma",
    "riporto",
    "total",
    "totals",
    "subtotal",
    "sum",
    "grand",
    "gesamt",
    "gesamtsumme",
    "summe",
    "zwischensumme",
    "übertrag",
    "totaux",
    "sous-total",
    "totales",
    "suma",
    "sub-totale",
    "sub-total",
];

/// The words that begin totals rows where a type names none.
pub(crate) fn default_words() -> Vec<String> {
    WORDS.map(str::to_owned).to_vec()
}

/// What a totals row claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Claims {
    /// Rows of the report.
    pub count: Option<u64>,
    /// Number of the cell in the wide row, and the sum of its column.
    pub sums: Vec<(usize, Decimal)>,
    /// A claim that cannot be read, or a text that is none beside others.
    pub unreadable: Option<String>,
    /// Was it told by its labels `Count=` and `Sum=`, and not by a word?
    pub is_labelled: bool,
}

fn amount(text: &str) -> Option<Decimal> {
    cell::parse(ValueType::Money, text).ok().and_then(|sum| sum.as_decimal())
}

fn whole(text: &str) -> Option<u64> {
    match cell::parse(ValueType::Int, text) {
        Ok(Value::Int(count)) => u64::try_from(count).ok(),
        _ => None,
    }
}

/// The claims of a row of `Count=` and `Sum=`; `None` if it holds none.
pub(crate) fn labelled(row: WideRow<'_>) -> Option<Claims> {
    if !row.cells().any(|cell| cell.contains('=')) {
        return None;
    }
    let mut claims = Claims { is_labelled: true, ..Claims::default() };
    let mut is_totals = false;
    let mut other = None;
    for (number, text) in row.cells().enumerate().filter(|(_, text)| !text.is_empty()) {
        // labels and numbers that are cut in narrow columns, or whose letters fell apart, are still some
        let plain: String = text.chars().filter(|c| !c.is_whitespace() && *c != BREAK).collect();
        let text = text.replace(BREAK, " ");
        let (label, value) = plain.split_once('=').unwrap_or((&plain, ""));
        match label.to_lowercase().as_str() {
            "count" if text.contains('=') => {
                is_totals = true;
                claims.count = whole(value);
                if claims.count.is_none() {
                    claims.unreadable = Some(format!("'{text}', which is not a number"));
                }
            }
            "sum" if text.contains('=') => {
                is_totals = true;
                match amount(value) {
                    Some(sum) => claims.sums.push((number, sum)),
                    None => claims.unreadable = Some(format!("'{text}', which is not a number")),
                }
            }
            _ => other = other.or(Some(text)),
        }
    }
    claims.unreadable = claims.unreadable.or(other.map(|text| format!("'{text}', which is neither a count nor a sum")));
    is_totals.then_some(claims)
}

/// The claims of a row whose first text begins with a totals word, in small letters: a whole number behind it counts the
/// rows, and amounts in other cells are sums of their columns.
pub(crate) fn worded(row: WideRow<'_>, words: &[String]) -> Option<Claims> {
    let mut cells = row.cells().enumerate().filter(|(_, text)| !text.is_empty());
    let (_, first) = cells.next()?;
    let ends = |c: char| c.is_whitespace() || matches!(c, ':' | '=' | '(' | BREAK);
    let begins = first.split(ends).next().unwrap_or_default().to_lowercase();
    if !words.contains(&begins) {
        return None;
    }
    let first = first.replace(BREAK, " ");
    let count = count_in(&first);
    let sums = cells.filter_map(|(number, text)| Some((number, amount(text)?))).collect();
    Some(Claims { count, sums, ..Claims::default() })
}

/// The rows that a label counts: `Totale: 12`, `Totale ordini: 12`, `Total 12`; but not `Totale anno 2026`.
fn count_in(label: &str) -> Option<u64> {
    if let Some((_, behind)) = label.split_once([':', '=']) {
        return whole(behind.split_whitespace().next()?);
    }
    let mut words = label.split_whitespace().skip(1);
    whole(words.next()?.trim_matches(['(', ')']))
}

/// What was added up while reading: rows, and a sum a cell of the wide row, with its header; `None` once a
/// cell of it could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub rows: u64,
    /// Of the rows, those without any text.
    pub blank: u64,
    pub cells: Vec<Option<(String, Option<Decimal>)>>,
}

impl Sums {
    fn disagrees(&self, claims: &Claims) -> Option<String> {
        // rows without any text may be counted or not; and a number beside sums that agree may be anything
        let is_other = |count: &u64| *count != self.rows && *count != self.rows - self.blank;
        let sums_decide = !claims.is_labelled && !claims.sums.is_empty();
        if let Some(count) = claims.count.filter(is_other).filter(|_| !sums_decide) {
            return Some(format!("the totals row says {count} rows, {} were read", self.rows));
        }
        claims.sums.iter().find_map(|(cell, claimed)| {
            let (header, read) = self.cells.get(*cell)?.as_ref()?;
            let read = (*read)?;
            let is_off = (claimed - read).abs() > TOLERANCE;
            is_off.then(|| format!("the totals row says {claimed} for '{header}', the rows read add up to {read}"))
        })
    }
}

/// Holds the claims of a totals row against what was read so far, in `all` and since the last totals row.
///
/// # Errors
/// `totals_mismatch` with both numbers, or what cannot be read.
pub(crate) fn check(claims: &Claims, all: &Sums, since: &Sums) -> Result<(), Refusal> {
    let mismatch = |text: String| Err(Refusal::new(RefusalCode::TotalsMismatch, text));
    if let Some(text) = &claims.unreadable {
        return mismatch(format!("the totals row holds {text}"));
    }
    let Some(text) = all.disagrees(claims) else { return Ok(()) };
    // a subtotal
    if !claims.is_labelled && since.disagrees(claims).is_none() { Ok(()) } else { mismatch(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_held_against_the_rows() {
        let sum = (1, Decimal::new(1000, 2));
        let claims = Claims { count: Some(3), sums: vec![sum], is_labelled: true, ..Claims::default() };
        let sums = |rows, cents: Option<i64>| Sums {
            rows,
            blank: 0,
            cells: vec![None, Some(("IMPORTO".to_owned(), cents.map(|cents| Decimal::new(cents, 2))))],
        };
        let of =
            |claims: &Claims, sums: &Sums, since: &Sums| check(claims, sums, since).map_err(|refusal| refusal.text);
        let check = |sums: &Sums, since: &Sums| of(&claims, sums, since);
        let none = Sums::default();
        assert!(check(&sums(3, Some(1010)), &none).is_ok(), "rounding");
        assert!(check(&sums(3, None), &none).is_ok(), "a column that was not read in full is not checked");
        assert!(check(&sums(3, Some(1011)), &sums(0, None)).unwrap_err().contains("'IMPORTO'"));
        assert!(check(&sums(2, Some(1000)), &none).unwrap_err().contains("says 3 rows, 2 were read"));
        let worded = Claims { is_labelled: false, ..claims.clone() };
        assert!(of(&worded, &sums(9, Some(9000)), &sums(3, Some(1000))).is_ok(), "a subtotal");
        assert!(of(&worded, &sums(9, Some(1000)), &none).is_ok(), "the sum decides what the number is");
    }

    #[test]
    fn labels_count_rows_where_they_say_so() {
        for (label, count) in [
            ("Totale: 12", Some(12)),
            ("Totale ordini: 12", Some(12)),
            ("Total 12 rows", Some(12)),
            ("Totale anno 2026", None),
            ("Totale pagina 1", None),
            ("Totale", None),
        ] {
            assert_eq!(count_in(label), count, "{label}");
        }
    }
}

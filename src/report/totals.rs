//! Does the totals row prove that every row was read?

use rust_decimal::Decimal;

use super::{Refusal, RefusalCode, cell, cycle::WideRow};
use crate::{domain::Value, sync_type::ValueType};

/// Sums may differ by so much, because each printed cell was rounded.
const TOLERANCE: Decimal = Decimal::from_parts(10, 0, 0, false, 2);

/// What a totals row claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// `Count=`: rows of the report.
    pub count: Option<u64>,
    /// `Sum=`: number of the cell in the wide row, and the sum.
    pub sums: Vec<(usize, Decimal)>,
}

/// A sum that was added up while reading: `None` once a cell could not be read.
pub type Sum = Option<Decimal>;

/// Reads a row as a totals row: `None` if it is not one.
///
/// # Errors
/// `totals_mismatch` where it is one whose numbers cannot be read.
pub fn parse(row: WideRow<'_>) -> Result<Option<Totals>, Refusal> {
    let mut totals = Totals::default();
    let mut is_totals = false;
    for (number, text) in row.cells().enumerate().filter(|(_, text)| !text.is_empty()) {
        let Some((label, value)) = text.split_once('=') else { return half(is_totals, text) };
        let value = value.trim();
        let unreadable = || {
            Refusal::new(RefusalCode::TotalsMismatch, format!("the totals row holds '{text}', which is not a number"))
        };
        // a label whose letters fell apart is still one
        match label.split_whitespace().collect::<String>().to_lowercase().as_str() {
            "count" => match cell::parse(ValueType::Int, value) {
                Ok(Value::Int(count)) => totals.count = Some(u64::try_from(count).map_err(|_| unreadable())?),
                _ => return Err(unreadable()),
            },
            "sum" => {
                let sum = cell::parse(ValueType::Money, value)
                    .ok()
                    .and_then(|sum| sum.as_decimal())
                    .ok_or_else(unreadable)?;
                totals.sums.push((number, sum));
            }
            _ => return half(is_totals, text),
        }
        is_totals = true;
    }
    Ok(is_totals.then_some(totals))
}

/// A cell that is no claim: of a record, unless others of its row are claims.
fn half(is_totals: bool, text: &str) -> Result<Option<Totals>, Refusal> {
    if !is_totals {
        return Ok(None);
    }
    let text = format!("the totals row also holds '{text}', which is neither a count nor a sum");
    Err(Refusal::new(RefusalCode::TotalsMismatch, text))
}

impl Totals {
    /// Holds the claims against what was read: `rows`, and for cell number `n` of the wide row
    /// `sum_of(n)` with the printed header, `None` where the column was not read in full.
    ///
    /// # Errors
    /// `totals_mismatch` with both numbers.
    pub fn check(&self, rows: u64, sum_of: impl Fn(usize) -> Option<(String, Decimal)>) -> Result<(), Refusal> {
        if let Some(count) = self.count.filter(|count| *count != rows) {
            let text = format!("the totals row says {count} rows, {rows} were read");
            return Err(Refusal::new(RefusalCode::TotalsMismatch, text));
        }
        for (cell, claimed) in &self.sums {
            if let Some((header, read)) = sum_of(*cell)
                && (claimed - read).abs() > TOLERANCE
            {
                let text = format!("the totals row says {claimed} for '{header}', the rows read add up to {read}");
                return Err(Refusal::new(RefusalCode::TotalsMismatch, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_held_against_the_rows() {
        let totals = Totals { count: Some(3), sums: vec![(5, Decimal::new(1000, 2))] };
        let sum = |cents| move |_| Some(("IMPORTO".to_owned(), Decimal::new(cents, 2)));
        assert!(totals.check(3, sum(1010)).is_ok(), "rounding");
        assert!(totals.check(3, |_| None).is_ok(), "a column that was not read in full is not checked");
        assert!(totals.check(3, sum(1011)).unwrap_err().text.contains("'IMPORTO'"));
        assert!(totals.check(2, sum(1000)).unwrap_err().text.contains("says 3 rows, 2 were read"));
    }
}

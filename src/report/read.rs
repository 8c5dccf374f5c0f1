//! The whole way through a report: open, recognise, join, match, type, check.

use std::collections::HashSet;

use rayon::prelude::*;
use rust_decimal::Decimal;

use super::{
    Drift, Refusal, RefusalCode, cell,
    columns::Columns,
    cycle::{Cycles, WideRow},
    pdf::Document,
    sniff, table,
    totals::{self, Sum, Totals},
};
use crate::{
    domain::{Record, Value},
    sync_type::{SyncTypeSpec, SyncTypes, ValueType},
};

/// A row that does not fit: nothing of it is stored, and all of it is told.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// The file's page, from 1.
    pub page: usize,
    /// The row on that page below the header, from 1.
    pub row: usize,
    /// The printed header of the column that does not fit.
    pub column: String,
    /// The text as printed.
    pub text: String,
    /// What was expected.
    pub why: String,
    /// The row's natural key, where it could be read.
    pub key: Option<String>,
}

/// One report, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// The rows that fit, in printed order; keys are unique.
    pub records: Vec<Record>,
    /// The rows that do not.
    pub quarantined: Vec<Quarantined>,
    /// Garbage rows: key `0` or blank.
    pub skipped: u64,
    /// For each field of the spec: did the report have its column?
    pub present: Vec<bool>,
    /// How the columns differ from the spec's.
    pub drift: Drift,
    /// Pages in the file.
    pub pages: usize,
    /// Pages in a cycle.
    pub cycle: usize,
    /// Did a totals row prove the count?
    pub counted: bool,
}

impl Report {
    /// Rows printed, totals row apart.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.records.len() as u64 + self.quarantined.len() as u64 + self.skipped
    }
}

/// Reads a report of type `spec`; `types` are all known types, to recognise another one's report.
///
/// # Errors
/// [`Refusal`]: nothing of the report can be used.
pub fn read(bytes: &[u8], spec: &SyncTypeSpec, types: &SyncTypes) -> Result<Report, Refusal> {
    sniff::check(bytes)?;
    let document = Document::open(bytes)?;
    let pages = (0..document.page_count())
        .into_par_iter()
        .map(|page| table::recognise(&document.page(page)?))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let cycles = Cycles::find(&pages)?;
    let headers: Vec<_> = cycles.headers().collect();
    let columns = Columns::find(&headers, spec, types)?;
    let mut rows: Vec<_> = cycles.rows().collect();
    let totals = take_totals(&mut rows)?;

    let mut reader = RowReader::new(spec, &columns, headers.iter().map(|(_, header)| *header).collect());
    for row in &rows {
        reader.read(*row)?;
    }
    if let Some(totals) = &totals {
        totals.check(rows.len() as u64, |cell| reader.sum_at(cell, &headers))?;
    }
    let mut report = reader.report;
    report.present = spec.fields.iter().map(|field| columns.places[field.column].is_some()).collect();
    report.drift = columns.drift;
    report.pages = document.page_count();
    report.cycle = cycles.length;
    report.counted = totals.is_some_and(|totals| totals.count.is_some());
    Ok(report)
}

/// Takes the totals row, and blank rows after it, off the end.
fn take_totals(rows: &mut Vec<WideRow<'_>>) -> Result<Option<Totals>, Refusal> {
    let Some(last) = rows.iter().rposition(|row| row.cells().any(|cell| !cell.is_empty())) else {
        return Ok(None);
    };
    let totals = totals::parse(rows[last])?;
    if totals.is_some() {
        rows.truncate(last);
    }
    Ok(totals)
}

struct RowReader<'a> {
    spec: &'a SyncTypeSpec,
    columns: &'a Columns,
    headers: Vec<&'a str>,
    seen: HashSet<String>,
    /// A running sum a column of the spec.
    sums: Vec<Sum>,
    report: Report,
}

impl<'a> RowReader<'a> {
    fn new(spec: &'a SyncTypeSpec, columns: &'a Columns, headers: Vec<&'a str>) -> Self {
        Self {
            spec,
            columns,
            headers,
            seen: HashSet::new(),
            sums: vec![Some(Decimal::ZERO); spec.columns.len()],
            report: Report::default(),
        }
    }

    fn read(&mut self, row: WideRow<'_>) -> Result<(), Refusal> {
        let spec = self.spec;
        let mut values = Vec::with_capacity(spec.fields.len());
        let mut misfit: Option<(usize, String)> = None;
        for (number, column) in spec.columns.iter().enumerate() {
            if column.value_type == ValueType::Skip {
                continue;
            }
            let text = self.columns.places[number].map_or("", |place| row.cell(place));
            if column.value_type == ValueType::Tracking {
                values.extend(cell::parse_tracking(text));
                continue;
            }
            let text =
                column.strip_suffix.as_ref().and_then(|suffix| text.strip_suffix(suffix.as_str())).unwrap_or(text);
            match cell::parse(column.value_type, text) {
                Ok(value) => {
                    self.add_to_sum(number, &value);
                    values.push(value);
                }
                Err(error) => {
                    self.sums[number] = None;
                    misfit.get_or_insert((number, error.to_string()));
                    values.push(Value::Null);
                }
            }
        }
        let record = Record { values };
        let key_column = spec.fields[spec.key].column;
        let key_text = self.columns.places[key_column].map_or("", |place| row.cell(place));
        if matches!(key_text, "" | "0") {
            // a totals row in the middle means that rows were put together wrongly
            if totals::parse(row)?.is_some() {
                return Err(Refusal::new(
                    RefusalCode::TotalsMismatch,
                    format!("page {}: a totals row stands before the last row", row.page_number(0)),
                ));
            }
            self.report.skipped += 1;
            return Ok(());
        }
        let key = Some(record.text(spec.key)).filter(|key| !key.is_empty());
        if let Some((column, why)) = misfit {
            // its key counts as seen: the row exists, it only cannot be read
            self.seen.extend(key.clone());
            self.quarantine(row, column, why, key);
        } else if !self.seen.insert(record.text(spec.key)) {
            self.quarantine(row, key_column, "this key stands twice in the report".to_owned(), key);
        } else {
            self.report.records.push(record);
        }
        Ok(())
    }

    fn add_to_sum(&mut self, column: usize, value: &Value) {
        if let (Some(sum), Some(number)) = (&mut self.sums[column], value.as_decimal()) {
            match sum.checked_add(number) {
                Some(total) => *sum = total,
                None => self.sums[column] = None,
            }
        }
    }

    fn quarantine(&mut self, row: WideRow<'_>, column: usize, why: String, key: Option<String>) {
        let place = self.columns.places[column].unwrap_or_default();
        self.report.quarantined.push(Quarantined {
            page: row.page_number(place.0),
            row: row.index + 1,
            column: self.spec.columns[column].headers[0].clone(),
            text: row.cell(place).to_owned(),
            why,
            key,
        });
    }

    /// Header and sum of cell number `cell` of the wide row, if its column was read in full.
    fn sum_at(&self, cell: usize, headers: &[((usize, usize), &str)]) -> Option<(String, Decimal)> {
        let (place, _) = headers.get(cell)?;
        let column = self.columns.places.iter().position(|found| found.as_ref() == Some(place))?;
        let is_number = matches!(
            self.spec.columns[column].value_type,
            ValueType::Int | ValueType::Money | ValueType::Number | ValueType::Percent
        );
        is_number.then_some(())?;
        Some((self.headers[cell].to_owned(), self.sums[column]?))
    }
}

//! The whole way through a report: open, recognise, join, match, type, check.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    Drift, Layout, Refusal, RefusalCode,
    budget::{Budget, Limits},
    cell,
    columns::Columns,
    cycle::{Cycles, WideRow},
    pdf::{Document, Page, Pieces, Verdict},
    sniff,
    table::{self, Known, PageTable},
    totals::{self, Sum, Totals},
};
use crate::{
    domain::{Record, Value},
    sync_type::{SyncTypeSpec, SyncTypes, ValueType},
};

/// From so many rows on, a report most of whose rows have no key is refused.
const MOSTLY_FROM: usize = 6;
/// Unclean pages beyond this are counted, not listed.
const LISTED_PAGES: usize = 20;

/// A row that does not fit: nothing of it is stored, and all of it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How the columns are laid out.
    pub layout: Layout,
    /// How many pages could not be understood to the last token. Their tables are whole, but what such
    /// a report does not hold proves nothing: nothing is deleted because of it.
    pub unclean: usize,
    /// The first of them, with their verdicts.
    pub unclean_pages: Vec<(usize, Verdict)>,
}

impl Report {
    /// Rows printed, totals row apart.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.records.len() as u64 + self.quarantined.len() as u64 + self.skipped
    }
}

/// What to read, and what it may cost.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// Its type.
    pub spec: &'a SyncTypeSpec,
    /// All known types, to recognise another one's report.
    pub types: &'a SyncTypes,
    /// What is left to spend.
    pub budget: &'a Budget,
    /// Told after every page: pages read so far, and of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// Reads a report with the usual limits and without telling its progress; see [`Request::read`].
///
/// # Errors
/// [`Refusal`]: nothing of the report can be used.
pub fn read(bytes: &[u8], spec: &SyncTypeSpec, types: &SyncTypes) -> Result<Report, Refusal> {
    Request { bytes, spec, types, budget: &Budget::new(Limits::default()), progress: &|_, _| {} }.read()
}

impl Request<'_> {
    /// Reads the report.
    ///
    /// # Errors
    /// [`Refusal`]: nothing of the report can be used.
    pub fn read(&self) -> Result<Report, Refusal> {
        let tables = self.tables()?;
        let spec = self.spec;
        let cycles = Cycles::find(&tables)?;
        let headers: Vec<_> = cycles.headers().collect();
        let columns = Columns::find(&headers, spec, self.types)?;
        let mut rows: Vec<_> = cycles.rows().collect();
        let totals = take_totals(&mut rows)?;

        let mut reader = RowReader::new(spec, &columns, headers.iter().map(|(_, header)| *header).collect());
        let typed: Vec<TypedRow> = rows.par_iter().map(|row| type_row(*row, spec, &columns)).collect();
        for (row, typed) in rows.iter().zip(typed) {
            reader.take(*row, typed)?;
        }
        if let Some(totals) = &totals {
            totals.check(rows.len() as u64, |cell| reader.sum_at(cell, &headers))?;
        }
        let mut report = reader.report;
        if report.skipped as usize > rows.len() / 2 && rows.len() >= MOSTLY_FROM {
            let text =
                format!("{} of {} rows have no key: they were not put together rightly", report.skipped, rows.len());
            return Err(Refusal::new(RefusalCode::PagesDisagree, text));
        }
        report.present = spec.fields.iter().map(|field| columns.places[field.column].is_some()).collect();
        report.drift = columns.drift;
        report.pages = tables.len();
        report.cycle = cycles.length;
        report.counted = totals.is_some_and(|totals| totals.count.is_some());
        report.layout = Layout::of(&cycles);
        let unclean = tables.iter().filter(|table| !table.verdict.is_clean());
        report.unclean = unclean.clone().count();
        report.unclean_pages = unclean.take(LISTED_PAGES).map(|table| (table.page, table.verdict)).collect();
        Ok(report)
    }

    /// Recognises the tables of all pages.
    fn tables(&self) -> Result<Vec<PageTable>, Refusal> {
        sniff::check(self.bytes)?;
        let document = Document::open(self.bytes, self.budget)?;
        let known = self.known();
        let done = Mutex::new(0);
        let count = document.page_count();
        let sheets = (0..count)
            .into_par_iter()
            .map(|page| {
                let table = Self::by_marks(&document.page(page, Pieces::Whole)?, &known)?;
                // told under the lock: progress never goes back
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                *done += 1;
                (self.progress)(*done, count);
                Ok(table)
            })
            .collect::<Result<Vec<_>, Refusal>>()?;
        match sheets.into_iter().collect::<Option<Vec<_>>>() {
            Some(tables) => Ok(tables),
            None => Self::loose_tables(&document, &known),
        }
    }

    /// A page's table, if its marks show one; else the page is read again, with the others.
    fn by_marks(page: &Page, known: &Known) -> Result<Option<PageTable>, Refusal> {
        table::recognise(page, known)
    }

    /// Tells `each` page what was found on it, also where the report is refused.
    ///
    /// # Errors
    /// [`Refusal`] if the file cannot be opened or a page cannot be interpreted at all.
    pub fn explain(&self, mut each: impl FnMut(&Page, Result<&PageTable, &Refusal>)) -> Result<(), Refusal> {
        sniff::check(self.bytes)?;
        let document = Document::open(self.bytes, self.budget)?;
        let known = self.known();
        let mut found = (0..document.page_count())
            .map(|page| Ok(Self::by_marks(&document.page(page, Pieces::Whole)?, &known)))
            .collect::<Result<Vec<_>, Refusal>>()?;
        if found.iter().any(|found| matches!(found, Ok(None))) {
            match Self::loose_tables(&document, &known) {
                Ok(tables) => found = tables.into_iter().map(|table| Ok(Some(table))).collect(),
                Err(refusal) => {
                    found
                        .iter_mut()
                        .filter(|found| matches!(found, Ok(None)))
                        .for_each(|found| *found = Err(refusal.clone()));
                }
            }
        }
        for (page, found) in found.iter().enumerate() {
            if let Some(found) = found.as_ref().map(Option::as_ref).transpose() {
                each(&document.page(page, Pieces::Whole)?, found);
            }
        }
        Ok(())
    }

    fn loose_tables(document: &Document<'_>, known: &Known) -> Result<Vec<PageTable>, Refusal> {
        let pages = (0..document.page_count())
            .into_par_iter()
            .map(|page| table::loosely(document.page(page, Pieces::Words)?))
            .collect::<Result<Vec<_>, Refusal>>()?;
        table::positions::recognise(pages, known)
    }

    fn known(&self) -> Known {
        let all = self.types.iter().flat_map(|spec| &spec.columns).flat_map(|column| &column.headers);
        Known::of(all, self.spec.columns[self.spec.fields[self.spec.key].column].headers.iter())
    }
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

/// A row with its values typed, on its own.
struct TypedRow {
    record: Record,
    /// The first column that does not fit, and what was expected.
    misfit: Option<(usize, String)>,
    /// Every column that does not.
    misfits: Vec<usize>,
}

fn type_row(row: WideRow<'_>, spec: &SyncTypeSpec, columns: &Columns) -> TypedRow {
    let mut typed = TypedRow {
        record: Record { values: Vec::with_capacity(spec.fields.len()) },
        misfit: None,
        misfits: Vec::new(),
    };
    for (number, column) in spec.columns.iter().enumerate() {
        if column.value_type == ValueType::Skip {
            continue;
        }
        let text = columns.places[number].map_or("", |place| row.cell(place));
        if column.value_type == ValueType::Tracking {
            typed.record.values.extend(cell::parse_tracking(text));
            continue;
        }
        let text = column.strip_suffix.as_ref().and_then(|suffix| text.strip_suffix(suffix.as_str())).unwrap_or(text);
        typed.record.values.push(cell::parse(column.value_type, text).unwrap_or_else(|error| {
            typed.misfit.get_or_insert_with(|| (number, error.to_string()));
            typed.misfits.push(number);
            Value::Null
        }));
    }
    typed
}

/// Puts typed rows where they belong: the records, quarantine, or the garbage.
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

    fn take(&mut self, row: WideRow<'_>, typed: TypedRow) -> Result<(), Refusal> {
        let spec = self.spec;
        for (field, value) in spec.fields.iter().zip(&typed.record.values) {
            self.add_to_sum(field.column, value);
        }
        for column in &typed.misfits {
            self.sums[*column] = None;
        }
        let record = typed.record;
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
        let is_key_read = !typed.misfits.contains(&key_column);
        let key = Some(record.text(spec.key)).filter(|key| is_key_read && !key.is_empty());
        if let Some((column, why)) = typed.misfit {
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

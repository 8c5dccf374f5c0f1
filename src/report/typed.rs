//! What becomes of each row? A record, a row in quarantine, or garbage; and what the columns add up to.

use std::collections::{HashMap, HashSet};

use rust_decimal::Decimal;

use super::{
    Quarantined, Refusal, RefusalCode, Report, cell,
    columns::{Columns, Place},
    records::Row,
    table::BREAK,
    totals::{self, Claims, Sums},
    wrap::UncertainBreak,
};
use crate::{
    domain::{Printed, Record, Value},
    sync_type::{SyncTypeSpec, ValueType},
};

/// Of a report's fields at most this share (percent) may hold a blank that may be none.
const MOST_UNCERTAIN: f64 = 1.0;
/// Fewer unreadable rows than this are told one by one, whatever their share.
const FEW_UNREADABLE: usize = 3;

/// A row with its values typed, on its own.
pub(crate) struct TypedRow {
    record: Record,
    /// The first column that does not fit, and what was expected.
    misfit: Option<(usize, String)>,
    /// Every column that does not.
    misfits: Vec<usize>,
    /// Columns whose text holds breaks that were not resolved.
    uncertain: Vec<usize>,
    /// Does it hold glyphs that nobody can read?
    is_unreadable: bool,
    /// Does it hold no text at all?
    is_blank: bool,
}

/// Puts typed rows where they belong.
pub(crate) struct RowReader<'a> {
    spec: &'a SyncTypeSpec,
    columns: &'a Columns,
    /// For each cell of the wide row that is added up: its number, its column and its field.
    added: Vec<(usize, usize, usize)>,
    seen: HashSet<String>,
    /// Of all rows, and since the last totals row.
    all: Sums,
    since: Sums,
    unreadable: usize,
    report: Report,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(spec: &'a SyncTypeSpec, columns: &'a Columns, places: &[Place]) -> Self {
        let is_number = |value_type| {
            matches!(value_type, ValueType::Int | ValueType::Money | ValueType::Number | ValueType::Percent)
        };
        let sum = |place: &Place| {
            let column = columns.places.iter().position(|found| found.as_ref() == Some(place))?;
            let column = Some(&spec.columns[column]).filter(|column| is_number(column.value_type))?;
            Some((column.headers[0].clone(), Some(Decimal::ZERO)))
        };
        let sums = Sums { rows: 0, blank: 0, cells: places.iter().map(sum).collect() };
        let added = |(cell, place): (usize, &Place)| {
            sums.cells[cell].as_ref()?;
            let column = columns.places.iter().position(|found| found.as_ref() == Some(place))?;
            Some((cell, column, spec.fields_of(column).next()?))
        };
        let added = places.iter().enumerate().filter_map(added).collect();
        Self {
            spec,
            columns,
            added,
            seen: HashSet::new(),
            all: sums.clone(),
            since: sums,
            unreadable: 0,
            report: Report::default(),
        }
    }

    /// Types a row's cells; knows nothing of other rows.
    pub(crate) fn type_row(&self, row: &Row<'_>) -> TypedRow {
        let spec = self.spec;
        let mut typed = TypedRow {
            record: Record { values: Vec::with_capacity(spec.fields.len()) },
            misfit: None,
            misfits: Vec::new(),
            uncertain: Vec::new(),
            is_unreadable: false,
            is_blank: row.wide.cells().all(str::is_empty),
        };
        for (number, column) in spec.columns.iter().enumerate() {
            if column.value_type == ValueType::Skip {
                continue;
            }
            let printed = self.columns.places[number].map(|place| row.cell(place)).unwrap_or_default();
            let mut text = printed.as_ref();
            let parted;
            if text.as_bytes().contains(&(BREAK as u8)) {
                parted = text.replace(BREAK, " ");
                text = &parted;
                typed.uncertain.push(number);
            }
            if !text.is_ascii() && text.contains(char::REPLACEMENT_CHARACTER) {
                typed.is_unreadable = true;
                typed.misfit.get_or_insert_with(|| (number, "expected glyphs whose text is known".to_owned()));
                typed.misfits.push(number);
                typed.record.values.extend(spec.fields_of(number).map(|_| Value::Null));
                continue;
            }
            if column.value_type == ValueType::Tracking {
                typed.record.values.extend(cell::parse_tracking(text));
                continue;
            }
            let text =
                column.strip_suffix.as_ref().and_then(|suffix| text.strip_suffix(suffix.as_str())).unwrap_or(text);
            typed.record.values.push(cell::parse(column.value_type, text).unwrap_or_else(|error| {
                typed.misfit.get_or_insert_with(|| (number, error.to_string()));
                typed.misfits.push(number);
                Value::Null
            }));
        }
        typed
    }

    /// Takes a row in.
    ///
    /// # Errors
    /// `unreadable_text` and `uncertain_breaks` where its key is not known for certain.
    pub(crate) fn take(&mut self, row: &Row<'_>, typed: TypedRow) -> Result<(), Refusal> {
        let spec = self.spec;
        self.count(&typed);
        let key_column = spec.fields[spec.key].column;
        let key_text = self.columns.places[key_column].map(|place| row.cell(place)).unwrap_or_default();
        if matches!(key_text.as_ref(), "" | "0") {
            self.report.skipped += 1;
            return Ok(());
        }
        let place = self.columns.places[key_column].unwrap_or_default();
        let (page, number) = (row.wide.page_number(place.0), row.wide.index + 1);
        if key_text.contains(char::REPLACEMENT_CHARACTER) {
            let text = format!("page {page}, row {number}: glyphs of its key have no known text");
            return Err(Refusal::new(RefusalCode::UnreadableText, text));
        }
        if typed.uncertain.contains(&key_column) {
            let text = format!(
                "page {page}, row {number}: whether the key '{}' holds a blank where its line ends cannot be told; \
                 widen the column '{}', or say `words` of it in the type's file",
                key_text.replace(BREAK, " "),
                spec.columns[key_column].headers[0]
            );
            return Err(Refusal::new(RefusalCode::UncertainBreaks, text));
        }
        self.unreadable += usize::from(typed.is_unreadable);
        let is_key_read = !typed.misfits.contains(&key_column);
        let record = typed.record;
        let key = Some(record.text(spec.key)).filter(|key| is_key_read && !key.is_empty());
        if let Some((column, why)) = typed.misfit {
            // its key counts as seen: the row exists, it only cannot be read
            self.seen.extend(key.clone());
            self.quarantine(row, column, why, key);
        } else if !self.seen.insert(record.text(spec.key)) {
            self.quarantine(row, key_column, "this key stands twice in the report".to_owned(), key);
        } else {
            for column in typed.uncertain {
                self.note_uncertain(row, column, &record.text(spec.key));
            }
            self.report.records.push(record);
            self.report.printed.push(Printed::at(page, row.wide.index));
        }
        Ok(())
    }

    fn note_uncertain(&mut self, row: &Row<'_>, column: usize, key: &str) {
        let place = self.columns.places[column].unwrap_or_default();
        let text = row.cell(place);
        let Some(field) = self.spec.fields_of(column).next() else { return };
        let breaks = text.chars().enumerate().filter(|(_, character)| *character == BREAK);
        self.report.uncertain.extend(breaks.map(|(at, _)| UncertainBreak {
            key: key.to_owned(),
            field: self.spec.fields[field].name.clone(),
            page: row.wide.page_number(place.0),
            row: row.wide.index + 1,
            at,
        }));
    }

    /// A row that may be none: nothing of it is stored.
    pub(crate) fn take_odd(&mut self, row: &Row<'_>) {
        let key_column = self.spec.fields[self.spec.key].column;
        self.all.rows += 1;
        self.since.rows += 1;
        let text = self.columns.places[key_column].map(|place| row.cell(place).replace(BREAK, " "));
        // as it is stored, so that it counts as seen
        let value = text.and_then(|text| cell::parse(self.spec.columns[key_column].value_type, &text).ok());
        let key = value.map(|value| value.canonical().into_owned()).filter(|key| !key.is_empty());
        let why = "odd_key: expected a key as the other rows have, in a row as filled as theirs".to_owned();
        self.quarantine(row, key_column, why, key);
    }

    /// Lines at the top of a page that belong to the row before, which may have been whole.
    pub(crate) fn take_rest(&mut self, row: &Row<'_>) {
        let key_column = self.spec.fields[self.spec.key].column;
        self.all.rows += 1;
        self.since.rows += 1;
        let why = "cut_row: expected a key; these lines may belong to the row before them, on another page".to_owned();
        self.quarantine(row, key_column, why, None);
    }

    /// Holds a totals row against what was read.
    ///
    /// # Errors
    /// `totals_mismatch`
    pub(crate) fn check_totals(&mut self, claims: &Claims) -> Result<(), Refusal> {
        totals::check(claims, &self.all, &self.since)?;
        (self.since.rows, self.since.blank) = (0, 0);
        for sum in self.since.cells.iter_mut().flatten() {
            sum.1 = Some(Decimal::ZERO);
        }
        Ok(())
    }

    /// The report so far.
    ///
    /// # Errors
    /// `unreadable_text` and `uncertain_breaks` where they are too many.
    pub(crate) fn finish(self) -> Result<Report, Refusal> {
        let report = self.report;
        let rows = report.rows().max(1) as f64;
        let guards = self.spec.guards.unwrap_or_default();
        if self.unreadable >= FEW_UNREADABLE && self.unreadable as f64 / rows * 100.0 > guards.max_quarantined_percent {
            let first = report.quarantined.first().map_or(0, |row| row.page);
            let text = format!(
                "page {first}: glyphs of {} of {rows} rows have no known text: the fonts of this file say nothing, or \
                 nothing that fits what they draw; export it with another printer",
                self.unreadable
            );
            return Err(Refusal::new(RefusalCode::UnreadableText, text));
        }
        let present = self.columns.places.iter().flatten().count() as f64;
        let fields: HashSet<(&str, &str)> =
            report.uncertain.iter().map(|place| (place.key.as_str(), place.field.as_str())).collect();
        let most = (rows * present * MOST_UNCERTAIN / 100.0).max(1.0);
        if fields.len() as f64 > most {
            let mut columns: HashMap<&str, usize> = HashMap::new();
            for (_, field) in &fields {
                *columns.entry(field).or_default() += 1;
            }
            let worst = columns.iter().max_by_key(|(field, count)| (**count, std::cmp::Reverse(**field)));
            let text = format!(
                "in {} fields a line fills its cell, and whether a blank stood there cannot be told; most of them in \
                 '{}': widen that column, or say `words` of it in the type's file",
                fields.len(),
                worst.map_or("", |(field, _)| field)
            );
            return Err(Refusal::new(RefusalCode::UncertainBreaks, text));
        }
        Ok(report)
    }

    /// Adds a row to the sums.
    fn count(&mut self, typed: &TypedRow) {
        for sums in [&mut self.all, &mut self.since] {
            sums.rows += 1;
            sums.blank += u64::from(typed.is_blank);
            for (cell, column, field) in &self.added {
                let Some((_, total)) = &mut sums.cells[*cell] else { continue };
                if typed.misfits.contains(column) {
                    *total = None;
                }
                if let (Some(so_far), Some(value)) = (*total, typed.record.values[*field].as_decimal()) {
                    *total = so_far.checked_add(value);
                }
            }
        }
    }

    fn quarantine(&mut self, row: &Row<'_>, column: usize, why: String, key: Option<String>) {
        let place = self.columns.places[column].unwrap_or_default();
        self.report.quarantined.push(Quarantined {
            page: row.wide.page_number(place.0),
            row: row.wide.index + 1,
            column: self.spec.columns[column].headers[0].clone(),
            text: row.cell(place).replace(BREAK, " "),
            why,
            key,
        });
    }
}

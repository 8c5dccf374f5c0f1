//! The whole way through a report: open, recognise, join, match, type, check.

use std::collections::HashMap;

use parking_lot::Mutex;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Drift, Layout, Refusal, RefusalCode,
    budget::{Budget, ReadLimits},
    columns::{Columns, Place},
    cycle::{Cycles, WideRow},
    frozen,
    pages::{self, Sheet},
    pdf::{Document, Pieces, Verdict},
    records::{self, Judge, Kind, Row},
    sheets::{self, Marked},
    sniff,
    table::{Known, PageTable, Picture},
    totals,
    typed::RowReader,
    wrap::{self, UncertainBreak},
};
use crate::{
    domain::{Printed, Record},
    sync_type::{SyncTypeSpec, SyncTypes, ValueType, header::normalise},
};

/// From so many rows on, a report most of whose rows have no key is refused.
const MOSTLY_FROM: usize = 6;
/// Shorter headers are words that stand anywhere.
const LONG_HEADER: usize = 8;
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
    /// Where each of them is printed.
    pub printed: Vec<Printed>,
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
    /// Blanks at the ends of lines that may be none: the values hold them.
    pub uncertain: Vec<UncertainBreak>,
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

/// A report's pages, put together.
struct Together<'a> {
    tables: &'a [PageTable],
    /// Pages in the file.
    pages: usize,
    cycles: Cycles<'a>,
    columns: Columns,
}

/// What to read, and what it may cost.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The file.
    pub bytes: &'a [u8],
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
    Request { bytes, spec, types, budget: &Budget::new(ReadLimits::default()), progress: &|_, _| {} }.read()
}

impl Request<'_> {
    /// Reads the report.
    ///
    /// # Errors
    /// [`Refusal`]: nothing of the report can be used.
    pub fn read(&self) -> Result<Report, Refusal> {
        self.judged(|read, rows| self.typed(read, &rows))
    }

    /// Puts the pages together and tells `then` what each row is.
    fn judged<T>(
        &self,
        then: impl FnOnce(&Together<'_>, Vec<(Row<'_>, Kind)>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (mut tables, pages) = self.tables()?;
        let spec = self.spec;
        let (columns, frozen, length) = {
            let cycles = Cycles::find(&tables)?;
            let frozen = frozen::find(&cycles)?;
            let headers: Vec<_> = cycles.headers().filter(|(place, _)| !frozen.contains(place)).collect();
            (Columns::find(&headers, spec, self.types)?, frozen, cycles.length)
        };
        wrap::resolve(&mut tables, length, |page, column| columns.kind_at((page, column), spec));
        let cycles = Cycles::find(&tables)?;
        let headers: Vec<_> = cycles.headers().filter(|(place, _)| !frozen.contains(place)).collect();
        let rows: Vec<WideRow<'_>> = cycles.rows().collect();
        let judge = self.judge(&rows, &headers, &columns, tables.len() / length);
        self.check_outside(&cycles, &judge, &columns)?;
        self.check_moved(&tables, &rows, &judge, &columns)?;
        let kinds = rows.par_iter().map(|row| judge.judge(*row, row.is_first())).collect();
        let judged = records::join_rests(&rows, kinds, &tables);
        then(&Together { tables: &tables, pages, cycles, columns }, judged)
    }

    /// Types the rows that are records.
    fn typed(&self, read: &Together<'_>, judged: &[(Row<'_>, Kind)]) -> Result<Report, Refusal> {
        let (spec, columns, cycles) = (self.spec, &read.columns, &read.cycles);
        records::check_order(judged)?;
        let mut reader = RowReader::new(spec, columns, &cycles.headers().map(|(place, _)| place).collect::<Vec<_>>());
        let typed = judged.par_iter().map(|(row, kind)| (*kind == Kind::Record).then(|| reader.type_row(row)));
        let typed: Vec<_> = typed.collect();
        for ((row, kind), typed) in judged.iter().zip(typed) {
            match (kind, typed) {
                (Kind::Totals(claims), _) => reader.check_totals(claims)?,
                (Kind::OddKey, _) => reader.take_odd(row),
                (Kind::Rest, _) => reader.take_rest(row),
                (_, Some(typed)) => reader.take(row, typed)?,
                (_, None) => {}
            }
        }
        let mut report = reader.finish()?;
        // pre-ruled sheets have rows without any text
        let blank = cycles.rows().filter(|row| row.cells().all(str::is_empty)).count();
        let read_rows = (report.rows() as usize).saturating_sub(blank);
        if (report.skipped as usize).saturating_sub(blank) > read_rows / 2 && read_rows >= MOSTLY_FROM {
            let text =
                format!("{} of {read_rows} rows have no key: they were not put together rightly", report.skipped);
            return Err(Refusal::new(RefusalCode::PagesDisagree, text));
        }
        report.present = spec.fields.iter().map(|field| columns.places[field.column].is_some()).collect();
        report.counted = judged.iter().any(|(_, kind)| matches!(kind, Kind::Totals(claims) if claims.count.is_some()));
        report.drift.clone_from(&columns.drift);
        report.pages = read.pages;
        report.cycle = cycles.length;
        report.layout = Layout::of(cycles);
        let unclean = read.tables.iter().filter(|table| !table.verdict.is_clean());
        report.unclean = unclean.clone().count();
        report.unclean_pages = unclean.take(LISTED_PAGES).map(|table| (table.page, table.verdict)).collect();
        Ok(report)
    }

    /// What each row is that is no record, by the file's page and the row on it, from 0; nothing where the
    /// report is refused before that can be told.
    pub(super) fn others(&self) -> HashMap<(usize, usize), &'static str> {
        let told = self.judged(|read, judged| {
            let others = judged.iter().flat_map(|(row, kind)| {
                let rest = row.rest.map(|rest| (rest, "the rest of the row before it"));
                std::iter::once(row.wide).zip(kind.name()).chain(rest)
            });
            let on_pages = others.flat_map(|(row, what)| {
                (0..read.cycles.length).map(move |page| ((row.page_number(page), row.index), what))
            });
            Ok(on_pages.collect())
        });
        told.unwrap_or_default()
    }

    fn judge(&self, rows: &[WideRow<'_>], headers: &[(Place, &str)], columns: &Columns, pages: usize) -> Judge {
        let words = match &self.spec.totals_words {
            Some(words) => words.iter().map(|word| word.to_lowercase()).collect(),
            None => totals::default_words(),
        };
        Judge::new(rows, headers, columns.places[self.spec.fields[self.spec.key].column], words, pages)
    }

    /// What a person sees in the rows, or right beside them, must have been read as text.
    fn check_outside(&self, cycles: &Cycles<'_>, judge: &Judge, columns: &Columns) -> Result<(), Refusal> {
        for (page, table) in cycles.pages() {
            if let Some(texts) = judge.lost_row(table, page) {
                let text = format!(
                    "page {}: what looks like a row stands right beside the table, where no rule parts it: '{texts}' \
                     would be lost",
                    table.page
                );
                return Err(Refusal::new(RefusalCode::NoTable, text));
            }
            for (row, column, picture) in &table.pictures {
                let kind = columns.kind_at((page, *column), self.spec);
                let is_read = kind.is_some_and(|kind| kind.value_type != ValueType::Skip);
                let is_blank = || (0..table.bands.len()).all(|row| table.cell(row, *column).is_empty());
                let drawn = || {
                    let mut rows: Vec<usize> =
                        table.pictures.iter().filter(|one| one.1 == *column).map(|one| one.0).collect();
                    rows.dedup();
                    rows.len()
                };
                let what = match picture {
                    // single lines may be ornaments
                    Picture::Drawing if is_read && is_blank() && drawn() * 2 >= table.bands.len() => "a drawing",
                    Picture::Image if table.cell(*row, *column).is_empty() => "a picture",
                    Picture::Drawing | Picture::Image => continue,
                    Picture::Field => "a field of a form",
                };
                if is_read {
                    let text = format!(
                        "page {}, row {}: '{}' is shown as {what}, and holds no text that could be read; export the \
                         list with its values as text",
                        table.page,
                        row + 1,
                        table.headers[*column]
                    );
                    return Err(Refusal::new(RefusalCode::PictureOfText, text));
                }
            }
        }
        Ok(())
    }

    /// A header or a key that stands outside of its table belongs into it.
    fn check_moved(
        &self,
        tables: &[PageTable],
        rows: &[WideRow<'_>],
        judge: &Judge,
        columns: &Columns,
    ) -> Result<(), Refusal> {
        let key = columns.places[self.spec.fields[self.spec.key].column];
        let keyless = rows.iter().find(|row| key.is_some_and(|key| row.cell(key).is_empty()));
        let absent: Vec<String> = columns
            .places
            .iter()
            .zip(&self.spec.columns)
            .filter(|(place, _)| place.is_none())
            .flat_map(|(_, column)| column.headers.iter().map(|header| normalise(header)))
            .filter(|header| header.chars().count() >= LONG_HEADER)
            .collect();
        let is_header = |text: &str| !absent.is_empty() && absent.contains(&normalise(text));
        match judge.moved(tables, keyless.copied(), is_header) {
            None => Ok(()),
            Some(text) => {
                let text = format!(
                    "'{text}' stands outside of the table, but seems to belong into it: a column's header, or the key \
                     of a row that has none"
                );
                Err(Refusal::new(RefusalCode::NoTable, text))
            }
        }
    }

    /// Recognises the tables of all pages; and how many pages there are.
    fn tables(&self) -> Result<(Vec<PageTable>, usize), Refusal> {
        sniff::check(self.bytes)?;
        let document = Document::open(self.bytes, self.budget)?;
        let known = self.known();
        let done = Mutex::new(0);
        let count = document.page_count();
        let sheets = (0..count)
            .into_par_iter()
            .map(|page| {
                let sheet = sheets::by_marks(&document.page(page, Pieces::Whole)?, &known)?;
                // told under the lock: progress never goes back
                let mut done = done.lock();
                *done += 1;
                (self.progress)(*done, count);
                Ok(sheet)
            })
            .collect::<Result<Vec<_>, Refusal>>()?;
        let has_blanks = sheets.iter().any(|sheet| matches!(sheet, Marked::Sheet(Sheet::Blank)));
        if has_blanks && document.has_content_left_over() {
            let text = "a page is blank, and a content that it may have been meant to print belongs to no page";
            return Err(Refusal::new(RefusalCode::Damaged, text));
        }
        let tables = match sheets::together(sheets) {
            Some(sheets) => pages::resolve(sheets, &known)?,
            None => pages::resolve(sheets::by_texts(&document, &known)?, &known)?,
        };
        if tables.is_empty() {
            return Err(self.nothing(&document));
        }
        Ok((tables, count))
    }

    /// Why no page shows a table.
    fn nothing(&self, document: &Document<'_>) -> Refusal {
        let mut pages = (0..document.page_count()).filter_map(|page| document.page(page, Pieces::Whole).ok());
        let is_scan = pages.all(|page| page.runs.is_empty() && !page.images.is_empty());
        if is_scan {
            let text = "the pages hold pictures only, there is no text to read: export the list again as a PDF with \
                        text, or run a text recognition over it";
            return Refusal::new(RefusalCode::PictureOfText, text);
        }
        let key = &self.spec.columns[self.spec.fields[self.spec.key].column].headers[0];
        let text = format!(
            "no page shows a table with known headers; expected is a list of {} with the column '{key}'",
            self.spec.name
        );
        Refusal::new(RefusalCode::NoTable, text)
    }

    pub(super) fn known(&self) -> Known {
        let all = self.types.iter().flat_map(|spec| &spec.columns).flat_map(|column| &column.headers);
        let own = self
            .spec
            .columns
            .iter()
            .flat_map(|column| column.headers.iter().map(move |header| (header, column.value_type)));
        Known::of(all, own, self.spec.columns[self.spec.fields[self.spec.key].column].headers.iter())
    }
}

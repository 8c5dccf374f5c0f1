//! Which rows are records? Headers printed again, captions, totals and page furniture are none.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{
    Refusal, RefusalCode,
    cycle::WideRow,
    shape::{Look, Shapes},
    table::{BREAK, PageTable, Side},
    totals::{self, Claims},
};
use crate::sync_type::header::normalise;

/// What lists print that hold nothing, as its first words in the languages of its users.
const NO_DATA: [&str; 11] = [
    "nessun dato",
    "nessun record",
    "nessun risultato",
    "nessuna riga",
    "non ci sono",
    "no data",
    "no records",
    "no rows",
    "keine daten",
    "aucune donn",
    "no hay datos",
];
/// Heights that round to the same multiple of this (points) are one.
const SAME_HEIGHT: f64 = 3.0;
/// The same furniture on at least this share of the pages is printed on every page.
const MOST_PAGES: f64 = 0.6;

/// A row, with the lines of it that a printer put on the next page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub wide: WideRow<'a>,
    /// The rest of it, at the top of the next page.
    pub rest: Option<WideRow<'a>>,
}

impl<'a> Row<'a> {
    /// The text of a cell: page of the cycle, and column there.
    pub(crate) fn cell(&self, place: (usize, usize)) -> Cow<'a, str> {
        let text = self.wide.cell(place);
        match self.rest.map(|rest| rest.cell(place)).filter(|rest| !rest.is_empty()) {
            None => Cow::Borrowed(text),
            Some(rest) if text.is_empty() => Cow::Borrowed(rest),
            Some(rest) => {
                let word = text.rsplit(' ').next().unwrap_or_default();
                let goes_on = word.ends_with(['?', '&', '/', '-']) && word.chars().nth(1).is_some();
                // of a single word, nobody knows whether it was cut
                let break_or_blank = if text.contains(' ') { ' ' } else { BREAK };
                Cow::Owned(if goes_on { format!("{text}{rest}") } else { format!("{text}{break_or_blank}{rest}") })
            }
        }
    }
}

/// What a row is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A record, or garbage without a key.
    Record,
    /// The header, printed again.
    Header,
    /// A text over several columns, or that there is nothing.
    Caption,
    /// A totals row and what it claims.
    Totals(Claims),
    /// A page number, a footer.
    Furniture,
    /// What may be a record, but whose key does not look like one.
    OddKey,
    /// Lines without a key at the top of a page: the rest of the row before them, which is not known to
    /// have been cut there.
    Rest,
}

impl Kind {
    /// What it is, for people; `None` for a record.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Record => None,
            Self::Header => Some("the header, printed again"),
            Self::Caption => Some("a caption or note"),
            Self::Totals(_) => Some("totals"),
            Self::Furniture => Some("printed around the table"),
            Self::OddKey => Some("to quarantine: its key is unlike the others"),
            Self::Rest => Some("to quarantine: the end of a row that is not known"),
        }
    }
}

/// What a report shows of its rows.
pub(crate) struct Judge {
    /// The headers with their places.
    headers: Vec<((usize, usize), String)>,
    /// Where the key stands.
    key: Option<(usize, usize)>,
    shapes: Shapes,
    /// How many cells of a row are filled, in the middle of all rows.
    filled: usize,
    totals_words: Vec<String>,
    /// On which pages each text stands alone in its row, digits apart, at one height.
    alone: HashMap<(String, i64), HashSet<usize>>,
    pages: usize,
}

fn filled(row: WideRow<'_>) -> usize {
    row.cells().filter(|cell| !cell.is_empty()).count()
}

/// A row's texts with their digits made alike, and its height: page numbers differ from page to page.
fn place(row: WideRow<'_>) -> (String, i64) {
    let cells = row.cells().filter(|cell| !cell.is_empty());
    let text = cells.flat_map(str::chars).map(|character| if character.is_ascii_digit() { '#' } else { character });
    (text.collect(), (row.band().top / SAME_HEIGHT).round() as i64)
}

impl Judge {
    /// Looks at all rows.
    pub(crate) fn new(
        rows: &[WideRow<'_>],
        headers: &[((usize, usize), &str)],
        key: Option<(usize, usize)>,
        totals_words: Vec<String>,
        pages: usize,
    ) -> Self {
        let mut counts: Vec<usize> = rows.iter().map(|row| filled(*row)).filter(|count| *count > 0).collect();
        counts.sort_unstable();
        let filled_usually = counts.get(counts.len() / 2).copied().unwrap_or(0);
        // captions and footers are no examples of keys
        let whole = |row: &&WideRow<'_>| filled(**row) * 2 >= filled_usually;
        let keys = key.into_iter().flat_map(|place| rows.iter().filter(whole).map(move |row| row.cell(place)));
        let mut alone: HashMap<(String, i64), HashSet<usize>> = HashMap::new();
        for row in rows.iter().filter(|row| !whole(row)) {
            alone.entry(place(*row)).or_default().insert(row.page_number(0));
        }
        Self {
            headers: headers.iter().map(|(place, header)| (*place, normalise(header))).collect(),
            key,
            shapes: Shapes::learn(keys),
            filled: filled_usually,
            totals_words,
            alone,
            pages,
        }
    }

    /// What a row is. `is_first` says whether it is the first one below a page's top.
    pub(crate) fn judge(&self, row: WideRow<'_>, is_first: bool) -> Kind {
        let count = filled(row);
        if count == 0 {
            return Kind::Record;
        }
        if let Some(claims) = totals::labelled(row) {
            return Kind::Totals(claims);
        }
        let key = self.key.map_or("", |place| row.cell(place));
        let look = self.shapes.look_of(key);
        let (is_odd, is_like) = (look == Look::Odd, look == Look::Like);
        // where keys are words, one of them may begin like this, but none says this alone
        let is_word = || self.totals_words.contains(&key.trim_end_matches(':').to_lowercase());
        let is_no_key = |_: &Claims| key.is_empty() || !is_like || is_word();
        if let Some(claims) = totals::worded(row, &self.totals_words).filter(is_no_key) {
            return Kind::Totals(claims);
        }
        if row.is_spanning() {
            // a key with a long name beside it is no caption
            let has_key = row.cells().find(|cell| !cell.is_empty()).is_some_and(|text| self.begins_with_key(text));
            return if has_key { Kind::OddKey } else { Kind::Caption };
        }
        if self.is_header(row) {
            return Kind::Header;
        }
        if count == 1 && says_nothing(row) {
            return Kind::Caption;
        }
        let is_sparse = count * 2 < self.filled;
        let is_everywhere = self.pages > 1
            && is_sparse
            && self.alone.get(&place(row)).is_some_and(|pages| pages.len() as f64 >= self.pages as f64 * MOST_PAGES);
        match key {
            "" if is_sparse && (is_everywhere || row.is_apart()) => Kind::Furniture,
            "" if is_sparse && is_first => Kind::Rest,
            "" => Kind::Record,
            _ if is_sparse && is_odd && (row.is_apart() || is_everywhere) => Kind::Furniture,
            // a page number may look like a key
            _ if count == 1 && is_sparse && row.is_apart() && is_everywhere => Kind::Furniture,
            _ if is_sparse && row.is_apart() && !is_like => Kind::OddKey,
            // one text in words, where keys have none: of a group, a note
            _ if is_sparse && is_odd && count == 1 && key.contains(' ') && !self.begins_with_key(key) => Kind::Caption,
            _ if is_sparse && is_odd => Kind::OddKey,
            _ => Kind::Record,
        }
    }

    fn begins_with_key(&self, text: &str) -> bool {
        text.split_whitespace().next().is_some_and(|word| self.shapes.is_like(word))
    }

    /// Do all its texts say what the header says?
    fn is_header(&self, row: WideRow<'_>) -> bool {
        let printed = self.headers.iter().filter(|(_, header)| !header.is_empty()).count();
        let mut same = 0;
        for (place, header) in &self.headers {
            let text = row.cell(*place);
            if text.is_empty() {
                continue;
            }
            // most texts differ at once
            let starts = |text: &str| {
                text.bytes().next().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase())
            };
            let is_other = starts(text).zip(starts(header)).is_some_and(|(text, header)| text != header);
            if is_other || normalise(text) != *header {
                return false;
            }
            same += 1;
        }
        same * 2 >= printed.max(1)
    }

    /// A text outside of the rows that looks like the key that a full row lacks, or is a header that no
    /// column has: something moved it there. `row` is one without a key.
    pub(crate) fn moved(
        &self,
        tables: &[PageTable],
        row: Option<WideRow<'_>>,
        is_header: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let lacks_key = row.is_some_and(|row| filled(row) * 2 >= self.filled);
        let texts = tables.iter().flat_map(|table| &table.strays).flat_map(|stray| &stray.texts);
        let is_moved = |text: &&String| (lacks_key && self.shapes.is_like(text)) || is_header(text);
        texts.map(|(_, text)| text).find(is_moved).cloned()
    }

    /// A line outside of the rows that looks like a row whose rule is missing: its texts.
    pub(crate) fn lost_row(&self, table: &PageTable, page: usize) -> Option<String> {
        let key = self.key.filter(|(of, _)| *of == page).map(|(_, column)| column);
        let is_row = |stray: &&super::table::Stray| match stray.side {
            Side::Beside { header } => header,
            Side::Above | Side::Off => false,
            Side::Below(heights) if heights > NEAR => false,
            Side::Below(_) => match key {
                Some(key) => stray.texts.iter().any(|(column, text)| {
                    let look = self.shapes.look_of(text);
                    *column == Some(key) && (look == Look::Like || (look == Look::Unknown && stray.texts.len() > 1))
                }),
                // without the key, several texts that each stand in a column of their own
                None => stray.texts.len() > 1 && stray.texts.iter().all(|(column, _)| column.is_some()),
            },
        };
        table.strays.iter().find(is_row).map(|stray| {
            let texts: Vec<&str> = stray.texts.iter().map(|(_, text)| text.as_str()).collect();
            texts.join(" | ").replace(BREAK, " ")
        })
    }
}

/// A row whose rule is missing stands within so many of its heights below the table.
const NEAR: f64 = 3.0;

/// Does a row say that there are no rows?
fn says_nothing(row: WideRow<'_>) -> bool {
    let text = row.cells().find(|cell| !cell.is_empty()).unwrap_or_default().to_lowercase();
    NO_DATA.iter().any(|words| text.starts_with(words))
}

/// Rows with what a printer put of them on the next page.
pub(crate) fn join_rests<'a>(rows: &[WideRow<'a>], kinds: Vec<Kind>, tables: &[PageTable]) -> Vec<(Row<'a>, Kind)> {
    let bands = || tables.iter().flat_map(|table| &table.bands);
    let lowest = bands().map(|band| band.bottom).fold(f64::MAX, f64::min);
    let highest = bands().map(|band| band.top - band.bottom).fold(0.0, f64::max);
    let mut joined: Vec<(Row<'a>, Kind)> = Vec::with_capacity(rows.len());
    for (row, kind) in rows.iter().zip(kinds) {
        if let (Kind::Rest, Some((last, Kind::Record))) = (&kind, joined.last_mut())
            && last.rest.is_none()
            && last.wide.cells().any(|cell| !cell.is_empty())
            && last.wide.is_last()
            && last.wide.band().bottom - lowest <= highest
        {
            last.rest = Some(*row);
            continue;
        }
        joined.push((Row { wide: *row, rest: None }, kind));
    }
    joined
}

/// A totals row of the grid ends the report.
///
/// # Errors
/// `totals_mismatch` where a record stands behind it.
pub(crate) fn check_order(judged: &[(Row<'_>, Kind)]) -> Result<(), Refusal> {
    let is_labelled = |kind: &Kind| matches!(kind, Kind::Totals(claims) if claims.is_labelled);
    let Some(at) = judged.iter().position(|(_, kind)| is_labelled(kind)) else { return Ok(()) };
    let is_record = |(row, kind): &(Row<'_>, Kind)| {
        matches!(kind, Kind::Record | Kind::Totals(_)) && row.wide.cells().any(|cell| !cell.is_empty())
    };
    if judged[at + 1..].iter().any(is_record) {
        let page = judged[at].0.wide.page_number(0);
        let text = format!("page {page}: a totals row stands before the last row");
        return Err(Refusal::new(RefusalCode::TotalsMismatch, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(rows: &[Vec<&str>], change: impl Fn(&mut PageTable)) -> Vec<Kind> {
        let mut tables = [PageTable::with_cells(1, &["ID", "NOME", "DATA", "TOTALE"], rows)];
        change(&mut tables[0]);
        let cycles = super::super::cycle::Cycles::find(&tables).unwrap();
        let wide: Vec<WideRow<'_>> = cycles.rows().collect();
        let headers: Vec<_> = cycles.headers().collect();
        let words = totals::default_words();
        let judge = Judge::new(&wide, &headers, Some((0, 0)), words, 1);
        wide.iter().map(|row| judge.judge(*row, row.index == 0)).collect()
    }

    fn rows<'a>(more: &[[&'a str; 4]]) -> Vec<Vec<&'a str>> {
        let records = (0..5).map(|_| ["71.001", "Rossi", "20/01/2026", "1,00"]);
        records.chain(more.iter().copied()).map(|row| row.to_vec()).collect()
    }

    #[test]
    fn what_is_no_record_is_told_by_its_place_and_its_texts() {
        let judged =
            |row: [&'static str; 4], change: &dyn Fn(&mut PageTable)| kinds(&rows(&[row]), change).pop().unwrap();
        let nothing = |_: &mut PageTable| {};
        let apart = |table: &mut PageTable| table.apart[5] = true;
        let spanning = |table: &mut PageTable| table.spanning[5] = true;
        assert_eq!(judged(["71.002", "", "", ""], &nothing), Kind::Record, "a key alone");
        assert_eq!(judged(["ID", "Nome", "DATA", "TOTALE"], &nothing), Kind::Header);
        assert_eq!(judged(["STATO: aperto", "", "", ""], &spanning), Kind::Caption);
        assert!(matches!(judged(["Totale", "", "", "5,00"], &nothing), Kind::Totals(_)));
        assert_eq!(judged(["Pagina 1 di 2", "", "", ""], &apart), Kind::Furniture);
        assert_eq!(judged(["1", "", "", ""], &apart), Kind::Furniture);
        assert_eq!(judged(["71.005", "", "", ""], &apart), Kind::Record, "a key that looks like the others");
        assert_eq!(judged(["71.005 Rossi Mario", "", "", ""], &spanning), Kind::OddKey, "a long name beside its key");
        assert_eq!(judged(["vedi nota", "", "", ""], &nothing), Kind::Caption);
        assert_eq!(judged(["n.d.", "", "", ""], &nothing), Kind::OddKey);
        assert_eq!(judged(["AB/12", "Rossi", "20/01/2026", "1,00"], &nothing), Kind::Record, "a whole row");
        let countries = ["Egypt", "Jordan", "Lebanon", "Total"].map(|key| vec![key, "a", "b", "1,00"]);
        assert!(matches!(kinds(&countries, nothing)[..], [Kind::Record, Kind::Record, Kind::Record, Kind::Totals(_)]));
        assert_eq!(kinds(&[vec!["Nessun dato da visualizzare", "", "", ""]], nothing), [Kind::Caption]);
    }
}

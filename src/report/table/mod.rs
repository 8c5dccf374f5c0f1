//! Which cells does a page show? Text put between the marks that separate columns and rows.
//!
//! Marks are rules where there are any, else filled boxes, else the clips that cells are printed in,
//! else the positions of the texts themselves ([`positions`], which needs all pages of a report).

mod headings;
pub(super) mod lattice;
mod lines;
mod place;
pub(super) mod positions;
mod rows;

use std::collections::HashSet;

use serde::Serialize;

use super::{
    Refusal, RefusalCode,
    budget::Exceeded,
    pdf::{Page, Rect, Run, Verdict},
};
use crate::sync_type::header::normalise;
use lattice::{Axis, Lattice};
use place::Cells;

/// Texts on one page; a letter each on a large sheet is far below.
const MOST_TEXTS: usize = 30_000;
/// Lines and boxes on one page; four to a cell on a large sheet are far below.
const MOST_MARKS: usize = 200_000;

/// What told the columns, or the rows, of a table apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Ruling lines.
    Rules,
    /// The edges of filled boxes.
    Boxes,
    /// The clips that cells are printed in.
    Clips,
    /// Where the texts stand.
    Positions,
}

/// One row's place on its page, in points from the page's bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
}

/// One page's table: the header row and the rows below it.
#[derive(Debug, Clone, PartialEq)]
pub struct PageTable {
    /// From 1.
    pub page: usize,
    /// The printed headers.
    pub headers: Vec<String>,
    /// The edges of the columns from left to right: one more than headers.
    pub columns: Vec<f64>,
    /// Where the header row stands.
    pub header_band: Band,
    /// Where the rows below it stand, from top to bottom.
    pub bands: Vec<Band>,
    /// What told columns and rows apart.
    pub marks: (Mark, Mark),
    /// How far the page could be read.
    pub verdict: Verdict,
    /// All cells' texts, one after the other, and where each ends.
    text: String,
    ends: Vec<u32>,
}

impl PageTable {
    /// The text of one cell; blank where nothing is printed.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> &str {
        let cell = row * self.headers.len() + column;
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[cell] as usize]
    }

    /// A table for tests: each row holds its headers' texts.
    #[cfg(test)]
    #[must_use]
    pub fn of(page: usize, headers: &str, rows: usize) -> Self {
        let headers: Vec<String> = headers.split(' ').map(str::to_owned).collect();
        let (mut text, mut ends) = (String::new(), Vec::new());
        for _ in 0..rows {
            for header in &headers {
                text.push_str(header);
                ends.push(text.len() as u32);
            }
        }
        let band = |row: usize| Band { top: 100.0 - row as f64 * 10.0, bottom: 90.0 - row as f64 * 10.0 };
        Self {
            page,
            columns: (0..=headers.len()).map(|column| column as f64 * 50.0).collect(),
            header_band: band(0),
            bands: (1..=rows).map(band).collect(),
            marks: (Mark::Rules, Mark::Rules),
            verdict: Verdict::default(),
            headers,
            text,
            ends,
        }
    }

    /// Where the table stands.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        let bottom = self.bands.last().unwrap_or(&self.header_band).bottom;
        Rect { x0: self.columns[0], x1: self.columns[self.columns.len() - 1], y0: bottom, y1: self.header_band.top }
    }
}

/// The headers that are known, however they are spelled.
#[derive(Debug, Default)]
pub struct Known {
    headers: HashSet<String>,
    keys: HashSet<String>,
}

impl Known {
    /// All types' headers, and those of the key of the report's own type.
    pub fn of<'a>(headers: impl Iterator<Item = &'a String>, keys: impl Iterator<Item = &'a String>) -> Self {
        let plain = |header: &String| normalise(header);
        Self { headers: headers.map(plain).collect(), keys: keys.map(plain).collect() }
    }

    /// Is this a header of any sync type?
    pub fn is_header(&self, text: &str) -> bool {
        self.headers.contains(&normalise(text))
    }

    /// Is this the header of the key?
    pub fn is_key(&self, text: &str) -> bool {
        self.keys.contains(&normalise(text))
    }
}

/// A page whose marks may separate only one axis, or none.
pub struct Loose {
    /// Its text.
    pub page: Page,
    /// What its marks say.
    pub lattice: Lattice,
}

/// Recognises a page's table by its marks; `None` where it may only show together with the other pages.
///
/// # Errors
/// `unreadable_text` where text in it is not known; `no_table` where a row or column would be lost.
pub fn recognise(page: &Page, known: &Known) -> Result<Option<PageTable>, Refusal> {
    check(page)?;
    let lattice = Lattice::of(page);
    if let (Some(columns), Some(rows)) = (&lattice.columns, &lattice.rows) {
        let table = fill(page, columns, &bands(rows), rows.mark, None, known)?;
        // a frame around header and rows alike separates nothing; a page may hold new columns alone
        let has_rows = table.bands.len() > 1 || table.headers.iter().any(|header| known.is_header(header));
        if has_rows && !rows::run_together(page, &table) {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// A page to be recognised together with the others.
///
/// # Errors
/// As [`recognise`].
pub fn loosely(page: Page) -> Result<Loose, Refusal> {
    check(&page)?;
    let lattice = Lattice::of(&page);
    Ok(Loose { page, lattice })
}

/// Text that could not be read may have been anything, also a cell's; and a page of more texts or lines
/// than fit on paper is an attack.
fn check(page: &Page) -> Result<(), Refusal> {
    if page.runs.len() > MOST_TEXTS {
        return Err(Exceeded::of("texts on a page", MOST_TEXTS as u64).into());
    }
    if page.rules.len() + page.boxes.len() > MOST_MARKS {
        return Err(Exceeded::of("lines and boxes on a page", MOST_MARKS as u64).into());
    }
    match page.verdict.lost_texts {
        0 => Ok(()),
        lost => Err(Refusal::new(
            RefusalCode::UnreadableText,
            format!(
                "page {}: {lost} of its texts cannot be read: its content is damaged or of an unknown kind",
                page.number
            ),
        )),
    }
}

/// The bands between the edges of an axis.
fn bands(rows: &Axis) -> Vec<Band> {
    rows.edges.windows(2).map(|edges| Band { top: edges[0], bottom: edges[1] }).collect()
}

/// Puts every text into its cell; the first band is the header's. `margin` is what texts leave free of
/// their columns, where the page alone does not show it.
///
/// # Errors
/// As [`recognise`].
fn fill(
    page: &Page,
    columns: &Axis,
    bands: &[Band],
    rows_by: Mark,
    margin: Option<f64>,
    known: &Known,
) -> Result<PageTable, Refusal> {
    let width = columns.edges.len() - 1;
    let placed = Cells { page, columns: &columns.edges, bands }.place()?;
    let mut table = PageTable {
        page: page.number,
        headers: Vec::with_capacity(width),
        columns: columns.edges.clone(),
        header_band: bands[0],
        bands: bands[1..].to_vec(),
        marks: (columns.mark, rows_by),
        verdict: page.verdict,
        text: String::with_capacity(page.text.len()),
        ends: Vec::with_capacity(width * bands.len()),
    };
    table.verdict.rows = table.bands.len() as u64;
    let placed = lines::Placed { page, runs: placed, columns, cells: width * bands.len(), margin };
    let parted = placed.join(&mut table.text, &mut table.ends);
    if table.verdict.unmapped > 0 && table.text.contains(char::REPLACEMENT_CHARACTER) {
        let text = format!("page {}: glyphs of its table have no known text", page.number);
        return Err(Refusal::new(RefusalCode::UnreadableText, text));
    }
    take_headers(&mut table, width);
    // a key holds no line break of its own: two lines that would fit on one are two records
    let is_key_cell = |cell: &&u32| **cell as usize >= width && known.is_key(&table.headers[**cell as usize % width]);
    if let Some(cell) = parted.iter().find(is_key_cell) {
        let (row, column) = (*cell as usize / width - 1, *cell as usize % width);
        let text = format!(
            "page {}, row {}: '{}' are two keys that nothing separates",
            page.number,
            row + 1,
            table.cell(row, column)
        );
        return Err(Refusal::new(RefusalCode::NoTable, text));
    }
    Ok(table)
}

/// Moves the texts of the first band out of the cells.
fn take_headers(table: &mut PageTable, width: usize) {
    let mut start = 0;
    for end in &table.ends[..width] {
        table.headers.push(table.text[start..*end as usize].to_owned());
        start = *end as usize;
    }
    table.text.drain(..start);
    table.ends.drain(..width);
    table.ends.iter_mut().for_each(|end| *end -= start as u32);
}

/// The share of the size by which text sits above its baseline: its middle, roughly.
const MIDDLE: f64 = 0.3;

/// The runs whose baselines lie between two heights.
fn runs_between(page: &Page, band: Band) -> impl Iterator<Item = &Run> {
    page.runs.iter().filter(move |run| {
        let y = run.y + run.size * MIDDLE;
        y < band.top && y >= band.bottom
    })
}

/// A page's texts for tests: `(x0, x1, y, text)`.
#[cfg(test)]
fn page_of(texts: &[(f64, f64, f64, &str)]) -> Page {
    let mut page = Page { number: 1, ..Page::default() };
    for &(x0, x1, y, text) in texts {
        let start = page.text.len() as u32;
        page.text.push_str(text);
        let text = start..page.text.len() as u32;
        page.runs.push(Run { x0, x1, y, size: 10.0, first_advance: 5.0, clip: None, font: 0, text });
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{super::pdf::Rule, *};

    fn recognised(page: &Page) -> Result<PageTable, Refusal> {
        let headers = ["ID".to_owned()];
        recognise(page, &Known::of(headers.iter(), headers.iter()))?
            .ok_or_else(|| Refusal::new(RefusalCode::NoTable, "loose"))
    }

    /// A table of six ruled rows of two columns from 0 to 100 pt; `texts` come on top.
    fn ruled(texts: &[(f64, f64, f64, &str)]) -> Page {
        let mut all = vec![(5.0, 20.0, 152.0, "ID")];
        all.extend([142.0, 132.0, 122.0, 112.0, 102.0].map(|y| (5.0, 20.0, y, "1")));
        all.extend(texts);
        let mut page = page_of(&all);
        page.rules.extend((0..7).map(|row| Rule::Horizontal { y: 160.0 - f64::from(row) * 10.0, x0: 0.0, x1: 100.0 }));
        page.rules.extend([0.0, 50.0, 100.0].map(|x| Rule::Vertical { x, y0: 100.0, y1: 160.0 }));
        page
    }

    #[test]
    fn a_row_without_its_lower_rule_is_not_lost() {
        let refusal = recognised(&ruled(&[(5.0, 20.0, 92.0, "2")])).unwrap_err();
        assert!(refusal.text.contains("right below the table") && refusal.text.contains("'2'"), "{refusal}");
        let mut page = ruled(&[(5.0, 20.0, 92.0, "2")]);
        page.rules.push(Rule::Horizontal { y: 90.0, x0: 0.0, x1: 100.0 });
        let table = recognised(&page).unwrap();
        assert_eq!((table.bands.len(), table.cell(5, 0), table.cell(5, 1)), (6, "2", ""));
        assert_eq!(recognised(&ruled(&[(5.0, 20.0, 20.0, "foot")])).unwrap().bands.len(), 5);
    }

    #[test]
    fn a_column_without_its_right_rule_is_not_lost() {
        let refusal = recognised(&ruled(&[(110.0, 120.0, 112.0, "x")])).unwrap_err();
        assert!(refusal.text.contains("right beside the table"), "{refusal}");
    }

    #[test]
    fn unknown_glyphs_refuse_a_page_only_in_its_table() {
        let mut page = ruled(&[(5.0, 20.0, 10.0, "\u{fffd}")]);
        page.verdict.unmapped = 1;
        assert!(!recognised(&page).unwrap().verdict.is_clean());
        page.runs[6].y = 112.0;
        assert_eq!(recognised(&page).unwrap_err().code, RefusalCode::UnreadableText);
    }

    #[test]
    fn a_page_of_new_columns_alone_is_a_table() {
        let mut page = ruled(&[(55.0, 60.0, 132.0, "x")]);
        page.runs[0].text = 2..3;
        assert_eq!(recognised(&page).unwrap().headers, ["1", ""]);
    }

    #[test]
    fn a_frame_alone_is_no_table() {
        let mut page = ruled(&[]);
        page.rules.retain(|rule| !matches!(rule, Rule::Horizontal { y, .. } if *y > 105.0 && *y < 155.0));
        assert!(recognised(&page).is_err());
    }
}

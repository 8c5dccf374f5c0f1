//! Which cells does a page show? Text put between the marks that separate columns and rows.
//!
//! Marks are rules where there are any, else filled boxes, else the clips that cells are printed in,
//! else the positions of the texts themselves ([`positions`], which needs all pages of a report).

mod column_edges;
mod drawn;
mod furniture;
mod headings;
mod known;
pub(super) mod lattice;
mod lines;
mod page_table;
mod pictures;
mod place;
pub(super) mod positions;
mod rows;
mod sections;
mod sentences;

use serde::Serialize;

use super::{
    Refusal, RefusalCode,
    budget::Exceeded,
    pdf::{Page, Rect, TextRun, Verdict},
};
pub(crate) use known::Known;
use lattice::{Axis, Lattice};
pub(crate) use lines::BREAK;
pub(crate) use page_table::PageTable;
pub(crate) use pictures::Picture;
use place::Cells;
pub(crate) use place::{Side, Stray};
use sections::{Row, Section};

/// Texts on one page; a letter each on a large sheet is far below.
const MOST_TEXTS: usize = 30_000;
/// Text larger than this, times the usual size, is no table's.
const OVERSIZE: f64 = 3.0;
/// Texts of two columns stand further apart than this (times the size).
const COLUMN_GAP: f64 = 1.0;
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

/// A page whose marks may separate only one axis, or none.
pub(crate) struct Loose {
    /// Its text, word by word.
    pub page: Page,
    /// What its marks say.
    pub lattice: Lattice,
}

/// How many lines of a page hold texts in several columns?
pub(crate) fn lines_of_columns(page: &Page) -> usize {
    let mut runs: Vec<&TextRun> = page.runs.iter().collect();
    runs.sort_by(|a, b| b.y.total_cmp(&a.y));
    let lines = runs.chunk_by_mut(|a, b| a.y - b.y < a.size * lines::SAME_BASELINE);
    let has_columns = |line: &mut [&TextRun]| {
        line.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        line.windows(2).filter(|pair| pair[1].x0 - pair[0].x1 > pair[0].size * COLUMN_GAP).count() > 1
    };
    lines.filter_map(|line| has_columns(line).then_some(())).count()
}

/// Does a page show at least two known headers, wherever they stand?
pub(crate) fn shows_headers(page: &Page, known: &Known) -> bool {
    let loose = Loose { page: page.clone(), lattice: Lattice::default() };
    let is_known =
        |headings: headings::Headings| headings.all.iter().filter(|heading| known.is_header(&heading.text)).count() > 1;
    headings::Headings::find(&loose, known).is_some_and(is_known)
}

/// Recognises a page's table by its marks; `None` where it may only show together with the other pages.
/// A table without a known header is one that goes on from another page, or something else.
///
/// # Errors
/// `unreadable_text` where text in it is not known; `no_table` where a row or column would be lost.
pub(crate) fn recognise(page: &Page, known: &Known) -> Result<Option<PageTable>, Refusal> {
    check(page)?;
    let lattice = Lattice::of(page);
    let Some(rows) = &lattice.rows else { return Ok(None) };
    let Some(section) = sections::find(page, &lattice, &bands(rows), known) else { return Ok(None) };
    let marks = (section.columns.mark, rows.mark);
    let table = fill(page, &section, marks, None, known)?;
    // stripes part rows, but no columns; and a header may stand above the first rule
    let is_headless = match &table.headers[..] {
        [] => true,
        [only] => !known.is_header(only),
        _ => false,
    };
    if is_headless && shows_headers(page, known) {
        return Ok(None);
    }
    // a frame around header and rows alike separates nothing
    if table.bands.is_empty() && !table.headers.iter().any(|header| known.is_header(header)) {
        return Ok(None);
    }
    Ok(Some(table).filter(|table| !rows::run_together(page, table, known)))
}

/// A page to be recognised together with the others.
///
/// # Errors
/// As [`recognise`].
pub(crate) fn loosely(mut page: Page) -> Result<Loose, Refusal> {
    check(&page)?;
    drop_oversize(&mut page);
    drawn::draw(&mut page);
    let lattice = Lattice::of(&page);
    Ok(Loose { page, lattice })
}

/// Takes away what is printed across a page in letters much larger than its texts: watermarks, titles.
fn drop_oversize(page: &mut Page) {
    let mut sizes: Vec<f64> = page.runs.iter().map(|run| run.size).collect();
    sizes.sort_by(f64::total_cmp);
    let usual = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
    page.runs.retain(|run| run.size <= usual * OVERSIZE);
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

/// Puts every text into its cell. `margin` is what texts leave free of their columns, where the page
/// alone does not show it.
///
/// # Errors
/// As [`recognise`].
fn fill(
    page: &Page,
    section: &Section,
    marks: (Mark, Mark),
    margin: Option<f64>,
    known: &Known,
) -> Result<PageTable, Refusal> {
    let width = section.columns.edges.len() - 1;
    let header = section.header.map(Row::whole);
    let has_header = header.is_some();
    let rows: Vec<Row> = header.into_iter().chain(section.rows.iter().cloned()).collect();
    let cells = Cells { page, columns: &section.columns.edges, rows: &rows, has_header };
    let placement = cells.place()?;
    let first = usize::from(has_header);
    let placed =
        lines::Placed { page, runs: placement.texts, columns: &section.columns, cells: width * rows.len(), margin };
    let joined = placed.join();
    let picture = |(cell, picture): (u32, Picture)| {
        let row = (cell as usize / width).checked_sub(first)?;
        Some((row, cell as usize % width, picture))
    };
    let mut table = PageTable {
        page: page.number,
        headers: Vec::with_capacity(width),
        columns: section.columns.edges.clone(),
        header_band: section.header,
        bands: section.rows.iter().map(|row| row.band).collect(),
        spanning: placement.spanning[first..].to_vec(),
        apart: vec![false; section.rows.len()],
        strays: placement.strays,
        pictures: pictures::pictures(cells).into_iter().filter_map(picture).collect(),
        marks,
        verdict: page.verdict,
        text: joined.text,
        ends: joined.ends,
        breaks: joined.breaks,
        widest_words: joined.widest_words,
    };
    table.verdict.rows = table.bands.len() as u64;
    if has_header {
        table.move_headers(width);
        check_headers(&table)?;
        name_by_bands(page, section, &mut table, known);
    }
    // a key holds no line break of its own: two lines that would fit on one are two records
    let is_key_cell =
        |cell: &&u32| has_header && **cell as usize >= width && known.is_key(&table.headers[**cell as usize % width]);
    if let Some(cell) = joined.parted.iter().find(is_key_cell) {
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

/// Text of a header that cannot be read may be any column's.
fn check_headers(table: &PageTable) -> Result<(), Refusal> {
    match table.headers.iter().position(|header| header.contains(char::REPLACEMENT_CHARACTER)) {
        Some(column) => Err(Refusal::new(
            RefusalCode::UnreadableText,
            format!("page {}: glyphs of the header of column {} have no known text", table.page, column + 1),
        )),
        None => Ok(()),
    }
}

/// Headers of two levels: a column whose own header says nothing takes the text above it, and one that
/// is not known may be known together with the band over it.
fn name_by_bands(page: &Page, section: &Section, table: &mut PageTable, known: &Known) {
    let Some(above) = section.above.last() else { return };
    let edges = &section.columns.edges;
    let starts = above.starts.clone().unwrap_or_else(|| (0..edges.len() - 1).collect());
    let cells: Vec<f64> = starts.iter().map(|start| edges[*start]).chain(edges.last().copied()).collect();
    let texts = sections::texts(page, above.band, &cells);
    for (column, header) in table.headers.iter_mut().enumerate() {
        let Some(cell) = starts.partition_point(|start| *start <= column).checked_sub(1) else { continue };
        let band = texts[cell].split_whitespace().collect::<Vec<_>>().join(" ");
        let is_own = starts.get(cell + 1).map_or(edges.len() - 1, |next| *next) == starts[cell] + 1;
        if header.is_empty() && is_own {
            *header = band;
        } else if !band.is_empty() && !header.is_empty() && !known.is_header(header) {
            let both = [format!("{band} {header}"), format!("{band} / {header}"), format!("{band}/{header}")];
            if let Some(named) = both.into_iter().find(|named| known.is_header(named)) {
                *header = named;
            }
        }
    }
}

/// The share of the size by which text sits above its baseline: its middle, roughly.
const MIDDLE: f64 = 0.3;

/// The runs whose baselines lie between two heights.
fn runs_between(page: &Page, band: Band) -> impl Iterator<Item = &TextRun> {
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
        page.print((x0, x1), y, 10.0, text);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{super::pdf::Rule, *};

    fn recognised(page: &Page) -> Result<PageTable, Refusal> {
        let headers = ["ID".to_owned()];
        recognise(page, &Known::of(headers.iter(), std::iter::empty(), headers.iter()))?
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
    fn what_stands_below_the_last_rule_is_kept_to_be_judged() {
        let table = recognised(&ruled(&[(5.0, 20.0, 92.0, "2")])).unwrap();
        assert_eq!((table.bands.len(), table.strays.len()), (5, 1));
        let mut page = ruled(&[(5.0, 20.0, 92.0, "2")]);
        page.rules.push(Rule::Horizontal { y: 90.0, x0: 0.0, x1: 100.0 });
        page.rules.extend([0.0, 50.0, 100.0].map(|x| Rule::Vertical { x, y0: 90.0, y1: 100.0 }));
        let table = recognised(&page).unwrap();
        assert_eq!((table.bands.len(), table.cell(5, 0), table.cell(5, 1)), (6, "2", ""));
    }

    #[test]
    fn titles_and_bands_stand_above_the_header() {
        let mut page = ruled(&[(20.0, 60.0, 172.0, "ELENCO ORDINI"), (5.0, 20.0, 162.0, "TUTTI")]);
        page.rules.extend([180.0, 170.0].map(|y| Rule::Horizontal { y, x0: 0.0, x1: 100.0 }));
        page.rules.extend([0.0, 100.0].map(|x| Rule::Vertical { x, y0: 160.0, y1: 180.0 }));
        let table = recognised(&page).unwrap();
        assert_eq!((table.headers, table.bands.len()), (vec!["ID".to_owned(), String::new()], 5));
    }

    #[test]
    fn a_page_without_known_headers_is_a_table_without_any() {
        let mut page = ruled(&[(55.0, 60.0, 132.0, "x")]);
        page.runs[0].text = 2..3;
        let table = recognised(&page).unwrap();
        assert_eq!((table.headers.len(), table.bands.len(), table.cell(0, 0)), (0, 6, "1"));
    }

    #[test]
    fn a_frame_alone_is_no_table() {
        let mut page = ruled(&[]);
        page.rules.retain(|rule| !matches!(rule, Rule::Horizontal { y, .. } if *y > 105.0 && *y < 155.0));
        assert!(recognised(&page).is_err());
    }
}

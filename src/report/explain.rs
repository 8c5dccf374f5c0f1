//! What was recognised on a page, and by what? For people: as text and as a drawing.

use std::{cell::LazyCell, fmt::Write};

use serde::{Deserialize, Serialize};

use super::{
    Refusal, RefusalCode, Request,
    pages::Sheet,
    pdf::{Document, Page, Pieces},
    sheets::{self, Marked},
    sniff,
    table::{BREAK, Band, Mark, PageTable, Side},
};

/// Around what is shown of a page, in points.
const EDGE: f64 = 2.0;

/// One page of a report, drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawing {
    /// Pages in the file.
    pub pages: usize,
    /// Rows recognised on this one.
    pub rows: usize,
    /// As SVG; empty where the file has no such page.
    pub svg: String,
}

/// Which row of a page stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedRow {
    /// From 1.
    pub row: usize,
    /// Nothing but it and so many rows before and after are shown; the whole page where nothing is said.
    pub around: Option<usize>,
}

impl Request<'_> {
    /// Draws one page, from 1, and marks a row of it.
    ///
    /// # Errors
    /// [`Refusal`]: the file has no pages that could be drawn.
    pub fn draw(&self, page: usize, mark: Option<MarkedRow>) -> Result<Drawing, Refusal> {
        let mut drawing = Drawing { pages: 0, rows: 0, svg: String::new() };
        let pages = self.explain(Some(page), |page, found, _| {
            drawing.rows = found.map_or(0, |table| table.bands.len());
            drawing.svg = svg(page, found, mark);
        })?;
        Ok(Drawing { pages, ..drawing })
    }

    /// Tells `each` page, or `only` one of them (from 1), what was found on it, also where the report is refused, and
    /// what its rows are that are no records. Answers how many pages there are.
    ///
    /// # Errors
    /// [`Refusal`] if the file cannot be opened or a page cannot be interpreted at all.
    pub fn explain(
        &self,
        only: Option<usize>,
        mut each: impl FnMut(&Page, Result<&PageTable, &Refusal>, &dyn Fn(usize) -> Option<&'static str>),
    ) -> Result<usize, Refusal> {
        sniff::check(self.bytes)?;
        let document = Document::open(self.bytes, self.budget)?;
        let known = self.known();
        let found = (0..document.page_count())
            .map(|page| Ok(sheets::by_marks(&document.page(page, Pieces::Whole)?, &known)))
            .collect::<Result<Vec<_>, Refusal>>()?;
        let is_loose = found.iter().any(|found| matches!(found, Ok(Marked::Open { is_headed: true, .. })))
            || !found.iter().any(|found| matches!(found, Ok(Marked::Sheet(Sheet::Table(_)))));
        let loose = is_loose.then(|| sheets::by_texts(&document, &known));
        // read for them only where they are asked for
        let others = LazyCell::new(|| self.others());
        for (page, found) in found.iter().enumerate().filter(|(page, _)| only.is_none_or(|only| only == page + 1)) {
            let what = |row: usize| others.get(&(page + 1, row)).copied();
            let mut each = |page: &Page, found: Result<&PageTable, &Refusal>| each(page, found, &what);
            let interpreted = document.page(page, Pieces::Whole)?;
            let on_page = |sheets: &'_ [Sheet]| {
                sheets.iter().find_map(|sheet| match sheet {
                    Sheet::Table(table) if table.page == page + 1 => Some(table.clone()),
                    Sheet::Table(_) | Sheet::Text { .. } | Sheet::Blank => None,
                })
            };
            let none = Refusal::new(RefusalCode::NoTable, format!("page {}: no part of the table is on it", page + 1));
            match (found, &loose) {
                (Err(refusal), _) | (Ok(_), Some(Err(refusal))) => each(&interpreted, Err(refusal)),
                (Ok(_), Some(Ok(sheets))) => match on_page(sheets) {
                    Some(table) => each(&interpreted, Ok(&table)),
                    None => each(&interpreted, Err(&none)),
                },
                (Ok(Marked::Sheet(Sheet::Table(table))), None) => each(&interpreted, Ok(table)),
                (Ok(_), None) => each(&interpreted, Err(&none)),
            }
        }
        Ok(found.len())
    }
}

fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Rules => "ruling lines",
        Mark::Boxes => "the edges of filled boxes",
        Mark::Clips => "the clips that cells are printed in",
        Mark::Positions => "the positions of the texts",
    }
}

/// Describes one page: the table's bounds, its columns with their headers, its rows, and what parted
/// them; or why there is none. Points from the lower left corner. `what` tells of a row, from 0, what it
/// is instead of a record.
#[must_use]
pub fn text(page: &Page, found: Result<&PageTable, &Refusal>, what: &dyn Fn(usize) -> Option<&'static str>) -> String {
    let mut text = format!(
        "page {}: {:.0} x {:.0} pt, {} texts, {} rules, {} boxes, {} glyphs",
        page.number,
        page.size.0,
        page.size.1,
        page.runs.len(),
        page.rules.len(),
        page.boxes.len(),
        page.verdict.glyphs,
    );
    let verdict = page.verdict;
    for (count, what) in [
        (verdict.unmapped, "of unknown text"),
        (verdict.skipped_tokens, "tokens not understood"),
        (verdict.lost_texts, "texts lost"),
        (verdict.failed_streams, "streams unreadable"),
        (verdict.askew, "texts askew"),
    ] {
        if count > 0 {
            write!(text, ", {count} {what}").ok();
        }
    }
    text.push('\n');
    match found {
        Err(refusal) => writeln!(text, "  refused: {}: {}", refusal.code.as_str(), refusal.text).unwrap_or_default(),
        Ok(table) => describe(table, what, &mut text),
    }
    text
}

fn describe(table: &PageTable, what: &dyn Fn(usize) -> Option<&'static str>, text: &mut String) {
    let bounds = table.bounds();
    writeln!(text, "  table from ({:.1}, {:.1}) to ({:.1}, {:.1})", bounds.x0, bounds.y0, bounds.x1, bounds.y1).ok();
    writeln!(text, "  {} columns, parted by {}", table.width(), mark(table.marks.0)).ok();
    let headers = table.headers.iter().map(String::as_str).chain(std::iter::repeat(""));
    for (number, (header, edges)) in headers.zip(table.columns.windows(2)).enumerate() {
        writeln!(text, "    {:>2}  {:>6.1} to {:>6.1}  {header}", number + 1, edges[0], edges[1]).ok();
    }
    match table.header_band {
        Some(Band { top, bottom }) => writeln!(text, "  header row from {top:.1} down to {bottom:.1}").ok(),
        None => writeln!(text, "  no header row: it goes on from an earlier page, or holds another table").ok(),
    };
    writeln!(text, "  {} rows, parted by {}", table.bands.len(), mark(table.marks.1)).ok();
    for (row, band) in table.bands.iter().enumerate() {
        let cells: Vec<&str> = (0..table.width()).map(|column| table.cell(row, column)).collect();
        let cells = if table.spanning[row] { format!("(one text) {}", cells.concat()) } else { cells.join(" | ") };
        let what = what(row).map(|what| format!("({what}) ")).unwrap_or_default();
        writeln!(text, "    {:>2}  {:>6.1} to {:>6.1}  {what}{}", row + 1, band.top, band.bottom, shown(&cells)).ok();
    }
    for stray in &table.strays {
        let texts: Vec<&str> = stray.texts.iter().map(|(_, text)| text.as_str()).collect();
        let side = match stray.side {
            Side::Below(heights) => format!("{heights:.1} rows below"),
            Side::Beside { .. } => "beside".to_owned(),
            Side::Above => "above".to_owned(),
            Side::Off => "off the page".to_owned(),
        };
        writeln!(text, "  outside, {side}: {}", shown(&texts.join(" | "))).ok();
    }
    for (row, column, _) in &table.pictures {
        writeln!(text, "  a picture or field in row {}, column {}", row + 1, column + 1).ok();
    }
}

/// A text for people: a blank where a line ends, whatever stood there.
fn shown(text: &str) -> String {
    text.replace(BREAK, " ")
}

/// What of a page is shown: from the top of the first to the bottom of the last row that is, and its columns.
fn window((width, height): (f64, f64), table: Option<&PageTable>, mark: Option<MarkedRow>) -> [f64; 4] {
    let whole = [0.0, 0.0, width, height];
    let (Some(table), Some(MarkedRow { row, around: Some(around) })) = (table, mark) else { return whole };
    let Some(at) = row.checked_sub(1).filter(|at| *at < table.bands.len()) else { return whole };
    let last = (at + around).min(table.bands.len() - 1);
    let (first, last) = (&table.bands[at.saturating_sub(around)], &table.bands[last]);
    let bounds = table.bounds();
    let top = height - first.top - EDGE;
    [bounds.x0 - EDGE, top, bounds.x1 - bounds.x0 + 2.0 * EDGE, height - last.bottom + EDGE - top]
}

/// Draws one page as SVG: its texts, over the recognised cells; the row that is marked stands out.
#[must_use]
pub fn svg(page: &Page, found: Result<&PageTable, &Refusal>, mark: Option<MarkedRow>) -> String {
    let marked = mark.map(|mark| mark.row);
    let (width, height) = page.size;
    let [left, top, wide, high] = window(page.size, found.ok(), mark);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{left:.1} {top:.1} {wide:.1} {high:.1}\" \
         width=\"{wide:.1}pt\" height=\"{high:.1}pt\" font-family=\"sans-serif\">\n\
         <rect width=\"{width:.1}\" height=\"{height:.1}\" fill=\"white\"/>\n"
    );
    if let Ok(table) = found {
        let row = |(at, band): (usize, &Band)| (if marked == Some(at + 1) { "#ffb3ab" } else { "#cfe8ff" }, *band);
        let bands = table.header_band.iter().map(|band| ("#ffd27f", *band));
        for (colour, band) in bands.chain(table.bands.iter().enumerate().map(row)) {
            for edges in table.columns.windows(2) {
                writeln!(
                    svg,
                    "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{colour}\" \
                     stroke=\"#1565c0\" stroke-width=\"0.5\"/>",
                    edges[0],
                    height - band.top,
                    edges[1] - edges[0],
                    band.top - band.bottom
                )
                .ok();
            }
        }
    }
    for run in &page.runs {
        writeln!(
            svg,
            "<text x=\"{:.2}\" y=\"{:.2}\" font-size=\"{:.2}\" textLength=\"{:.2}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>",
            run.x0,
            height - run.y,
            run.size,
            (run.x1 - run.x0).max(0.1),
            escaped(page.text_of(run))
        )
        .ok();
    }
    let marked = found.ok().zip(marked).and_then(|(table, row)| Some((table, table.bands.get(row.checked_sub(1)?)?)));
    if let Some((table, band)) = marked {
        let bounds = table.bounds();
        writeln!(
            svg,
            "<rect class=\"mark\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"none\" \
             stroke=\"#b71c1c\" stroke-width=\"1.5\"/>",
            bounds.x0,
            height - band.top,
            bounds.x1 - bounds.x0,
            band.top - band.bottom
        )
        .ok();
    }
    if let Err(refusal) = found {
        writeln!(svg, "<text x=\"10\" y=\"14\" font-size=\"10\" fill=\"#b71c1c\">{}</text>", escaped(&refusal.text))
            .ok();
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text as XML has it; control characters have no place there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().filter(|character| !character.is_control()) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

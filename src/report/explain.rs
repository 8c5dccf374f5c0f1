//! What was recognised on a page, and by what? For people: as text and as a drawing.

use std::fmt::Write;

use super::{
    Refusal,
    pdf::Page,
    table::{BREAK, Band, Mark, PageTable, Side},
};

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

/// Draws one page as SVG: its texts, over the recognised cells.
#[must_use]
pub fn svg(page: &Page, found: Result<&PageTable, &Refusal>) -> String {
    let (width, height) = page.size;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.1}pt\" \
         height=\"{height:.1}pt\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    if let Ok(table) = found {
        let bands = table
            .header_band
            .iter()
            .map(|band| ("#ffd27f", *band))
            .chain(table.bands.iter().map(|band| ("#cfe8ff", *band)));
        for (colour, band) in bands {
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

//! Which tables do pages show whose marks do not separate everything? All pages looked at together.
//!
//! The header row is found by the known headers, columns by the gaps between headers that the texts
//! below leave free, rows by [`super::rows`].

use std::collections::HashMap;

use super::{
    super::{
        Refusal, RefusalCode, cycle,
        pdf::{Page, Run},
    },
    Band, Known, Loose, Mark, PageTable, fill,
    headings::{Heading, Headings},
    lattice::Axis,
    rows::{self, PageLines, TextLine, line_of, lines},
};

/// How far (points) a column's edge stands before its first text.
const BEFORE_TEXT: f64 = 1.0;
/// How much less sure (points) the room of a column is that only its texts show.
const UNSURE: f64 = 1.0;
/// Texts nearer than this (points) leave no gap between them.
const NO_GAP: f64 = 0.5;

/// One page with its header found.
struct Headed {
    loose: Loose,
    headings: usize,
}

/// Recognises the tables of all pages of a report.
///
/// # Errors
/// `no_table` where a page has no known header; else as [`rows::bands`] and [`super::recognise`].
pub fn recognise(pages: Vec<Loose>, known: &Known) -> Result<Vec<PageTable>, Refusal> {
    let mut kinds: Vec<Headings> = Vec::new();
    let mut headed = Vec::with_capacity(pages.len());
    for loose in pages {
        let headings = if let Some(kind) = kinds.iter().position(|kind| kind.fits(&loose)) {
            kind
        } else {
            kinds.push(Headings::find(&loose, known).ok_or_else(|| no_table(&loose.page))?);
            kinds.len() - 1
        };
        headed.push(Headed { loose, headings });
    }
    let columns: Vec<Axis> = (0..kinds.len())
        .map(|kind| {
            let pages: Vec<&Loose> =
                headed.iter().filter(|page| page.headings == kind).map(|page| &page.loose).collect();
            columns(&kinds[kind], &pages)
        })
        .collect::<Result<_, _>>()?;
    let texts: Vec<Vec<String>> = kinds.iter().map(Headings::texts).collect();
    let listed: Vec<(usize, &[String])> =
        headed.iter().map(|page| (page.loose.page.number, texts[page.headings].as_slice())).collect();
    let length = cycle::length(&listed)?;

    let lines: Vec<PageLines> =
        headed.iter().map(|page| page_lines(page, &kinds[page.headings], &columns[page.headings])).collect();
    let leading = rows::leading(lines.iter());
    let margin = margin(&headed, &kinds, &columns);
    let key_of = |pages: &[Headed]| {
        pages.iter().enumerate().find_map(|(page, headed)| {
            let column = texts[headed.headings].iter().position(|header| known.is_key(header))?;
            Some((page, column))
        })
    };
    let cycles: Vec<&[PageLines]> = lines.chunks(length).collect();
    let keys: Vec<rows::Key> = headed.chunks(length).map(key_of).collect();
    let further = rows::further(&cycles, &keys);
    let mut tables = Vec::with_capacity(headed.len());
    for ((pages, lines), key) in headed.chunks(length).zip(cycles).zip(keys) {
        let rows = rows::bands(lines, leading, key, further)?;
        let ruled: Option<Vec<_>> = pages.iter().map(|page| ruled_bands(page, kinds[page.headings].band)).collect();
        for (number, page) in pages.iter().enumerate() {
            let kind = &kinds[page.headings];
            let (below, mark) =
                ruled.as_ref().map_or((&rows, Mark::Positions), |ruled| (&ruled[number].0, ruled[number].1));
            let bands: Vec<Band> = std::iter::once(kind.band).chain(below.iter().copied()).collect();
            let margin = if kind.has_columns { None } else { Some(margin) };
            let mut table = fill(&page.loose.page, &columns[page.headings], &bands, mark, margin, known)?;
            table.headers.clone_from(&texts[page.headings]);
            tables.push(table);
        }
    }
    Ok(tables)
}

fn no_table(page: &Page) -> Refusal {
    let text = format!(
        "page {}: no table was recognised: its {} lines and {} texts show no known header",
        page.number,
        page.rules.len(),
        page.runs.len()
    );
    Refusal::new(RefusalCode::NoTable, text)
}

fn below(page: &Page, band: Band) -> impl Iterator<Item = &Run> {
    page.runs.iter().filter(move |run| line_of(run).y < band.bottom)
}

fn page_lines(page: &Headed, headings: &Headings, columns: &Axis) -> PageLines {
    let mut found: HashMap<usize, Vec<TextLine>> = HashMap::new();
    for run in below(&page.loose.page, headings.band) {
        let column = columns.edges.partition_point(|edge| *edge <= run.x0 + NO_GAP).saturating_sub(1);
        found.entry(column).or_default().push(line_of(run));
    }
    let of = |column| lines(found.remove(&column).unwrap_or_default().into_iter());
    PageLines { page: page.loose.page.number, columns: (0..columns.edges.len() - 1).map(of).collect() }
}

/// The bands below the header that a page's marks part; an open table's last row ends with its text.
fn ruled_bands(page: &Headed, header: Band) -> Option<(Vec<Band>, Mark)> {
    let axis = page.loose.lattice.rows.as_ref().filter(|axis| axis.edges.len() > 2)?;
    let mut edges: Vec<f64> = axis.edges.iter().copied().filter(|edge| *edge <= header.bottom).collect();
    let is_open = header.bottom >= axis.edges[0];
    let lowest = below(&page.loose.page, header).map(line_of).min_by(|a, b| a.y.total_cmp(&b.y));
    if let Some(lowest) = lowest.filter(|lowest| is_open && edges.last().is_some_and(|last| lowest.y < *last)) {
        edges.push(lowest.y - lowest.size);
    }
    // stripes, or a rule that is missing: the texts must tell
    let (highest, lowest_edge) = (*edges.first()?, *edges.last()?);
    let all_inside = below(&page.loose.page, header).all(|run| (lowest_edge..=highest).contains(&line_of(run).y));
    let bands = edges.windows(2).map(|pair| Band { top: pair[0], bottom: pair[1] }).collect();
    all_inside.then_some((bands, axis.mark))
}

/// What texts leave free of the columns between them: the least of all, as in columns whose words are
/// cut to fill them.
fn margin(pages: &[Headed], kinds: &[Headings], columns: &[Axis]) -> f64 {
    let mut least: Option<f64> = None;
    for page in pages.iter().filter(|page| !kinds[page.headings].has_columns) {
        let edges = &columns[page.headings].edges;
        for run in &page.loose.page.runs {
            // the last column ends where its widest text does
            let column = edges.partition_point(|edge| *edge <= run.x0);
            if let Some(edge) = edges.get(column).filter(|_| column + 1 < edges.len() && column > 0) {
                let free = *edge - run.x1;
                least = if free >= 0.0 { Some(least.map_or(free, |least| least.min(free))) } else { least };
            }
        }
    }
    least.unwrap_or(BEFORE_TEXT) + BEFORE_TEXT + UNSURE
}

/// The edges of the columns of all pages with the same header row.
fn columns(headings: &Headings, pages: &[&Loose]) -> Result<Axis, Refusal> {
    if let Some(axis) = pages.iter().find_map(|page| page.lattice.columns.clone()).filter(|_| headings.has_columns) {
        return Ok(axis);
    }
    let mut spans: Vec<(f64, f64)> =
        pages.iter().flat_map(|page| below(&page.page, headings.band)).map(|run| (run.x0, run.x1)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let headed = &headings.all;
    let (Some(first), Some(last)) = (headed.first(), headed.last()) else {
        return Err(no_table(&pages[0].page));
    };
    let left = spans.first().map_or(first.x0, |span| span.0.min(first.x0)) - BEFORE_TEXT;
    let right = spans.iter().map(|span| span.1).fold(last.x1, f64::max) + BEFORE_TEXT;
    let mut edges = vec![left];
    for pair in headed.windows(2) {
        edges.push(cut(&pair[0], &pair[1], &spans).ok_or_else(|| {
            let text = format!(
                "page {}: nothing separates the columns '{}' and '{}': a text below reaches across",
                pages[0].page.number, pair[0].text, pair[1].text
            );
            Refusal::new(RefusalCode::NoTable, text)
        })?);
    }
    edges.push(right);
    Ok(Axis { edges, mark: Mark::Positions })
}

/// The edge between two neighbouring columns: in a gap that no text crosses, if there is one.
fn cut(left: &Heading, right: &Heading, spans: &[(f64, f64)]) -> Option<f64> {
    let (low, high) = (left.x1, right.x0);
    // what stands between the two headers, merged where it overlaps
    let mut blobs: Vec<(f64, f64)> = Vec::new();
    for span in spans.iter().filter(|span| span.1 > low && span.0 < high) {
        match blobs.last_mut() {
            Some(blob) if span.0 <= blob.1 + NO_GAP => blob.1 = blob.1.max(span.1),
            _ => blobs.push(*span),
        }
    }
    let has_own = |heading: &Heading| spans.iter().any(|span| span.0 < heading.x1 && span.1 > heading.x0);
    // a text between two headers is right-aligned below the first, unless only the second lacks text
    let floats_right = has_own(left) && !has_own(right);
    let goes_right = |blob: &(f64, f64)| blob.1 >= high || (floats_right && blob.0 > low);
    let start = blobs.iter().filter(|blob| goes_right(blob)).map(|blob| blob.0).fold(high, f64::min);
    let end = blobs.iter().filter(|blob| !goes_right(blob)).map(|blob| blob.1).fold(low, f64::max);
    (start > end).then(|| start - BEFORE_TEXT.min((start - end) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(x0: f64, x1: f64) -> Heading {
        Heading { x0, x1, text: String::new() }
    }

    #[test]
    fn columns_are_parted_where_no_text_crosses() {
        let (left, right) = (heading(29.0, 36.0), heading(128.0, 190.0));
        for (spans, expected) in [
            // right-aligned numbers below a left-aligned header, close to the next column
            (vec![(104.7, 125.0), (128.0, 160.0)], 127.0),
            // left-aligned texts
            (vec![(29.0, 80.0), (128.0, 160.0)], 127.0),
            // centred texts below the second header
            (vec![(29.0, 80.0), (110.0, 200.0)], 109.0),
            // nothing at all
            (vec![], 127.0),
            // right-aligned headers above left-aligned texts
            (vec![(20.0, 40.0), (60.0, 100.0)], 59.0),
        ] {
            assert!((cut(&left, &right, &spans).unwrap() - expected).abs() < 0.01, "{spans:?}");
        }
        assert_eq!(cut(&left, &right, &[(29.0, 80.0), (29.0, 150.0), (128.0, 160.0)]), None);
    }
}

//! Which tables do pages show whose marks do not separate everything? All pages looked at together.
//!
//! The header row is found by the known headers, columns by the gaps between headers that the texts
//! below leave free, rows by [`super::rows`].

use std::collections::HashMap;

use super::{
    super::{
        Refusal, RefusalCode, cycle,
        pdf::{Page, TextRun},
        shape::Shapes,
    },
    Band, Known, Loose, Mark, PageTable,
    column_edges::{BEFORE_TEXT, NO_GAP, columns},
    fill,
    furniture::{self, Filled},
    headings::{Headings, no_table},
    lattice::Axis,
    lines_of_columns,
    rows::{self, PageLines, TextLine, line_of, lines},
    sections::{Row, Section},
};

/// How much less sure (points) the room of a column is that only its texts show.
const UNSURE: f64 = 1.0;
/// A page without a header that has so many lines of several columns may be a table.
const TABLE_LINES: usize = 3;
/// So many of the texts of a page stand in the columns that it goes on with.
const MOST: f64 = 0.95;
/// A row without a rule below it ends within so many heights of the rows above it.
const OPEN: f64 = 2.0;

/// One page with the kind of its columns; without a header if it goes on from another one.
struct Headed {
    loose: Loose,
    kind: usize,
    header: Option<Band>,
}

impl Headed {
    /// What stands below the header.
    fn below(&self) -> impl Iterator<Item = &TextRun> {
        below(&self.loose.page, self.header)
    }
}

fn below(page: &Page, header: Option<Band>) -> impl Iterator<Item = &TextRun> {
    let top = header.map_or(f64::MAX, |band| band.bottom);
    page.runs.iter().filter(move |run| line_of(run).y < top)
}

/// Recognises the tables of all pages of a report. Pages that hold no part of it are left out.
///
/// # Errors
/// `no_table` where no page has a known header, or one may hold rows of columns that cannot be told;
/// else as [`rows::bands`] and [`super::recognise`].
pub(crate) fn recognise(pages: Vec<Loose>, known: &Known) -> Result<Vec<PageTable>, Refusal> {
    let mut kinds: Vec<Headings> = Vec::new();
    let mut sheets: Vec<(Loose, Option<(usize, Band)>)> = Vec::with_capacity(pages.len());
    for loose in pages.into_iter().filter(|loose| !loose.page.runs.is_empty()) {
        let found = kind_of(&loose, &mut kinds, known);
        sheets.push((loose, found));
    }
    let Some(first) = sheets.iter().find(|(_, found)| found.is_some()) else {
        return Err(no_table(sheets.first().map(|(loose, _)| &loose.page)));
    };
    let first_page = first.0.page.number;
    let key_of: Vec<Option<usize>> =
        kinds.iter().map(|kind| kind.all.iter().position(|heading| known.is_key(&heading.text))).collect();
    let columns: Vec<Axis> = (0..kinds.len())
        .map(|kind| {
            let pages = sheets.iter().filter(|(_, found)| found.is_some_and(|(of, _)| of == kind));
            let pages: Vec<(&Loose, Band)> = pages.filter_map(|(loose, found)| Some((loose, (*found)?.1))).collect();
            columns(&kinds[kind], &pages)
        })
        .collect::<Result<_, _>>()?;
    strip(&mut sheets, &kinds, &columns, &key_of);
    let headed = with_columns(sheets, &columns, &key_of, first_page)?;
    tables(&headed, &kinds, &columns, &key_of, known)
}

/// The kind of a page's header, and where it stands; new ones are added.
fn kind_of(loose: &Loose, kinds: &mut Vec<Headings>, known: &Known) -> Option<(usize, Band)> {
    if let Some(kind) = kinds.iter().position(|kind| kind.fits(loose)) {
        return Some((kind, kinds[kind].band));
    }
    let found = Headings::find(loose, known)?;
    let band = found.band;
    let kind = kinds.iter().position(|kind| kind.is_like(&found)).unwrap_or_else(|| {
        kinds.push(found);
        kinds.len() - 1
    });
    Some((kind, band))
}

/// Takes away what is printed on pages around their rows.
fn strip(
    sheets: &mut [(Loose, Option<(usize, Band)>)],
    kinds: &[Headings],
    columns: &[Axis],
    key_of: &[Option<usize>],
) {
    let seen: Vec<Vec<Filled>> = sheets
        .iter()
        .map(|(loose, found)| match found {
            Some((kind, band)) => {
                let lines = furniture::lines(&loose.page, *band, &kinds[*kind]);
                furniture::fill(&loose.page, lines, &columns[*kind].edges, key_of[*kind])
            }
            None => Vec::new(),
        })
        .collect();
    let dropped = furniture::find(&seen);
    for ((loose, _), dropped) in sheets.iter_mut().zip(dropped) {
        for run in dropped {
            let text = &mut loose.page.runs[run as usize].text;
            text.end = text.start;
        }
        loose.page.runs.retain(|run| !run.text.is_empty());
    }
}

/// Gives pages without a header the columns that they go on with, and drops those that hold no rows.
fn with_columns(
    sheets: Vec<(Loose, Option<(usize, Band)>)>,
    columns: &[Axis],
    key_of: &[Option<usize>],
    first: usize,
) -> Result<Vec<Headed>, Refusal> {
    let keys = Shapes::learn(
        sheets
            .iter()
            .filter_map(|(loose, found)| {
                let (kind, band) = (*found)?;
                Some((loose, band, &columns[kind], key_of[kind]?))
            })
            .flat_map(|(loose, band, axis, key)| {
                let (left, right) = (axis.edges[key], axis.edges[key + 1]);
                below(&loose.page, Some(band))
                    .filter(move |run| run.x0 >= left && run.x1 <= right)
                    .map(|run| loose.page.text_of(run).trim())
            }),
    );
    let mut headed: Vec<Headed> = Vec::with_capacity(sheets.len());
    for (loose, found) in sheets {
        if let Some((kind, band)) = found {
            headed.push(Headed { loose, kind, header: Some(band) });
            continue;
        }
        let page = &loose.page;
        let goes_on = |kind: usize| {
            let edges = &columns[kind].edges;
            let column = |x: f64| edges.partition_point(|edge| *edge <= x);
            let inside = page.runs.iter().filter(|run| column(run.x0 + NO_GAP) == column(run.x1 - NO_GAP)).count();
            let is_inside = inside as f64 >= page.runs.len() as f64 * MOST;
            let has_keys = key_of[kind].is_none_or(|key| {
                page.runs.iter().any(|run| column(run.x0 + NO_GAP) == key + 1 && keys.is_like(page.text_of(run).trim()))
            });
            is_inside && has_keys
        };
        let next = headed.last().map(|last| (last.kind + 1) % columns.len());
        let fitting: Vec<usize> = (0..columns.len()).filter(|kind| goes_on(*kind)).collect();
        let kind = match fitting[..] {
            [] => None,
            [only] => Some(only),
            [..] => next.filter(|next| fitting.contains(next)),
        };
        let is_table = lines_of_columns(page) >= TABLE_LINES;
        // one or two rows are no table, but the end of one
        let is_end = kind.is_some_and(|kind| key_of[kind].is_some());
        match kind.filter(|_| (is_table || is_end) && page.number > first) {
            Some(kind) => headed.push(Headed { loose, kind, header: None }),
            None if is_table => {
                let text = format!(
                    "page {}: its lines look like rows, but it has no known headers, and no other page's columns; \
                     print the headers on every page",
                    page.number
                );
                return Err(Refusal::new(RefusalCode::NoTable, text));
            }
            None => {}
        }
    }
    Ok(headed)
}

/// Reads the tables of all pages, whose columns are known.
fn tables(
    headed: &[Headed],
    kinds: &[Headings],
    columns: &[Axis],
    key_of: &[Option<usize>],
    known: &Known,
) -> Result<Vec<PageTable>, Refusal> {
    let texts: Vec<Vec<String>> = kinds.iter().map(Headings::texts).collect();
    let listed: Vec<(usize, &[String])> =
        headed.iter().map(|page| (page.loose.page.number, texts[page.kind].as_slice())).collect();
    // a spreadsheet's pages, which go down first, are put into cycles later; each is read alone
    let length = if cycle::goes_down_first(&listed) { 1 } else { cycle::length(&listed)? };

    let lines: Vec<PageLines> = headed.iter().map(|page| page_lines(page, &columns[page.kind])).collect();
    let leading = rows::leading(lines.iter());
    let margin = margin(headed, kinds, columns);
    let cycles: Vec<&[PageLines]> = lines.chunks(length).collect();
    let key_in =
        |pages: &[Headed]| pages.iter().enumerate().find_map(|(page, headed)| Some((page, key_of[headed.kind]?)));
    let keys: Vec<rows::Key> = headed.chunks(length).map(key_in).collect();
    let further = rows::further(&cycles, &keys);
    let mut tables = Vec::with_capacity(headed.len());
    for ((pages, lines), key) in headed.chunks(length).zip(cycles).zip(keys) {
        let rows = rows::bands(lines, leading, key, further)?;
        let ruled: Option<Vec<_>> = pages.iter().map(ruled_bands).collect();
        // rules may part groups of rows only
        let ruled = ruled.filter(|ruled| !rows::hold_several(&ruled[key.map_or(0, |key| key.0)].0, &rows, lines, key));
        for (number, page) in pages.iter().enumerate() {
            let (below, apart, mark) = match &ruled {
                Some(ruled) => (&ruled[number].0, None, ruled[number].1),
                None => (&rows.bands, Some(&rows.apart), Mark::Positions),
            };
            let axis = &columns[page.kind];
            let section = Section {
                columns: axis.clone(),
                above: Vec::new(),
                header: page.header,
                rows: below.iter().map(|band| Row::whole(*band)).collect(),
            };
            let margin = if kinds[page.kind].has_columns { None } else { Some(margin) };
            let mut table = fill(&page.loose.page, &section, (axis.mark, mark), margin, known)?;
            table.headers.clone_from(&texts[page.kind]);
            if let Some(apart) = apart {
                table.apart.clone_from(apart);
            }
            tables.push(table);
        }
    }
    Ok(tables)
}

fn page_lines(page: &Headed, columns: &Axis) -> PageLines {
    let mut found: HashMap<usize, Vec<TextLine>> = HashMap::new();
    for run in page.below() {
        let column = columns.edges.partition_point(|edge| *edge <= run.x0 + NO_GAP).saturating_sub(1);
        found.entry(column).or_default().push(line_of(run));
    }
    let of = |column| lines(found.remove(&column).unwrap_or_default().into_iter());
    PageLines { page: page.loose.page.number, columns: (0..columns.edges.len() - 1).map(of).collect() }
}

/// The bands below the header that a page's marks part; an open table's last row ends with its text.
fn ruled_bands(page: &Headed) -> Option<(Vec<Band>, Mark)> {
    let axis = page.loose.lattice.rows.as_ref().filter(|axis| axis.edges.len() > 2)?;
    let bottom = page.header.map_or(f64::MAX, |header| header.bottom);
    let mut edges: Vec<f64> = axis.edges.iter().copied().filter(|edge| *edge <= bottom + NO_GAP).collect();
    let is_open = bottom >= axis.edges[0];
    let lowest = page.below().map(line_of).min_by(|a, b| a.y.total_cmp(&b.y));
    let highest = edges.windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
    let is_near =
        |lowest: &TextLine| edges.last().is_some_and(|last| lowest.y < *last && last - lowest.y < highest * OPEN);
    if let Some(lowest) = lowest.filter(|lowest| is_open && is_near(lowest)) {
        edges.push(lowest.y - lowest.size);
    }
    // stripes, or a rule that is missing: the texts must tell
    let (top, low) = (*edges.first()?, *edges.last()?);
    let inside = page.below().filter(|run| (low..=top).contains(&line_of(run).y)).count();
    // footers stand far below
    let is_all = page.below().all(|run| {
        let y = line_of(run).y;
        (low..=top).contains(&y) || low - y > highest * OPEN
    });
    let bands = edges.windows(2).map(|pair| Band { top: pair[0], bottom: pair[1] }).collect();
    (is_all && inside > 0).then_some((bands, axis.mark))
}

/// What texts leave free of the columns between them: the least of all, as in columns whose words are
/// cut to fill them.
fn margin(pages: &[Headed], kinds: &[Headings], columns: &[Axis]) -> f64 {
    let mut least: Option<f64> = None;
    for page in pages.iter().filter(|page| !kinds[page.kind].has_columns) {
        let edges = &columns[page.kind].edges;
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

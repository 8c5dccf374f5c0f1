//! Which of a page's bands are one table, and which of them is its header? Where rules part everything.

use super::{
    super::pdf::{Page, TextRun},
    Band, Known,
    lattice::{Axis, Lattice, SAME_LINE},
    runs_between,
};

/// Baselines that round to the same multiple of this (points) are one line.
const SAME_HEIGHT: f64 = 2.0;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub band: Band,
    /// The columns in which its cells begin, where some reach over several; else each column has one.
    pub starts: Option<Vec<usize>>,
}

impl Row {
    /// A row all of whose columns have a cell.
    pub(crate) fn whole(band: Band) -> Self {
        Self { band, starts: None }
    }

    /// Is it one cell over the whole width of several columns?
    pub(crate) fn is_merged(&self, columns: usize) -> bool {
        columns > 1 && self.starts.as_ref().is_some_and(|starts| starts.len() == 1)
    }
}

/// A table drawn with rules: its columns, the header row if it has one, and the rows below.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub columns: Axis,
    /// The rows above the header: titles and captions over several columns.
    pub above: Vec<Row>,
    pub header: Option<Band>,
    pub rows: Vec<Row>,
}

/// A run of bands that the same outermost rules cross.
struct Block<'a> {
    bands: &'a [Band],
    crossing: &'a [Vec<f64>],
}

/// The table of a page: the one with the known headers, else the longest.
pub(crate) fn find(page: &Page, lattice: &Lattice, bands: &[Band], known: &Known) -> Option<Section> {
    let columns = lattice.columns.as_ref()?;
    // where boxes or clips part the columns, they part all rows alike
    let everywhere = vec![columns.edges.clone(); bands.len()];
    let crossing = if lattice.crossing.len() == bands.len() { &lattice.crossing } else { &everywhere };
    let blocks = blocks(bands, crossing);
    let headed = blocks.iter().enumerate().filter_map(|(number, block)| {
        let (score, at) = header_of(page, block, known)?;
        Some((score, number, at))
    });
    // of equal ones the first: a header may be printed again
    let best = headed.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let Some((_, number, at)) = best else {
        let block = blocks.iter().max_by_key(|block| block.bands.len())?;
        let edges = common_edges(block.crossing)?;
        let rows = block.rows(&edges, 0);
        return Some(Section { columns: Axis { edges, mark: columns.mark }, above: Vec::new(), header: None, rows });
    };
    let block = &blocks[number];
    let mut edges = block.crossing[at].clone();
    // a header may stand over several columns
    if let Some(common) = common_edges(&block.crossing[at + 1..]).filter(|common| holds(common, &edges)) {
        edges = common;
    }
    let mut rows = block.rows(&edges, at + 1);
    for block in &blocks[number + 1..] {
        if common_edges(block.crossing).is_some_and(|common| is_same(&common, &edges)) {
            rows.extend(block.rows(&edges, 0));
        }
    }
    let above = block.rows(&edges, 0).into_iter().take(at).collect();
    Some(Section { columns: Axis { edges, mark: columns.mark }, above, header: Some(block.bands[at]), rows })
}

impl Block<'_> {
    fn rows(&self, edges: &[f64], from: usize) -> Vec<Row> {
        let row = |(band, crossing): (&Band, &Vec<f64>)| {
            let is_crossed = |edge: f64| crossing.iter().any(|rule| (rule - edge).abs() <= SAME_LINE);
            let columns = 0..edges.len() - 1;
            let begins = |column: &usize| *column == 0 || is_crossed(edges[*column]);
            let starts = (!columns.clone().all(|column| begins(&column))).then(|| columns.filter(begins).collect());
            Row { band: *band, starts }
        };
        self.bands.iter().zip(self.crossing).skip(from).map(row).collect()
    }
}

/// Parts the bands where the outermost rules end or jump.
fn blocks<'a>(bands: &'a [Band], crossing: &'a [Vec<f64>]) -> Vec<Block<'a>> {
    let outer = |rules: &[f64]| Some((*rules.first()?, *rules.last()?)).filter(|(left, right)| left < right);
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < bands.len() {
        let Some(first) = outer(&crossing[start]) else {
            start += 1;
            continue;
        };
        let belongs = |rules: &Vec<f64>| {
            outer(rules)
                .is_some_and(|other| (other.0 - first.0).abs() <= SAME_LINE && (other.1 - first.1).abs() <= SAME_LINE)
        };
        let length = crossing[start..].iter().take_while(|rules| belongs(rules)).count();
        let range = start..start + length;
        blocks.push(Block { bands: &bands[range.clone()], crossing: &crossing[range] });
        start += length;
    }
    blocks
}

/// The rules that cross at least half of the bands that have the most.
fn common_edges(crossing: &[Vec<f64>]) -> Option<Vec<f64>> {
    let most = crossing.iter().max_by_key(|rules| rules.len())?;
    let share =
        |edge: f64| crossing.iter().filter(|rules| rules.iter().any(|rule| (rule - edge).abs() <= SAME_LINE)).count();
    // merged rows lack the inner ones
    let whole = crossing.iter().filter(|rules| rules.len() > 2).count();
    let edges: Vec<f64> = most.iter().copied().filter(|edge| share(*edge) * 2 >= whole.max(1)).collect();
    (edges.len() > 1).then_some(edges)
}

fn is_same(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && holds(one, other)
}

/// Do the edges `all` hold each of `some`?
fn holds(all: &[f64], some: &[f64]) -> bool {
    some.iter().all(|edge| all.iter().any(|other| (other - edge).abs() <= SAME_LINE))
}

/// The band of a block that is its header, and how many letters of it are known: the first one most of
/// whose texts are known headers, else the one with the most. Values may look like headers, too.
fn header_of(page: &Page, block: &Block<'_>, known: &Known) -> Option<(usize, usize)> {
    let mut best = None;
    for (at, (band, edges)) in block.bands.iter().zip(block.crossing).enumerate() {
        let texts = texts(page, *band, edges);
        let headers: Vec<&String> = texts.iter().filter(|text| known.is_header(text)).collect();
        let score: usize = headers.iter().map(|text| text.chars().count() + 1).sum();
        if !headers.is_empty() && headers.len() * 2 >= texts.iter().filter(|text| !text.is_empty()).count() {
            return Some((score, at));
        }
        if score > best.map_or(0, |(score, _)| score) {
            best = Some((score, at));
        }
    }
    best
}

/// What stands in each cell of a band, roughly: without a thought for how it is wrapped.
pub(crate) fn texts(page: &Page, band: Band, edges: &[f64]) -> Vec<String> {
    let mut cells: Vec<Vec<&TextRun>> = vec![Vec::new(); edges.len().saturating_sub(1)];
    for run in runs_between(page, band) {
        let column = edges.partition_point(|edge| *edge <= f64::midpoint(run.x0, run.x1));
        if let Some(cell) = column.checked_sub(1).and_then(|column| cells.get_mut(column)) {
            cell.push(run);
        }
    }
    let text = |mut runs: Vec<&TextRun>| {
        let line = |run: &TextRun| -(run.y / SAME_HEIGHT).round();
        runs.sort_by(|a, b| line(a).total_cmp(&line(b)).then(a.x0.total_cmp(&b.x0)));
        runs.iter().map(|run| page.text_of(run)).collect::<Vec<_>>().join(" ")
    };
    cells.into_iter().map(text).collect()
}

//! Which lines of text are one row, where nothing is drawn between rows?
//!
//! Rows of one record stand at the same height on every page of a cycle, so the lines of all its pages
//! are looked at together: lines as far apart as those of a wrapped cell belong together, wider gaps
//! part rows, and the key column, which every record fills, is the check.

use super::{
    super::{Refusal, RefusalCode, pdf::Page},
    Band, Known, MIDDLE, PageTable, runs_between,
};

/// Lines nearer than this share of the size are one line.
const SAME_LINE: f64 = 0.3;
/// Lines of a wrapped cell stand nearer than this (times the size).
const WIDEST_LEADING: f64 = 1.55;
/// How much wider than a cell's own leading a gap inside a row may be.
const SLACK: f64 = 1.1;
/// A gap between rows is wider than the next one by at least this (points).
const CLEARLY: f64 = 0.3;
/// Lines of one row begin, end or have their middle at the same height, to within this (points).
const SAME_HEIGHT: f64 = 1.5;
/// Lines further apart than this (times the leading) are never of one row.
const FAR: f64 = 1.35;
/// A row further below than this, times the usual gap between rows, stands apart ...
const APART: f64 = 1.5;
/// ... if that is this share of its size more.
const APART_SIZE: f64 = 0.5;
/// Where no gap is usual, a row this many sizes below stands apart.
const FAR_APART: f64 = 4.0;
/// From so many lines in most of its columns on, a band holds several rows.
const MANY_LINES: usize = 3;

/// A line of text: its height (of the middle of its glyphs), its size and its width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TextLine {
    pub y: f64,
    pub size: f64,
    pub width: f64,
}

/// The distinct lines among some texts, from top to bottom.
pub(crate) fn lines(runs: impl Iterator<Item = TextLine>) -> Vec<TextLine> {
    let mut all: Vec<TextLine> = runs.collect();
    all.sort_by(|a, b| b.y.total_cmp(&a.y));
    all.dedup_by(|next, last| {
        let same = last.y - next.y < last.size.min(next.size) * SAME_LINE;
        last.width += if same { next.width } else { 0.0 };
        same
    });
    all
}

/// Do rules frame several rows together? Then each column of a band holds many lines, or the key's holds
/// several, and nearly all others lines of their own beside each of them.
pub(crate) fn run_together(page: &Page, table: &PageTable, known: &Known) -> bool {
    // cells that are printed in clips of their own are cells
    if page.runs.iter().all(|run| run.clip.is_some()) {
        return false;
    }
    let key = table.headers.iter().position(|header| known.is_key(header));
    let lines_of = |band: &Band| -> Vec<Vec<TextLine>> {
        let mut cells: Vec<Vec<TextLine>> = vec![Vec::new(); table.width()];
        for run in runs_between(page, *band) {
            let column = table.columns.partition_point(|edge| *edge <= run.x0).checked_sub(1);
            if let Some(cell) = column.and_then(|column| cells.get_mut(column)) {
                cell.push(line_of(run));
            }
        }
        cells.into_iter().map(|cell| lines(cell.into_iter())).collect()
    };
    let is_framed = table.bands.len() <= 2;
    if !is_framed && key.is_none() {
        return false;
    }
    table.bands.iter().any(|band| {
        let cells = lines_of(band);
        let filled = cells.iter().filter(|lines| !lines.is_empty()).count();
        let most = |count: usize| count > 0 && count * 5 >= filled * 4;
        let many = cells.iter().filter(|lines| lines.len() >= MANY_LINES).count();
        let beside_keys = key.map(|key| &cells[key]).filter(|keys| keys.len() > 1 && filled > 1).map(|keys| {
            cells.iter().filter(|lines| !lines.is_empty() && keys.iter().all(|key| is_near(key, lines))).count()
        });
        (is_framed && most(many)) || beside_keys.is_some_and(most)
    })
}

/// One page of a cycle: its number and the lines of each of its columns below the header.
#[derive(Debug, Clone)]
pub(crate) struct PageLines {
    pub page: usize,
    pub columns: Vec<Vec<TextLine>>,
}

impl PageLines {
    fn all(&self) -> Vec<TextLine> {
        lines(self.columns.iter().flatten().copied())
    }
}

/// The distance of the lines of wrapped cells: the least one within any column.
pub(crate) fn leading<'a>(pages: impl Iterator<Item = &'a PageLines>) -> f64 {
    let columns = pages.flat_map(|page| &page.columns);
    columns.flat_map(|lines| lines.windows(2).map(|pair| pair[0].y - pair[1].y)).fold(f64::MAX, f64::min)
}

/// The rows of a cycle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bands {
    pub bands: Vec<Band>,
    /// For each row: does it stand further below the one before it than rows do?
    pub apart: Vec<bool>,
}

/// The key's place in a cycle: its page and column there.
pub(crate) type Key = Option<(usize, usize)>;

fn keys_of(cycle: &[PageLines], key: Key) -> &[TextLine] {
    key.map_or(&[], |(page, column)| cycle[page].columns[column].as_slice())
}

fn is_near(line: &TextLine, others: &[TextLine]) -> bool {
    others.iter().any(|other| (other.y - line.y).abs() < line.size * SAME_LINE)
}

/// Where the further lines of a wrapped cell stand, seen from the line of its row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Further {
    /// Cells are aligned at the top.
    Below,
    /// Cells are aligned at the bottom.
    Above,
}

/// Where further lines stand, by all that a report shows; `None` where that is not clear.
///
/// A line between two keys continues the cell above it, or begins the one below. It cannot continue
/// what is blank; and the first line of a wrapped cell is as a rule the wider one.
pub(crate) fn further(cycles: &[&[PageLines]], keys: &[Key]) -> Option<Further> {
    let (mut below, mut above) = (0, 0);
    for (cycle, key) in cycles.iter().zip(keys) {
        let anchors = keys_of(cycle, *key);
        let (Some(first), Some(last)) = (anchors.first(), anchors.last()) else { continue };
        for column in cycle.iter().flat_map(|page| &page.columns) {
            let at = |anchor: Option<&TextLine>| {
                column.iter().find(|line| anchor.is_some_and(|anchor| is_near(anchor, &[**line])))
            };
            for line in column.iter().filter(|line| !is_near(line, anchors)) {
                let upper = at(anchors.iter().rfind(|anchor| anchor.y > line.y));
                let lower = at(anchors.iter().find(|anchor| anchor.y < line.y));
                match (upper, lower) {
                    _ if line.y > first.y => above += 3,
                    _ if line.y < last.y => below += 3,
                    (Some(_), None) => below += 3,
                    (None, Some(_)) => above += 3,
                    (Some(upper), Some(_)) if upper.width > line.width => below += 1,
                    (Some(_), Some(_)) => above += 1,
                    (None, None) => {}
                }
            }
        }
    }
    match (below, above) {
        (below, above) if below > 3 * above => Some(Further::Below),
        (below, above) if above > 3 * below => Some(Further::Above),
        _ => None,
    }
}

/// Tells the rows of one cycle apart.
///
/// # Errors
/// `pages_disagree` where rows cannot be told apart, or lie differently on the pages.
pub(crate) fn bands(cycle: &[PageLines], leading: f64, key: Key, further: Option<Further>) -> Result<Bands, Refusal> {
    let all = lines(cycle.iter().flat_map(|page| page.columns.iter().flatten().copied()));
    let is_wrapping = all.first().is_some_and(|line| leading <= line.size * WIDEST_LEADING);
    let gap = |upper: &TextLine| if is_wrapping { leading * SLACK } else { upper.size * SAME_LINE };
    let keys = keys_of(cycle, key);
    let mut groups = group(&all, gap);
    let holds_many = |group: &Vec<TextLine>| {
        let anchors: Vec<usize> = (0..group.len()).filter(|at| is_near(&group[*at], keys)).collect();
        // a key of two lines stands alone among rows that are well apart
        anchors.len() > 2 || (anchors.len() == 2 && (anchors[1] > anchors[0] + 1 || groups.len() == 1))
    };
    if groups.iter().any(holds_many) {
        groups = part_by_key(&group(&all, |_| leading * FAR), keys, further, cycle[0].page)?;
    }
    if let Some(page) = cycle.iter().find(|page| !fits(page, &groups, &cycle[0])) {
        let text = format!(
            "the rows of page {} do not stand where those of page {} do: they cannot belong together",
            page.page, cycle[0].page
        );
        return Err(Refusal::new(RefusalCode::PagesDisagree, text));
    }
    Ok(Bands { bands: edges(&groups), apart: apart(&groups) })
}

/// Does any of `ruled` hold the keys of several rows that their positions tell apart?
pub(crate) fn hold_several(ruled: &[Band], rows: &Bands, cycle: &[PageLines], key: Key) -> bool {
    let within = |band: &Band, y: f64| y < band.top && y >= band.bottom;
    let keys = keys_of(cycle, key);
    ruled.iter().any(|band| {
        let own = rows.bands.iter().filter(|row| within(band, f64::midpoint(row.top, row.bottom))).count();
        own > 1 && (key.is_none() || keys.iter().filter(|line| within(band, line.y)).count() > 1)
    })
}

/// Which rows stand further below the one before than rows do?
fn apart(groups: &[Vec<TextLine>]) -> Vec<bool> {
    let gap = |at: usize| groups[at - 1][groups[at - 1].len() - 1].y - groups[at][0].y;
    let mut gaps: Vec<f64> = (1..groups.len()).map(gap).collect();
    gaps.sort_by(f64::total_cmp);
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
    let is_apart = |at: usize| {
        let (gap, size) = (gap(at), groups[at][0].size);
        // two rows show no usual gap
        if gaps.len() < 2 { gap > size * FAR_APART } else { gap > usual * APART && gap > usual + size * APART_SIZE }
    };
    (0..groups.len()).map(|at| at > 0 && is_apart(at)).collect()
}

/// Do the lines of each row begin, end or have their middle where those of the same row on another page
/// do, as cells aligned at the top, the bottom or the middle have it?
fn fits(page: &PageLines, groups: &[Vec<TextLine>], other: &PageLines) -> bool {
    let (own, others) = (page.all(), other.all());
    groups.iter().all(|group| {
        let within = |lines: &[TextLine]| {
            let mut lines = lines.iter().filter(|line| is_near(line, group)).map(|line| line.y);
            let first = lines.next()?;
            Some((first, lines.next_back().unwrap_or(first)))
        };
        let same = |a: f64, b: f64| (a - b).abs() < SAME_HEIGHT;
        match (within(&own), within(&others)) {
            (Some(a), Some(b)) => {
                same(a.0, b.0) || same(a.1, b.1) || same(f64::midpoint(a.0, a.1), f64::midpoint(b.0, b.1))
            }
            _ => true,
        }
    })
}

fn group(lines: &[TextLine], gap: impl Fn(&TextLine) -> f64) -> Vec<Vec<TextLine>> {
    lines.chunk_by(|upper, lower| upper.y - lower.y <= gap(upper)).map(<[TextLine]>::to_vec).collect()
}

/// Parts rows that stand as near to each other as the lines of a cell: between two keys, where further
/// lines are known to stand, else at the one widest gap.
fn part_by_key(
    groups: &[Vec<TextLine>],
    keys: &[TextLine],
    further: Option<Further>,
    page: usize,
) -> Result<Vec<Vec<TextLine>>, Refusal> {
    let mut parted = Vec::with_capacity(groups.len());
    for group in groups {
        let anchors: Vec<usize> = (0..group.len()).filter(|at| is_near(&group[*at], keys)).collect();
        let mut start = 0;
        for pair in anchors.windows(2) {
            let end = match further {
                Some(Further::Below) => pair[1],
                Some(Further::Above) => pair[0] + 1,
                None => widest_gap(group, pair[0], pair[1]).ok_or_else(|| {
                    let text = format!("page {page}: no rules are drawn and the rows stand too close to be told apart");
                    Refusal::new(RefusalCode::PagesDisagree, text)
                })?,
            };
            parted.push(group[start..end].to_vec());
            start = end;
        }
        parted.push(group[start..].to_vec());
    }
    Ok(parted)
}

/// The line after the widest gap between two lines of a group, if one is clearly the widest.
fn widest_gap(group: &[TextLine], from: usize, to: usize) -> Option<usize> {
    let mut gaps: Vec<(f64, usize)> = (from..to).map(|at| (group[at].y - group[at + 1].y, at + 1)).collect();
    gaps.sort_by(|a, b| b.0.total_cmp(&a.0));
    let is_clear = gaps.get(1).is_none_or(|second| gaps[0].0 - second.0 >= CLEARLY);
    gaps.first().filter(|_| is_clear).map(|gap| gap.1)
}

/// Puts the edge between two rows in the middle of the gap between them.
fn edges(groups: &[Vec<TextLine>]) -> Vec<Band> {
    let ends: Vec<(TextLine, TextLine)> = groups.iter().map(|group| (group[0], group[group.len() - 1])).collect();
    let between = |above: TextLine, below: TextLine| f64::midpoint(above.y, below.y);
    (0..ends.len())
        .map(|at| {
            let (first, last) = ends[at];
            let top = at.checked_sub(1).map_or(first.y + first.size, |above| between(ends[above].1, first));
            let bottom = ends.get(at + 1).map_or(last.y - last.size, |below| between(last, below.0));
            Band { top, bottom }
        })
        .collect()
}

/// The line of a run: where the middle of its glyphs is.
pub(crate) fn line_of(run: &super::TextRun) -> TextLine {
    TextLine { y: run.y + run.size * MIDDLE, size: run.size, width: run.x1 - run.x0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(heights: &[f64]) -> Vec<TextLine> {
        heights.iter().map(|y| TextLine { y: *y, size: 10.0, width: 50.0 }).collect()
    }

    fn page(page: usize, columns: &[&[f64]]) -> PageLines {
        PageLines { page, columns: columns.iter().map(|heights| column(heights)).collect() }
    }

    fn tops(cycle: &[PageLines], key: Key) -> Result<usize, RefusalCode> {
        bands(cycle, leading(cycle.iter()), key, None).map(|rows| rows.bands.len()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn wider_gaps_part_rows_and_wrapped_lines_stay_together() {
        // two rows; the second cell of the first row has two lines, of the other page three, centred
        let first = page(1, &[&[100.0, 60.0], &[106.0, 94.0, 60.0]]);
        let second = page(2, &[&[112.0, 100.0, 88.0], &[60.0]]);
        assert_eq!(tops(&[first, second], Some((0, 0))), Ok(2));
    }

    #[test]
    fn a_row_that_is_blank_on_one_page_is_a_row() {
        assert_eq!(tops(&[page(1, &[&[100.0, 80.0, 60.0]]), page(2, &[&[100.0, 60.0]])], Some((0, 0))), Ok(3));
    }

    #[test]
    fn single_lines_as_tight_as_wrapped_ones_are_parted_by_their_keys() {
        let cycle = [page(1, &[&[100.0, 88.0, 76.0, 64.0], &[100.0, 76.0]])];
        assert_eq!(tops(&cycle, Some((0, 0))), Ok(4));
        // the line between two keys stands nearer to the second: text at the bottom of its cell
        let bottom = [page(1, &[&[100.0, 84.5, 70.0], &[100.0, 92.0, 84.5, 70.0]])];
        assert_eq!(tops(&bottom, Some((0, 0))), Ok(3));
        // where every gap is alike, a line cannot continue a blank cell
        let top = [page(1, &[&[100.0, 80.0, 60.0], &[100.0, 90.0, 60.0]])];
        assert_eq!(further(&[&top], &[Some((0, 0))]), Some(Further::Below));
        let undecided = [page(1, &[&[100.0, 80.0, 60.0], &[100.0, 90.0, 80.0, 70.0, 60.0]])];
        assert_eq!(tops(&undecided, Some((0, 0))), Err(RefusalCode::PagesDisagree));
    }

    #[test]
    fn rows_that_lie_between_those_of_another_page_are_not_joined() {
        let wrapped = page(1, &[&[100.0, 70.0, 40.0], &[106.0, 94.0, 70.0, 40.0]]);
        let shifted = page(2, &[&[88.0, 58.0, 28.0]]);
        assert_eq!(tops(&[wrapped.clone(), shifted], None), Err(RefusalCode::PagesDisagree));
        assert_eq!(tops(&[wrapped, page(2, &[&[100.0, 70.0, 40.0]])], None), Ok(3));
    }
}

//! Where are the edges of columns and rows? Rules, else filled boxes, else clips.

use super::{
    super::pdf::{Page, Rect, Rule, TextRun},
    MIDDLE, Mark,
};

/// Marks nearer to each other than this (points) are one edge: borders of neighbouring cells.
pub(crate) const SAME_LINE: f64 = 3.0;
/// An edge's marks together are at least this share of the longest edge's.
const SHARE: f64 = 0.25;
/// A rule ends on one that crosses it, to within this (points).
const TOUCH: f64 = 3.0;
/// Edges nearer than this share of the smallest text's size are a double rule if nothing stands between.
const DOUBLE: f64 = 0.7;
/// Rules times bands of one page: beyond, rules are not looked at band by band.
const MOST_CROSSINGS: usize = 20_000_000;
/// A box that covers more than this share of a page's width and height is its background.
const BACKGROUND: f64 = 0.9;
/// Columns on one page, at most.
const MOST_COLUMNS: usize = 200;
/// The share of the texts that stand within the edges of a table drawn with rules.
const MOST: f64 = 0.8;
/// A clip narrower or lower than this (points) is no cell's.
const SMALLEST_CELL: f64 = 4.0;

/// The edges along one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    /// From left to right, or from top to bottom.
    pub edges: Vec<f64>,
    /// What they were found by.
    pub mark: Mark,
}

/// What a page's marks say; `None` where they separate nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Lattice {
    /// The columns' edges.
    pub columns: Option<Axis>,
    /// The rows' edges.
    pub rows: Option<Axis>,
    /// Where rules part both: for each band between two rows' edges, the rules that cross it.
    pub crossing: Vec<Vec<f64>>,
}

/// A mark across an axis: where it stands, and from where to where it reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    at: f64,
    from: f64,
    to: f64,
}

impl Lattice {
    /// Finds the edges of a page's table.
    #[must_use]
    pub(crate) fn of(page: &Page) -> Self {
        let (mut vertical, mut horizontal) = (Vec::new(), Vec::new());
        for rule in &page.rules {
            match *rule {
                Rule::Vertical { x, y0, y1 } => vertical.push(Line { at: x, from: y0, to: y1 }),
                Rule::Horizontal { y, x0, x1 } => horizontal.push(Line { at: y, from: x0, to: x1 }),
            }
        }
        vertical.sort_unstable_by(|a: &Line, b| a.at.total_cmp(&b.at));
        let mut lattice = Self::by(vertical.clone(), horizontal, Mark::Rules).checked(page, MOST).single(page);
        lattice.close(&vertical, page);
        lattice.crossing = lattice.crossing_by(&vertical);
        let room = double_room(page);
        let is_near = |rules: &Vec<f64>| rules.windows(2).any(|pair| pair[1] - pair[0] < room);
        for rules in lattice.crossing.iter_mut().filter(|rules| is_near(rules)) {
            *rules = merged(rules, |left, right| is_double(page, left, right, room));
        }
        if lattice.columns.is_none() || lattice.rows.is_none() {
            // every other row may lack its box, also the last
            lattice = lattice.or(|| Self::by_boxes(page).checked(page, 1.0));
        }
        if lattice.columns.is_none() {
            lattice = lattice.or(|| Self::by_clips(page));
        }
        lattice
    }

    fn or(self, other: impl FnOnce() -> Self) -> Self {
        let other = other();
        Self { columns: self.columns.or(other.columns), rows: self.rows.or(other.rows), crossing: Vec::new() }
    }

    /// A last row without its lower rule ends where the rules between its cells do.
    fn close(&mut self, vertical: &[Line], page: &Page) {
        let (Some(columns), Some(rows)) = (&self.columns, &mut self.rows) else { return };
        let last = rows.edges[rows.edges.len() - 1];
        let reaching: Vec<&Line> =
            vertical.iter().filter(|line| line.to >= last - SAME_LINE && line.from < last - SMALLEST_CELL).collect();
        let end = reaching.iter().map(|line| line.from).fold(last, f64::min);
        let mut crossing: Vec<f64> =
            reaching.iter().filter(|line| line.from - end < SAME_LINE).map(|line| line.at).collect();
        crossing.sort_by(f64::total_cmp);
        crossing.dedup_by(|next, before| *next - *before <= SAME_LINE);
        let middle = |run: &TextRun| run.y + run.size * MIDDLE;
        let has_text = page.runs.iter().map(middle).any(|y| y < last && y > end);
        if has_text && crossing.len() * 2 > columns.edges.len() {
            rows.edges.push(end);
        }
    }

    /// Makes one edge of two that nothing stands between: double rules.
    fn single(mut self, page: &Page) -> Self {
        let room = double_room(page);
        if let Some(rows) = &mut self.rows {
            let middle = |run: &TextRun| (run.y + run.size * MIDDLE, run.y + run.size * MIDDLE);
            rows.edges = merged(&rows.edges, |upper, lower| {
                upper - lower < room && !page.runs.iter().map(middle).any(|(y, _)| y < upper && y > lower)
            });
        }
        if let Some(columns) = &mut self.columns {
            columns.edges = merged(&columns.edges, |left, right| is_double(page, left, right, room));
        }
        self
    }

    /// For each band, the rules that cross it; both from left to right.
    fn crossing_by(&self, vertical: &[Line]) -> Vec<Vec<f64>> {
        let (Some(columns), Some(rows)) = (&self.columns, &self.rows) else { return Vec::new() };
        if vertical.len() * rows.edges.len() > MOST_CROSSINGS {
            return Vec::new();
        }
        // each cell draws its own borders
        let usual = || Vec::with_capacity(columns.edges.len() * 2);
        let mut crossing: Vec<Vec<f64>> = (1..rows.edges.len()).map(|_| usual()).collect();
        for line in vertical {
            // edges run from top to bottom
            let first = rows.edges.partition_point(|edge| *edge > line.to + SAME_LINE);
            for (band, edges) in rows.edges.windows(2).enumerate().skip(first) {
                let middle = f64::midpoint(edges[0], edges[1]);
                if middle < line.from {
                    break;
                }
                if middle <= line.to {
                    crossing[band].push(line.at);
                }
            }
        }
        for rules in &mut crossing {
            rules.dedup_by(|next, last| *next - *last <= SAME_LINE);
        }
        crossing
    }

    fn by(mut vertical: Vec<Line>, mut horizontal: Vec<Line>, mark: Mark) -> Self {
        for lines in [&mut vertical, &mut horizontal] {
            lines.sort_unstable_by(|a, b| a.at.total_cmp(&b.at));
        }
        // an underlined text is no edge: edges end where they meet another
        let columns = edges(&vertical);
        if columns.len() > 1 {
            horizontal.retain(|line| touches(line, &columns));
        }
        let rows = edges(&horizontal);
        if rows.len() > 1 {
            vertical.retain(|line| touches(line, &rows));
        }
        let columns = edges(&vertical);
        let axis = |edges: Vec<f64>, least: usize| (edges.len() >= least).then_some(Axis { edges, mark });
        let rows = axis(rows.into_iter().rev().collect(), 2);
        Self { columns: axis(columns, 2), rows, crossing: Vec::new() }
    }

    /// Backgrounds of cells or rows.
    fn by_boxes(page: &Page) -> Self {
        let (mut vertical, mut horizontal) = (Vec::new(), Vec::new());
        let is_background =
            |shape: &Rect| shape.width() > page.size.0 * BACKGROUND && shape.height() > page.size.1 * BACKGROUND;
        for shape in page.boxes.iter().filter(|shape| !is_background(shape)) {
            let (x0, x1, y0, y1) = (shape.x0, shape.x1, shape.y0, shape.y1);
            vertical.extend([x0, x1].map(|at| Line { at, from: y0, to: y1 }));
            horizontal.extend([y0, y1].map(|at| Line { at, from: x0, to: x1 }));
        }
        Self::by(vertical, horizontal, Mark::Boxes)
    }

    /// The clips around cells' texts: they tell columns apart; rows only where no cell is blank, so
    /// rows are left to the texts.
    fn by_clips(page: &Page) -> Self {
        let mut spans: Vec<(f64, f64)> = Vec::new();
        for run in &page.runs {
            let Some(clip) = run.clip.map(|clip| page.clips[clip as usize]) else { return Self::default() };
            if clip.width() < SMALLEST_CELL || clip.width() > page.size.0 * BACKGROUND {
                return Self::default();
            }
            match spans.iter().find(|span| span.0 < clip.x1 - SAME_LINE && span.1 > clip.x0 + SAME_LINE) {
                Some(span) if (span.0 - clip.x0).abs() < SAME_LINE && (span.1 - clip.x1).abs() < SAME_LINE => {}
                Some(_) => return Self::default(),
                None if spans.len() == MOST_COLUMNS => return Self::default(),
                None => spans.push((clip.x0, clip.x1)),
            }
        }
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Self::default() };
        let between = spans.windows(2).map(|pair| f64::midpoint(pair[0].1, pair[1].0));
        let edges = std::iter::once(first.0).chain(between).chain([last.1]).collect();
        Self { columns: Some(Axis { edges, mark: Mark::Clips }), rows: None, crossing: Vec::new() }
    }

    /// Drops an axis that leaves much of the text outside, and bands before the text begins.
    fn checked(mut self, page: &Page, share: f64) -> Self {
        let inside = |axis: &Axis, position: &dyn Fn(usize) -> f64| {
            let (low, high) = (
                axis.edges[0].min(axis.edges[axis.edges.len() - 1]),
                axis.edges[0].max(axis.edges[axis.edges.len() - 1]),
            );
            let count = (0..page.runs.len()).filter(|run| (low..=high).contains(&position(*run))).count();
            count as f64 >= page.runs.len() as f64 * share
        };
        let x = |run: usize| page.runs[run].x0;
        let y = |run: usize| page.runs[run].y + page.runs[run].size * MIDDLE;
        self.columns = self.columns.filter(|axis| inside(axis, &x));
        self.rows = self.rows.filter(|axis| inside(axis, &y));
        if let Some(rows) = &mut self.rows {
            // a frame around the page leaves an empty band above the header
            let has_text = |edges: &[f64]| {
                (0..page.runs.len()).any(|run| {
                    y(run) < edges[0]
                        && y(run) >= edges[1]
                        && self.columns.as_ref().is_none_or(|axis| x(run) >= axis.edges[0])
                })
            };
            while rows.edges.len() > 2 && !has_text(&rows.edges[..2]) {
                rows.edges.remove(0);
            }
        }
        self
    }
}

/// Rules nearer than this (points) may be a double one.
fn double_room(page: &Page) -> f64 {
    let smallest = page.runs.iter().map(|run| run.size).fold(f64::MAX, f64::min);
    if smallest < f64::MAX { (smallest * DOUBLE).max(SAME_LINE) } else { SAME_LINE }
}

/// Are two upright rules one double rule, with no text between?
fn is_double(page: &Page, left: f64, right: f64, room: f64) -> bool {
    let middle = |run: &TextRun| f64::midpoint(run.x0, run.x1);
    right - left < room && !page.runs.iter().map(middle).any(|x| x > left && x < right)
}

/// Joins neighbouring edges into one between them.
fn merged(edges: &[f64], is_one: impl Fn(f64, f64) -> bool) -> Vec<f64> {
    let mut merged: Vec<f64> = Vec::with_capacity(edges.len());
    for edge in edges {
        match merged.last_mut() {
            Some(last) if is_one(*last, *edge) => *last = f64::midpoint(*last, *edge),
            _ => merged.push(*edge),
        }
    }
    merged
}

fn touches(line: &Line, crossing: &[f64]) -> bool {
    let meets = |end: f64| {
        let after = crossing.partition_point(|at| *at < end - TOUCH);
        crossing.get(after).is_some_and(|at| *at <= end + TOUCH)
    };
    let (first, last) = (crossing[0], crossing[crossing.len() - 1]);
    (meets(line.from) && meets(line.to)) || (line.from <= first && line.to >= last)
}

/// Joins marks that stand on one edge, and drops edges that are too short together; all ascending.
fn edges(lines: &[Line]) -> Vec<f64> {
    let mut edges: Vec<(f64, f64, f64)> = Vec::new(); // first position, last position, length
    for line in lines {
        let length = line.to - line.from;
        match edges.last_mut() {
            Some(edge) if line.at - edge.1 <= SAME_LINE => {
                edge.1 = line.at;
                edge.2 += length;
            }
            _ => edges.push((line.at, line.at, length)),
        }
    }
    let longest = edges.iter().map(|edge| edge.2).fold(0.0, f64::max);
    edges.iter().filter(|edge| edge.2 >= longest * SHARE).map(|edge| f64::midpoint(edge.0, edge.1)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::page_of, *};

    #[test]
    fn neighbouring_borders_are_one_edge_and_strays_are_none() {
        let line = |at, to| Line { at, from: 0.0, to };
        let lines = [line(72.4, 100.0), line(117.6, 100.0), line(118.2, 100.0), line(200.0, 4.0), line(300.0, 100.0)];
        assert_eq!(edges(&lines).iter().map(|x| x.round()).collect::<Vec<_>>(), [72.0, 118.0, 300.0]);
    }

    #[test]
    fn underlines_are_no_rows() {
        let mut page = page_of(&[(2.0, 30.0, 92.0, "ID"), (2.0, 30.0, 72.0, "link")]);
        page.rules.extend([100.0, 80.0, 60.0].map(|y| Rule::Horizontal { y, x0: 0.0, x1: 100.0 }));
        page.rules.extend([0.0, 50.0, 100.0].map(|x| Rule::Vertical { x, y0: 60.0, y1: 100.0 }));
        page.rules.push(Rule::Horizontal { y: 71.0, x0: 5.0, x1: 40.0 });
        assert_eq!(Lattice::of(&page).rows.unwrap().edges, [100.0, 80.0, 60.0]);
    }

    #[test]
    fn zebra_stripes_tell_rows_and_header_boxes_columns() {
        let mut page = page_of(&[(2.0, 30.0, 92.0, "ID"), (52.0, 80.0, 72.0, "1"), (52.0, 80.0, 52.0, "2")]);
        page.size = (600.0, 800.0);
        page.boxes.push(Rect { x0: 0.0, x1: 600.0, y0: 0.0, y1: 800.0 });
        page.boxes.extend([(100.0, 80.0), (60.0, 40.0)].map(|(y1, y0)| Rect { x0: 0.0, x1: 100.0, y0, y1 }));
        let lattice = Lattice::of(&page);
        assert_eq!(lattice.rows.unwrap(), Axis { edges: vec![100.0, 80.0, 60.0, 40.0], mark: Mark::Boxes });
    }

    #[test]
    fn clips_tell_columns() {
        let mut page = page_of(&[(2.0, 30.0, 92.0, "ID"), (62.0, 80.0, 92.0, "NOME"), (2.0, 30.0, 72.0, "1")]);
        page.size = (600.0, 800.0);
        page.clips =
            vec![Rect { x0: 0.4, x1: 59.6, y0: 60.0, y1: 100.0 }, Rect { x0: 60.4, x1: 99.6, y0: 80.0, y1: 100.0 }];
        for (run, clip) in [(0, 0), (1, 1), (2, 0)] {
            page.runs[run].clip = Some(clip);
        }
        assert_eq!(Lattice::of(&page).columns.unwrap(), Axis { edges: vec![0.4, 60.0, 99.6], mark: Mark::Clips });
        page.runs[2].clip = None;
        assert_eq!(Lattice::of(&page), Lattice::default());
    }
}

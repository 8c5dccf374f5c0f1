//! Which lines of a page are no rows, where nothing is drawn? Footers, page numbers and notes that stand
//! apart from the rows, or at the same place of most pages.

use std::collections::HashMap;

use super::{
    super::{
        pdf::{Page, TextRun},
        shape::Shapes,
    },
    Band,
    headings::Headings,
    lines::SAME_BASELINE,
    rows::line_of,
};

/// What stands further below the rows than this, times the widest gap between rows, stands apart ...
const APART: f64 = 1.3;
/// ... and at least this many times its size.
const APART_SIZES: f64 = 2.0;
/// Where there is no other gap, so many times its size.
const FAR_APART: f64 = 4.0;
/// Furniture stands on at least this share of the pages.
const MOST_PAGES: f64 = 0.6;
/// Places that differ by less (points) are the same.
const SAME_PLACE: f64 = 1.0;
/// A line with fewer texts than this share of the fullest one, of which one reaches over several
/// columns, shows no columns.
const FULL: f64 = 0.7;

/// A line of text below the header.
#[derive(Debug)]
pub(crate) struct Line {
    y: f64,
    size: f64,
    /// From where to where each text reaches: words that a blank parts are one.
    pub spans: Vec<(f64, f64)>,
    texts: Vec<String>,
    runs: Vec<u32>,
    /// Does a text of it reach over the beginnings of several columns?
    crosses: bool,
}

/// A line whose columns are known.
#[derive(Debug)]
pub(crate) struct Filled {
    line: Line,
    /// What stands in the key's column.
    key: Option<String>,
    /// How many columns it fills, of how many.
    columns: (usize, usize),
}

impl Filled {
    /// Has it too few texts for a row?
    fn is_sparse(&self) -> bool {
        self.columns.0 * 2 < self.columns.1
    }

    /// Its texts with their digits made alike, and where it stands.
    fn place(&self, masks: bool) -> (i64, i64, String) {
        let texts = self.line.texts.iter().flat_map(|text| text.chars().chain(['|']));
        let text = texts.map(|c| if masks && c.is_ascii_digit() { '#' } else { c }).collect();
        let round = |place: f64| (place / SAME_PLACE).round() as i64;
        (round(self.line.y), round(self.line.spans.first().map_or(0.0, |span| span.0)), text)
    }
}

/// The lines of a page below its header, from top to bottom.
pub(crate) fn lines(page: &Page, header: Band, headings: &Headings) -> Vec<Line> {
    let mut runs: Vec<(u32, &TextRun)> =
        (0..).zip(&page.runs).filter(|(_, run)| line_of(run).y < header.bottom).collect();
    runs.sort_by(|a, b| b.1.y.total_cmp(&a.1.y));
    let line = |line: &mut [(u32, &TextRun)]| {
        line.sort_by(|a, b| a.1.x0.total_cmp(&b.1.x0));
        // two strings may be two cells, however near
        let texts = line.chunk_by(|left, right| page.is_one_text(left.1, right.1));
        let (mut spans, mut said) = (Vec::new(), Vec::new());
        for runs in texts {
            spans.push((runs[0].1.x0, runs[runs.len() - 1].1.x1));
            said.push(runs.iter().map(|(_, run)| page.text_of(run).trim()).collect::<Vec<_>>().join(" "));
        }
        let reaches_over = |span: &(f64, f64)| {
            headings.all.iter().filter(|heading| heading.x0 < span.1 - 1.0 && heading.x1 > span.0 + 1.0).count() > 1
        };
        Line {
            y: line[0].1.y,
            size: line[0].1.size,
            crosses: spans.iter().any(reaches_over),
            spans,
            texts: said,
            runs: line.iter().map(|(number, _)| *number).collect(),
        }
    };
    runs.chunk_by_mut(|a, b| a.1.y - b.1.y < a.1.size * SAME_BASELINE).map(line).collect()
}

/// The lines that show where columns are: captions, and what else reaches over several alone, do not.
pub(crate) fn showing_columns(lines: Vec<Line>) -> impl Iterator<Item = Line> {
    let fullest = lines.iter().map(|line| line.texts.len()).max().unwrap_or(0) as f64;
    lines
        .into_iter()
        .filter(move |line| !line.crosses || (line.texts.len() > 1 && line.texts.len() as f64 >= fullest * FULL))
}

/// Tells which columns lines fill; `edges` are the columns'.
pub(crate) fn fill(page: &Page, lines: Vec<Line>, edges: &[f64], key: Option<usize>) -> Vec<Filled> {
    let column = |x: f64| edges.partition_point(|edge| *edge <= x).checked_sub(1);
    let fill = |line: Line| {
        let own = |column_number: usize| {
            let words = line.runs.iter().map(|run| &page.runs[*run as usize]);
            let words = words.filter(|run| column(run.x0 + SAME_PLACE / 2.0) == Some(column_number));
            words.map(|run| page.text_of(run).trim()).collect::<Vec<_>>().join(" ")
        };
        let key = key.map(own).filter(|text| !text.is_empty());
        let mut filled: Vec<Option<usize>> =
            line.runs.iter().map(|run| column(page.runs[*run as usize].x0 + SAME_PLACE / 2.0)).collect();
        filled.sort_unstable();
        filled.dedup();
        Filled { key, columns: (filled.len(), edges.len() - 1), line }
    };
    lines.into_iter().map(fill).collect()
}

/// For each page, the runs that are no part of its rows.
pub(crate) fn find(pages: &[Vec<Filled>]) -> Vec<Vec<u32>> {
    let rows = pages.iter().flatten().filter(|line| !line.is_sparse());
    let keys = Shapes::learn(rows.filter_map(|line| line.key.as_deref()));
    let headed = pages.iter().filter(|lines| !lines.is_empty()).count();
    let mut places: HashMap<(i64, i64, String), usize> = HashMap::new();
    for line in pages.iter().flatten() {
        *places.entry(line.place(false)).or_default() += 1;
        *places.entry(line.place(true)).or_default() += usize::from(line.place(true) != line.place(false));
    }
    let is_everywhere = |line: &Filled, masks: bool| {
        let pages = places.get(&line.place(masks)).copied().unwrap_or(0);
        headed > 1 && pages > 1 && pages as f64 >= headed as f64 * MOST_PAGES
    };
    let has_key = |line: &Filled| line.key.as_deref().is_some_and(|key| keys.is_like(key));
    // rows stand at the same heights on all pages of a cycle: without keys, those of the page before tell
    let mut lowest: Option<f64> = None;
    let mut find_in = |lines: &Vec<Filled>| {
        let is_keyed = lines.iter().any(|line| line.key.is_some());
        let from = if is_keyed { f64::MAX } else { lowest.unwrap_or(f64::MIN) };
        let tail = tail(lines, from, &has_key);
        let last_key = lines.iter().rposition(&has_key).filter(|_| is_keyed);
        let mut dropped = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let is_below = last_key.is_some_and(|last| number > last);
            let is_repeated = is_everywhere(line, false) || (line.is_sparse() && is_everywhere(line, true));
            let is_furniture = if number >= tail {
                !has_key(line) || line.is_sparse()
            } else {
                is_below && !has_key(line) && is_repeated
            };
            if is_furniture {
                dropped.extend(&line.line.runs);
            } else if is_keyed {
                lowest = Some(line.line.y);
            }
        }
        dropped
    };
    pages.iter().map(&mut find_in).collect()
}

/// The first line of what stands apart below the rows, and below `from`, and holds none.
fn tail(lines: &[Filled], from: f64, has_key: &dyn Fn(&Filled) -> bool) -> usize {
    let mut widest: f64 = 0.0;
    for number in 1..lines.len() {
        let (above, below) = (&lines[number - 1].line, &lines[number].line);
        let gap = above.y - below.y;
        let far = if number < 2 { below.size * FAR_APART } else { widest * APART };
        let is_apart = gap > below.size * APART_SIZES && gap > far;
        // a full row with something in the key's column is a row, whatever that looks like
        let holds_none = |line: &Filled| {
            line.key.is_none() || line.columns.0 == 1 || (!has_key(line) && (line.is_sparse() || line.line.crosses))
        };
        if is_apart && below.y < from && lines[number..].iter().all(holds_none) {
            return number;
        }
        widest = widest.max(gap);
    }
    lines.len()
}

//! Which lines of a page are no rows, where nothing is drawn? Footers, page numbers and notes that stand
//! apart from the rows, or at the same place of most pages.

use std::collections::HashMap;

use super::{
    super::{
        pdf::{Page, Run},
        shape::Shapes,
    },
    Band,
    headings::Headings,
    lines::SAME_BASELINE,
    rows::line_of,
};

/// Words nearer than this (times the size) are one text.
const WITHIN_TEXT: f64 = 0.7;
/// What stands further below the rows than this, times the widest gap between rows, stands apart ...
const APART: f64 = 1.3;
/// ... and at least this many times its size.
const APART_SIZES: f64 = 2.0;
/// Furniture stands on at least this share of the pages.
const MOST_PAGES: f64 = 0.6;
/// Places that differ by less (points) are the same.
const SAME_PLACE: f64 = 1.0;

/// A line of text below the header.
#[derive(Debug)]
pub struct Line {
    y: f64,
    size: f64,
    /// Left ends, texts: words that stand near each other are one.
    texts: Vec<(f64, String)>,
    /// From where to where each word reaches.
    pub spans: Vec<(f64, f64)>,
    runs: Vec<u32>,
    /// What stands in the key's column.
    key: Option<String>,
    /// Does a text of it reach over the beginnings of several columns?
    crosses: bool,
    headings: usize,
}

impl Line {
    /// Has it too few texts for a row?
    fn is_sparse(&self) -> bool {
        self.texts.len() * 2 < self.headings
    }

    /// Is it a text over several columns that hardly anything stands beside?
    pub fn is_caption(&self) -> bool {
        self.crosses && self.is_sparse()
    }

    /// Its texts with their digits made alike, and where it stands.
    fn place(&self, masks: bool) -> (i64, i64, String) {
        let texts = self.texts.iter().flat_map(|(_, text)| text.chars().chain(['|']));
        let text = texts.map(|c| if masks && c.is_ascii_digit() { '#' } else { c }).collect();
        let round = |place: f64| (place / SAME_PLACE).round() as i64;
        (round(self.y), round(self.texts.first().map_or(0.0, |text| text.0)), text)
    }
}

/// The lines of a page below its header, from top to bottom.
pub fn lines(page: &Page, header: Band, headings: &Headings, key: Option<usize>) -> Vec<Line> {
    let mut runs: Vec<(u32, &Run)> =
        (0..).zip(&page.runs).filter(|(_, run)| line_of(run).y < header.bottom).collect();
    runs.sort_by(|a, b| b.1.y.total_cmp(&a.1.y));
    let line = |line: &mut [(u32, &Run)]| {
        line.sort_by(|a, b| a.1.x0.total_cmp(&b.1.x0));
        let texts = line.chunk_by(|left, right| right.1.x0 - left.1.x1 < left.1.size * WITHIN_TEXT);
        let texts: Vec<(f64, f64, String)> = texts
            .map(|runs| {
                let words: Vec<&str> = runs.iter().map(|(_, run)| page.text_of(run).trim()).collect();
                (runs[0].1.x0, runs[runs.len() - 1].1.x1, words.join(" "))
            })
            .collect();
        let begins = |text: &(f64, f64, String)| {
            headings.all.iter().filter(|heading| heading.x0 > text.0 + 1.0 && heading.x0 < text.1 - 1.0).count()
        };
        let crosses = texts.iter().any(|text| begins(text) > 0 && !is_below_one(headings, text.0, text.1));
        let key = key.and_then(|key| {
            texts.iter().find(|text| headings.nearest(text.0, text.1) == Some(key)).map(|text| text.2.clone())
        });
        Line {
            y: line[0].1.y,
            size: line[0].1.size,
            spans: line.iter().map(|(_, run)| (run.x0, run.x1)).collect(),
            runs: line.iter().map(|(number, _)| *number).collect(),
            texts: texts.into_iter().map(|(x0, _, text)| (x0, text)).collect(),
            key,
            crosses,
            headings: headings.all.len(),
        }
    };
    runs.chunk_by_mut(|a, b| a.1.y - b.1.y < a.1.size * SAME_BASELINE).map(line).collect()
}

/// Right-aligned and centred texts begin before their header and end with it.
fn is_below_one(headings: &Headings, x0: f64, x1: f64) -> bool {
    headings.all.iter().filter(|heading| heading.x0 < x1 && heading.x1 > x0).count() < 2
}

/// For each page, the runs that are no part of its rows.
pub fn find(pages: &[Vec<Line>]) -> Vec<Vec<u32>> {
    let keys = Shapes::learn(pages.iter().flatten().filter_map(|line| line.key.as_deref()));
    let headed = pages.iter().filter(|lines| !lines.is_empty()).count();
    let mut places: HashMap<(i64, i64, String), usize> = HashMap::new();
    for line in pages.iter().flatten() {
        *places.entry(line.place(false)).or_default() += 1;
        *places.entry(line.place(true)).or_default() += usize::from(line.place(true) != line.place(false));
    }
    let is_everywhere = |line: &Line, masks: bool| {
        let pages = places.get(&line.place(masks)).copied().unwrap_or(0);
        headed > 1 && pages > 1 && pages as f64 >= headed as f64 * MOST_PAGES
    };
    let has_key = |line: &Line| line.key.as_deref().is_some_and(|key| keys.is_like(key));
    // rows stand at the same heights on all pages of a cycle: without keys, those of the page before tell
    let mut lowest: Option<f64> = None;
    let mut find_in = |lines: &Vec<Line>| {
        let is_keyed = lines.iter().any(|line| line.key.is_some());
        let from = if is_keyed { f64::MAX } else { lowest.unwrap_or(f64::MIN) };
        let tail = tail(lines, from, &has_key);
        let last_key = lines.iter().rposition(&has_key).filter(|_| is_keyed);
        let mut dropped = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let is_below = number >= tail || last_key.is_some_and(|last| number > last);
            let is_furniture = (number >= tail && !(has_key(line) && !line.is_sparse()))
                || (is_below && !has_key(line) && (is_everywhere(line, false) || (line.is_sparse() && is_everywhere(line, true))))
                || (number >= tail && line.is_sparse() && is_everywhere(line, true));
            if is_furniture {
                dropped.extend(&line.runs);
            } else if is_keyed {
                lowest = Some(line.y);
            }
        }
        dropped
    };
    pages.iter().map(&mut find_in).collect()
}

/// The first line of what stands apart below the rows, and below `from`, and holds none.
fn tail(lines: &[Line], from: f64, has_key: &dyn Fn(&Line) -> bool) -> usize {
    let mut widest: f64 = 0.0;
    for number in 1..lines.len() {
        let gap = lines[number - 1].y - lines[number].y;
        let is_apart = gap > lines[number].size * APART_SIZES && (number < 2 || gap > widest * APART);
        let holds_none = |line: &Line| !has_key(line) || (line.is_sparse() && line.texts.len() == 1);
        if is_apart && lines[number].y < from && lines[number..].iter().all(holds_none) {
            return number;
        }
        widest = widest.max(gap);
    }
    lines.len()
}

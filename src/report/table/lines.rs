//! What does a cell say? Runs joined to lines, lines by the rules of the ERP's wrapping.

use unicode_normalization::char::{compose, is_combining_mark};

use super::{
    super::pdf::{Page, Run},
    lattice::Axis,
};

/// Baselines nearer than this share of the size are one printed line.
pub const SAME_BASELINE: f64 = 0.4;
/// How exactly (points) printers measure what still fits on a line.
const SLACK: f64 = 1.0;
/// A blank is as wide as this (times the size), or less.
const BLANK: f64 = 0.35;
/// By so much wider than it seems a word may be, and still surely fit.
const SPARE: f64 = 1.3;
/// A text nearer to an edge than this (points) touches it.
const TOUCHES: f64 = 0.5;
/// Texts whose distance from an edge differs by less than this (points) stand alike.
const ALIKE: f64 = 0.3;
/// The share of the texts of a right-aligned table that stand alike at the right edges of their cells.
const MOST: f64 = 0.3;

/// The texts of a page, put into cells that are numbered row by row.
pub struct Placed<'a> {
    pub page: &'a Page,
    /// `(cell, run)`
    pub runs: Vec<(u32, u32)>,
    pub columns: &'a Axis,
    pub cells: usize,
    /// How much of a column's width texts leave free at its edges, where the page alone does not show it.
    pub margin: Option<f64>,
}

impl Placed<'_> {
    /// Joins the runs of every cell: appends their texts to `text` and where each ends to `ends`. Answers
    /// the cells that hold two lines which would have fitted on one: those are no wrapped text.
    pub fn join(mut self, text: &mut String, ends: &mut Vec<u32>) -> Vec<u32> {
        let page = self.page;
        let run_of = |placed: &(u32, u32)| &page.runs[placed.1 as usize];
        self.runs.sort_by(|a, b| (a.0.cmp(&b.0)).then_with(|| run_of(b).y.total_cmp(&run_of(a).y)));
        let edges = &self.columns.edges;
        let margin = self.margin.unwrap_or_else(|| self.padding() * 2.0) + SLACK;
        let is_sure = self.margin.is_none();
        let mut parted = Vec::new();
        let mut rest = self.runs.as_mut_slice();
        for cell in 0..self.cells as u32 {
            let own = rest.iter().take_while(|placed| placed.0 == cell).count();
            let (runs, after) = rest.split_at_mut(own);
            rest = after;
            let column = cell as usize % (edges.len() - 1);
            let room = Room { width: edges[column + 1] - edges[column] - margin, is_sure };
            if join_cell(page, runs, room, text) {
                parted.push(cell);
            }
            ends.push(text.len() as u32);
        }
        parted
    }

    /// What a text leaves free at either edge of its cell: its least distance from the left edges, or
    /// from the right ones in a right-aligned table. The least distance from the other edge only shows
    /// how well the texts filled their cells.
    fn padding(&self) -> f64 {
        let edges = &self.columns.edges;
        let least = |distance: &dyn Fn(usize, &Run) -> f64| {
            let distances = self
                .runs
                .iter()
                .map(|(cell, run)| distance(*cell as usize % (edges.len() - 1), &self.page.runs[*run as usize]));
            // a text that touches an edge overflows its cell, and shows no padding
            let least = |from: f64| distances.clone().filter(|distance| *distance >= from).fold(f64::MAX, f64::min);
            let least = if least(TOUCHES) < f64::MAX { least(TOUCHES) } else { least(0.0) };
            (least, distances.filter(|distance| (*distance - least).abs() < ALIKE).count())
        };
        let left = least(&|column, run| run.x0 - edges[column]);
        let right = least(&|column, run| edges[column + 1] - run.x1);
        let is_right_aligned = right.1 > 2 * left.1 && right.1 as f64 > self.runs.len() as f64 * MOST;
        let padding = if is_right_aligned { right.0 } else { left.0 };
        // no text at all stands within its cell
        if padding < f64::MAX { padding } else { 0.0 }
    }
}

/// What a cell leaves for a line.
#[derive(Clone, Copy)]
struct Room {
    width: f64,
    /// Known from marks, not only from texts.
    is_sure: bool,
}

/// Appends a cell's text; true if two of its lines would have fitted on one.
fn join_cell(page: &Page, mut runs: &mut [(u32, u32)], room: Room, text: &mut String) -> bool {
    let start = text.len();
    let mut is_parted = false;
    let mut last: Option<Line> = None;
    while let Some(first) = runs.first().map(|placed| &page.runs[placed.1 as usize]) {
        let lowest = first.y - first.size * SAME_BASELINE;
        let length = runs.iter().take_while(|placed| page.runs[placed.1 as usize].y >= lowest).count();
        let (line_runs, after) = runs.split_at_mut(length);
        runs = after;
        line_runs.sort_by(|a, b| page.runs[a.1 as usize].x0.total_cmp(&page.runs[b.1 as usize].x0));
        let before = text.len();
        let Some(line) = Line::push(page, line_runs, text) else { continue };
        if let Some(last) = last {
            let (above, below) = text[start..].split_at(before - start);
            is_parted |= last.leaves_room_for(&line, below, room);
            if !last.continues_unbroken(above, &line, below, room) {
                text.insert(before, ' ');
            }
        }
        last = Some(line);
    }
    is_parted
}

#[derive(Clone, Copy)]
struct Line {
    width: f64,
    size: f64,
    first_advance: f64,
    has_blank: bool,
}

impl Line {
    /// Appends a line's text, white space collapsed and trimmed; `None` if it is blank.
    fn push(page: &Page, runs: &[(u32, u32)], text: &mut String) -> Option<Self> {
        let start = text.len();
        let mut last: Option<&Run> = None;
        let mut wants_blank = false;
        let mut has_blank = false;
        let (mut x0, mut x1) = (f64::MAX, f64::MIN);
        for run in runs.iter().map(|placed| &page.runs[placed.1 as usize]) {
            let printed = page.text_of(run);
            if let Some(last) = last {
                wants_blank |= page.are_parted(last, run);
            }
            for character in printed.chars() {
                if character.is_whitespace() {
                    wants_blank = true;
                    continue;
                }
                if wants_blank && text.len() > start {
                    text.push(' ');
                    has_blank = true;
                }
                wants_blank = false;
                // a letter and its accent are one character
                match text[start..].chars().next_back().and_then(|last| compose(last, character)) {
                    Some(composed) if is_combining_mark(character) => {
                        text.pop();
                        text.push(composed);
                    }
                    _ => text.push(character),
                }
            }
            (x0, x1) = (x0.min(run.x0), x1.max(run.x1));
            last = Some(run);
        }
        let first = &page.runs[runs.first()?.1 as usize];
        let (first_advance, size) = (first.first_advance, first.size);
        (text.len() > start).then_some(Self { width: x1 - x0, size, first_advance, has_blank })
    }

    /// Did the wrap between this line, which ends `text`, and the next stand inside a word? After
    /// `? & / -` at the end of a word of more than one character, or where a word without blanks
    /// fills the `room` of its cell.
    fn continues_unbroken(self, text: &str, next: &Line, below: &str, room: Room) -> bool {
        let last_word = text.rsplit(' ').next().unwrap_or_default();
        if last_word.ends_with(['?', '&', '/', '-']) && last_word.chars().nth(1).is_some() {
            return true;
        }
        // where the room is not sure, a capital after a small letter is taken for a new word
        let is_new_word = text.ends_with(char::is_lowercase) && below.starts_with(char::is_uppercase);
        !self.has_blank && next.first_advance > room.width - self.width && (room.is_sure || !is_new_word)
    }

    /// Would the first word of the next line have fitted on this one, with a blank, and to spare?
    fn leaves_room_for(self, next: &Line, below: &str, room: Room) -> bool {
        let letters = below.chars().count().max(1) as f64;
        let word = below.split(' ').next().unwrap_or_default().chars().count() as f64 / letters * next.width;
        self.width + self.size * BLANK + word * SPARE < room.width
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Mark, page_of},
        *,
    };

    fn joined(texts: &[(f64, f64, f64, &str)]) -> String {
        let page = page_of(texts);
        let columns = Axis { edges: vec![0.0, 50.0], mark: Mark::Rules };
        let (mut text, mut ends) = (String::new(), Vec::new());
        let runs = (0..page.runs.len() as u32).map(|run| (0, run)).collect();
        Placed { page: &page, runs, columns: &columns, cells: 1, margin: None }.join(&mut text, &mut ends);
        text
    }

    #[test]
    fn lines_join_by_the_rules_of_the_grid() {
        for (lines, expected) in [
            (vec![(2.0, 30.0, 30.0, "Centro"), (2.0, 30.0, 20.0, "Nome")], "Centro Nome"),
            (vec![(2.0, 20.0, 30.0, "ORD/"), (2.0, 40.0, 20.0, "26000001")], "ORD/26000001"),
            (vec![(2.0, 40.0, 30.0, "Vereta -"), (2.0, 40.0, 20.0, "Sede")], "Vereta - Sede"),
            (vec![(2.0, 47.0, 30.0, "ABCDEFGHI"), (2.0, 12.0, 20.0, "JK")], "ABCDEFGHIJK"),
            (vec![(2.0, 47.0, 30.0, "ABC DEFGH"), (2.0, 12.0, 20.0, "JK")], "ABC DEFGH JK"),
            (vec![(2.0, 20.0, 30.0, "one"), (26.0, 40.0, 30.0, "two"), (40.5, 45.0, 30.0, "s")], "one twos"),
            (vec![(20.0, 40.0, 30.0, "b"), (2.0, 18.0, 31.0, "a")], "a b"),
            (vec![(2.0, 20.0, 30.0, "a b  "), (21.0, 30.0, 30.0, "c")], "a b c"),
        ] {
            assert_eq!(joined(&lines), expected);
        }
    }

    #[test]
    fn centred_lines_do_not_fill_their_cell() {
        let lines = [(2.0, 48.0, 40.0, "widest line"), (15.0, 35.0, 30.0, "Centro"), (15.0, 35.0, 20.0, "Nome")];
        assert_eq!(joined(&lines), "widest line Centro Nome");
    }
}

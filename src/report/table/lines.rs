//! What does a cell say? Runs joined to lines, lines by the rules of the ERP's wrapping.
//!
//! Where a line ends whose word may have been cut, [`BREAK`] stands for the blank or for nothing: only
//! the whole report can tell ([`super::super::wrap`]).

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{
    super::pdf::{Page, TextRun},
    lattice::Axis,
};

/// Stands between two lines that a blank parted, or nothing. No printed text holds it.
pub(crate) const BREAK: char = '\u{1f}';
/// Baselines nearer than this share of the size are one printed line.
pub(crate) const SAME_BASELINE: f64 = 0.4;
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
pub(crate) struct Placed<'a> {
    pub page: &'a Page,
    /// `(cell, run)`
    pub runs: Vec<(u32, u32)>,
    pub columns: &'a Axis,
    pub cells: usize,
    /// How much of a column's width texts leave free at its edges, where the page alone does not show it.
    pub margin: Option<f64>,
}

/// The texts of cells.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// All texts, one after the other.
    pub text: String,
    /// Where each cell's ends.
    pub ends: Vec<u32>,
    /// For each [`BREAK`], how wide the line before it is (points).
    pub breaks: Vec<f32>,
    /// For each column, its widest line of one word that surely ends there (points).
    pub widest_words: Vec<f32>,
    /// The cells that hold two lines which would have fitted on one: those are no wrapped text.
    pub parted: Vec<u32>,
}

impl Placed<'_> {
    /// Joins the runs of every cell.
    pub(crate) fn join(mut self) -> Joined {
        let page = self.page;
        let run_of = |placed: &(u32, u32)| &page.runs[placed.1 as usize];
        self.runs.sort_by(|a, b| (a.0.cmp(&b.0)).then_with(|| run_of(b).y.total_cmp(&run_of(a).y)));
        let edges = &self.columns.edges;
        let margin = self.margin.unwrap_or_else(|| self.padding() * 2.0) + SLACK;
        let width = edges.len() - 1;
        let mut joined = Joined {
            text: String::with_capacity(page.text.len()),
            ends: Vec::with_capacity(self.cells),
            widest_words: vec![0.0; width],
            ..Joined::default()
        };
        let mut rest = self.runs.as_mut_slice();
        for cell in 0..self.cells as u32 {
            let own = rest.iter().take_while(|placed| placed.0 == cell).count();
            let (runs, after) = rest.split_at_mut(own);
            rest = after;
            let column = cell as usize % width;
            let whole = edges[column + 1] - edges[column];
            let room = Room { width: whole - margin, whole };
            if joined.push(page, runs, room, column) {
                joined.parted.push(cell);
            }
            joined.ends.push(joined.text.len() as u32);
        }
        joined
    }

    /// What a text leaves free at either edge of its cell: its least distance from the left edges, or
    /// from the right ones in a right-aligned table. The least distance from the other edge only shows
    /// how well the texts filled their cells.
    fn padding(&self) -> f64 {
        let edges = &self.columns.edges;
        let least = |distance: &dyn Fn(usize, &TextRun) -> f64| {
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

impl Joined {
    /// Appends a cell's text; true if two of its lines would have fitted on one.
    fn push(&mut self, page: &Page, mut runs: &mut [(u32, u32)], room: Room, column: usize) -> bool {
        let start = self.text.len();
        let mut is_parted = false;
        let mut last: Option<Line> = None;
        while let Some(first) = runs.first().map(|placed| &page.runs[placed.1 as usize]) {
            let lowest = first.y - first.size * SAME_BASELINE;
            let length = runs.iter().take_while(|placed| page.runs[placed.1 as usize].y >= lowest).count();
            let (line_runs, after) = runs.split_at_mut(length);
            runs = after;
            line_runs.sort_by(|a, b| page.runs[a.1 as usize].x0.total_cmp(&page.runs[b.1 as usize].x0));
            let before = self.text.len();
            let Some(mut line) = Line::push(page, line_runs, &mut self.text) else { continue };
            if let Some(last) = last {
                let (above, below) = self.text[start..].split_at(before - start);
                is_parted |= last.leaves_room_for(&line, below, room);
                match last.end(above, &line, room) {
                    End::Blank => {
                        self.note_word(last, column);
                        self.text.insert(before, ' ');
                    }
                    End::Nothing => line.begins_word = false,
                    End::Unknown => {
                        self.breaks.push(last.width as f32);
                        self.text.insert(before, BREAK);
                        line.begins_word = false;
                    }
                }
            }
            last = Some(line);
        }
        if let Some(last) = last {
            self.note_word(last, column);
        }
        is_parted
    }

    fn note_word(&mut self, line: Line, column: usize) {
        if line.begins_word && !line.has_blank {
            self.widest_words[column] = self.widest_words[column].max(line.width as f32);
        }
    }
}

/// What a cell leaves for a line: between its margins, and in all.
#[derive(Clone, Copy)]
struct Room {
    width: f64,
    whole: f64,
}

/// What stood between a line and the next.
enum End {
    Blank,
    Nothing,
    /// One of both.
    Unknown,
}

#[derive(Clone, Copy)]
struct Line {
    width: f64,
    size: f64,
    first_advance: f64,
    has_blank: bool,
    /// Does a word surely begin with it?
    begins_word: bool,
}

impl Line {
    /// Appends a line's text, white space collapsed and trimmed; `None` if it is blank.
    fn push(page: &Page, runs: &[(u32, u32)], text: &mut String) -> Option<Self> {
        let start = text.len();
        let mut last: Option<&TextRun> = None;
        let mut wants_blank = false;
        let mut has_blank = false;
        let (mut x0, mut x1) = (f64::MAX, f64::MIN);
        for run in runs.iter().map(|placed| &page.runs[placed.1 as usize]) {
            let printed = page.text_of(run);
            wants_blank |= last.is_some_and(|last| page.are_parted(last, run));
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
                text.push(character);
            }
            (x0, x1) = (x0.min(run.x0), x1.max(run.x1));
            last = Some(run);
        }
        // a letter and its accent are one character
        if !text[start..].is_ascii() && !is_nfc(&text[start..]) {
            let composed: String = text[start..].nfc().collect();
            text.replace_range(start.., &composed);
        }
        let first = &page.runs[runs.first()?.1 as usize];
        let (first_advance, size) = (first.first_advance, first.size);
        let line = Self { width: x1 - x0, size, first_advance, has_blank, begins_word: true };
        (text.len() > start).then_some(line)
    }

    /// What stood between this line, which ends `text`, and the next: nothing after `? & / -` at the end
    /// of a word of more than one character; and where a word without blanks fills its cell, it may have
    /// been cut.
    fn end(self, text: &str, next: &Line, room: Room) -> End {
        let last_word = text.rsplit(' ').next().unwrap_or_default();
        let last_part = last_word.rsplit(BREAK).next().unwrap_or_default();
        if last_part.ends_with(['?', '&', '/', '-']) && last_word.chars().nth(1).is_some() {
            // alone on its line, it belongs to the word before if that was cut
            return if last_part.chars().nth(1).is_some() { End::Nothing } else { End::Unknown };
        }
        let fills = next.first_advance > room.width - self.width;
        // what was cut to fit does not reach over its cell's edge
        if self.has_blank || !fills || self.width > room.whole { End::Blank } else { End::Unknown }
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
        let runs = (0..page.runs.len() as u32).map(|run| (0, run)).collect();
        Placed { page: &page, runs, columns: &columns, cells: 1, margin: None }.join().text
    }

    #[test]
    fn lines_join_by_the_rules_of_the_grid() {
        for (lines, expected) in [
            (vec![(2.0, 30.0, 30.0, "Centro"), (2.0, 30.0, 20.0, "Nome")], "Centro Nome"),
            (vec![(2.0, 20.0, 30.0, "ORD/"), (2.0, 40.0, 20.0, "26000001")], "ORD/26000001"),
            (vec![(2.0, 40.0, 30.0, "Vereta -"), (2.0, 40.0, 20.0, "Sede")], "Vereta - Sede"),
            (vec![(2.0, 47.0, 30.0, "ABCDEFGHI"), (2.0, 12.0, 20.0, "JK")], "ABCDEFGHI\u{1f}JK"),
            (vec![(2.0, 47.0, 30.0, "ABC DEFGH"), (2.0, 12.0, 20.0, "JK")], "ABC DEFGH JK"),
            (vec![(2.0, 20.0, 30.0, "one"), (26.0, 40.0, 30.0, "two"), (40.5, 45.0, 30.0, "s")], "one twos"),
            (vec![(20.0, 40.0, 30.0, "b"), (2.0, 18.0, 31.0, "a")], "a b"),
            (vec![(2.0, 20.0, 30.0, "a b  "), (21.0, 30.0, 30.0, "c")], "a b c"),
            (vec![(2.0, 20.0, 30.0, "Citta\u{300}")], "Città"),
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

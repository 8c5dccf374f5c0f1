//! What does one page hold, once its content has been interpreted?

use serde::{Deserialize, Serialize};

/// A gap this wide (share of the size) parts words: no kerning is as wide.
pub(crate) const WORD_GAP: f64 = 0.18;

/// An upright rectangle in points; `y` grows upwards.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left.
    pub x0: f64,
    /// Bottom.
    pub y0: f64,
    /// Right.
    pub x1: f64,
    /// Top.
    pub y1: f64,
}

impl Rect {
    /// The smallest rectangle around two corners.
    #[must_use]
    pub fn around(a: (f64, f64), b: (f64, f64)) -> Self {
        Self { x0: a.0.min(b.0), y0: a.1.min(b.1), x1: a.0.max(b.0), y1: a.1.max(b.1) }
    }

    /// The part that both cover; may be empty (`x1 < x0`).
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// Its width in points.
    #[must_use]
    pub fn width(self) -> f64 {
        self.x1 - self.x0
    }

    /// Its height in points.
    #[must_use]
    pub fn height(self) -> f64 {
        self.y1 - self.y0
    }

    /// Its middle.
    #[must_use]
    pub fn middle(self) -> (f64, f64) {
        (f64::midpoint(self.x0, self.x1), f64::midpoint(self.y0, self.y1))
    }
}

/// A ruling line: a stroke, or a filled box so thin that it is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// From `y0` up to `y1` at `x`.
    Vertical {
        /// Where.
        x: f64,
        /// Lower end.
        y0: f64,
        /// Upper end.
        y1: f64,
    },
    /// From `x0` to `x1` at `y`.
    Horizontal {
        /// Where.
        y: f64,
        /// Left end.
        x0: f64,
        /// Right end.
        x1: f64,
    },
}

impl Rule {
    /// The part of it that lies within `area`.
    fn within(self, area: Rect) -> Option<Self> {
        match self {
            Rule::Vertical { x, y0, y1 } => {
                let (y0, y1) = (y0.max(area.y0), y1.min(area.y1));
                (x >= area.x0 && x <= area.x1 && y0 <= y1).then_some(Rule::Vertical { x, y0, y1 })
            }
            Rule::Horizontal { y, x0, x1 } => {
                let (x0, x1) = (x0.max(area.x0), x1.min(area.x1));
                (y >= area.y0 && y <= area.y1 && x0 <= x1).then_some(Rule::Horizontal { y, x0, x1 })
            }
        }
    }
}

/// A piece of text that one show operator printed without a gap inside.
#[derive(Debug, Clone, PartialEq)]
pub struct TextRun {
    /// Left end of the first glyph that is not blank.
    pub x0: f64,
    /// Right end of the last glyph that is not blank.
    pub x1: f64,
    /// Where it would end if its glyphs were as wide as they are drawn: the file's widths may lie.
    pub drawn_x1: f64,
    /// The baseline.
    pub y: f64,
    /// The font size as it appears.
    pub size: f64,
    /// The advance of the first glyph.
    pub first_advance: f64,
    /// Does it begin where the run printed before it ended, with its blanks?
    pub goes_on: bool,
    /// The clip it was printed in: an index into [`Page::clips`].
    pub clip: Option<u32>,
    /// Its font: an index into [`Page::gaps`].
    pub font: u32,
    /// Its text: a range of [`Page::text`].
    pub text: std::ops::Range<u32>,
}

/// Texts outside of a page that are kept, at most.
const LISTED: usize = 500;
/// A blank is narrower than this share of the size.
const BLANK: f64 = 0.36;
/// Texts that overlap by more than this share of the size have widths that lie.
const OVERLAPS: f64 = 0.05;

impl TextRun {
    /// The gap (points) between this text and one to the right of it.
    #[must_use]
    pub fn gap_to(&self, right: &TextRun) -> f64 {
        let gap = right.x0 - self.x1;
        if gap < -self.size * OVERLAPS { right.x0 - self.drawn_x1.min(self.x1) } else { gap }
    }
}

/// How far a page could be read; a page that is not clean proves nothing by what it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Glyphs printed.
    pub glyphs: u64,
    /// Glyphs whose text is not known.
    pub unmapped: u64,
    /// Tokens that made no sense and were passed over.
    pub skipped_tokens: u64,
    /// Texts or forms that could not be read at all.
    pub lost_texts: u64,
    /// Streams that could not be decoded, among those that were needed.
    pub failed_streams: u64,
    /// Texts that do not stand upright with the rest.
    pub askew: u64,
    /// Rows of the table.
    pub rows: u64,
}

impl Verdict {
    /// Was everything on the page understood?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unmapped + self.skipped_tokens + self.lost_texts + self.failed_streams + self.askew == 0
    }
}

/// One interpreted page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// From 1.
    pub number: usize,
    /// Width and height in points, upright.
    pub size: (f64, f64),
    /// Everything printed, in printing order.
    pub runs: Vec<TextRun>,
    /// All runs' texts, one after the other.
    pub text: String,
    /// Ruling lines.
    pub rules: Vec<Rule>,
    /// Filled boxes that are no rules: backgrounds.
    pub boxes: Vec<Rect>,
    /// Clip rectangles.
    pub clips: Vec<Rect>,
    /// Where pictures stand.
    pub images: Vec<Rect>,
    /// Texts outside of the page's edges, a few of them.
    pub cropped: Vec<String>,
    /// Small things that are drawn: marks, check boxes.
    pub drawings: Vec<Rect>,
    /// Where fields of a form, and notes, show text that is no part of the content.
    pub fields: Vec<Rect>,
    /// For each font: the gap (share of the size) from which on two texts are two words.
    pub gaps: Vec<f64>,
    /// Where texts begin that do not stand upright, and their sizes: `(x, y, size)`.
    pub turned: Vec<(f64, f64, f64)>,
    /// How far it could be read.
    pub verdict: Verdict,
    /// Glyphs by the direction they run in: to the right, up, to the left, down.
    pub directions: [u64; 4],
}

impl Page {
    /// Prints a text, for tests: from where to where, its baseline and its size.
    #[cfg(test)]
    pub fn print(&mut self, (x0, x1): (f64, f64), y: f64, size: f64, text: &str) {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        let text = start..self.text.len() as u32;
        let (drawn_x1, first_advance, goes_on, clip, font) = (x1, 5.0, false, None, 0);
        self.runs.push(TextRun { x0, x1, drawn_x1, y, size, first_advance, goes_on, clip, font, text });
    }

    /// A run's text.
    #[must_use]
    pub fn text_of(&self, run: &TextRun) -> &str {
        &self.text[run.text.start as usize..run.text.end as usize]
    }

    /// Are two texts on one line, the second to the right of the first, two words?
    #[must_use]
    pub fn are_parted(&self, left: &TextRun, right: &TextRun) -> bool {
        let gap = self.gaps.get(right.font as usize).copied().unwrap_or(WORD_GAP);
        left.gap_to(right) > left.size.min(right.size) * gap
    }

    /// Are two texts on one line parts of one: of one word, or of one string with a blank between?
    #[must_use]
    pub fn is_one_text(&self, left: &TextRun, right: &TextRun) -> bool {
        !self.are_parted(left, right) || (right.goes_on && right.x0 - left.x1 < left.size * BLANK)
    }

    /// Drops what lies outside the page's edges, and cuts rules off there.
    pub fn crop(&mut self) {
        let page = Rect { x0: 0.0, y0: 0.0, x1: self.size.0, y1: self.size.1 };
        let holds = |area: &Rect| area.x1 >= area.x0 && area.y1 >= area.y0;
        let is_inside = |run: &TextRun| {
            let (x, y) = (f64::midpoint(run.x0, run.x1), run.y + run.size * 0.3);
            x >= page.x0 && x <= page.x1 && y >= page.y0 && y <= page.y1
        };
        let outside = self.runs.iter().filter(|run| !is_inside(run)).take(LISTED);
        self.cropped = outside.map(|run| self.text_of(run).trim().to_owned()).collect();
        self.runs.retain(is_inside);
        self.rules = self.rules.drain(..).filter_map(|rule| rule.within(page)).collect();
        for areas in [&mut self.boxes, &mut self.images, &mut self.drawings, &mut self.fields] {
            for area in areas.iter_mut() {
                *area = area.intersection(page);
            }
            areas.retain(holds);
        }
    }

    /// The quarter turns, anticlockwise, in which most of the text runs.
    #[must_use]
    pub fn turns(&self) -> usize {
        (0..4).max_by_key(|turn| (self.directions[*turn], 4 - turn)).unwrap_or(0)
    }
}

//! What does one page hold, once its content has been interpreted?

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

/// What one show operator printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Left end of the first glyph.
    pub x0: f64,
    /// Right end of the last glyph.
    pub x1: f64,
    /// The baseline.
    pub y: f64,
    /// The font size as it appears.
    pub size: f64,
    /// The advance of the first glyph.
    pub first_advance: f64,
    /// The clip it was printed in: an index into [`Page::clips`].
    pub clip: Option<usize>,
    /// Its text: a range of [`Page::text`].
    pub text: std::ops::Range<usize>,
}

/// One interpreted page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// From 1.
    pub number: usize,
    /// Everything printed, in printing order.
    pub runs: Vec<Run>,
    /// All runs' texts, one after the other.
    pub text: String,
    /// Ruling lines.
    pub rules: Vec<Rule>,
    /// Clip rectangles.
    pub clips: Vec<Rect>,
    /// Glyphs printed.
    pub glyphs: usize,
    /// Glyphs whose text is not known.
    pub unmapped: usize,
    /// Tokens that made no sense and were passed over.
    pub skipped_tokens: usize,
}

impl Page {
    /// A run's text.
    #[must_use]
    pub fn text_of(&self, run: &Run) -> &str {
        &self.text[run.text.clone()]
    }
}

//! In which state is a page's content while it is interpreted?

use std::sync::Arc;

use super::{
    colour::{Colour, Space},
    file::File,
    font::Font,
    matrix::Matrix,
    page::Page,
    path::Path,
    seen::Painted,
};

/// The graphics and text state that `q` saves.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub matrix: Matrix,
    pub clip: Option<u32>,
    /// An index into the page's fonts.
    pub font: Option<usize>,
    pub size: f64,
    pub char_space: f64,
    pub word_space: f64,
    pub scale: f64,
    pub leading: f64,
    pub rise: f64,
    /// `Tr`: how glyphs are painted.
    pub mode: i64,
    /// The colour of fills, and how its operands are read.
    pub fill: Colour,
    pub space: Space,
    /// How little can be seen through fills and strokes, from 0 to 1.
    pub alpha: f64,
    pub stroke_alpha: f64,
    /// Do fills let through what is below them?
    pub mixes: bool,
}

/// How finely shown strings are cut into runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    /// As printed.
    Whole,
    /// Word by word, wherever a string jumps.
    Words,
}

/// A page on its way.
pub(super) struct Interpreter<'a> {
    pub file: &'a File<'a>,
    pub page: Page,
    pub state: State,
    pub saved: Vec<State>,
    pub text_matrix: Matrix,
    pub line_matrix: Matrix,
    pub path: Path,
    /// Fonts by resource dictionary (its address) and name.
    pub fonts: Vec<(usize, Vec<u8>, Arc<Font>)>,
    /// Open marked contents.
    pub marks: Vec<Mark>,
    /// Within marked content that says which text it stands for.
    pub actual_text: Option<ActualText>,
    /// How many layers that are switched off are open.
    pub hidden_layers: usize,
    pub pieces: Pieces,
    /// Where the last shown text ended, on the page.
    pub pen: (f64, f64),
    pub painted: Painted,
    pub in_text: bool,
    pub tokens: u64,
    pub glyphs_told: u64,
}

/// What a marked content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing that matters here.
    Plain,
    /// Replaces its text.
    Replaces,
    /// Is on a layer that is switched off.
    Hides,
}

/// The text that a marked content stands for.
#[derive(Debug)]
pub(super) struct ActualText {
    /// What is left to print of it.
    pub text: String,
    /// The baseline on which it was printed.
    pub printed_at: Option<f64>,
}

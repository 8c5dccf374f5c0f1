//! What does a content stream print, and where? The operators of the PDF imaging model.

use std::sync::Arc;

use lopdf::{Dictionary, Object};

use super::{
    super::budget::Exceeded,
    document::Document,
    font::Font,
    lexer::{Lexer, Token},
    marked::{ActualText, Mark},
    matrix::Matrix,
    page::{Page, Rect},
    path::{Paint, Path},
    stream::StreamError,
};

/// Saved graphics states; real pages need a few.
const MAX_SAVED: usize = 10_000;
/// After so many tokens the budget is asked.
const TOKENS_A_LOOK: u64 = 4_096;

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
    pub is_hidden: bool,
}

/// A page on its way.
pub(super) struct Interpreter<'a> {
    pub document: &'a Document<'a>,
    pub page: Page,
    pub state: State,
    saved: Vec<State>,
    pub text_matrix: Matrix,
    pub line_matrix: Matrix,
    path: Path,
    /// Fonts by resource dictionary (its address) and name.
    pub fonts: Vec<(usize, Vec<u8>, Arc<Font>)>,
    /// Open marked contents.
    pub marks: Vec<Mark>,
    /// Within marked content that says which text it stands for.
    pub actual_text: Option<ActualText>,
    /// How many layers that are switched off are open.
    pub hidden_layers: usize,
    in_text: bool,
    tokens: u64,
    glyphs_told: u64,
}

/// Interprets `content`; `base` turns the page upright.
///
/// # Errors
/// [`Exceeded`]: the budget is spent.
pub fn interpret(
    document: &Document<'_>,
    content: &[u8],
    resources: &Dictionary,
    base: Matrix,
) -> Result<Page, Exceeded> {
    let state = State {
        matrix: base,
        clip: None,
        font: None,
        size: 0.0,
        char_space: 0.0,
        word_space: 0.0,
        scale: 1.0,
        leading: 0.0,
        rise: 0.0,
        is_hidden: false,
    };
    let mut interpreter = Interpreter {
        document,
        page: Page::default(),
        state,
        saved: Vec::new(),
        text_matrix: Matrix::IDENTITY,
        line_matrix: Matrix::IDENTITY,
        path: Path::default(),
        fonts: Vec::new(),
        marks: Vec::new(),
        actual_text: None,
        hidden_layers: 0,
        in_text: false,
        tokens: 0,
        glyphs_told: 0,
    };
    interpreter.run(content, resources, 0)?;
    interpreter.close_marks();
    interpreter.look()?;
    Ok(interpreter.page)
}

pub(super) fn numbers<const N: usize>(operands: &[Token<'_>]) -> Option<[f64; N]> {
    let tail = operands.get(operands.len().checked_sub(N)?..)?;
    let mut found = [0.0; N];
    for (slot, token) in found.iter_mut().zip(tail) {
        let Token::Number(number) = token else { return None };
        *slot = *number;
    }
    Some(found)
}

impl Interpreter<'_> {
    /// Tells the budget what was used since the last look.
    fn look(&mut self) -> Result<(), Exceeded> {
        let glyphs = self.page.verdict.glyphs;
        self.document.budget.spend_content(glyphs - self.glyphs_told, self.tokens)?;
        (self.glyphs_told, self.tokens) = (glyphs, 0);
        Ok(())
    }

    fn run(&mut self, content: &[u8], resources: &Dictionary, depth: usize) -> Result<(), Exceeded> {
        let mut lexer = Lexer::new(content);
        let mut operands = Vec::new();
        let mut skipped = 0;
        while let Some(token) = lexer.next_token() {
            self.tokens += 1;
            if self.tokens == TOKENS_A_LOOK {
                self.look()?;
            }
            match token {
                Token::Operator(b"BI") => {
                    if !lexer.skip_inline_image() {
                        self.page.verdict.lost_texts += 1;
                    }
                }
                Token::Operator(operator) => {
                    if !self.operate(operator, &operands, resources, depth)? {
                        self.not_understood(&operands);
                    }
                }
                operand => {
                    operands.push(operand);
                    continue;
                }
            }
            if lexer.skipped > skipped {
                skipped = lexer.skipped;
                self.not_understood(&operands);
            }
            operands.clear();
        }
        if lexer.skipped > skipped || !operands.is_empty() {
            self.not_understood(&operands);
        }
        Ok(())
    }

    /// A token made no sense: where texts are printed, one of them may be lost.
    fn not_understood(&mut self, operands: &[Token<'_>]) {
        self.page.verdict.skipped_tokens += 1;
        if self.in_text || operands.iter().any(|operand| matches!(operand, Token::Text(_))) {
            self.page.verdict.lost_texts += 1;
        }
    }

    /// Carries out one operator; false if it is not known or lacks its operands.
    fn operate(
        &mut self,
        operator: &[u8],
        operands: &[Token<'_>],
        resources: &Dictionary,
        depth: usize,
    ) -> Result<bool, Exceeded> {
        match operator {
            b"q" => {
                if self.saved.len() >= MAX_SAVED {
                    return Err(Exceeded::of("saved graphics states", MAX_SAVED as u64));
                }
                self.saved.push(self.state);
            }
            b"Q" => {
                if let Some(state) = self.saved.pop() {
                    self.state = state;
                }
            }
            b"cm" => {
                let Some(matrix) = numbers(operands) else { return Ok(false) };
                self.state.matrix = Matrix(matrix).then(self.state.matrix);
            }
            b"Do" => self.draw_object(operands, resources, depth)?,
            b"gs" => self.extended_state(operands, resources),
            b"BT" => {
                self.in_text = true;
                self.set_text_matrix(Matrix::IDENTITY);
            }
            b"ET" => self.in_text = false,
            b"BMC" => self.marks.push(Mark::Plain),
            b"BDC" => self.begin_marked(operands, resources),
            b"EMC" => self.end_marked(),
            b"m" | b"l" => {
                let Some([x, y]) = numbers(operands) else { return Ok(false) };
                let point = self.state.matrix.apply(x, y);
                if operator == b"m" { self.path.move_to(point) } else { self.path.line_to(point) }
            }
            b"c" | b"v" | b"y" => {
                let Some([x, y]) = numbers(operands) else { return Ok(false) };
                self.path.line_to(self.state.matrix.apply(x, y));
            }
            b"h" => self.path.end_subpath(true),
            b"re" => {
                let Some(rectangle) = numbers(operands) else { return Ok(false) };
                self.path.rectangle(self.state.matrix, rectangle);
            }
            b"W" | b"W*" => self.path.clips = true,
            b"S" => self.paint(true, false, false),
            b"s" => self.paint(true, false, true),
            b"f" | b"F" | b"f*" => self.paint(false, true, true),
            b"B" | b"B*" => self.paint(true, true, false),
            b"b" | b"b*" => self.paint(true, true, true),
            b"n" => self.paint(false, false, false),
            b"w" | b"J" | b"j" | b"M" | b"d" | b"ri" | b"i" | b"CS" | b"cs" | b"SC" | b"SCN" | b"sc" | b"scn"
            | b"G" | b"g" | b"RG" | b"rg" | b"K" | b"k" | b"sh" | b"MP" | b"DP" | b"BX" | b"EX" | b"d0" | b"d1" => {}
            _ => return Ok(self.text_operator(operator, operands, resources)),
        }
        Ok(true)
    }

    fn paint(&mut self, strokes: bool, fills: bool, closes: bool) {
        if closes {
            self.path.end_subpath(true);
        }
        let clip = self.path.paint(Paint { strokes, fills }, &mut self.page, self.state.clip);
        self.state.clip = clip.or(self.state.clip);
    }

    /// `gs` may set a font.
    fn extended_state(&mut self, operands: &[Token<'_>], resources: &Dictionary) {
        let [.., Token::Name(name)] = operands else { return };
        let Some(state) = self.document.resource(resources, b"ExtGState", name) else { return };
        let Some([font, size]) = self
            .document
            .dict(state)
            .and_then(|state| <&[Object; 2]>::try_from(self.document.array(state, b"Font")?.as_slice()).ok())
        else {
            return;
        };
        let owner = std::ptr::from_ref(font).addr();
        let known = self.fonts.iter().position(|(of, name, _)| *of == owner && name.is_empty());
        let known = known.or_else(|| {
            self.fonts.push((owner, Vec::new(), self.document.font_of(font)?));
            Some(self.fonts.len() - 1)
        });
        if let (Some(font), Some(size)) = (known, self.document.number(size)) {
            self.state.font = Some(font);
            self.state.size = size;
        }
    }

    fn draw_object(&mut self, operands: &[Token<'_>], resources: &Dictionary, depth: usize) -> Result<(), Exceeded> {
        let [.., Token::Name(name)] = operands else {
            self.page.verdict.lost_texts += 1;
            return Ok(());
        };
        let object = self.document.resource(resources, b"XObject", name).map(|object| self.document.resolve(object));
        let Some(Object::Stream(form)) = object else {
            // whatever should be here, it is not
            self.page.verdict.failed_streams += 1;
            self.page.verdict.lost_texts += 1;
            return Ok(());
        };
        let layer = form.dict.get(b"OC").is_ok_and(|layer| self.document.is_off(layer));
        match form.dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Image") => return Ok(()),
            _ if layer => return Ok(()),
            Ok(b"Form") => {}
            _ => {
                self.page.verdict.lost_texts += 1;
                return Ok(());
            }
        }
        let limit = self.document.budget.limits.depth;
        if depth >= limit {
            return Err(Exceeded::of("nested forms", limit as u64));
        }
        let mut content = Vec::new();
        match super::stream::decode(form, self.document.budget, &mut content) {
            Ok(()) => {}
            Err(StreamError::Budget(exceeded)) => return Err(exceeded),
            Err(StreamError::Broken(_)) => {
                self.page.verdict.failed_streams += 1;
                self.page.verdict.lost_texts += 1;
                return Ok(());
            }
        }
        let (state, text) = (self.state, (self.text_matrix, self.line_matrix, self.in_text));
        let entries = |key: &[u8]| -> Vec<f64> {
            let list = self.document.array(&form.dict, key);
            list.into_iter().flatten().filter_map(|number| self.document.number(number)).collect()
        };
        if let Ok(matrix) = <[f64; 6]>::try_from(entries(b"Matrix")) {
            self.state.matrix = Matrix(matrix).then(self.state.matrix);
        }
        if let Ok([x0, y0, x1, y1]) = <[f64; 4]>::try_from(entries(b"BBox")) {
            self.path.rectangle(self.state.matrix, [x0, y0, x1 - x0, y1 - y0]);
            self.path.clips = true;
            self.paint(false, false, false);
        }
        let own = form.dict.get(b"Resources").ok().and_then(|object| self.document.dict(object));
        let saved = std::mem::take(&mut self.saved);
        let marks = std::mem::take(&mut self.marks);
        self.in_text = false;
        self.run(&content, own.unwrap_or(resources), depth + 1)?;
        self.close_marks();
        (self.saved, self.marks, self.state) = (saved, marks, state);
        (self.text_matrix, self.line_matrix, self.in_text) = text;
        Ok(())
    }

    /// The part of the page that `clip` leaves to be seen.
    pub(super) fn clip_of(&self, clip: Option<u32>) -> Option<Rect> {
        clip.map(|clip| self.page.clips[clip as usize])
    }
}

//! Where does each shown text come to stand? The text operators: matrices, advances, gaps.

use lopdf::Dictionary;

use super::{
    colour::BLACK,
    graphics::{Interpreter, Pieces},
    lexer::Token,
    matrix::Matrix,
    operands::numbers,
    page::TextRun,
    spacing::NARROW_GAP,
};

/// A gap this wide (share of the size) ends a run: a blank or a column may lie there.
const GAP: f64 = NARROW_GAP * 0.9;
/// A text that begins within this share of the size of where the last one ended goes on with it.
const ABUTS: f64 = 0.05;
/// Letters that are spaced by more than this share of the size may stand in several columns.
const JUMP: f64 = 0.6;
/// Text that turns away from a quarter by more than this (sine) stands askew.
const ASKEW: f64 = 0.1;

/// A run under construction: offsets from the show operator's start, in text space.
#[derive(Default)]
struct Piece {
    start: usize,
    /// Where it starts, with its blanks.
    from: f64,
    x0: Option<f64>,
    x1: f64,
    /// As wide as its glyphs are drawn.
    drawn: f64,
    first_advance: f64,
}

impl Interpreter<'_> {
    /// Carries out a text operator; false if it is none or lacks its operands.
    pub(super) fn text_operator(&mut self, operator: &[u8], operands: &[Token<'_>], resources: &Dictionary) -> bool {
        let one = numbers::<1>(operands).map(|[number]| number);
        let state = &mut self.state;
        match (operator, one) {
            (b"Tc", Some(space)) => state.char_space = space,
            (b"Tw", Some(space)) => state.word_space = space,
            (b"Tz", Some(percent)) => state.scale = percent / 100.0,
            (b"TL", Some(leading)) => state.leading = leading,
            (b"Ts", Some(rise)) => state.rise = rise,
            (b"Tr", Some(mode)) => state.mode = mode as i64,
            (b"Tf", Some(size)) => {
                let [.., Token::Name(name), _] = operands else { return false };
                self.state.size = size;
                self.state.font = self.font(resources, name);
            }
            (b"Td" | b"TD", Some(_)) => {
                let Some([x, y]) = numbers(operands) else { return false };
                if operator == b"TD" {
                    self.state.leading = -y;
                }
                self.next_line(x, y);
            }
            (b"Tm", Some(_)) => {
                let Some(matrix) = numbers(operands) else { return false };
                self.set_text_matrix(Matrix(matrix));
            }
            (b"T*", _) => self.next_line(0.0, -self.state.leading),
            (b"Tj" | b"TJ", _) => {
                if !operands.iter().any(|operand| matches!(operand, Token::Text(_) | Token::ArrayStart)) {
                    return false;
                }
                self.show(operands);
            }
            (b"'", _) => {
                self.next_line(0.0, -self.state.leading);
                self.show(operands);
            }
            (b"\"", _) => {
                let [.., Token::Number(word), Token::Number(char), text] = operands else { return false };
                self.state.word_space = *word;
                self.state.char_space = *char;
                self.next_line(0.0, -self.state.leading);
                self.show(std::slice::from_ref(text));
            }
            _ => return false,
        }
        true
    }

    pub(super) fn set_text_matrix(&mut self, matrix: Matrix) {
        self.text_matrix = matrix;
        self.line_matrix = matrix;
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.set_text_matrix(Matrix::translation(x, y).then(self.line_matrix));
    }

    fn font(&mut self, resources: &Dictionary, name: &[u8]) -> Option<usize> {
        let owner = std::ptr::from_ref(resources).addr();
        let known = self.fonts.iter().position(|(of, known, _)| *of == owner && known == name);
        known.or_else(|| {
            let font = self.file.font_of(self.file.objects.resource(resources, b"Font", name)?)?;
            self.page.verdict.failed_streams += u64::from(font.is_broken);
            self.fonts.push((owner, name.to_vec(), font));
            Some(self.fonts.len() - 1)
        })
    }

    /// Shows the texts among `operands`; numbers move, as in TJ.
    fn show(&mut self, operands: &[Token<'_>]) {
        let Some(font) = self.state.font.map(|font| self.fonts[font].2.clone()) else {
            // text in a font that is not there cannot be read, and must not pass for blank
            self.page.verdict.lost_texts += 1;
            return;
        };
        let state = self.state;
        let is_hidden = self.is_hidden();
        let (size, scale) = (state.size, state.scale);
        let em = size * scale;
        let is_letterspaced = state.char_space.abs() > JUMP * size.abs();
        let to_page = self.text_matrix.then(state.matrix);
        let mut x = 0.0;
        let mut piece = self.piece(x);
        let mut shown_glyphs = 0;
        if let Some(replacement) = &mut self.actual_text {
            // one text for two lines belongs to no cell
            let (_, y) = to_page.apply(0.0, state.rise);
            let first = *replacement.printed_at.get_or_insert(y);
            self.page.verdict.lost_texts += u64::from((first - y).abs() > size.abs() * to_page.vertical_scale());
        }
        for operand in operands {
            let shown: &[u8] = match operand {
                Token::Number(thousandths) => {
                    let gap = -thousandths / 1000.0;
                    if gap.abs() > GAP {
                        self.end_piece(&piece, x, to_page);
                        piece = self.piece(x + gap * em);
                    }
                    x += gap * em;
                    continue;
                }
                Token::Text(shown) => shown,
                _ => continue,
            };
            let mut rest = shown;
            while !rest.is_empty() {
                let (code, length) = font.next_code(rest);
                rest = &rest[length..];
                let glyph = font.glyph(code);
                let word_space = if code == 32 && length == 1 { state.word_space } else { 0.0 };
                let spacing = (state.char_space + word_space) * scale;
                let advance = f64::from(glyph.advance) * em + spacing;
                shown_glyphs += 1;
                if is_letterspaced && piece.x0.is_some() {
                    self.end_piece(&piece, x, to_page);
                    piece = self.piece(x);
                }
                let before = self.page.text.len();
                match &mut self.actual_text {
                    Some(replacement) => self.page.text.push_str(&std::mem::take(&mut replacement.text)),
                    None => {
                        if !font.append_text(glyph, &mut self.page.text) && !is_hidden {
                            self.page.verdict.unmapped += 1;
                        }
                    }
                }
                let is_blank = self.page.text.as_bytes()[before..].iter().all(u8::is_ascii_whitespace);
                if !is_blank {
                    if piece.x0.is_none() {
                        piece.x0 = Some(x);
                        piece.first_advance = advance;
                    }
                    let drawn = f64::from(glyph.drawn) * em;
                    piece.drawn += drawn + spacing;
                    // spacing after the last glyph is no part of it
                    piece.x1 = x + drawn;
                } else if piece.x0.is_some() {
                    if self.pieces == Pieces::Whole && word_space.abs() <= JUMP * size.abs() {
                        piece.drawn += advance;
                        x += advance;
                        continue;
                    }
                    self.end_piece(&piece, x + advance, to_page);
                    piece = self.piece(x + advance);
                }
                x += advance;
            }
        }
        self.page.verdict.glyphs += shown_glyphs;
        self.end_piece(&piece, x, to_page);
        self.text_matrix = Matrix::translation(x, 0.0).then(self.text_matrix);
    }

    /// A piece that begins at `x`.
    fn piece(&self, x: f64) -> Piece {
        Piece { start: self.page.text.len(), from: x, ..Piece::default() }
    }

    /// Makes a run of what was appended since the piece began, unless nobody can see it. With its blanks it
    /// ends at `end`.
    fn end_piece(&mut self, piece: &Piece, end: f64, to_page: Matrix) {
        let start = piece.start;
        let begins = to_page.apply(piece.from, self.state.rise);
        let pen = std::mem::replace(&mut self.pen, to_page.apply(end, self.state.rise));
        let state = &self.state;
        let [a, b, ..] = to_page.0;
        let length = a.hypot(b);
        let x0 = piece.x0.unwrap_or(0.0);
        let (from, to) = (to_page.apply(x0, state.rise), to_page.apply(piece.x1, state.rise));
        let size = state.size.abs() * to_page.vertical_scale();
        let is_seen = !self.is_hidden()
            && piece.x0.is_some()
            && self.clip_of(state.clip).is_none_or(|clip| {
                let (left, right) = (from.0.min(to.0), from.0.max(to.0));
                clip.x0 <= right && clip.x1 >= left && clip.y0 <= from.1 + size && clip.y1 >= from.1 - size / 2.0
            });
        if !is_seen || !length.is_normal() || !(from.0 + from.1 + to.0 + size).is_finite() {
            self.page.text.truncate(start);
            return;
        }
        let direction = (state.size * state.scale).signum() / length;
        let turn = match (a * direction, b * direction) {
            (c, s) if s.abs() < ASKEW => {
                if c > 0.0 {
                    0
                } else {
                    2
                }
            }
            (c, s) if c.abs() < ASKEW => {
                if s > 0.0 {
                    1
                } else {
                    3
                }
            }
            _ => {
                self.page.verdict.askew += 1;
                self.page.turned.push((from.0, from.1, size));
                self.page.text.truncate(start);
                return;
            }
        };
        self.page.directions[turn] += (self.page.text.len() - start) as u64;
        if turn != 0 {
            self.page.verdict.askew += 1;
            self.page.turned.push((from.0, from.1, size));
            self.page.text.truncate(start);
            return;
        }
        let run = TextRun {
            x0: from.0,
            x1: to.0.max(from.0),
            drawn_x1: from.0 + (piece.drawn * length).abs(),
            y: from.1,
            size,
            first_advance: (piece.first_advance * length).abs(),
            goes_on: (begins.0 - pen.0).abs().max((begins.1 - pen.1).abs()) < size * ABUTS,
            clip: state.clip,
            font: state.font.unwrap_or(0) as u32,
            text: start as u32..self.page.text.len() as u32,
        };
        // strokes around the glyphs, or instead of them, have a colour of their own
        let is_filled = matches!(state.mode, 0 | 4);
        if is_filled && state.fill != BLACK && !self.painted.shows(&run, state.fill) {
            self.page.text.truncate(start);
            return;
        }
        self.painted.print(&run);
        self.page.runs.push(run);
    }

    /// Does nobody see what is shown now?
    fn is_hidden(&self) -> bool {
        let alpha = match self.state.mode {
            0 | 4 => self.state.alpha,
            1 | 5 => self.state.stroke_alpha,
            3 | 7 => 0.0,
            _ => self.state.alpha.max(self.state.stroke_alpha),
        };
        alpha <= 0.0 || self.hidden_layers > 0
    }
}

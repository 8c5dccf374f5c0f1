//! What does a content stream print, and where? The operators of the PDF imaging model.

use lopdf::{Dictionary, Object};

use super::{
    super::budget::Exceeded,
    colour::{BLACK, Space},
    file::File,
    graphics::{Interpreter, Mark, Pieces, State},
    lexer::{Lexer, Token},
    matrix::Matrix,
    operands::{has_text, is_damaged, numbers},
    page::Page,
    path::Path,
    seen::Painted,
    stream::StreamError,
};

/// Saved graphics states; real pages need a few.
const MAX_SAVED: usize = 10_000;
/// Texts on one page; a letter each on a large sheet is far below.
const MOST_TEXTS: usize = 60_000;
/// After so many tokens the budget is asked.
const TOKENS_A_LOOK: u64 = 4_096;

/// Interprets `content`; `base` turns the page upright.
///
/// # Errors
/// [`Exceeded`]: the budget is spent.
pub(crate) fn interpret(
    file: &File<'_>,
    content: &[u8],
    resources: &Dictionary,
    base: Matrix,
    pieces: Pieces,
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
        mode: 0,
        fill: BLACK,
        space: Space::Gray,
        alpha: 1.0,
        stroke_alpha: 1.0,
        mixes: false,
    };
    let mut interpreter = Interpreter {
        file,
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
        pieces,
        pen: (f64::NAN, f64::NAN),
        painted: Painted::default(),
        in_text: false,
        tokens: 0,
        glyphs_told: 0,
    };
    interpreter.run(content, resources, 0)?;
    interpreter.close_marks();
    interpreter.look()?;
    let fonts = interpreter.fonts.len();
    let mut page = interpreter.page;
    super::overprint::merge(&mut page);
    page.gaps = super::spacing::gaps(&page, fonts);
    Ok(page)
}

impl Interpreter<'_> {
    /// Tells the budget what was used since the last look.
    fn look(&mut self) -> Result<(), Exceeded> {
        if self.page.runs.len() > MOST_TEXTS {
            return Err(Exceeded::of("texts on a page", MOST_TEXTS as u64));
        }
        let glyphs = self.page.verdict.glyphs;
        self.file.objects.budget.spend_content(glyphs - self.glyphs_told, self.tokens)?;
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
                    if lexer.skip_inline_image() {
                        self.picture(false);
                    } else {
                        self.page.verdict.lost_texts += 1;
                    }
                }
                Token::Operator(operator) => {
                    let is_known = self.operate(operator, &operands, resources, depth)?;
                    if is_damaged(operator, &operands, is_known) {
                        self.page.verdict.lost_texts += 1;
                    } else if !is_known {
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
        let breaks_off = depth == 0 && self.in_text;
        if lexer.skipped > skipped || !operands.is_empty() || breaks_off {
            self.not_understood(&operands);
        }
        Ok(())
    }

    /// A token made no sense: where texts are printed, one of them may be lost.
    fn not_understood(&mut self, operands: &[Token<'_>]) {
        self.page.verdict.skipped_tokens += 1;
        if self.in_text || has_text(operands) {
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
            b"sh" => {
                // it fills the clip, with colours that change from place to place
                let area = self.clip_of(self.state.clip).unwrap_or_default();
                self.painted.fill(area, None, false, &mut self.page);
            }
            b"w" | b"J" | b"j" | b"M" | b"d" | b"ri" | b"i" | b"CS" | b"SC" | b"SCN" | b"G" | b"RG" | b"K" | b"MP"
            | b"DP" | b"BX" | b"EX" | b"d0" | b"d1" => {}
            _ if self.fill_colour(operator, operands, resources) => {}
            _ => return Ok(self.text_operator(operator, operands, resources)),
        }
        Ok(true)
    }

    /// `gs` may set a font, and what can be seen through.
    fn extended_state(&mut self, operands: &[Token<'_>], resources: &Dictionary) {
        let [.., Token::Name(name)] = operands else { return };
        let Some(state) = self.file.objects.resource(resources, b"ExtGState", name) else { return };
        let Some(state) = self.file.objects.dict(state) else { return };
        self.transparency(state);
        let Some([font, size]) =
            self.file.objects.array(state, b"Font").and_then(|font| <&[Object; 2]>::try_from(font.as_slice()).ok())
        else {
            return;
        };
        let owner = std::ptr::from_ref(font).addr();
        let known = self.fonts.iter().position(|(of, name, _)| *of == owner && name.is_empty());
        let known = known.or_else(|| {
            self.fonts.push((owner, Vec::new(), self.file.font_of(font)?));
            Some(self.fonts.len() - 1)
        });
        if let (Some(font), Some(size)) = (known, self.file.objects.number(size)) {
            self.state.font = Some(font);
            self.state.size = size;
        }
    }

    fn draw_object(&mut self, operands: &[Token<'_>], resources: &Dictionary, depth: usize) -> Result<(), Exceeded> {
        let [.., Token::Name(name)] = operands else {
            self.page.verdict.lost_texts += 1;
            return Ok(());
        };
        let object =
            self.file.objects.resource(resources, b"XObject", name).map(|object| self.file.objects.resolve(object));
        let Some(Object::Stream(form)) = object else {
            // whatever should be here, it is not
            self.page.verdict.failed_streams += 1;
            self.page.verdict.lost_texts += 1;
            return Ok(());
        };
        let layer = form.dict.get(b"OC").is_ok_and(|layer| self.file.is_off(layer));
        match form.dict.get(b"Subtype").and_then(Object::as_name) {
            _ if layer => return Ok(()),
            Ok(b"Image") => {
                let is_whole = [&b"ImageMask"[..], b"SMask", b"Mask"].iter().all(|key| !form.dict.has(key));
                self.picture(is_whole);
                return Ok(());
            }
            Ok(b"Form") => {}
            _ => {
                self.page.verdict.lost_texts += 1;
                return Ok(());
            }
        }
        let limit = self.file.objects.budget.limits.depth;
        if depth >= limit {
            return Err(Exceeded::of("nested forms", limit as u64));
        }
        let mut content = Vec::new();
        match super::stream::decode(form, self.file.objects.budget, &mut content) {
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
            let list = self.file.objects.array(&form.dict, key);
            list.into_iter().flatten().filter_map(|number| self.file.objects.number(number)).collect()
        };
        if let Ok(matrix) = <[f64; 6]>::try_from(entries(b"Matrix")) {
            self.state.matrix = Matrix(matrix).then(self.state.matrix);
        }
        if let Ok([x0, y0, x1, y1]) = <[f64; 4]>::try_from(entries(b"BBox")) {
            self.path.rectangle(self.state.matrix, [x0, y0, x1 - x0, y1 - y0]);
            self.path.clips = true;
            self.paint(false, false, false);
        }
        let own = form.dict.get(b"Resources").ok().and_then(|object| self.file.objects.dict(object));
        let saved = std::mem::take(&mut self.saved);
        let marks = std::mem::take(&mut self.marks);
        self.in_text = false;
        self.run(&content, own.unwrap_or(resources), depth + 1)?;
        self.close_marks();
        (self.saved, self.marks, self.state) = (saved, marks, state);
        (self.text_matrix, self.line_matrix, self.in_text) = text;
        Ok(())
    }
}

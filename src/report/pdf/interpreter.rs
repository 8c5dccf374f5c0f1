//! What does a content stream print, and where? The text and path part of the PDF imaging model.

use std::sync::Arc;

use lopdf::{Dictionary, Object};

use super::{
    document::Document,
    font::Font,
    lexer::{Lexer, Token},
    matrix::Matrix,
    page::{Page, Rect, Rule},
};

/// Forms within forms; real reports need one.
const MAX_FORM_DEPTH: usize = 8;
/// A filled box this thin (points) is a rule.
const RULE_THICKNESS: f64 = 2.0;
/// A gap this wide (share of the size) inside one show operator is a blank that was not printed.
const GAP_IS_BLANK: f64 = 0.25;

#[derive(Clone)]
struct State {
    matrix: Matrix,
    clip: Option<usize>,
    font: Option<Arc<Font>>,
    size: f64,
    char_space: f64,
    word_space: f64,
    scale: f64,
    leading: f64,
    rise: f64,
    mode: i64,
}

struct Interpreter<'a> {
    document: &'a Document,
    page: Page,
    state: State,
    stack: Vec<State>,
    text_matrix: Matrix,
    line_matrix: Matrix,
    /// Finished pieces of the current path, and the current point.
    boxes: Vec<Rect>,
    segments: Vec<((f64, f64), (f64, f64))>,
    /// The bounds of each subpath of lines, closed into a box when it is one.
    subpath: Vec<(f64, f64)>,
    clip_pending: bool,
}

/// Interprets `content`; `base` turns the page upright.
pub fn interpret(document: &Document, content: &[u8], resources: &Dictionary, base: Matrix) -> Page {
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
    };
    let mut interpreter = Interpreter {
        document,
        page: Page::default(),
        state,
        stack: Vec::new(),
        text_matrix: Matrix::IDENTITY,
        line_matrix: Matrix::IDENTITY,
        boxes: Vec::new(),
        segments: Vec::new(),
        subpath: Vec::new(),
        clip_pending: false,
    };
    interpreter.run(content, resources, 0);
    interpreter.page
}

fn numbers<const N: usize>(operands: &[Token<'_>]) -> Option<[f64; N]> {
    let tail = operands.get(operands.len().checked_sub(N)?..)?;
    let mut found = [0.0; N];
    for (slot, token) in found.iter_mut().zip(tail) {
        let Token::Number(number) = token else { return None };
        *slot = *number;
    }
    Some(found)
}

impl Interpreter<'_> {
    fn run(&mut self, content: &[u8], resources: &Dictionary, depth: usize) {
        let mut lexer = Lexer::new(content);
        let mut operands = Vec::new();
        while let Some(token) = lexer.next_token() {
            match token {
                Token::Operator(b"BI") => lexer.skip_inline_image(),
                Token::Operator(operator) => self.operate(operator, &operands, resources, depth),
                operand => {
                    operands.push(operand);
                    continue;
                }
            }
            operands.clear();
        }
        self.page.skipped_tokens += lexer.skipped;
    }

    fn operate(&mut self, operator: &[u8], operands: &[Token<'_>], resources: &Dictionary, depth: usize) {
        let one = || numbers::<1>(operands).map(|[number]| number);
        match operator {
            b"q" => self.stack.push(self.state.clone()),
            b"Q" => {
                if let Some(state) = self.stack.pop() {
                    self.state = state;
                }
            }
            b"cm" => {
                if let Some(matrix) = numbers(operands) {
                    self.state.matrix = Matrix(matrix).then(self.state.matrix);
                }
            }
            b"Do" => self.draw_object(operands, resources, depth),
            b"BT" => self.set_text_matrix(Matrix::IDENTITY),
            b"Tf" => {
                if let [.., Token::Name(name), Token::Number(size)] = operands {
                    self.state.font = self.document.font(resources, name);
                    self.state.size = *size;
                }
            }
            b"Tc" => self.state.char_space = one().unwrap_or(0.0),
            b"Tw" => self.state.word_space = one().unwrap_or(0.0),
            b"Tz" => self.state.scale = one().unwrap_or(100.0) / 100.0,
            b"TL" => self.state.leading = one().unwrap_or(0.0),
            b"Ts" => self.state.rise = one().unwrap_or(0.0),
            b"Tr" => self.state.mode = one().unwrap_or(0.0) as i64,
            b"Td" => self.next_line(numbers(operands)),
            b"TD" => {
                let by = numbers::<2>(operands);
                self.state.leading = by.map_or(self.state.leading, |[_, y]| -y);
                self.next_line(by);
            }
            b"T*" => self.next_line(Some([0.0, -self.state.leading])),
            b"Tm" => {
                if let Some(matrix) = numbers(operands) {
                    self.set_text_matrix(Matrix(matrix));
                }
            }
            b"Tj" | b"TJ" => self.show(operands),
            b"'" => {
                self.next_line(Some([0.0, -self.state.leading]));
                self.show(operands);
            }
            b"\"" => {
                if let [Token::Number(word), Token::Number(char), text] = operands {
                    self.state.word_space = *word;
                    self.state.char_space = *char;
                    self.next_line(Some([0.0, -self.state.leading]));
                    self.show(std::slice::from_ref(text));
                }
            }
            b"m" | b"l" => {
                if let Some([x, y]) = numbers(operands) {
                    self.path_to(operator == b"m", (x, y));
                }
            }
            b"c" | b"v" | b"y" => {
                if let Some([x, y]) = numbers(operands) {
                    self.end_subpath(false);
                    self.path_to(true, (x, y));
                }
            }
            b"h" => self.end_subpath(true),
            b"re" => {
                if let Some([x, y, width, height]) = numbers(operands) {
                    self.end_subpath(false);
                    let matrix = self.state.matrix;
                    self.boxes.push(Rect::around(matrix.apply(x, y), matrix.apply(x + width, y + height)));
                }
            }
            b"W" | b"W*" => self.clip_pending = true,
            b"S" | b"s" => self.paint(true, false),
            b"f" | b"F" | b"f*" => self.paint(false, true),
            b"B" | b"B*" | b"b" | b"b*" => self.paint(true, true),
            b"n" => self.paint(false, false),
            _ => {}
        }
    }

    fn draw_object(&mut self, operands: &[Token<'_>], resources: &Dictionary, depth: usize) {
        let [.., Token::Name(name)] = operands else { return };
        let Some(object) =
            self.document.resource(resources, b"XObject", name).map(|object| self.document.resolve(object))
        else {
            return;
        };
        let Object::Stream(form) = object else { return };
        if depth >= MAX_FORM_DEPTH
            || !form.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Form")
        {
            return;
        }
        let Some(content) = self.document.stream_bytes(Some(object)) else {
            self.page.skipped_tokens += 1;
            return;
        };
        let saved = self.state.clone();
        if let Some(list) = self.document.array(&form.dict, b"Matrix") {
            let entries: Vec<f64> = list.iter().filter_map(|number| self.document.number(number)).collect();
            if let Ok(matrix) = <[f64; 6]>::try_from(entries) {
                self.state.matrix = Matrix(matrix).then(self.state.matrix);
            }
        }
        let own = form.dict.get(b"Resources").ok().and_then(|object| self.document.dict(object));
        let below = std::mem::take(&mut self.stack);
        self.run(&content, own.unwrap_or(resources), depth + 1);
        self.stack = below;
        self.state = saved;
    }

    fn set_text_matrix(&mut self, matrix: Matrix) {
        self.text_matrix = matrix;
        self.line_matrix = matrix;
    }

    fn next_line(&mut self, by: Option<[f64; 2]>) {
        if let Some([x, y]) = by {
            self.set_text_matrix(Matrix::translation(x, y).then(self.line_matrix));
        }
    }

    /// Shows the texts among `operands` as one run; numbers move, as in TJ.
    fn show(&mut self, operands: &[Token<'_>]) {
        let Some(font) = self.state.font.clone() else {
            // text in a font that is not there cannot be read, and must not pass for blank
            self.page.glyphs += 1;
            self.page.unmapped += 1;
            return;
        };
        let state = &self.state;
        let (size, scale) = (state.size, state.scale);
        let start = self.page.text.len();
        let mut x = 0.0;
        let mut first_advance = None;
        for operand in operands {
            match operand {
                Token::Number(thousandths) => {
                    let moved = -thousandths / 1000.0 * size * scale;
                    let gap = moved / (size * scale);
                    if gap > GAP_IS_BLANK && self.page.text.len() > start && !self.page.text.ends_with(' ') {
                        self.page.text.push(' ');
                    }
                    x += moved;
                }
                Token::Text(shown) => {
                    for (code, bytes) in font.codes(shown) {
                        let word_space = if code == 32 && bytes == 1 { state.word_space } else { 0.0 };
                        let advance = (font.advance(code) * size + state.char_space + word_space) * scale;
                        first_advance.get_or_insert(advance);
                        x += advance;
                        self.page.glyphs += 1;
                        if !font.append_text(code, &mut self.page.text) {
                            self.page.unmapped += 1;
                        }
                    }
                }
                _ => {}
            }
        }
        let to_page = self.text_matrix.then(state.matrix);
        let from = to_page.apply(0.0, state.rise);
        let to = to_page.apply(x, state.rise);
        let unit = to_page.apply(1.0, 0.0).0 - to_page.apply(0.0, 0.0).0;
        self.text_matrix = Matrix::translation(x, 0.0).then(self.text_matrix);
        let invisible = state.mode == 3 || state.mode == 7;
        if invisible || self.page.text.len() == start {
            self.page.text.truncate(start);
            return;
        }
        let run = super::page::Run {
            x0: from.0,
            x1: to.0,
            y: from.1,
            size: size.abs() * to_page.vertical_scale(),
            first_advance: first_advance.unwrap_or(0.0) * unit,
            clip: state.clip,
            text: start..self.page.text.len(),
        };
        self.page.runs.push(run);
    }

    fn path_to(&mut self, moves: bool, (x, y): (f64, f64)) {
        let point = self.state.matrix.apply(x, y);
        if moves {
            self.end_subpath(false);
        }
        self.subpath.push(point);
    }

    /// Files the subpath away: as a box if its corners are one's, else as segments.
    fn end_subpath(&mut self, close: bool) {
        let mut points = std::mem::take(&mut self.subpath);
        if points.len() < 2 {
            return;
        }
        if close && points.first() != points.last() {
            points.push(points[0]);
        }
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        let upright = points.windows(2).all(|pair| near(pair[0].0, pair[1].0) || near(pair[0].1, pair[1].1));
        if upright && points.len() == 5 && near(points[0].0, points[4].0) && near(points[0].1, points[4].1) {
            self.boxes.push(Rect::around(points[0], points[2]));
        } else {
            self.segments.extend(points.windows(2).map(|pair| (pair[0], pair[1])));
        }
    }

    fn paint(&mut self, strokes: bool, fills: bool) {
        self.end_subpath(false);
        if self.clip_pending {
            self.clip_pending = false;
            self.clip();
        }
        for shape in std::mem::take(&mut self.boxes) {
            if shape.width() <= RULE_THICKNESS && shape.height() <= RULE_THICKNESS {
                continue;
            }
            let (x, y) = (f64::midpoint(shape.x0, shape.x1), f64::midpoint(shape.y0, shape.y1));
            if (fills || strokes) && shape.width() <= RULE_THICKNESS {
                self.page.rules.push(Rule::Vertical { x, y0: shape.y0, y1: shape.y1 });
            } else if (fills || strokes) && shape.height() <= RULE_THICKNESS {
                self.page.rules.push(Rule::Horizontal { y, x0: shape.x0, x1: shape.x1 });
            } else if strokes {
                self.page.rules.extend([
                    Rule::Vertical { x: shape.x0, y0: shape.y0, y1: shape.y1 },
                    Rule::Vertical { x: shape.x1, y0: shape.y0, y1: shape.y1 },
                    Rule::Horizontal { y: shape.y0, x0: shape.x0, x1: shape.x1 },
                    Rule::Horizontal { y: shape.y1, x0: shape.x0, x1: shape.x1 },
                ]);
            }
        }
        for (from, to) in std::mem::take(&mut self.segments) {
            let line = Rect::around(from, to);
            if !strokes || line.width().max(line.height()) <= RULE_THICKNESS {
                continue;
            }
            if line.width() < 0.1 {
                self.page.rules.push(Rule::Vertical { x: line.x0, y0: line.y0, y1: line.y1 });
            } else if line.height() < 0.1 {
                self.page.rules.push(Rule::Horizontal { y: line.y0, x0: line.x0, x1: line.x1 });
            }
        }
    }

    fn clip(&mut self) {
        let corners = self.segments.iter().flat_map(|(from, to)| [Rect::around(*from, *from), Rect::around(*to, *to)]);
        let Some(bounds) = self.boxes.iter().copied().chain(corners).reduce(Rect::union) else { return };
        let bounds = self.state.clip.map_or(bounds, |outer| bounds.intersection(self.page.clips[outer]));
        self.state.clip = Some(self.page.clips.len());
        self.page.clips.push(bounds);
    }
}

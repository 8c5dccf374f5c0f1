//! Which marked contents replace their text, or hide it? `ActualText` and layers.

use lopdf::Dictionary;

use super::{
    font::{is_invisible, is_printable},
    graphics::{ActualText, Interpreter, Mark},
    lexer::Token,
};

impl Interpreter<'_> {
    /// Marked content may say which text it stands for.
    pub(super) fn begin_marked(&mut self, operands: &[Token<'_>], resources: &Dictionary) {
        let text = match operands {
            [_, Token::Name(name)] => self
                .file
                .objects
                .resource(resources, b"Properties", name)
                .and_then(|properties| self.file.objects.dict(properties)?.get(b"ActualText").ok())
                .and_then(|text| self.file.objects.resolve(text).as_str().ok())
                .map(text_string),
            _ => operands.windows(2).find_map(|pair| match pair {
                [Token::Name(b"ActualText"), Token::Text(text)] => Some(text_string(text)),
                _ => None,
            }),
        };
        let is_hidden = match operands {
            [Token::Name(b"OC"), Token::Name(name)] => {
                self.file.objects.resource(resources, b"Properties", name).is_some_and(|layer| self.file.is_off(layer))
            }
            _ => false,
        };
        self.marks.push(match text {
            _ if is_hidden => {
                self.hidden_layers += 1;
                Mark::Hides
            }
            // the outermost replacement counts
            Some(text) if self.actual_text.is_none() => {
                self.actual_text = Some(ActualText { text, printed_at: None });
                Mark::Replaces
            }
            _ => Mark::Plain,
        });
    }

    pub(super) fn end_marked(&mut self) {
        match self.marks.pop() {
            Some(Mark::Replaces) => self.actual_text = None,
            Some(Mark::Hides) => self.hidden_layers -= 1,
            Some(Mark::Plain) | None => {}
        }
    }

    /// Ends what a content left open: all that followed may have been meant to be seen.
    pub(super) fn close_marks(&mut self) {
        while let Some(mark) = self.marks.last() {
            self.page.verdict.lost_texts += u64::from(*mark != Mark::Plain);
            self.end_marked();
        }
    }
}

/// A PDF text string: UTF-16 or UTF-8 with their marks, else nearly Latin-1.
fn text_string(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xfe, 0xff, units @ ..] => {
            let units = units.chunks(2).map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        _ => bytes.iter().map(|byte| char::from(*byte)).collect::<String>(),
    };
    text.chars().filter(|character| is_printable(*character) && !is_invisible(*character)).collect()
}

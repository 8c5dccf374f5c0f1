//! Where does a picture that stands within a content stream end?

use super::lexer::{Lexer, Token, is_space};

impl Lexer<'_> {
    /// Passes over an inline image: as many bytes as its samples take, where it says so; else everything
    /// up to an `EI` that stands alone, or behind which operators follow. False if there is none: then the
    /// rest of the content is passed over.
    pub(crate) fn skip_inline_image(&mut self) -> bool {
        let samples = self.inline_samples();
        let is_end = |at: usize| self.bytes.get(at..at + 2) == Some(b"EI") && self.ends_token(at + 2);
        let by_size = samples.map(|length| self.at + 1 + length).into_iter();
        let by_size = by_size.flat_map(|end| [end, end + 1, end + 2]).find(|at| is_end(*at));
        let alone = |at: &usize| *at > 0 && (is_space(self.bytes[at - 1]) || self.bytes[at - 1] == b'>');
        let ends = || (self.at..self.bytes.len().saturating_sub(1)).filter(|at| is_end(*at));
        let is_followed_by_text = |at: &usize| {
            self.bytes[at + 2..].iter().take(16).all(|byte| is_space(*byte) || (0x20..0x7f).contains(byte))
        };
        let end = by_size.or_else(|| ends().find(alone)).or_else(|| ends().find(is_followed_by_text));
        self.at = end.map_or(self.bytes.len(), |at| at + 2);
        end.is_some()
    }

    fn ends_token(&self, at: usize) -> bool {
        self.bytes.get(at).is_none_or(|byte| is_space(*byte))
    }

    /// Reads an inline image's dictionary up to `ID`: how many bytes its samples take, if they are not
    /// compressed and their number is plain.
    fn inline_samples(&mut self) -> Option<usize> {
        let start = self.at;
        let (mut key, mut is_filtered): (Option<&[u8]>, bool) = (None, false);
        let (mut width, mut height, mut bits, mut colours) = (0.0, 0.0, 8.0, 1.0);
        // real dictionaries have a dozen entries
        for _ in 0..64 {
            match (self.next_token(), key.take()) {
                (Some(Token::Operator(b"ID")), _) => {
                    let row = (width * bits * colours / 8.0_f64).ceil() * height;
                    return (!is_filtered && row > 0.0 && row < self.bytes.len() as f64).then_some(row as usize);
                }
                (Some(Token::Name(name)), None) => key = Some(name),
                (Some(Token::Name(name)), Some(b"CS" | b"ColorSpace")) => {
                    colours = match name {
                        b"RGB" | b"DeviceRGB" => 3.0,
                        b"CMYK" | b"DeviceCMYK" => 4.0,
                        _ => 1.0,
                    };
                }
                (Some(Token::Number(number)), Some(key)) => match key {
                    b"W" | b"Width" => width = number,
                    b"H" | b"Height" => height = number,
                    b"BPC" | b"BitsPerComponent" => bits = number,
                    _ => {}
                },
                (Some(Token::Operator(b"true")), Some(b"IM" | b"ImageMask")) => bits = 1.0,
                (Some(_), Some(b"F" | b"Filter")) => is_filtered = true,
                (Some(_), _) => {}
                (None, _) => break,
            }
        }
        self.at = start;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_images_are_skipped() {
        let mut lexer = Lexer::new(b"BI /W 2 ID \x00EI\xff)( EI Q");
        assert_eq!(lexer.next_token(), Some(Token::Operator(b"BI")));
        assert!(lexer.skip_inline_image());
        assert_eq!(lexer.next_token(), Some(Token::Operator(b"Q")));
        for image in [&b"BI /W 2 /H 1 /CS /RGB /BPC 8 ID \x00 EI \xff\xffEI\nQ"[..], b"BI /F /Fl ID \x01\xffEI\nQ"] {
            let mut lexer = Lexer::new(image);
            lexer.next_token();
            assert!(lexer.skip_inline_image());
            assert_eq!(lexer.next_token(), Some(Token::Operator(b"Q")), "{}", image.escape_ascii());
        }
    }
}

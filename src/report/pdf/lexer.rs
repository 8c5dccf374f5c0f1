//! Which tokens stand in a content stream or a CMap? Pull style, resynchronising, no tree.
//!
//! lopdf's own content decoder stops a page at the first odd token; this one passes over it and
//! counts it, so that one bad byte is seen instead of losing the rest of a page.

use std::borrow::Cow;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'a> {
    /// An integer or real.
    Number(f64),
    /// `/Name`, without the slash, escapes not resolved.
    Name(&'a [u8]),
    /// `(text)` or `<hex>`, decoded.
    Text(Cow<'a, [u8]>),
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// `<<`
    DictStart,
    /// `>>`
    DictEnd,
    /// Anything else that stands alone.
    Operator(&'a [u8]),
}

/// Reads tokens one after the other.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Tokens that made no sense and were passed over.
    pub skipped: usize,
    /// Hexadecimal strings of an even and of an odd number of digits.
    hexadecimals: [usize; 2],
}

const SPACE: u8 = 1;
const DELIMITER: u8 = 2;

/// What each byte is: looked up once for every byte of every page.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let spaces = b" \n\r\t\0\x0c";
    let delimiters = b"()<>[]{}/%";
    let mut at = 0;
    while at < spaces.len() {
        class[spaces[at] as usize] = SPACE;
        at += 1;
    }
    at = 0;
    while at < delimiters.len() {
        class[delimiters[at] as usize] = DELIMITER;
        at += 1;
    }
    class
};

/// What each hexadecimal digit is worth, and what is none.
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let (lower, upper) = (b"0123456789abcdef", b"0123456789ABCDEF");
    let mut worth = 0;
    while worth < 16 {
        digits[lower[worth as usize] as usize] = worth;
        digits[upper[worth as usize] as usize] = worth;
        worth += 1;
    }
    digits
};
const NO_DIGIT: u8 = 16;
/// Most strings are no longer.
const USUAL: usize = 64;

/// Powers of ten that a 64-bit float holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number that the leading digits of `bytes` make behind `before`, and how many they are; wrong from
/// the 19th digit on.
fn digits(bytes: &[u8], before: u64) -> (u64, usize) {
    let mut number = before;
    for (length, byte) in bytes.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (number, length);
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (number, bytes.len())
}

pub(super) fn is_space(byte: u8) -> bool {
    CLASS[usize::from(byte)] == SPACE
}

fn is_regular(byte: u8) -> bool {
    CLASS[usize::from(byte)] == 0
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, skipped: 0, hexadecimals: [0; 2] }
    }

    /// The next token, or `None` at the end.
    pub(crate) fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            self.skip_space();
            let byte = *self.bytes.get(self.at)?;
            match byte {
                b'(' => return Some(Token::Text(self.literal())),
                b'<' if self.peek(1) == Some(b'<') => return Some(self.delimiter(2, Token::DictStart)),
                b'<' => return Some(Token::Text(Cow::Owned(self.hexadecimal()))),
                b'>' if self.peek(1) == Some(b'>') => return Some(self.delimiter(2, Token::DictEnd)),
                b'[' => return Some(self.delimiter(1, Token::ArrayStart)),
                b']' => return Some(self.delimiter(1, Token::ArrayEnd)),
                b'/' => {
                    self.at += 1;
                    return Some(Token::Name(self.regular()));
                }
                b')' | b'>' | b'{' | b'}' => {
                    self.at += 1;
                    self.skipped += 1;
                }
                b'0'..=b'9' | b'+' | b'-' | b'.' => match self.number() {
                    Some(number) => return Some(Token::Number(number)),
                    None => self.skipped += 1,
                },
                _ => return Some(Token::Operator(self.regular())),
            }
        }
    }

    /// Did some hexadecimal strings have an odd number of digits, and others not? A printer writes them
    /// one way.
    #[must_use]
    pub(crate) fn has_mixed_hexadecimals(&self) -> bool {
        self.hexadecimals.iter().all(|count| *count > 0)
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn delimiter(&mut self, length: usize, token: Token<'a>) -> Token<'a> {
        self.at += length;
        token
    }

    fn skip_space(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            if is_space(byte) {
                self.at += 1;
            } else if byte == b'%' {
                while self.bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
                    self.at += 1;
                }
            } else {
                break;
            }
        }
    }

    fn regular(&mut self) -> &'a [u8] {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|byte| !is_regular(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// A number; printers glue operators to it (`0-20Td`), so it ends where no digit can follow.
    fn number(&mut self) -> Option<f64> {
        let mut negative = false;
        while let Some(sign @ (b'-' | b'+')) = self.peek(0) {
            negative |= sign == b'-';
            self.at += 1;
        }
        let rest = &self.bytes[self.at..];
        let (whole, length) = digits(rest, 0);
        let (mantissa, decimals, length) = match rest.get(length) {
            Some(b'.') => {
                let (mantissa, behind) = digits(&rest[length + 1..], whole);
                (mantissa, behind, length + 1 + behind)
            }
            _ => (whole, 0, length),
        };
        let count = if decimals > 0 || rest.get(length.wrapping_sub(1)) == Some(&b'.') { length - 1 } else { length };
        self.at += length;
        if count == 0 {
            return None;
        }
        let value = if count < POWERS.len() {
            mantissa as f64 / POWERS[decimals]
        } else {
            // more digits than a float can hold exactly
            std::str::from_utf8(&rest[..length]).ok()?.parse().ok().filter(|number: &f64| number.is_finite())?
        };
        Some(if negative { -value } else { value })
    }

    fn literal(&mut self) -> Cow<'a, [u8]> {
        self.at += 1;
        let start = self.at;
        // the common case has neither escapes, nor nested brackets, nor bare carriage returns
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b')' => {
                    let text = &self.bytes[start..self.at];
                    self.at += 1;
                    return Cow::Borrowed(text);
                }
                b'\\' | b'(' | b'\r' => break,
                _ => self.at += 1,
            }
        }
        let mut text = Vec::with_capacity(self.at - start + USUAL);
        text.extend_from_slice(&self.bytes[start..self.at]);
        let mut depth = 0;
        while let Some(&byte) = self.bytes.get(self.at) {
            // some printers write every other byte so
            if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] = self.bytes[self.at..] {
                text.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                self.at += 4;
                continue;
            }
            self.at += 1;
            match byte {
                b')' if depth == 0 => return Cow::Owned(text),
                b')' => depth -= 1,
                b'(' => depth += 1,
                b'\\' => {
                    self.escape(&mut text);
                    continue;
                }
                b'\r' => {
                    if self.peek(0) == Some(b'\n') {
                        self.at += 1;
                    }
                    text.push(b'\n');
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        self.skipped += 1;
        Cow::Owned(text)
    }

    fn escape(&mut self, text: &mut Vec<u8>) {
        let Some(byte) = self.peek(0) else { return };
        self.at += 1;
        match byte {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'\n' => {}
            b'\r' => {
                if self.peek(0) == Some(b'\n') {
                    self.at += 1;
                }
            }
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.peek(0) else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                text.push((code & 0xff) as u8);
            }
            other => text.push(other),
        }
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        self.at += 1;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'>');
        let digits = &rest[..end.unwrap_or(rest.len())];
        let mut text = Vec::with_capacity(digits.len().div_ceil(2));
        let mut high: Option<u8> = None;
        for &byte in digits {
            match (DIGITS[usize::from(byte)], high) {
                (NO_DIGIT, _) => self.skipped += usize::from(!is_space(byte)),
                (digit, None) => high = Some(digit << 4),
                (digit, Some(upper)) => {
                    text.push(upper | digit);
                    high = None;
                }
            }
        }
        self.at += digits.len();
        if end.is_none() {
            self.skipped += 1;
            return text;
        }
        self.at += 1;
        self.hexadecimals[usize::from(high.is_some())] += 1;
        text.extend(high);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8]) -> (Vec<String>, usize) {
        let mut lexer = Lexer::new(bytes);
        let mut found = Vec::new();
        while let Some(token) = lexer.next_token() {
            found.push(match token {
                Token::Number(number) => format!("{number}"),
                Token::Name(name) => format!("/{}", String::from_utf8_lossy(name)),
                Token::Text(text) => format!("({})", text.escape_ascii()),
                Token::Operator(name) => String::from_utf8_lossy(name).into_owned(),
                other => format!("{other:?}"),
            });
        }
        (found, lexer.skipped)
    }

    #[test]
    fn odd_tokens_are_passed_over_and_counted() {
        for (content, expected, skipped) in [
            ("1 0 0 -1.5 .25 +3 cm", "1 0 0 -1.5 0.25 3 cm", 0),
            ("0-20Td", "0 -20 Td", 0),
            ("--5 w", "-5 w", 0),
            ("- w 1", "w 1", 1),
            ("123456789012 w", "123456789012 w", 0),
            (
                "123456789012345678901.5 0.00000000000000000001 5. w",
                "123456789012345680000 0.00000000000000000001 5 w",
                0,
            ),
            (". w", "w", 1),
            (") Tj } q", "Tj q", 2),
            ("(a\\(b\\)\\061\\n(c)) Tj", "(a(b)1\\n(c)) Tj", 0),
            ("<48 6> Tj", "(H`) Tj", 0),
            ("[(a)-20<62>]TJ", "ArrayStart (a) -20 (b) ArrayEnd TJ", 0),
            ("/F1 9.75 Tf % note\nT*", "/F1 9.75 Tf T*", 0),
            ("/P <</MCID 0>> BDC", "/P DictStart /MCID 0 DictEnd BDC", 0),
            ("(unfinished", "(unfinished)", 1),
        ] {
            let (found, missed) = tokens(content.as_bytes());
            assert_eq!((found.join(" "), missed), (expected.to_owned(), skipped), "{content}");
        }
    }
}

//! Which text does a character code stand for? A tolerant reader of ToUnicode CMaps.

use super::lexer::{Lexer, Token};

/// More entries than this are not a font's, but an attack.
const MAX_ENTRIES: usize = 65_536;

/// Code -> text, as ranges; looked up by binary search.
#[derive(Debug, Clone, Default)]
pub struct ToUnicode {
    /// Sorted by `low`: codes `low..=high` stand for `text` with its last character advanced.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone)]
struct Range {
    low: u32,
    high: u32,
    text: Vec<u16>,
}

impl ToUnicode {
    /// Reads the `bfchar` and `bfrange` sections and ignores the PostScript around them.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut lexer = Lexer::new(bytes);
        let mut operands: Vec<Token<'_>> = Vec::new();
        let mut ranges = Vec::new();
        while let Some(token) = lexer.next_token() {
            match token {
                Token::Operator(b"beginbfchar" | b"beginbfrange") => operands.clear(),
                Token::Operator(b"endbfchar") => chars(&operands, &mut ranges),
                Token::Operator(b"endbfrange") => spans(&operands, &mut ranges),
                other => operands.push(other),
            }
            if ranges.len() > MAX_ENTRIES {
                ranges.truncate(MAX_ENTRIES);
                break;
            }
        }
        ranges.sort_by_key(|range: &Range| range.low);
        Self { ranges }
    }

    /// Appends the text of `code`; false if there is none.
    pub fn append(&self, code: u32, into: &mut String) -> bool {
        let after = self.ranges.partition_point(|range| range.low <= code);
        let Some(range) = after.checked_sub(1).map(|at| &self.ranges[at]).filter(|range| code <= range.high) else {
            return false;
        };
        let mut text = range.text.clone();
        if let Some(last) = text.last_mut() {
            *last = last.wrapping_add((code - range.low) as u16);
        }
        let before = into.len();
        into.extend(char::decode_utf16(text).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        into.len() > before
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |code, byte| code << 8 | u32::from(*byte))
}

fn units(bytes: &[u8]) -> Vec<u16> {
    match bytes {
        [single] => vec![u16::from(*single)],
        _ => bytes
            .chunks(2)
            .take(64)
            .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)))
            .collect(),
    }
}

fn chars(operands: &[Token<'_>], ranges: &mut Vec<Range>) {
    for pair in operands.chunks_exact(2) {
        if let [Token::Text(code), Token::Text(text)] = pair {
            let code = number(code);
            ranges.push(Range { low: code, high: code, text: units(text) });
        }
    }
}

fn spans(operands: &[Token<'_>], ranges: &mut Vec<Range>) {
    let mut rest = operands;
    loop {
        match rest {
            [Token::Text(low), Token::Text(high), Token::Text(text), tail @ ..] => {
                ranges.push(Range { low: number(low), high: number(high), text: units(text) });
                rest = tail;
            }
            [Token::Text(low), Token::Text(_), Token::ArrayStart, tail @ ..] => {
                let length = tail.iter().position(|token| *token == Token::ArrayEnd).unwrap_or(tail.len());
                for (code, token) in (number(low)..).zip(&tail[..length]) {
                    if let Token::Text(text) = token {
                        ranges.push(Range { low: code, high: code, text: units(text) });
                    }
                }
                rest = tail.get(length + 1..).unwrap_or_default();
            }
            [_, tail @ ..] => rest = tail,
            [] => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chars_ranges_arrays_and_surrogates() {
        let map = ToUnicode::parse(
            b"/CIDInit begincmap CIDSystemInfo 3 dict 1 begincodespacerange <0000> <ffff> endcodespacerange
              2 beginbfchar <0001> <0041> <02> <D83DDE00> endbfchar
              2 beginbfrange <0010> <0012> <0061> <0020> <0021> [<00660069> <0062>] endbfrange",
        );
        for (code, expected) in [(1, "A"), (2, "😀"), (0x10, "a"), (0x12, "c"), (0x20, "fi"), (0x21, "b")] {
            let mut text = String::new();
            assert!(map.append(code, &mut text), "{code}");
            assert_eq!(text, expected);
        }
        assert!(!map.append(0x13, &mut String::new()));
    }

    #[test]
    fn a_giant_range_costs_one_entry() {
        let map = ToUnicode::parse(b"1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange");
        assert_eq!(map.ranges.len(), 1);
    }
}

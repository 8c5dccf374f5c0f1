//! What does a character code stand for? A tolerant reader of CMaps: texts, CIDs and code lengths.

use super::lexer::{Lexer, Token};

/// More entries than this are not a font's, but an attack.
const MAX_ENTRIES: usize = 65_536;
/// More operands before one operator neither.
const MAX_OPERANDS: usize = 4 * MAX_ENTRIES;
/// More UTF-16 units for one code neither.
const MAX_UNITS: usize = 64;

/// A parsed CMap; giant ranges cost one entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct CMap {
    /// Sorted by `low`: codes `low..=high` stand for `text` with its last unit advanced.
    texts: Vec<Span<Vec<u16>>>,
    /// Sorted by `low`: codes `low..=high` are the CIDs from `to` on.
    cids: Vec<Span<u32>>,
    /// Which codes have how many bytes: `(bytes, low, high)`.
    pub spaces: Vec<(usize, u32, u32)>,
    /// Something in its sections is not as written by a printer: what it says cannot be trusted.
    pub is_damaged: bool,
}

#[derive(Debug, Clone)]
struct Span<T> {
    low: u32,
    high: u32,
    to: T,
}

fn find<T>(spans: &[Span<T>], code: u32) -> Option<&Span<T>> {
    let after = spans.partition_point(|span| span.low <= code);
    after.checked_sub(1).map(|at| &spans[at]).filter(|span| code <= span.high)
}

impl CMap {
    /// Reads the sections and ignores the PostScript around them.
    #[must_use]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut lexer = Lexer::new(bytes);
        let mut map = Self::default();
        let mut operands: Vec<Token<'_>> = Vec::new();
        let mut is_open = false;
        let mut skipped = 0;
        while let Some(token) = lexer.next_token() {
            // outside of its sections a CMap may hold any PostScript
            map.is_damaged |= is_open && lexer.skipped > skipped;
            skipped = lexer.skipped;
            match token {
                Token::Operator(
                    b"begincodespacerange"
                    | b"beginbfchar"
                    | b"beginbfrange"
                    | b"begincidchar"
                    | b"begincidrange"
                    | b"beginnotdefchar"
                    | b"beginnotdefrange",
                ) => {
                    is_open = true;
                    operands.clear();
                    continue;
                }
                Token::Operator(b"endcodespacerange") => map.spaces(&operands),
                Token::Operator(b"endbfchar") => map.text_chars(&operands),
                Token::Operator(b"endbfrange") => map.text_ranges(&operands),
                Token::Operator(b"endcidchar") => map.cid_chars(&operands),
                Token::Operator(b"endcidrange") => map.cid_ranges(&operands),
                Token::Operator(b"endnotdefchar" | b"endnotdefrange") => {}
                Token::Operator(_) => {
                    map.is_damaged |= is_open;
                    continue;
                }
                operand => {
                    operands.push(operand);
                    if operands.len() > MAX_OPERANDS || map.texts.len() + map.cids.len() > MAX_ENTRIES {
                        map.is_damaged = true;
                        break;
                    }
                    continue;
                }
            }
            is_open = false;
        }
        map.is_damaged |= is_open || lexer.has_mixed_hexadecimals();
        map.texts.sort_by_key(|span| span.low);
        map.cids.sort_by_key(|span| span.low);
        map
    }

    /// The text of `code`.
    #[must_use]
    pub(crate) fn text(&self, code: u32) -> Option<String> {
        let span = find(&self.texts, code)?;
        let mut units = span.to.clone();
        if let Some(last) = units.last_mut() {
            *last = last.wrapping_add((code - span.low) as u16);
        }
        Some(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    }

    /// The CID of `code`.
    #[must_use]
    pub(crate) fn cid(&self, code: u32) -> Option<u32> {
        let span = find(&self.cids, code)?;
        Some(span.to.saturating_add(code - span.low))
    }

    /// The highest code of two bytes at most that has a text or CID.
    #[must_use]
    pub(crate) fn last_code(&self) -> u32 {
        let texts = self.texts.iter().map(|span| span.high);
        texts.chain(self.cids.iter().map(|span| span.high)).max().unwrap_or(0).min(0xffff)
    }

    fn spaces(&mut self, operands: &[Token<'_>]) {
        for pair in operands.chunks(2).take(256) {
            match pair {
                [Token::Text(low), Token::Text(high)] if (1..=4).contains(&low.len()) => {
                    self.spaces.push((low.len(), number(low), number(high)));
                }
                _ => self.is_damaged = true,
            }
        }
    }

    fn text_chars(&mut self, operands: &[Token<'_>]) {
        for pair in operands.chunks(2) {
            let [Token::Text(code), Token::Text(text)] = pair else {
                self.is_damaged = true;
                return;
            };
            let code = number(code);
            self.texts.push(Span { low: code, high: code, to: units(text) });
        }
    }

    fn text_ranges(&mut self, operands: &[Token<'_>]) {
        let mut rest = operands;
        loop {
            match rest {
                [Token::Text(low), Token::Text(high), Token::Text(text), tail @ ..] => {
                    self.texts.push(Span { low: number(low), high: number(high), to: units(text) });
                    rest = tail;
                }
                [Token::Text(low), Token::Text(_), Token::ArrayStart, tail @ ..] => {
                    let length = tail.iter().position(|token| *token == Token::ArrayEnd).unwrap_or(tail.len());
                    for (code, token) in (number(low)..).zip(&tail[..length]) {
                        if let Token::Text(text) = token {
                            self.texts.push(Span { low: code, high: code, to: units(text) });
                        }
                    }
                    rest = tail.get(length + 1..).unwrap_or_default();
                }
                [] => return,
                [..] => {
                    self.is_damaged = true;
                    return;
                }
            }
        }
    }

    fn cid_chars(&mut self, operands: &[Token<'_>]) {
        for pair in operands.chunks(2) {
            let [Token::Text(code), Token::Number(cid)] = pair else {
                self.is_damaged = true;
                return;
            };
            let code = number(code);
            self.cids.push(Span { low: code, high: code, to: *cid as u32 });
        }
    }

    fn cid_ranges(&mut self, operands: &[Token<'_>]) {
        for triple in operands.chunks(3) {
            let [Token::Text(low), Token::Text(high), Token::Number(cid)] = triple else {
                self.is_damaged = true;
                return;
            };
            self.cids.push(Span { low: number(low), high: number(high), to: *cid as u32 });
        }
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
            .take(MAX_UNITS)
            .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chars_ranges_arrays_and_surrogates() {
        let map = CMap::parse(
            b"/CIDInit begincmap CIDSystemInfo 3 dict 1 begincodespacerange <0000> <ffff> endcodespacerange
              2 beginbfchar <0001> <0041> <02> <D83DDE00> endbfchar
              2 beginbfrange <0010> <0012> <0061> <0020> <0021> [<00660069> <0062>] endbfrange",
        );
        for (code, expected) in [(1, "A"), (2, "😀"), (0x10, "a"), (0x12, "c"), (0x20, "fi"), (0x21, "b")] {
            assert_eq!(map.text(code).as_deref(), Some(expected), "{code}");
        }
        assert_eq!(map.text(0x13), None);
        assert_eq!((map.last_code(), &map.spaces[..]), (0x21, &[(2, 0, 0xffff)][..]));
    }

    #[test]
    fn cids_of_embedded_encodings() {
        let map = CMap::parse(
            b"2 begincodespacerange <00> <7f> <8000> <ffff> endcodespacerange
              1 begincidchar <20> 1 endcidchar 1 begincidrange <8140> <817e> 633 endcidrange",
        );
        assert_eq!((map.cid(0x20), map.cid(0x8141), map.cid(0x21)), (Some(1), Some(634), None));
        assert_eq!(map.spaces, [(1, 0, 0x7f), (2, 0x8000, 0xffff)]);
    }

    #[test]
    fn one_wrong_byte_in_a_section_is_seen() {
        for section in [
            "<0001> <0041> <0002> <00\u{1}42>",
            "<0001> <0041> <0002 <0042>",
            "<0001> <0041> <0002>x<0042>",
            "<0001> <0041> <0002>6<0042>",
            "<0001> <0041> <0002> <00\r2>",
            "<0001> <0041> <0002>",
        ] {
            assert!(CMap::parse(format!("2 beginbfchar {section} endbfchar").as_bytes()).is_damaged, "{section}");
        }
        let odd = b"/CIDSystemInfo << Registry (Adobe) ) } >> def 1 beginbfchar <01> <0041> endbfchar";
        assert!(!CMap::parse(odd).is_damaged, "what stands around the sections means nothing");
    }

    #[test]
    fn a_giant_range_costs_one_entry() {
        let map = CMap::parse(b"1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange");
        assert_eq!((map.texts.len(), map.last_code()), (1, 0xffff));
    }
}

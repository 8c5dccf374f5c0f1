//! How wide is a character code, and which text is it? A font, decoded once per document.

use lopdf::{Dictionary, Object};

use super::{cmap::ToUnicode, document::Document};

/// Windows-1252 from 0x80 to 0x9F; the rest of WinAnsi is Latin-1.
const CP1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

/// A font's codes, widths and texts.
#[derive(Debug, Default)]
pub struct Font {
    /// Type0: two bytes a code.
    wide_codes: bool,
    /// Advance of code `first_width + n`, in thousandths of the size.
    widths: Vec<f32>,
    first_width: u32,
    default_width: f32,
    to_unicode: Option<ToUnicode>,
    /// Is a code without an entry in ToUnicode a WinAnsi character?
    win_ansi: bool,
}

impl Font {
    /// Reads a font dictionary; what is missing or odd falls back to what readers agree on.
    #[must_use]
    pub fn load(document: &Document, dict: &Dictionary) -> Self {
        let to_unicode = document.stream_bytes(dict.get(b"ToUnicode").ok()).map(|bytes| ToUnicode::parse(&bytes));
        if dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|name| name == b"Type0") {
            let descendant = document.array(dict, b"DescendantFonts").and_then(|fonts| document.dict(fonts.first()?));
            let (widths, default_width) = descendant.map_or((Vec::new(), 1000.0), |font| cid_widths(document, font));
            return Self { wide_codes: true, widths, first_width: 0, default_width, to_unicode, win_ansi: false };
        }
        let widths = document
            .array(dict, b"Widths")
            .map(|list| list.iter().map(|width| document.number(width).unwrap_or(0.0) as f32).collect());
        let first_width = dict
            .get(b"FirstChar")
            .ok()
            .and_then(|first| document.number(first))
            .map_or(0, |first| first.max(0.0) as u32);
        let missing = dict
            .get(b"FontDescriptor")
            .ok()
            .and_then(|descriptor| document.dict(descriptor))
            .and_then(|descriptor| document.number(descriptor.get(b"MissingWidth").ok()?));
        Self {
            wide_codes: false,
            default_width: missing.unwrap_or(if widths.is_some() { 0.0 } else { 500.0 }) as f32,
            widths: widths.unwrap_or_default(),
            first_width,
            to_unicode,
            win_ansi: is_win_ansi(document, dict),
        }
    }

    /// Splits a shown text into codes: `(code, bytes it took)`.
    pub fn codes<'a>(&self, shown: &'a [u8]) -> impl Iterator<Item = (u32, usize)> + 'a {
        let step = if self.wide_codes { 2 } else { 1 };
        shown.chunks(step).map(|chunk| (chunk.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)), chunk.len()))
    }

    /// A code's advance, as a share of the font size.
    #[must_use]
    pub fn advance(&self, code: u32) -> f64 {
        let width = code
            .checked_sub(self.first_width)
            .and_then(|at| self.widths.get(at as usize))
            .copied()
            .filter(|width| width.is_finite());
        f64::from(width.unwrap_or(self.default_width)) / 1000.0
    }

    /// Appends a code's text; false (and U+FFFD) where it is not known.
    pub fn append_text(&self, code: u32, into: &mut String) -> bool {
        if self.to_unicode.as_ref().is_some_and(|map| map.append(code, into)) {
            return true;
        }
        let fallback = match code {
            _ if !self.win_ansi => char::REPLACEMENT_CHARACTER,
            0x80..=0x9f => CP1252[(code - 0x80) as usize],
            0x20..=0xff => char::from(code as u8),
            _ => char::REPLACEMENT_CHARACTER,
        };
        into.push(fallback);
        fallback != char::REPLACEMENT_CHARACTER
    }
}

/// Is a simple font's encoding known to be WinAnsi? A font that names it, or one of the standard fonts
/// that is not embedded. Any other encoding is not guessed: its codes count as unreadable.
fn is_win_ansi(document: &Document, dict: &Dictionary) -> bool {
    match dict.get(b"Encoding").map(|encoding| document.resolve(encoding)) {
        Ok(Object::Name(name)) => name == b"WinAnsiEncoding",
        Ok(Object::Dictionary(encoding)) => {
            !encoding.has(b"Differences")
                && encoding.get(b"BaseEncoding").and_then(Object::as_name).is_ok_and(|name| name == b"WinAnsiEncoding")
        }
        _ => !dict.has(b"FontDescriptor"),
    }
}

/// `/W` and `/DW` of a CID font: NaN where a CID has no width of its own.
fn cid_widths(document: &Document, font: &Dictionary) -> (Vec<f32>, f32) {
    let default = font.get(b"DW").ok().and_then(|width| document.number(width)).unwrap_or(1000.0) as f32;
    let mut widths: Vec<f32> = Vec::new();
    let mut set = |cid: f64, width: f64| {
        let cid = cid.clamp(0.0, 65_535.0) as usize;
        if widths.len() <= cid {
            widths.resize(cid + 1, f32::NAN);
        }
        widths[cid] = width as f32;
    };
    let entries = document.array(font, b"W").map(Vec::as_slice).unwrap_or_default();
    let mut at = 0;
    while let Some(first) = entries.get(at).and_then(|first| document.number(first)) {
        match entries.get(at + 1).map(|second| document.resolve(second)) {
            Some(Object::Array(list)) => {
                for (offset, width) in list.iter().enumerate().take(65_536) {
                    set(first + offset as f64, document.number(width).unwrap_or(0.0));
                }
                at += 2;
            }
            Some(last) => {
                let (Some(last), Some(width)) =
                    (document.number(last), entries.get(at + 2).and_then(|width| document.number(width)))
                else {
                    break;
                };
                let mut cid = first.max(0.0);
                while cid <= last.min(65_535.0) {
                    set(cid, width);
                    cid += 1.0;
                }
                at += 3;
            }
            None => break,
        }
    }
    (widths, default)
}

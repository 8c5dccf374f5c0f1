//! How wide is a character code, and which text is it? A font, decoded once per document.

mod encoding;
mod program;
mod standard;

use lopdf::{Dictionary, Object};
use unicode_normalization::UnicodeNormalization;

use super::{cmap::CMap, document::Document};

/// A font program is believed against its ToUnicode map where it agrees so many times as often.
const WITNESS: usize = 8;

/// Widths that differ by less (thousandths of the size) are the same.
const SAME_WIDTH: f32 = 2.0;

/// How often a font program says the same as the tables of the file, and of which codes it does not.
#[derive(Debug, Default)]
struct Trial {
    agreeing: usize,
    contested: Vec<usize>,
}

impl Trial {
    /// The codes that the tables are not believed about: where the program mostly says the same, it is a
    /// witness against the few that differ.
    fn condemned(self) -> Vec<usize> {
        if self.agreeing > WITNESS * self.contested.len() { self.contested } else { Vec::new() }
    }
}

/// How a shown string is cut into codes.
#[derive(Debug)]
enum Codes {
    /// Simple fonts.
    OneByte,
    /// `Identity` and most other composite fonts.
    TwoBytes,
    /// An embedded CMap's code spaces: `(bytes, low, high)`.
    Spaces(Vec<(usize, u32, u32)>),
}

/// What a glyph says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Text {
    Unknown,
    One(char),
    /// An index into [`Font::texts`].
    Many(u32),
}

/// One glyph of a font.
#[derive(Debug, Clone, Copy)]
pub struct Glyph {
    /// Advance, as a share of the font size.
    pub advance: f32,
    text: Text,
}

/// A font's codes, widths and texts.
#[derive(Debug)]
pub struct Font {
    codes: Codes,
    /// By code; codes beyond are `other`.
    glyphs: Vec<Glyph>,
    other: Glyph,
    /// Texts of more than one character.
    texts: Vec<String>,
    /// A table of the font cannot be read: all its glyphs count as unknown rather than as a guess.
    pub is_broken: bool,
}

impl Font {
    /// Reads a font dictionary.
    #[must_use]
    pub fn load(document: &Document<'_>, dict: &Dictionary) -> Self {
        let mut font = match dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Type0") => composite(document, dict),
            _ => simple(document, dict),
        };
        // its simple codes would be guessed by the encoding, which a subset need not follow
        let is_lost = |key: &[u8]| {
            dict.get(key).is_ok_and(|object| {
                let stream = document.resolve(object);
                matches!(stream, Object::Stream(_)) && document.stream_bytes(stream).is_none()
            })
        };
        font.is_broken |= is_lost(b"ToUnicode") || is_lost(b"Encoding");
        if font.is_broken {
            font.glyphs.iter_mut().for_each(|glyph| glyph.text = Text::Unknown);
        }
        font
    }

    fn new(codes: Codes, other_advance: f32) -> Self {
        let other = Glyph { advance: other_advance, text: Text::Unknown };
        Self { codes, glyphs: Vec::new(), other, texts: Vec::new(), is_broken: false }
    }

    fn push(&mut self, advance: f32, text: Option<&str>) {
        let text = self.text(text.unwrap_or_default());
        self.glyphs.push(Glyph { advance, text });
    }

    /// Keeps a text, spelled out; control characters and U+FFFD are unknown.
    fn text(&mut self, text: &str) -> Text {
        let mut plain = String::with_capacity(text.len());
        for character in text.chars().filter(|character| is_printable(*character)) {
            match spelled_out(character) {
                Some(letters) => plain.push_str(letters),
                None => plain.push(character),
            }
        }
        let mut characters = plain.chars();
        match (characters.next(), characters.next()) {
            (None, _) => Text::Unknown,
            (Some(only), None) => Text::One(only),
            _ => {
                self.texts.push(plain);
                Text::Many(self.texts.len() as u32 - 1)
            }
        }
    }

    /// The first code of `shown` with its length in bytes; `shown` is not empty.
    #[must_use]
    pub fn next_code(&self, shown: &[u8]) -> (u32, usize) {
        match (&self.codes, shown) {
            (Codes::TwoBytes, [high, low, ..]) => (u32::from(*high) << 8 | u32::from(*low), 2),
            (Codes::Spaces(spaces), _) => {
                let mut code = 0;
                for (length, byte) in (1..=4).zip(shown) {
                    code = code << 8 | u32::from(*byte);
                    if spaces.iter().any(|(bytes, low, high)| *bytes == length && (*low..=*high).contains(&code)) {
                        return (code, length);
                    }
                }
                let shortest = spaces.iter().map(|(bytes, ..)| *bytes).min().unwrap_or(1);
                (u32::MAX, shortest.min(shown.len()).max(1))
            }
            (_, [byte, ..]) => (u32::from(*byte), 1),
            (_, []) => (u32::MAX, 1),
        }
    }

    /// How many glyphs it holds in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.glyphs.len()
    }

    /// The glyph of a code.
    #[must_use]
    pub fn glyph(&self, code: u32) -> Glyph {
        self.glyphs.get(code as usize).copied().unwrap_or(self.other)
    }

    /// Appends a glyph's text; false (and U+FFFD) where it is not known.
    pub fn append_text(&self, glyph: Glyph, into: &mut String) -> bool {
        match glyph.text {
            Text::One(character) => into.push(character),
            Text::Many(index) => into.push_str(&self.texts[index as usize]),
            Text::Unknown => {
                into.push(char::REPLACEMENT_CHARACTER);
                return false;
            }
        }
        true
    }
}

/// Neither a control character, which a terminal would obey, nor the sign for what is not known.
pub fn is_printable(character: char) -> bool {
    character != char::REPLACEMENT_CHARACTER && (!character.is_control() || character.is_whitespace())
}

/// Ligatures as letters, and the hyphens that share a glyph with the one on every keyboard as that one:
/// a font's tables name whichever they like.
fn spelled_out(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{ad}' | '\u{2010}' | '\u{2011}' => "-",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

fn to_unicode(document: &Document<'_>, dict: &Dictionary) -> Option<CMap> {
    document.stream_bytes(dict.get(b"ToUnicode").ok()?).map(|bytes| CMap::parse(&bytes))
}

/// Type 1, TrueType and Type 3 fonts: one byte a code.
fn simple(document: &Document<'_>, dict: &Dictionary) -> Font {
    let number = |key: &[u8]| dict.get(key).ok().and_then(|object| document.number(object));
    let descriptor = dict.get(b"FontDescriptor").ok().and_then(|descriptor| document.dict(descriptor));
    let name = String::from_utf8_lossy(dict.get(b"BaseFont").and_then(Object::as_name).unwrap_or_default());
    let to_unicode = to_unicode(document, dict);
    let encoded = encoding::texts(document, dict);
    let printed = document.array(dict, b"Widths");
    let standard = if printed.is_some() { None } else { Some(standard::widths(&name)) };
    let missing = descriptor.and_then(|descriptor| document.number(descriptor.get(b"MissingWidth").ok()?));
    let first = number(b"FirstChar").unwrap_or(0.0).max(0.0) as usize;
    // a Type 3 font's widths are in its own space
    let is_type3 = dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Type3");
    let scale = is_type3.then(|| document.number(document.array(dict, b"FontMatrix")?.first()?)).flatten();
    let scale = scale.unwrap_or(0.001);

    let mut font = Font::new(Codes::OneByte, (missing.unwrap_or(0.0) * scale) as f32);
    // widths that are not those of its codes would move, join and part words
    let fits = |list: &Vec<Object>| {
        list.iter().all(|width| document.number(width).is_some())
            && number(b"FirstChar").is_some()
            && number(b"LastChar").is_none_or(|last| last - first as f64 + 1.0 <= list.len() as f64)
    };
    let has_lost_widths = printed.map_or(dict.has(b"Widths"), |list| !fits(list));
    font.is_broken = has_lost_widths
        || encoding::is_unknown(document, dict)
        || to_unicode.as_ref().is_some_and(|map| map.is_damaged);
    for (code, encoded) in encoded.into_iter().enumerate() {
        let text = to_unicode.as_ref().and_then(|map| map.text(code as u32)).filter(|text| is_text(text));
        let text = text.or(encoded);
        let width = match (&standard, printed) {
            (Some(standard), _) => text.as_ref().and_then(|text| standard.get(text)).map(|width| f64::from(*width)),
            (None, Some(list)) => {
                code.checked_sub(first).and_then(|at| list.get(at)).and_then(|width| document.number(width))
            }
            (None, None) => None,
        };
        let width = width.or(missing).unwrap_or(if standard.is_some() { 500.0 } else { 0.0 });
        font.push((width * scale) as f32, text.as_deref());
    }
    font
}

/// Does a ToUnicode entry say anything?
fn is_text(text: &str) -> bool {
    text.chars().any(|character| !matches!(character, '\0' | char::REPLACEMENT_CHARACTER))
}

/// Type 0 fonts: codes of several bytes, CIDs, widths by CID.
fn composite(document: &Document<'_>, dict: &Dictionary) -> Font {
    let descendant = document.array(dict, b"DescendantFonts").and_then(|fonts| document.dict(fonts.first()?));
    let is_cid_font = |font: &Dictionary| {
        font.get(b"Subtype")
            .and_then(Object::as_name)
            .is_ok_and(|kind| matches!(kind, b"CIDFontType0" | b"CIDFontType2"))
    };
    let (widths, default_width) = descendant.map_or((Some(Vec::new()), 1000.0), |font| cid_widths(document, font));
    let has_lost_widths = widths.is_none() || !descendant.is_some_and(is_cid_font);
    let widths = widths.unwrap_or_default();
    let to_unicode = to_unicode(document, dict);
    let (encoding, is_unicode) = match dict.get(b"Encoding").map(|encoding| document.resolve(encoding)) {
        Ok(stream @ Object::Stream(_)) => (document.stream_bytes(stream).map(|bytes| CMap::parse(&bytes)), false),
        Ok(Object::Name(name)) => (None, name.windows(5).any(|part| part == b"-UCS2" || part == b"UTF16")),
        _ => (None, false),
    };
    let program = descendant.map_or_else(Vec::new, |font| cid_program(document, font));
    let last = [
        to_unicode.as_ref().map_or(0, CMap::last_code) as usize,
        encoding.as_ref().map_or(widths.len().max(program.len()), |map| map.last_code() as usize),
        if is_unicode { 0xffff } else { 0 },
    ];
    let last = last.into_iter().max().unwrap_or(0).min(0xffff);
    let codes = match encoding.as_ref().map(|map| map.spaces.clone()) {
        Some(spaces) if !spaces.is_empty() => Codes::Spaces(spaces),
        _ => Codes::TwoBytes,
    };
    let mut font = Font::new(codes, default_width / 1000.0);
    font.is_broken = has_lost_widths || [&to_unicode, &encoding].into_iter().flatten().any(|map| map.is_damaged);
    font.glyphs.reserve(last + 1);
    let (mut texts, mut advances) = (Trial::default(), Trial::default());
    for code in 0..=last as u32 {
        // an embedded CMap need not cover what Identity covers
        let cid = encoding.as_ref().map_or(Some(code), |map| map.cid(code));
        let width = cid.and_then(|cid| widths.get(cid as usize)).filter(|width| width.is_finite());
        let witness = cid.and_then(|cid| program.get(cid as usize));
        let own = witness.and_then(|witness| witness.text.as_deref());
        let text = to_unicode.as_ref().and_then(|map| map.text(code)).filter(|text| is_text(text));
        match (&text, own) {
            (Some(text), Some(own)) if is_same_text(text, own) => texts.agreeing += 1,
            (Some(text), Some(_)) if text.chars().count() == 1 => texts.contested.push(code as usize),
            _ => {}
        }
        match (width, witness.and_then(|witness| witness.width)) {
            (Some(width), Some(own)) if (width - own).abs() < SAME_WIDTH => advances.agreeing += 1,
            (Some(_), Some(_)) => advances.contested.push(code as usize),
            _ => {}
        }
        let text = text.or_else(|| match char::from_u32(code) {
            Some(character) if is_unicode => Some(character.into()),
            _ => own.map(str::to_owned),
        });
        font.push(width.unwrap_or(&default_width) / 1000.0, text.as_deref());
    }
    for code in texts.condemned().into_iter().chain(advances.condemned()) {
        font.glyphs[code].text = Text::Unknown;
    }
    font
}

/// Are two texts of one glyph the same, but for characters that share their glyph?
fn is_same_text(one: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        let spelled = text.chars().map(|character| spelled_out(character).map_or(character.to_string(), str::to_owned));
        spelled.collect::<String>().nfkc().collect()
    };
    one == other || plain(one) == plain(other)
}

/// What an embedded TrueType program says of each CID; `/CIDToGIDMap` leads to its glyphs.
fn cid_program(document: &Document<'_>, font: &Dictionary) -> Vec<program::Witness> {
    let descriptor = font.get(b"FontDescriptor").ok().and_then(|descriptor| document.dict(descriptor));
    let Some(glyphs) = descriptor.and_then(|descriptor| program::by_glyph(document, descriptor)) else {
        return Vec::new();
    };
    match font.get(b"CIDToGIDMap").ok().and_then(|map| document.stream_bytes(map)) {
        None => glyphs,
        Some(map) => {
            let glyph =
                |pair: &[u8]| glyphs.get(usize::from(pair[0]) << 8 | usize::from(pair[1])).cloned().unwrap_or_default();
            map.chunks_exact(2).take(0x1_0000).map(glyph).collect()
        }
    }
}

/// `/W` and `/DW` of a CID font: NaN where a CID has no width of its own; `None` if the table is broken.
fn cid_widths(document: &Document<'_>, font: &Dictionary) -> (Option<Vec<f32>>, f32) {
    let default = font.get(b"DW").ok().and_then(|width| document.number(width)).unwrap_or(1000.0) as f32;
    let table = match font.get(b"W").map(|table| document.resolve(table)) {
        Ok(Object::Array(entries)) => width_table(document, entries),
        Ok(_) => None,
        Err(_) => Some(Vec::new()),
    };
    (table, default)
}

fn width_table(document: &Document<'_>, mut entries: &[Object]) -> Option<Vec<f32>> {
    let mut widths: Vec<f32> = Vec::new();
    // more is no table, but an attack
    let mut left = 4 * 65_536;
    let mut set = |cid: f64, width: f64| {
        left -= 1;
        let cid = cid.clamp(0.0, 65_535.0) as usize;
        if widths.len() <= cid {
            widths.resize(cid + 1, f32::NAN);
        }
        widths[cid] = width as f32;
        (left > 0).then_some(())
    };
    while let [first, second, rest @ ..] = entries {
        let first = document.number(first)?;
        if let Object::Array(list) = document.resolve(second) {
            for (offset, width) in list.iter().enumerate() {
                set(first + offset as f64, document.number(width)?)?;
            }
            entries = rest;
        } else {
            let [width, rest @ ..] = rest else { return None };
            let (last, width) = (document.number(second)?, document.number(width)?);
            let mut cid = first.max(0.0);
            while cid <= last.min(65_535.0) {
                set(cid, width)?;
                cid += 1.0;
            }
            entries = rest;
        }
    }
    entries.is_empty().then_some(widths)
}

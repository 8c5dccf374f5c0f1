//! How wide is a character code, and which text is it? A font, decoded once per objects.

mod composite;
mod encoding;
mod glyph_name;
mod program;
mod simple;
mod standard;
mod trial;

use lopdf::{Dictionary, Object};

use super::{cmap::CMap, objects::Objects};

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
    /// A mark that has no width and no ink: of direction, or where a word may be cut.
    Nothing,
    One(char),
    /// An index into [`Font::texts`].
    Many(u32),
}

/// One glyph of a font.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glyph {
    /// Advance, as a share of the font size.
    pub advance: f32,
    /// How wide it is drawn, as a share of the font size; the file's widths may lie.
    pub drawn: f32,
    text: Text,
}

/// A font's codes, widths and texts.
#[derive(Debug)]
pub(crate) struct Font {
    codes: Codes,
    /// By code; codes beyond are `other`.
    glyphs: Vec<Glyph>,
    other: Glyph,
    /// Texts of more than one character.
    texts: Vec<String>,
    /// A table of the font cannot be read: all its glyphs count as unknown rather than as a guess.
    pub is_broken: bool,
}

/// Widths as drawn that differ by less than this share of the size from the file's are the file's.
const SAME_WIDTH: f32 = 0.05;

impl Font {
    /// Reads a font dictionary.
    #[must_use]
    pub(crate) fn load(objects: &Objects<'_>, dict: &Dictionary) -> Self {
        let mut font = match dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Type0") => composite::load(objects, dict),
            _ => simple::load(objects, dict),
        };
        // its simple codes would be guessed by the encoding, which a subset need not follow
        let is_lost = |key: &[u8]| {
            dict.get(key).is_ok_and(|object| {
                let stream = objects.resolve(object);
                matches!(stream, Object::Stream(_)) && objects.stream_bytes(stream).is_none()
            })
        };
        font.is_broken |= is_lost(b"ToUnicode") || is_lost(b"Encoding");
        if font.is_broken {
            font.glyphs.iter_mut().for_each(|glyph| glyph.text = Text::Unknown);
        }
        font
    }

    fn new(codes: Codes, other_advance: f32) -> Self {
        let other = Glyph { advance: other_advance, drawn: other_advance, text: Text::Unknown };
        Self { codes, glyphs: Vec::new(), other, texts: Vec::new(), is_broken: false }
    }

    fn push(&mut self, advance: f32, drawn: Option<f32>, text: Option<&str>) {
        let drawn = drawn.filter(|drawn| (drawn - advance).abs() > SAME_WIDTH).unwrap_or(advance);
        let text = text.map_or(Text::Unknown, |text| self.text(text, advance == 0.0));
        self.glyphs.push(Glyph { advance, drawn, text });
    }

    /// Forgets what codes say: their tables contradict each other.
    fn distrust(&mut self, codes: impl IntoIterator<Item = usize>) {
        for code in codes {
            self.glyphs[code].text = Text::Unknown;
        }
    }

    /// Keeps a text, spelled out; control characters, U+FFFD and private characters are unknown.
    fn text(&mut self, text: &str, has_no_width: bool) -> Text {
        let mut plain = String::with_capacity(text.len());
        let mut is_mark = false;
        for character in text.chars().filter(|character| is_printable(*character)) {
            match spelled_out(character) {
                _ if is_invisible(character) || (character == '\u{ad}' && has_no_width) => is_mark = true,
                Some(letters) => plain.push_str(letters),
                None => plain.push(character),
            }
        }
        let mut characters = plain.chars();
        match (characters.next(), characters.next()) {
            (None, _) if is_mark => Text::Nothing,
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
    pub(crate) fn next_code(&self, shown: &[u8]) -> (u32, usize) {
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
    pub(crate) fn len(&self) -> usize {
        self.glyphs.len()
    }

    /// The glyph of a code.
    #[must_use]
    pub(crate) fn glyph(&self, code: u32) -> Glyph {
        self.glyphs.get(code as usize).copied().unwrap_or(self.other)
    }

    /// Appends a glyph's text; false (and U+FFFD) where it is not known.
    pub(crate) fn append_text(&self, glyph: Glyph, into: &mut String) -> bool {
        match glyph.text {
            Text::One(character) => into.push(character),
            Text::Many(index) => into.push_str(&self.texts[index as usize]),
            Text::Nothing => {}
            Text::Unknown => {
                into.push(char::REPLACEMENT_CHARACTER);
                return false;
            }
        }
        true
    }
}

/// Neither a control character, which a terminal would obey, nor a private one, which only one font
/// knows, nor the sign for what is not known.
pub(crate) fn is_printable(character: char) -> bool {
    let is_private = matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    character != char::REPLACEMENT_CHARACTER && !is_private && (!character.is_control() || character.is_whitespace())
}

/// Marks of direction and of where words join or may be cut: no reader sees them.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
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

fn to_unicode(objects: &Objects<'_>, dict: &Dictionary) -> Option<CMap> {
    objects.stream_bytes(dict.get(b"ToUnicode").ok()?).map(|bytes| CMap::parse(&bytes))
}

/// Does a ToUnicode entry say anything?
fn is_text(text: &str) -> bool {
    text.chars().any(|character| !matches!(character, '\0' | char::REPLACEMENT_CHARACTER))
}

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

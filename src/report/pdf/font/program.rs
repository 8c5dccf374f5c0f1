//! What does an embedded font program say of its glyphs: texts, widths, ink? TrueType, OpenType, CFF, Type 1.

use lopdf::Dictionary;
use skrifa::{
    FontRef, GlyphId, MetadataProvider,
    instance::{LocationRef, Size},
    outline::{DrawSettings, OutlinePen},
    raw::{
        TableProvider,
        ps::{cff::CffFontRef, type1::Type1Font},
        tables::cmap::{CmapSubtable, PlatformId},
    },
};

use super::{
    super::{
        lexer::{Lexer, Token},
        objects::Objects,
    },
    glyph_name::{Texts, glyph_text, standard},
};

/// Is there a font program?
pub(crate) fn is_embedded(descriptor: &Dictionary) -> bool {
    [&b"FontFile"[..], b"FontFile2", b"FontFile3"].iter().any(|key| descriptor.has(key))
}

/// An embedded font program.
pub(crate) enum Program {
    /// TrueType and OpenType.
    OpenType(Vec<u8>),
    /// A CFF table alone.
    Cff(Vec<u8>),
    /// Type 1, with its clear text.
    Type1(Vec<u8>),
}

/// What a font program says of one glyph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    /// The characters that its character map leads to it; the first is the plain one.
    pub characters: Vec<char>,
    /// What its name says.
    pub name: Option<String>,
    /// Its width, in thousandths of the size.
    pub width: Option<f32>,
}

impl Witness {
    /// Its text.
    pub(crate) fn text(&self) -> Option<String> {
        self.characters.first().map(char::to_string).or_else(|| self.name.clone())
    }
}

impl Program {
    /// The program of a font's descriptor; `None` if there is none that can be read.
    pub(crate) fn open(objects: &Objects<'_>, descriptor: &Dictionary) -> Option<Self> {
        let file = |key: &[u8]| objects.stream_bytes(descriptor.get(key).ok()?);
        if let Some(bytes) = file(b"FontFile") {
            return Some(Program::Type1(bytes));
        }
        let bytes = file(b"FontFile2").or_else(|| file(b"FontFile3"))?;
        if FontRef::new(&bytes).is_ok() {
            return Some(Program::OpenType(bytes));
        }
        CffFontRef::new(&bytes, 0, None).is_ok().then_some(Program::Cff(bytes))
    }

    /// The texts of the 256 codes as the program itself encodes them.
    pub(crate) fn built_in(&self) -> Option<Texts> {
        match self {
            Program::Type1(bytes) => type1(bytes),
            Program::Cff(bytes) => cff_texts(&CffFontRef::new(bytes, 0, None).ok()?),
            Program::OpenType(bytes) => {
                let font = FontRef::new(bytes).ok()?;
                if let Some(texts) = font.cff().ok().and_then(|table| {
                    let table = table.offset_data().as_bytes();
                    cff_texts(&CffFontRef::new(table, 0, None).ok()?)
                }) {
                    return Some(texts);
                }
                let glyphs = self.by_glyph();
                let text = |code: u8| glyphs.get(usize::from(glyph_of(&font, code)?))?.text();
                Some((0..=255).map(text).collect())
            }
        }
    }

    /// What it says of each of its glyphs; nothing where it is no TrueType or OpenType font.
    pub(crate) fn by_glyph(&self) -> Vec<Witness> {
        let Program::OpenType(bytes) = self else { return Vec::new() };
        let Ok(font) = FontRef::new(bytes) else { return Vec::new() };
        let metrics = font.glyph_metrics(Size::unscaled(), LocationRef::default());
        let scale = font.head().map_or(1.0, |head| 1000.0 / f32::from(head.units_per_em().max(1)));
        let names = font.glyph_names();
        let mut glyphs: Vec<Witness> = (0..metrics.glyph_count())
            .map(|glyph| Witness {
                characters: Vec::new(),
                name: names
                    .get(GlyphId::new(glyph))
                    .filter(|name| !name.is_synthesized())
                    .and_then(|name| glyph_text(name.as_str())),
                width: metrics.advance_width(GlyphId::new(glyph)).map(|width| width * scale),
            })
            .collect();
        let characters = font.charmap();
        // a symbol font numbers its glyphs: that says nothing of what they show
        if !characters.is_symbol() {
            for (character, glyph) in characters.mappings() {
                let glyph = glyphs.get_mut(glyph.to_u32() as usize);
                if let (Some(witness), Some(character)) = (glyph, char::from_u32(character)) {
                    witness.characters.push(character);
                }
            }
        }
        glyphs
    }

    /// The glyph of a code of a simple font; `encoded` is what the file's tables say of the code.
    pub(crate) fn glyph_of_code(&self, code: u8, encoded: Option<&str>) -> Option<u16> {
        let Program::OpenType(bytes) = self else { return None };
        let font = FontRef::new(bytes).ok()?;
        let characters = font.charmap();
        let mut text = encoded.into_iter().flat_map(str::chars);
        let named = match (text.next(), text.next()) {
            (Some(only), None) if !characters.is_symbol() => characters.map(only),
            _ => None,
        };
        named.map(|glyph| glyph.to_u32() as u16).or_else(|| glyph_of(&font, code))
    }

    /// Does a glyph draw anything? `None` where that cannot be told.
    pub(crate) fn has_ink(&self, glyph: u16) -> Option<bool> {
        match self {
            Program::OpenType(bytes) => {
                let mut ink = Ink(false);
                let font = FontRef::new(bytes).ok()?;
                let outline = font.outline_glyphs().get(GlyphId::from(glyph))?;
                let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::default());
                outline.draw(settings, &mut ink).ok()?;
                Some(ink.0)
            }
            Program::Cff(bytes) => {
                let font = CffFontRef::new(bytes, 0, None).ok()?;
                let glyph = GlyphId::from(glyph);
                let sub = font.subfont(font.subfont_index(glyph).unwrap_or(0), &[]).ok()?;
                Some(font.evaluate_extents(&sub, glyph, &[]).ok()?.is_some())
            }
            Program::Type1(_) => None,
        }
    }

    /// Does what a simple font shows for a code draw anything?
    pub(crate) fn code_has_ink(&self, code: u8, encoded: Option<&str>) -> Option<bool> {
        match self {
            Program::OpenType(_) => self.has_ink(self.glyph_of_code(code, encoded)?),
            Program::Cff(bytes) => {
                let glyph = CffFontRef::new(bytes, 0, None).ok()?.encoding()?.map(code)?;
                self.has_ink(glyph.to_u32() as u16)
            }
            Program::Type1(bytes) => {
                let font = Type1Font::new(bytes).ok()?;
                let glyph = font.encoding()?.map(code)?;
                Some(font.evaluate_extents(glyph).ok()?.is_some())
            }
        }
    }
}

/// A pen that only notes that it drew.
struct Ink(bool);

impl OutlinePen for Ink {
    fn move_to(&mut self, _: f32, _: f32) {}

    fn line_to(&mut self, _: f32, _: f32) {
        self.0 = true;
    }

    fn quad_to(&mut self, _: f32, _: f32, _: f32, _: f32) {
        self.0 = true;
    }

    fn curve_to(&mut self, _: f32, _: f32, _: f32, _: f32, _: f32, _: f32) {
        self.0 = true;
    }

    fn close(&mut self) {}
}

fn cff_texts(font: &CffFontRef<'_>) -> Option<Texts> {
    let (encoding, charset) = (font.encoding()?, font.charset()?);
    let text = |code: u8| {
        let name = font.string(charset.string_id(encoding.map(code)?)?)?;
        glyph_text(std::str::from_utf8(name).ok()?)
    };
    Some((0..=255).map(text).collect())
}

/// The glyph of a code of a symbolic TrueType font: its symbol table, then its Macintosh one.
fn glyph_of(font: &FontRef<'_>, code: u8) -> Option<u16> {
    let table = font.cmap().ok()?;
    let code = u32::from(code);
    let find = |platform, codes: [u32; 2]| {
        let record = table.encoding_records().iter().find(|record| record.platform_id() == platform)?;
        let subtable: CmapSubtable<'_> = record.subtable(table.offset_data()).ok()?;
        codes.into_iter().find_map(|code| subtable.map_codepoint(code))
    };
    find(PlatformId::Windows, [0xf000 + code, code])
        .or_else(|| find(PlatformId::Macintosh, [code, code]))
        .map(|glyph| glyph.to_u32() as u16)
        .filter(|glyph| *glyph != 0)
}

/// The `/Encoding` array in the clear text of a Type 1 program.
fn type1(bytes: &[u8]) -> Option<Texts> {
    let clear = bytes.windows(5).position(|window| window == b"eexec").map_or(bytes, |end| &bytes[..end]);
    let start = clear.windows(9).position(|window| window == b"/Encoding")? + 9;
    let mut lexer = Lexer::new(&clear[start..]);
    let mut texts: Texts = vec![None; 256];
    let mut code = None;
    while let Some(token) = lexer.next_token() {
        match token {
            Token::Operator(b"StandardEncoding") => return Some(standard()),
            Token::Operator(b"def" | b"readonly") => return Some(texts),
            Token::Number(number) => code = Some(number as usize),
            Token::Name(name) => {
                if let Some(text) = code.take().and_then(|code| texts.get_mut(code)) {
                    *text = glyph_text(&String::from_utf8_lossy(name));
                }
            }
            _ => {}
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type1_programs_name_their_codes() {
        let texts = type1(
            b"%!PS-AdobeFont-1.0: CMR10\n/Encoding 256 array\n0 1 255 {1 index exch /.notdef put} for\n\
              dup 65 /A put\ndup 12 /fi put\nreadonly def\ncurrentfile eexec \x00\x01",
        )
        .unwrap();
        assert_eq!((texts[65].as_deref(), texts[12].as_deref(), &texts[66]), (Some("A"), Some("ﬁ"), &None));
        assert_eq!(type1(b"/Encoding StandardEncoding def").unwrap()[0x27].as_deref(), Some("’"));
        assert!(type1(b"no such thing").is_none());
    }

    #[test]
    fn truetype_glyphs_are_characters_and_only_blanks_draw_nothing() {
        let program = Program::OpenType(dejavu::sans::regular().to_vec());
        let glyph = |character| program.glyph_of_code(0, Some(character)).unwrap();
        let (euro, blank) = (glyph("€"), glyph(" "));
        let glyphs = program.by_glyph();
        assert_eq!(glyphs[usize::from(euro)].text().as_deref(), Some("€"));
        assert!(glyphs[usize::from(blank)].characters.contains(&' '));
        assert_eq!((program.has_ink(euro), program.has_ink(blank)), (Some(true), Some(false)));
    }
}

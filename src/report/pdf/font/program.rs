//! Which text is a glyph, when only the embedded font program knows? Type 1, CFF and TrueType.

use lopdf::Dictionary;
use ttf_parser::{Face, GlyphId, PlatformId, cff, cmap};

use super::{
    super::{
        document::Document,
        lexer::{Lexer, Token},
    },
    encoding::{glyph_text, standard},
};

/// One text a code or glyph.
pub type Texts = Vec<Option<String>>;

/// Is there a font program?
pub fn is_embedded(descriptor: &Dictionary) -> bool {
    [&b"FontFile"[..], b"FontFile2", b"FontFile3"].iter().any(|key| descriptor.has(key))
}

/// The texts of the 256 codes as the font program itself encodes them.
pub fn built_in(document: &Document<'_>, descriptor: &Dictionary) -> Option<Texts> {
    let file = |key: &[u8]| document.stream_bytes(descriptor.get(key).ok()?);
    if let Some(bytes) = file(b"FontFile") {
        return type1(&bytes);
    }
    if let Some(bytes) = file(b"FontFile3") {
        let table = match Face::parse(&bytes, 0) {
            Ok(face) => face.tables().cff?,
            Err(_) => cff::Table::parse(&bytes)?,
        };
        let text = |code| glyph_text(table.glyph_name(table.glyph_index(code)?)?);
        return Some((0..=255).map(text).collect());
    }
    let bytes = file(b"FontFile2")?;
    let face = Face::parse(&bytes, 0).ok()?;
    let by_glyph = texts_of(&face);
    let text = |code: u8| by_glyph.get(usize::from(glyph_of(&face, code)?.0))?.clone();
    Some((0..=255).map(text).collect())
}

/// What a font program says of one glyph.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// Its text.
    pub text: Option<String>,
    /// Its width, in thousandths of the size.
    pub width: Option<f32>,
}

/// Each glyph of an embedded TrueType or OpenType font.
pub fn by_glyph(document: &Document<'_>, descriptor: &Dictionary) -> Option<Vec<Witness>> {
    let key = if descriptor.has(b"FontFile2") { &b"FontFile2"[..] } else { b"FontFile3" };
    let bytes = document.stream_bytes(descriptor.get(key).ok()?)?;
    let face = Face::parse(&bytes, 0).ok()?;
    let scale = 1000.0 / f32::from(face.units_per_em());
    let width = |glyph| face.glyph_hor_advance(GlyphId(glyph)).map(|width| f32::from(width) * scale);
    Some((0..).zip(texts_of(&face)).map(|(glyph, text)| Witness { text, width: width(glyph) }).collect())
}

fn texts_of(face: &Face<'_>) -> Texts {
    let mut texts: Texts = vec![None; usize::from(face.number_of_glyphs())];
    for table in face.tables().cmap.into_iter().flat_map(|cmap| cmap.subtables).filter(cmap::Subtable::is_unicode) {
        table.codepoints(|point| {
            let glyph = table.glyph_index(point).and_then(|glyph| texts.get_mut(usize::from(glyph.0)));
            // several characters may share a glyph: the first is the plain one
            if let (Some(text @ None), Some(character)) = (glyph, char::from_u32(point)) {
                *text = Some(character.into());
            }
        });
    }
    for (glyph, text) in (0..).zip(&mut texts) {
        if text.is_none() {
            *text = face.glyph_name(GlyphId(glyph)).and_then(glyph_text);
        }
    }
    texts
}

/// The glyph of a code of a symbolic TrueType font: its symbol table, then its Macintosh one.
fn glyph_of(face: &Face<'_>, code: u8) -> Option<GlyphId> {
    let code = u32::from(code);
    let tables = face.tables().cmap?.subtables;
    let find = |platform, codes: [u32; 2]| {
        let table = tables.into_iter().find(|table| table.platform_id == platform)?;
        codes.into_iter().find_map(|code| table.glyph_index(code))
    };
    find(PlatformId::Windows, [0xf000 + code, code]).or_else(|| find(PlatformId::Macintosh, [code, code]))
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
    fn truetype_glyphs_are_characters() {
        let face = Face::parse(dejavu::sans::regular(), 0).unwrap();
        let glyph = face.glyph_index('€').unwrap();
        assert_eq!(texts_of(&face)[usize::from(glyph.0)].as_deref(), Some("€"));
    }
}

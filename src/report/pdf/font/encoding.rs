//! Which text does a code of a simple font stand for? Base encodings, differences and glyph names.

use lopdf::{Dictionary, Object};
use pdf_encoding::{Encoding, glyphname_to_unicode};

use super::{
    super::document::Document,
    program::{self, Program, Texts},
};

/// The texts of the 256 codes, as `/Encoding` and the font program say.
pub fn texts(document: &Document<'_>, dict: &Dictionary, program: Option<&Program>) -> Texts {
    let encoding = dict.get(b"Encoding").map(|encoding| document.resolve(encoding));
    let mut texts = match encoding {
        Ok(Object::Name(name)) => named(name).unwrap_or_else(|| built_in(document, dict, program)),
        Ok(Object::Dictionary(encoding)) => encoding
            .get(b"BaseEncoding")
            .and_then(Object::as_name)
            .ok()
            .and_then(named)
            .unwrap_or_else(|| built_in(document, dict, program)),
        _ => built_in(document, dict, program),
    };
    if let Ok(Object::Dictionary(encoding)) = encoding {
        let mut code = 0;
        for entry in document.array(encoding, b"Differences").map(Vec::as_slice).unwrap_or_default() {
            match document.resolve(entry) {
                Object::Name(name) => {
                    if let Some(text) = texts.get_mut(code) {
                        *text = glyph_text(&String::from_utf8_lossy(name));
                    }
                    code = code.saturating_add(1);
                }
                other => code = document.number(other).map_or(code, |first| first.max(0.0) as usize),
            }
        }
    }
    texts
}

fn names_a_code_twice(document: &Document<'_>, encoding: &Dictionary) -> bool {
    let mut named = [false; 256];
    let mut code = 0_usize;
    for entry in document.array(encoding, b"Differences").map(Vec::as_slice).unwrap_or_default() {
        match document.resolve(entry) {
            Object::Name(_) => {
                if named.get_mut(code).is_some_and(|named| std::mem::replace(named, true)) {
                    return true;
                }
                code = code.saturating_add(1);
            }
            other => code = document.number(other).map_or(code, |first| first.max(0.0) as usize),
        }
    }
    false
}

/// What a glyph name means: the Adobe Glyph List, `uniXXXX`, `uXXXXX`, components and suffixes.
pub fn glyph_text(name: &str) -> Option<String> {
    let base = name.split('.').next().filter(|base| !base.is_empty())?;
    let mut text = String::new();
    for component in base.split('_') {
        if let Some(known) = glyphname_to_unicode(component) {
            text.push_str(known);
        } else if let Some(hex) = component.strip_prefix("uni").filter(|hex| hex.len() >= 4 && hex.len() % 4 == 0) {
            for at in (0..hex.len()).step_by(4) {
                text.push(scalar(hex.get(at..at + 4)?)?);
            }
        } else {
            text.push(component.strip_prefix('u').filter(|hex| (4..=6).contains(&hex.len())).and_then(scalar)?);
        }
    }
    Some(text)
}

fn scalar(hex: &str) -> Option<char> {
    char::from_u32(u32::from_str_radix(hex, 16).ok()?)
}

fn named(name: &[u8]) -> Option<Texts> {
    Some(table(match name {
        b"WinAnsiEncoding" => Encoding::WinAnsiEncoding,
        b"MacRomanEncoding" => Encoding::MacRomanEncoding,
        b"StandardEncoding" => Encoding::AdobeStandard,
        b"MacExpertEncoding" => Encoding::AdobeExpert,
        _ => return None,
    }))
}

/// The encoding of a font that names none: its program's, or that of the standard font it names.
fn built_in(document: &Document<'_>, dict: &Dictionary, program: Option<&Program>) -> Texts {
    let descriptor = dict.get(b"FontDescriptor").ok().and_then(|descriptor| document.dict(descriptor));
    if let Some(texts) = program.and_then(Program::built_in) {
        return texts;
    }
    if dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Type3") {
        return vec![None; 256];
    }
    match dict.get(b"BaseFont").and_then(Object::as_name).unwrap_or_default() {
        b"Symbol" => table(Encoding::AdobeSymbol),
        b"ZapfDingbats" => table(Encoding::AdobeZdingbat),
        // an embedded font whose program cannot be read may call anything anything
        _ if descriptor.is_some_and(program::is_embedded) => vec![None; 256],
        // what stands for accented letters differs too much to be guessed
        _ if !dict.has(b"Encoding") => {
            standard().into_iter().enumerate().map(|(code, text)| text.filter(|_| code < 0x80)).collect()
        }
        _ => standard(),
    }
}

/// Does a font name an encoding that nobody knows?
pub fn is_unknown(document: &Document<'_>, dict: &Dictionary) -> bool {
    match dict.get(b"Encoding").map(|encoding| document.resolve(encoding)) {
        Ok(Object::Name(name)) => named(name).is_none(),
        Ok(Object::Dictionary(_)) | Err(_) => false,
        Ok(_) => true,
    }
}

/// Does a font's own encoding hold what none does, or say two things of one code?
pub fn is_contradictory(document: &Document<'_>, dict: &Dictionary) -> bool {
    let known = |key: &[u8]| matches!(key, b"Type" | b"BaseEncoding" | b"Differences");
    match dict.get(b"Encoding").map(|encoding| document.resolve(encoding)) {
        Ok(Object::Dictionary(encoding)) => {
            !encoding.iter().all(|(key, _)| known(key)) || names_a_code_twice(document, encoding)
        }
        _ => false,
    }
}

/// Adobe's standard encoding.
pub fn standard() -> Texts {
    table(Encoding::AdobeStandard)
}

fn table(encoding: Encoding) -> Texts {
    let map = encoding.forward_map();
    let is_win_ansi = encoding == Encoding::WinAnsiEncoding;
    let text = |code: u8| match code {
        // Annex D: these two codes are a second blank and a second hyphen
        0xa0 if is_win_ansi => Some(' '),
        0xad if is_win_ansi => Some('-'),
        0..=0x1f | 0x7f => None,
        _ => map.and_then(|map| map.get(code)),
    };
    (0..=255).map(|code| text(code).map(String::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyph_names_mean_texts() {
        for (name, expected) in [
            ("agrave", Some("à")),
            ("Euro", Some("€")),
            ("quoteright", Some("’")),
            ("hyphen", Some("-")),
            ("uni20AC", Some("€")),
            ("uni00410042", Some("AB")),
            ("u1F600", Some("😀")),
            ("f_i", Some("fi")),
            ("A.sc", Some("A")),
            ("g27", None),
            (".notdef", None),
            ("uniD800", None),
            ("uni20A", None),
        ] {
            assert_eq!(glyph_text(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn base_encodings() {
        let at = |name: &[u8], code: usize| named(name).unwrap()[code].clone();
        assert_eq!(at(b"WinAnsiEncoding", 0x80).as_deref(), Some("€"));
        assert_eq!(at(b"WinAnsiEncoding", 0xe0).as_deref(), Some("à"));
        assert_eq!(at(b"WinAnsiEncoding", 0xad).as_deref(), Some("-"));
        assert_eq!(at(b"MacRomanEncoding", 0x88).as_deref(), Some("à"));
        assert_eq!(at(b"StandardEncoding", 0x27).as_deref(), Some("’"));
        assert_eq!(standard()[0x41].as_deref(), Some("A"));
        assert!(named(b"Identity-H").is_none());
    }
}

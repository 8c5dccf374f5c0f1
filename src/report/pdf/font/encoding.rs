//! Which text does a code of a simple font stand for? Base encodings, differences and glyph names.

use lopdf::{Dictionary, Object};
use pdf_encoding::Encoding;

use super::{
    super::objects::Objects,
    glyph_name::{Texts, glyph_text, named, standard, table},
    program::{self, Program},
};

/// The texts of the 256 codes, as `/Encoding` and the font program say.
pub(crate) fn texts(objects: &Objects<'_>, dict: &Dictionary, program: Option<&Program>) -> Texts {
    let encoding = dict.get(b"Encoding").map(|encoding| objects.resolve(encoding));
    let mut texts = match encoding {
        Ok(Object::Name(name)) => named(name).unwrap_or_else(|| built_in(objects, dict, program)),
        Ok(Object::Dictionary(encoding)) => encoding
            .get(b"BaseEncoding")
            .and_then(Object::as_name)
            .ok()
            .and_then(named)
            .unwrap_or_else(|| built_in(objects, dict, program)),
        _ => built_in(objects, dict, program),
    };
    if let Ok(Object::Dictionary(encoding)) = encoding {
        let mut code = 0;
        for entry in objects.array(encoding, b"Differences").map(Vec::as_slice).unwrap_or_default() {
            match objects.resolve(entry) {
                Object::Name(name) => {
                    if let Some(text) = texts.get_mut(code) {
                        *text = glyph_text(&String::from_utf8_lossy(name));
                    }
                    code = code.saturating_add(1);
                }
                other => code = objects.number(other).map_or(code, |first| first.max(0.0) as usize),
            }
        }
    }
    texts
}

fn names_a_code_twice(objects: &Objects<'_>, encoding: &Dictionary) -> bool {
    let mut named = [false; 256];
    let mut code = 0_usize;
    for entry in objects.array(encoding, b"Differences").map(Vec::as_slice).unwrap_or_default() {
        match objects.resolve(entry) {
            Object::Name(_) => {
                if named.get_mut(code).is_some_and(|named| std::mem::replace(named, true)) {
                    return true;
                }
                code = code.saturating_add(1);
            }
            other => code = objects.number(other).map_or(code, |first| first.max(0.0) as usize),
        }
    }
    false
}

/// The encoding of a font that names none: its program's, or that of the standard font it names.
fn built_in(objects: &Objects<'_>, dict: &Dictionary, program: Option<&Program>) -> Texts {
    let descriptor = dict.get(b"FontDescriptor").ok().and_then(|descriptor| objects.dict(descriptor));
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
pub(crate) fn is_unknown(objects: &Objects<'_>, dict: &Dictionary) -> bool {
    match dict.get(b"Encoding").map(|encoding| objects.resolve(encoding)) {
        Ok(Object::Name(name)) => named(name).is_none(),
        Ok(Object::Dictionary(_)) | Err(_) => false,
        Ok(_) => true,
    }
}

/// Does a font's own encoding hold what none does, or say two things of one code?
pub(crate) fn is_contradictory(objects: &Objects<'_>, dict: &Dictionary) -> bool {
    let known = |key: &[u8]| matches!(key, b"Type" | b"BaseEncoding" | b"Differences");
    match dict.get(b"Encoding").map(|encoding| objects.resolve(encoding)) {
        Ok(Object::Dictionary(encoding)) => {
            !encoding.iter().all(|(key, _)| known(key)) || names_a_code_twice(objects, encoding)
        }
        _ => false,
    }
}

//! Which text and width has each code of a composite font? Codes of several bytes, CIDs, widths by CID.

use lopdf::{Dictionary, Object};

use super::{
    CMap, Codes, Font, Objects, is_blank, is_text,
    program::{Program, Witness},
    to_unicode,
    trial::Trial,
};

/// Widths that differ by less (thousandths of the size) are the same.
const SAME_WIDTH: f32 = 2.0;

/// Reads a Type 0 font.
pub(crate) fn load(objects: &Objects<'_>, dict: &Dictionary) -> Font {
    let descendant = objects.array(dict, b"DescendantFonts").and_then(|fonts| objects.dict(fonts.first()?));
    let is_cid_font = |font: &Dictionary| {
        font.get(b"Subtype")
            .and_then(Object::as_name)
            .is_ok_and(|kind| matches!(kind, b"CIDFontType0" | b"CIDFontType2"))
    };
    let (widths, default_width) = descendant.map_or((Some(Vec::new()), 1000.0), |font| cid_widths(objects, font));
    let has_lost_widths = widths.is_none() || !descendant.is_some_and(is_cid_font);
    let widths = widths.unwrap_or_default();
    let to_unicode = to_unicode(objects, dict);
    let (encoding, is_unicode) = match dict.get(b"Encoding").map(|encoding| objects.resolve(encoding)) {
        Ok(stream @ Object::Stream(_)) => (objects.stream_bytes(stream).map(|bytes| CMap::parse(&bytes)), false),
        Ok(Object::Name(name)) => (None, name.windows(5).any(|part| part == b"-UCS2" || part == b"UTF16")),
        _ => (None, false),
    };
    let program = descendant.map(|font| CidProgram::open(objects, font)).unwrap_or_default();
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
    let mut ink_as_blank = Vec::new();
    for code in 0..=last as u32 {
        // an embedded CMap need not cover what Identity covers
        let cid = encoding.as_ref().map_or(Some(code), |map| map.cid(code));
        let width = cid.and_then(|cid| widths.get(cid as usize)).filter(|width| width.is_finite());
        let witness = cid.and_then(|cid| program.witness(cid));
        let own = witness.and_then(Witness::text);
        let told = to_unicode.as_ref().and_then(|map| map.text(code)).filter(|text| is_text(text));
        if let Some(told) = &told {
            if is_blank(told) {
                if cid.and_then(|cid| program.has_ink(cid)) == Some(true) {
                    ink_as_blank.push(code as usize);
                }
            } else if let (Some(witness), Some(own)) = (witness, &own) {
                // a glyph may stand for several characters
                let is_one_of = witness.characters.iter().any(|one| told.chars().eq([*one]));
                texts.hear(code as usize, told, if is_one_of { told } else { own });
            }
        }
        let drawn = witness.and_then(|witness| witness.width);
        match (width, drawn) {
            (Some(width), Some(own)) if (width - own).abs() < SAME_WIDTH => advances.agreeing += 1,
            (Some(_), Some(_)) => advances.contested.push(code as usize),
            _ => {}
        }
        // a private character is one that only the font knows
        let told = told.filter(|told| own.is_none() || told.chars().all(super::is_printable));
        let text = told.or_else(|| match char::from_u32(code) {
            Some(character) if is_unicode => Some(character.into()),
            _ => own,
        });
        let advance = width.unwrap_or(&default_width) / 1000.0;
        font.push(advance, drawn.map(|drawn| drawn / 1000.0), text.as_deref());
    }
    font.distrust(texts.condemned());
    font.distrust(advances.condemned());
    font.distrust(ink_as_blank);
    font
}

/// A font program, with the way from CIDs to its glyphs.
#[derive(Default)]
struct CidProgram {
    program: Option<Program>,
    glyphs: Vec<Witness>,
    /// `/CIDToGIDMap`: two bytes a CID.
    map: Option<Vec<u8>>,
}

impl CidProgram {
    fn open(objects: &Objects<'_>, font: &Dictionary) -> Self {
        let descriptor = font.get(b"FontDescriptor").ok().and_then(|descriptor| objects.dict(descriptor));
        let program = descriptor.and_then(|descriptor| Program::open(objects, descriptor));
        let glyphs = program.as_ref().map(Program::by_glyph).unwrap_or_default();
        let map = font.get(b"CIDToGIDMap").ok().and_then(|map| objects.stream_bytes(map));
        Self { program, glyphs, map }
    }

    /// CIDs that have glyphs, about.
    fn len(&self) -> usize {
        match &self.map {
            Some(map) if !self.glyphs.is_empty() => (map.len() / 2).min(0x1_0000),
            _ => self.glyphs.len(),
        }
    }

    fn glyph(&self, cid: u32) -> Option<u16> {
        match &self.map {
            Some(map) => {
                let at = cid as usize * 2;
                map.get(at..at + 2).map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]))
            }
            None => u16::try_from(cid).ok(),
        }
    }

    fn witness(&self, cid: u32) -> Option<&Witness> {
        self.glyphs.get(usize::from(self.glyph(cid)?))
    }

    fn has_ink(&self, cid: u32) -> Option<bool> {
        self.program.as_ref()?.has_ink(self.glyph(cid)?)
    }
}

/// `/W` and `/DW` of a CID font: NaN where a CID has no width of its own; `None` if the table is broken.
fn cid_widths(objects: &Objects<'_>, font: &Dictionary) -> (Option<Vec<f32>>, f32) {
    let default = font.get(b"DW").ok().and_then(|width| objects.number(width)).unwrap_or(1000.0) as f32;
    let table = match font.get(b"W").map(|table| objects.resolve(table)) {
        Ok(Object::Array(entries)) => width_table(objects, entries),
        Ok(_) => None,
        Err(_) => Some(Vec::new()),
    };
    (table, default)
}

fn width_table(objects: &Objects<'_>, mut entries: &[Object]) -> Option<Vec<f32>> {
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
        let first = objects.number(first)?;
        if let Object::Array(list) = objects.resolve(second) {
            for (offset, width) in list.iter().enumerate() {
                set(first + offset as f64, objects.number(width)?)?;
            }
            entries = rest;
        } else {
            let [width, rest @ ..] = rest else { return None };
            let (last, width) = (objects.number(second)?, objects.number(width)?);
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

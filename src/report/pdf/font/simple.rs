//! Which text and width has each byte of a simple font? Type 1, TrueType and Type 3.

use lopdf::{Dictionary, Object};

use super::{Codes, Font, Objects, encoding, is_blank, is_text, program::Program, standard, to_unicode, trial::Trial};

/// Reads a font of one byte a code.
pub(crate) fn load(objects: &Objects<'_>, dict: &Dictionary) -> Font {
    let number = |key: &[u8]| dict.get(key).ok().and_then(|object| objects.number(object));
    let descriptor = dict.get(b"FontDescriptor").ok().and_then(|descriptor| objects.dict(descriptor));
    let name = String::from_utf8_lossy(dict.get(b"BaseFont").and_then(Object::as_name).unwrap_or_default());
    let to_unicode = to_unicode(objects, dict);
    let program = descriptor.and_then(|descriptor| Program::open(objects, descriptor));
    let encoded = encoding::texts(objects, dict, program.as_ref());
    let printed = objects.array(dict, b"Widths");
    // what a viewer draws with, if the file brings no program
    let standard = program.is_none().then(|| standard::widths(&name));
    let missing = descriptor.and_then(|descriptor| objects.number(descriptor.get(b"MissingWidth").ok()?));
    let first = number(b"FirstChar").unwrap_or(0.0).max(0.0) as usize;
    // a Type 3 font's widths are in its own space
    let is_type3 = dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Type3");
    let scale = is_type3.then(|| objects.number(objects.array(dict, b"FontMatrix")?.first()?)).flatten();
    let scale = scale.unwrap_or(0.001);

    let mut font = Font::new(Codes::OneByte, (missing.unwrap_or(0.0) * scale) as f32);
    // widths that are not those of its codes would move, join and part words
    let fits = |list: &Vec<Object>| {
        list.iter().all(|width| objects.number(width).is_some())
            && number(b"FirstChar").is_some()
            && number(b"LastChar").is_none_or(|last| last - first as f64 + 1.0 <= list.len() as f64)
    };
    let has_lost_widths = printed.map_or(dict.has(b"Widths"), |list| !fits(list));
    let is_unknown = encoding::is_unknown(objects, dict);
    font.is_broken = has_lost_widths
        || encoding::is_contradictory(objects, dict)
        || (is_unknown && to_unicode.is_none())
        || to_unicode.as_ref().is_some_and(|map| map.is_damaged);
    let drawn = program.as_ref().map(Program::by_glyph).unwrap_or_default();
    let mut trial = Trial::default();
    let mut ink_as_blank = Vec::new();
    for (code, encoded) in encoded.into_iter().enumerate() {
        // an encoding that nobody knows says nothing
        let encoded = encoded.filter(|_| !is_unknown);
        let told = to_unicode.as_ref().and_then(|map| map.text(code as u32)).filter(|text| is_text(text));
        if let (Some(told), Some(own)) = (&told, &encoded)
            && !is_blank(told)
        {
            trial.hear(code, told, own);
        }
        if told.as_ref().is_some_and(|told| is_blank(told)) {
            let has_ink = || program.as_ref()?.code_has_ink(code as u8, encoded.as_deref());
            if encoded.as_ref().is_some_and(|own| !is_blank(own)) || has_ink() == Some(true) {
                ink_as_blank.push(code);
            }
        }
        let text = told.or_else(|| encoded.clone());
        let plain = || standard.as_ref()?.get(encoded.as_ref().or(text.as_ref())?).map(|width| f64::from(*width));
        let width = match printed {
            None => plain(),
            Some(list) => code.checked_sub(first).and_then(|at| list.get(at)).and_then(|width| objects.number(width)),
        };
        let fallback = if printed.is_none() && program.is_none() { 500.0 } else { 0.0 };
        let width = width.or(missing).unwrap_or(fallback);
        let own = program.as_ref().filter(|_| !drawn.is_empty()).and_then(|program| {
            let glyph = program.glyph_of_code(code as u8, encoded.as_deref())?;
            drawn.get(usize::from(glyph))?.width
        });
        let own = own.or_else(|| plain().filter(|_| !is_type3).map(|width| width as f32));
        // databases hand their line breaks and tabs on: no printer means a glyph by them
        let text = text.or_else(|| matches!(code, 9 | 10 | 13).then(|| " ".to_owned()));
        font.push((width * scale) as f32, own.map(|own| own / 1000.0), text.as_deref());
    }
    font.distrust(trial.condemned());
    font.distrust(ink_as_blank);
    font
}

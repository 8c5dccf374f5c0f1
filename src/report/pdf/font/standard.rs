//! How wide are the glyphs of the 14 standard fonts, which need not say so themselves?

use std::collections::HashMap;

use pdf_core_14_font_afms as afm;

use super::glyph_name::glyph_text;

/// Width of each text, in thousandths of the size, of the standard font that `name` is or resembles.
pub(crate) fn widths(name: &str) -> HashMap<String, f32> {
    let mut widths = HashMap::new();
    for line in metrics(name).lines().filter(|line| line.starts_with("C ")) {
        let field = |key: &str| {
            line.split(';').find_map(|field| field.trim().strip_prefix(key).and_then(|rest| rest.strip_prefix(' ')))
        };
        if let (Some(width), Some(text)) =
            (field("WX").and_then(|width| width.trim().parse().ok()), field("N").and_then(glyph_text))
        {
            widths.entry(text).or_insert(width);
        }
    }
    widths
}

fn metrics(name: &str) -> &'static str {
    let name = name.split('+').next_back().unwrap_or(name).to_lowercase();
    let bold = name.contains("bold") || name.contains("black");
    let italic = name.contains("italic") || name.contains("oblique");
    let pick = |regular, heavy, slanted, both| match (bold, italic) {
        (false, false) => regular,
        (true, false) => heavy,
        (false, true) => slanted,
        (true, true) => both,
    };
    if name.starts_with("symbol") {
        afm::SYMBOL
    } else if name.starts_with("zapfdingbats") {
        afm::ZAPF_DINGBATS
    } else if name.contains("courier") || name.contains("mono") {
        pick(afm::COURIER, afm::COURIER_BOLD, afm::COURIER_OBLIQUE, afm::COURIER_BOLD_OBLIQUE)
    } else if name.contains("times") || name.contains("serif") && !name.contains("sans") {
        pick(afm::TIMES_ROMAN, afm::TIMES_BOLD, afm::TIMES_ITALIC, afm::TIMES_BOLD_ITALIC)
    } else {
        pick(afm::HELVETICA, afm::HELVETICA_BOLD, afm::HELVETICA_OBLIQUE, afm::HELVETICA_BOLD_OBLIQUE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        for (name, text, width) in [
            ("Helvetica", "A", 667.0),
            ("Arial,Bold", "A", 722.0),
            ("TimesNewRomanPS-BoldItalicMT", "a", 500.0),
            ("Times-Roman", "€", 500.0),
            ("CourierNew", "à", 600.0),
            ("ABCDEF+Courier", " ", 600.0),
        ] {
            assert_eq!(widths(name).get(text), Some(&width), "{name}");
        }
    }
}

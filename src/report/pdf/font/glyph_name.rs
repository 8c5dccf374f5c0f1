//! Which text does a glyph's name stand for, and which texts have the known encodings?

use pdf_encoding::{Encoding, glyphname_to_unicode};

/// One text a code or glyph.
pub(crate) type Texts = Vec<Option<String>>;

/// What a glyph name means: the Adobe Glyph List, `uniXXXX`, `uXXXXX`, components and suffixes.
pub(crate) fn glyph_text(name: &str) -> Option<String> {
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

/// The texts of the encoding of this name.
pub(crate) fn named(name: &[u8]) -> Option<Texts> {
    Some(table(match name {
        b"WinAnsiEncoding" => Encoding::WinAnsiEncoding,
        b"MacRomanEncoding" => Encoding::MacRomanEncoding,
        b"StandardEncoding" => Encoding::AdobeStandard,
        b"MacExpertEncoding" => Encoding::AdobeExpert,
        _ => return None,
    }))
}

/// Adobe's standard encoding.
pub(crate) fn standard() -> Texts {
    table(Encoding::AdobeStandard)
}

/// The texts of a known encoding.
pub(crate) fn table(encoding: Encoding) -> Texts {
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

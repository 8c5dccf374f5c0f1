//! When do two printed headers mean the same column?

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A header with everything removed that printers and languages vary: case, accents, the shape of
/// apostrophes, white space (words may be cut at a line end) and a trailing colon.
///
/// Two headers are the same column if and only if this text is equal: never by prefix, because
/// `ID` and `ID DI VENDITA` are different columns.
#[must_use]
pub fn normalise(printed: &str) -> String {
    let apostrophe = |c| match c {
        '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{b4}' | '`' => '\'',
        other => other,
    };
    // most have no accents, and nothing to take apart
    let mut text: String = if printed.is_ascii() {
        let shown = printed.chars().filter(|c| !c.is_whitespace());
        shown.map(|c| apostrophe(c).to_ascii_uppercase()).collect()
    } else {
        let shown = printed.nfd().filter(|c| !is_combining_mark(*c) && !c.is_whitespace());
        shown.map(apostrophe).flat_map(char::to_uppercase).collect()
    };
    while text.ends_with(':') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn spelling_variants_are_one_header_and_prefixes_are_not() {
        for (one, other) in [
            ("CITTÀ", "Citta"),
            ("ALL’ATTENZIONE DI:", "all'attenzione di"),
            ("QUANTITÀIMPORTO", "QUANTITÀ IMPORTO"),
            ("ID\u{a0}FATTURA :", "ID FATTURA"),
        ] {
            assert_eq!(normalise(one), normalise(other));
        }
        assert_ne!(normalise("ID"), normalise("ID DI VENDITA"));
    }
}

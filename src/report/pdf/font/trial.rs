//! Which codes of a font are not to be believed? Where its own program contradicts the tables of the file.

use unicode_normalization::UnicodeNormalization;

use super::spelled_out;

/// A font program is believed against the tables of the file where it agrees so many times as often.
const WITNESS: usize = 8;
/// So often no program agrees by chance whose own table of characters means nothing.
const GENUINE: usize = 3;

/// How often a font program says the same as the tables of the file, and of which codes it does not.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    pub agreeing: usize,
    pub contested: Vec<usize>,
    /// Of the contested: one digit in place of another.
    digits: usize,
}

impl Trial {
    /// Holds the text that a table of the file gives `code` against what its program says.
    pub(crate) fn hear(&mut self, code: usize, told: &str, own: &str) {
        if is_same_text(told, own) {
            self.agreeing += 1;
        } else if told.chars().count() == 1 {
            self.contested.push(code);
            let is_digit = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            self.digits += usize::from(is_digit(told) && is_digit(own));
        }
    }

    /// The codes that the tables are not believed about: where the program mostly says the same, or
    /// where both know digits and mean others, it is a witness against those that differ.
    pub(crate) fn condemned(self) -> Vec<usize> {
        let is_mostly_the_same = self.agreeing > WITNESS * self.contested.len();
        let is_genuine = self.agreeing >= GENUINE && self.agreeing * 2 >= self.contested.len();
        if is_mostly_the_same || is_genuine || self.digits > 1 { self.contested } else { Vec::new() }
    }
}

/// Are two texts of one glyph the same, but for characters that share their glyph?
fn is_same_text(one: &str, other: &str) -> bool {
    one == other || look(one) == look(other)
}

/// What a text looks like.
fn look(text: &str) -> String {
    let mut look = String::with_capacity(text.len());
    for character in text.nfkc() {
        match character {
            '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{2b9}' | '`' | '\u{b4}' | '\u{2032}' => look.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{2033}' => look.push('"'),
            '\u{2012}'..='\u{2015}' | '\u{2212}' | '\u{2500}' => look.push('-'),
            '\u{2044}' | '\u{2215}' => look.push('/'),
            '\u{2022}' | '\u{2219}' | '\u{22c5}' | '\u{b7}' => look.push('.'),
            '\u{2206}' => look.push('\u{394}'),
            other => match spelled_out(other) {
                Some(letters) => look.push_str(letters),
                None => look.push(other),
            },
        }
    }
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condemned(pairs: &[(&str, &str)]) -> usize {
        let mut trial = Trial::default();
        for (code, (told, own)) in pairs.iter().enumerate() {
            trial.hear(code, told, own);
        }
        trial.condemned().len()
    }

    #[test]
    fn a_program_is_a_witness_where_it_knows_what_it_says() {
        assert_eq!(condemned(&[("a", "a"), ("b", "b"), ("c", "c"), ("d", "e")]), 1, "one of four");
        assert_eq!(condemned(&[("1", "2"), ("2", "3"), (",", ",")]), 2, "digits turned round");
        assert_eq!(condemned(&[("x", "!"), ("y", "#"), ("z", "%"), ("a", "a")]), 0, "a table that means nothing");
        assert_eq!(condemned(&[("a", "a"), ("b", "b"), ("c", "c"), ("’", "'"), ("-", "\u{2010}")]), 0, "one glyph");
    }
}

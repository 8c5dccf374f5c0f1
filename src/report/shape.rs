//! What do the keys of a report look like? Learnt from the column itself.

use std::{collections::HashMap, fmt::Write};

/// Shapes that fewer keys than this share have are odd ...
const RARE: f64 = 0.2;
/// ... where one shape is that of so many.
const COMMON: f64 = 0.6;
/// Fewer keys than this show nothing.
const FEW: usize = 3;

/// The shapes of a report's keys, each with the number of keys that have it.
#[derive(Debug, Default)]
pub struct Shapes {
    count: usize,
    known: HashMap<String, usize>,
    with_blanks: usize,
}

/// Digits as their number, letters as letters, all else as it is: `ORD/26000001` is `A/9{8}`. The dots of
/// thousands are nothing.
fn shape(key: &str) -> String {
    let plain: String = if key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        key.replace('.', "")
    } else {
        key.to_owned()
    };
    let mut shape = String::new();
    let mut digits = 0;
    for character in plain.chars().chain(['\0']) {
        if character.is_ascii_digit() {
            digits += 1;
            continue;
        }
        if digits > 0 {
            write!(shape, "9{{{digits}}}").ok();
            digits = 0;
        }
        match character {
            '\0' => {}
            letter if letter.is_alphabetic() => {
                if !shape.ends_with('A') {
                    shape.push('A');
                }
            }
            other => shape.push(other),
        }
    }
    shape
}

impl Shapes {
    /// Learns from keys; blank ones say nothing.
    pub fn learn<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let mut shapes = Self::default();
        keys.filter(|key| !key.is_empty()).for_each(|key| shapes.add(key));
        shapes
    }

    /// Learns from one more.
    pub fn add(&mut self, key: &str) {
        self.count += 1;
        self.with_blanks += usize::from(key.contains(' '));
        *self.known.entry(shape(key)).or_default() += 1;
    }

    /// Have at least `few` texts been seen, and most of them one shape that holds digits?
    pub fn are_codes(&self, few: usize) -> bool {
        let most = self.known.iter().filter(|(shape, _)| shape.contains('9')).map(|(_, count)| *count).max();
        self.count >= few && most.unwrap_or(0) as f64 >= self.count as f64 * COMMON
    }

    /// Does a key not look as the others do? Where too few keys, or too different ones, are known, none is
    /// odd.
    pub fn is_odd(&self, key: &str) -> bool {
        if self.count < FEW {
            return false;
        }
        let share = |count: usize| count as f64 / self.count as f64;
        let most = self.known.values().copied().max().unwrap_or(0);
        let own = self.known.get(&shape(key)).copied().unwrap_or(0);
        let has_odd_shape = share(most) >= COMMON && share(own) < RARE;
        let has_odd_blank = key.contains(' ') && share(self.with_blanks) < RARE;
        has_odd_shape || has_odd_blank
    }

    /// Does a text look as keys of this report do, for certain?
    pub fn is_like(&self, text: &str) -> bool {
        let own = self.known.get(&shape(text)).copied().unwrap_or(0);
        own > 0 && own as f64 / self.count as f64 >= RARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_look_unlike_the_others_are_odd() {
        let ids = Shapes::learn(["71.285", "71286", "98.003", "98.004", "98.005", "Totale"].into_iter());
        for (key, odd) in [("71.999", false), ("Totale", true), ("1", true), ("Pagina 1 di 2", true)] {
            assert_eq!(ids.is_odd(key), odd, "{key}");
        }
        assert!(ids.is_like("12.345") && !ids.is_like("1"));
        let mixed = Shapes::learn(["X000F43", "000081K0", "TD.4471.029", "AB-1", "K2", "Totale generale"].into_iter());
        assert!(!mixed.is_odd("QW.12") && mixed.is_odd("Totale ordini"));
        assert!(!Shapes::learn(["1"].into_iter()).is_odd("x"));
    }
}

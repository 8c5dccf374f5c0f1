//! What do the keys of a report look like? Learnt from the column itself.

use std::{collections::HashMap, fmt::Write};

/// Shapes that fewer keys than this share have are odd ...
const RARE: f64 = 0.2;
/// ... where one shape is that of so many.
const COMMON: f64 = 0.6;
/// Fewer keys than this show nothing.
const FEW: usize = 3;

/// How a key looks beside the others of its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As many of them do.
    Like,
    /// As hardly any does, where most look alike.
    Odd,
    /// Too few keys, or too different ones, are known.
    Unknown,
}

/// The shapes of a report's keys, each with the number of keys that have it.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    count: usize,
    known: HashMap<String, usize>,
    /// Keys of the commonest shape.
    most: usize,
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
    pub(crate) fn learn<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let mut shapes = Self::default();
        keys.filter(|key| !key.is_empty()).for_each(|key| shapes.add(key));
        shapes
    }

    /// Learns from one more.
    pub(crate) fn add(&mut self, key: &str) {
        self.count += 1;
        self.with_blanks += usize::from(key.contains(' '));
        let own = self.known.entry(shape(key)).or_default();
        *own += 1;
        self.most = self.most.max(*own);
    }

    /// Have at least `few` texts been seen, and most of them one shape that holds digits?
    pub(crate) fn are_codes(&self, few: usize) -> bool {
        let most = self.known.iter().filter(|(shape, _)| shape.contains('9')).map(|(_, count)| *count).max();
        self.count >= few && most.unwrap_or(0) as f64 >= self.count as f64 * COMMON
    }

    /// How a key looks beside the others.
    pub(crate) fn look_of(&self, key: &str) -> Look {
        let share = |count: usize| count as f64 / self.count.max(1) as f64;
        let own = self.known.get(&shape(key)).copied().unwrap_or(0);
        if own > 0 && share(own) >= RARE {
            return Look::Like;
        }
        let has_odd_shape = share(self.most) >= COMMON;
        let has_odd_blank = key.contains(' ') && share(self.with_blanks) < RARE;
        if self.count >= FEW && (has_odd_shape || has_odd_blank) { Look::Odd } else { Look::Unknown }
    }

    /// Do many keys share a shape?
    pub(crate) fn has_common(&self) -> bool {
        self.most as f64 >= self.count as f64 * RARE && self.count > 0
    }

    /// Does a text look as keys of this report do, for certain?
    pub(crate) fn is_like(&self, text: &str) -> bool {
        self.look_of(text) == Look::Like
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_look_unlike_the_others_are_odd() {
        let ids = Shapes::learn(["71.285", "71286", "98.003", "98.004", "98.005", "Totale"].into_iter());
        for (key, odd) in [("71.999", false), ("Totale", true), ("1", true), ("Pagina 1 di 2", true)] {
            assert_eq!(ids.look_of(key) == Look::Odd, odd, "{key}");
        }
        assert!(ids.is_like("12.345") && !ids.is_like("1"));
        let mixed = Shapes::learn(["X000F43", "000081K0", "TD.4471.029", "AB-1", "K2", "Totale generale"].into_iter());
        assert_eq!((mixed.look_of("QW.12"), mixed.look_of("Totale ordini")), (Look::Unknown, Look::Odd));
        assert_eq!(Shapes::learn(["1"].into_iter()).look_of("x"), Look::Unknown);
    }
}

//! What does a column show of its words, before any break is resolved?

use std::collections::{HashMap, HashSet};

use super::{
    super::{
        shape::Shapes,
        table::{BREAK, PageTable},
    },
    words::{begins_small, chains, first_word, is_number, last_word, without_blanks},
};

/// From so many cells on, a column shows whether its texts hold blanks.
const ENOUGH: usize = 5;
/// From so many words on, a column shows how its words begin ...
const MANY: usize = 20;
/// ... and if fewer than this share are small words seen once, another small letter goes on with a word.
const FEW_SMALL: f64 = 0.02;
/// Of the numbers that breaks part in a column, so many have the same number of digits.
const MOSTLY: f64 = 0.9;
/// Widths that differ by less (points) are the same.
const SAME_WIDTH: f32 = 0.75;
/// From so many letters on, a word is not part of another one by chance.
pub(crate) const LONG_WORD: usize = 4;

/// What a column shows, before any break is resolved.
#[derive(Debug, Default)]
pub(crate) struct Column {
    /// Cells that are filled.
    cells: usize,
    /// Of those, cells that hold a blank for certain, cells without a break, and with a small letter.
    with_blank: usize,
    sure: usize,
    pub with_small: usize,
    with_digit: usize,
    /// What its texts look like without their blanks.
    shapes: Shapes,
    /// Its texts without their blanks.
    seen: HashSet<String>,
    /// Words behind a certain blank, and those that begin with a small letter.
    behind_blank: usize,
    pub small: HashMap<String, usize>,
    /// Does a capital follow a small letter at any break?
    begins_words: bool,
    /// Breaks behind which a small letter or a digit seems to go on with the word before.
    seems_cut: usize,
    /// The widest line of one word that surely ends there, and the widest before a break.
    widest_word: f32,
    widest_break: f32,
    /// The lengths of numbers that surely stand alone.
    pub numbers: HashSet<usize>,
    /// How many digits the numbers have together that nothing but breaks part, and how often.
    chains: HashMap<usize, usize>,
}

/// Looks at the columns `among` all, by the page of the cycle and their number; `words` are those that
/// surely stand alone.
pub(crate) fn columns(
    tables: &[PageTable],
    cycle: usize,
    among: &HashSet<(usize, usize)>,
    words: &HashSet<String>,
) -> HashMap<(usize, usize), Column> {
    let mut columns: HashMap<(usize, usize), Column> = among.iter().map(|place| (*place, Column::default())).collect();
    for (number, table) in tables.iter().enumerate() {
        let page = number % cycle;
        let own: Vec<usize> = (0..table.width()).filter(|column| among.contains(&(page, *column))).collect();
        for column in own {
            let Some(found) = columns.get_mut(&(page, column)) else { continue };
            found.widest_word = found.widest_word.max(table.widest_words[column]);
            (0..table.bands.len()).for_each(|row| found.note(table.cell(row, column), words));
        }
        let mut widths = table.breaks.iter();
        for (_, column, text) in table.cells() {
            for width in widths.by_ref().take(text.matches(BREAK).count()) {
                if let Some(found) = columns.get_mut(&(page, column)) {
                    found.widest_break = found.widest_break.max(*width);
                }
            }
            if widths.len() == 0 {
                break;
            }
        }
    }
    columns
}

impl Column {
    fn note(&mut self, text: &str, words: &HashSet<String>) {
        if text.is_empty() {
            return;
        }
        self.cells += 1;
        self.sure += usize::from(!text.contains(BREAK));
        self.with_blank += usize::from(text.contains(' '));
        self.with_digit += usize::from(text.contains(|c: char| c.is_ascii_digit()));
        self.with_small += usize::from(text.contains(char::is_lowercase));
        self.shapes.add(&without_blanks(text));
        // texts that come again and again show their words once
        let is_new = self.seen.insert(without_blanks(text));
        for (number, word) in text.split(' ').enumerate() {
            if number > 0 && is_new {
                self.behind_blank += 1;
                if begins_small(word) {
                    *self.small.entry(first_word(word).to_owned()).or_default() += 1;
                }
            }
            if is_number(word) {
                self.numbers.insert(word.len());
            }
        }
        if is_new {
            for (chain, _) in chains(text) {
                *self.chains.entry(chain.len() - chain.matches(BREAK).count()).or_default() += 1;
            }
        }
        let mut before: Option<char> = None;
        let mut word_before = "";
        for part in text.split(BREAK) {
            let word = first_word(part);
            // small words that are known may be the ends of others
            let is_whole = words.contains(word) && (word.chars().count() >= LONG_WORD || words.contains(word_before));
            let goes_on = before.is_some_and(char::is_alphabetic) && begins_small(part) && !is_whole;
            let are_digits =
                before.is_some_and(|last| last.is_ascii_digit()) && part.starts_with(|c: char| c.is_ascii_digit());
            self.seems_cut += usize::from(goes_on || are_digits);
            word_before = last_word(part);
            let is_capital = part.starts_with(char::is_uppercase);
            self.begins_words |= is_capital && before.is_some_and(char::is_lowercase);
            before = part.chars().next_back();
        }
    }

    /// Does no text of it hold a blank: codes, accounts, single words?
    pub(crate) fn holds_codes(&self) -> bool {
        // of many texts of several words, some would not fill their lines, or begin one with a capital
        let are_words = self.seen.len() >= MANY;
        let is_shown = self.sure >= ENOUGH && self.with_digit * 2 > self.cells;
        self.with_blank == 0 && !self.begins_words && (are_words || is_shown || self.shapes.are_codes(ENOUGH))
    }

    /// Are all numbers of so many digits one number each, that is cut? Nearly all chains are as long, and
    /// parts as long as the first stand nowhere alone.
    pub(crate) fn cuts_number(&self, chain: &str) -> bool {
        let digits = chain.len() - chain.matches(BREAK).count();
        let all: usize = self.chains.values().sum();
        let alike = self.chains.get(&digits).copied().unwrap_or(0);
        let first = chain.split(BREAK).next().unwrap_or_default();
        self.with_small > 0
            && all >= MANY
            && alike as f64 >= all as f64 * MOSTLY
            && !self.numbers.contains(&first.len())
    }

    /// Is it as wide as its longest word, so that it cuts none?
    pub(crate) fn is_explained(&self) -> bool {
        // of capitals alone, nothing shows that they are cut
        self.with_small > 0
            && self.widest_word > 0.0
            && self.widest_break <= self.widest_word + SAME_WIDTH
            && self.seems_cut == 0
    }

    /// Do its words hardly ever begin with a small letter, but for a few that come again and again?
    pub(crate) fn begins_capital(&self) -> bool {
        let rare = self.small.values().filter(|count| **count == 1).count();
        self.behind_blank >= MANY && rare as f64 <= self.behind_blank as f64 * FEW_SMALL
    }
}

//! Which words does a report know, and what do they say of a line's end?

use std::collections::{HashMap, HashSet};

use super::{
    super::table::{BREAK, PageTable},
    column::{Column, LONG_WORD},
    words::{chains, first_word, is_number, last_word, without_blanks},
};

/// A word in more parts than this is none.
const MOST_PARTS: usize = 24;
/// From so many capitals and digits on, a text without a blank is a code.
const LONG_CODE: usize = 10;

/// What is to be known to resolve the breaks that are left: the rest of a report is only looked through.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    words: HashSet<String>,
    /// Texts without their blanks, and how long they are.
    texts: HashSet<String>,
    lengths: HashSet<usize>,
    /// The columns that hold breaks, by page of the cycle and number.
    pub columns: HashSet<(usize, usize)>,
}

impl Wanted {
    /// What the texts with breaks ask for.
    pub(crate) fn of(tables: &[PageTable], cycle: usize) -> Self {
        let mut wanted = Self::default();
        for (number, table) in tables.iter().enumerate().filter(|(_, table)| table.has_breaks()) {
            for (_, column, text) in table.cells().filter(|(_, _, text)| text.contains(BREAK)) {
                wanted.columns.insert((number % cycle, column));
                let plain = without_blanks(text);
                wanted.lengths.insert(plain.len());
                wanted.texts.insert(plain);
                for chain in text.split(' ') {
                    wanted.want_words(chain);
                }
            }
        }
        wanted
    }

    /// All that neighbouring parts of a word make together.
    fn want_words(&mut self, chain: &str) {
        let parts: Vec<&str> = chain.split(BREAK).take(MOST_PARTS).collect();
        for start in 0..parts.len() {
            for end in start + 1..=parts.len() {
                self.words.insert(parts[start..end].concat());
            }
        }
    }
}

/// The words and texts that no break parts, of those that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    /// Words with a blank or an end on both sides.
    pub words: HashSet<String>,
    /// Texts without a break, by themselves without their blanks; none where two differ.
    texts: HashMap<String, Option<String>>,
}

impl Vocabulary {
    /// Looks through all cells.
    pub(crate) fn gather(tables: &[PageTable], wanted: &Wanted) -> Self {
        let mut vocabulary = Self::default();
        for (_, _, text) in tables.iter().flat_map(PageTable::cells) {
            // words beside a break may be parts
            for word in text.split(' ').filter(|word| wanted.words.contains(*word)) {
                if !vocabulary.words.contains(word) {
                    vocabulary.words.insert(word.to_owned());
                }
            }
            let length = text.len() - text.bytes().filter(|byte| *byte == b' ').count();
            if wanted.lengths.contains(&length) && !text.contains(BREAK) {
                let plain = without_blanks(text);
                if wanted.texts.contains(&plain) {
                    vocabulary.note_text(plain, text);
                }
            }
        }
        vocabulary
    }

    fn note_text(&mut self, plain: String, text: &str) {
        match self.texts.get_mut(&plain) {
            Some(known) if known.as_deref() != Some(text) => *known = None,
            Some(_) => {}
            None => drop(self.texts.insert(plain, Some(text.to_owned()))),
        }
    }

    /// A cell's text with its breaks resolved as far as the evidence goes.
    pub(crate) fn resolve(&self, text: &str, column: &Column) -> String {
        if let Some(Some(same)) = self.texts.get(&without_blanks(text)) {
            return same.clone();
        }
        // addresses of machines, and columns whose texts never hold a blank
        let plain = text.replace(BREAK, "");
        let is_address = plain.contains('@') || plain.contains("://") || plain.starts_with("www.");
        if !text.contains(' ') && (is_address || column.holds_codes()) {
            return plain;
        }
        let mut whole = text.to_owned();
        for (chain, at) in chains(text).into_iter().rev().filter(|(chain, _)| column.cuts_number(chain)) {
            whole.replace_range(at..at + chain.len(), &chain.replace(BREAK, ""));
        }
        let parts: Vec<&str> = whole.split(BREAK).collect();
        let mut resolved = parts[0].to_owned();
        for (number, part) in parts.iter().enumerate().skip(1) {
            let word = first_word(part);
            let is_last = word.len() < part.len() || number + 1 == parts.len();
            match self.at_break(last_word(&resolved), word, is_last, column) {
                Some(true) => resolved.push(' '),
                Some(false) => {}
                None => resolved.push(BREAK),
            }
            resolved.push_str(part);
        }
        resolved
    }

    /// Did a blank stand between what ends with `before` and what goes on with `behind`? `is_last` says
    /// whether `behind` is a word up to its end.
    fn at_break(&self, before: &str, behind: &str, is_last: bool, column: &Column) -> Option<bool> {
        let knows = |word: &str| self.words.contains(word);
        let stand_alone = knows(before) && is_last && knows(behind);
        let is_one = is_last && knows(&format!("{before}{behind}"));
        let (last, first) = (before.chars().next_back()?, behind.chars().next()?);
        let is_word = |word: &str| word.chars().all(char::is_alphabetic);
        match (last, first) {
            _ if is_one && !stand_alone => Some(false),
            // no word begins with a point, and a bracket opens one
            (_, '.' | ',' | ';' | ':' | ')' | '%') => Some(false),
            (_, '(') => Some(true),
            (last, first) if last.is_lowercase() && first.is_uppercase() => Some(true),
            (',' | ';' | ':' | ')', _) if before.contains(char::is_alphabetic) => Some(true),
            (last, first)
                if last.is_alphabetic() && first.is_ascii_digit() && is_word(before) && column.with_small > 0 =>
            {
                Some(true)
            }
            (last, first) if last.is_ascii_digit() && first.is_uppercase() && column.with_small > 0 => {
                // a number before a word, but not the first half of a code
                let is_code = !is_number(before) || !behind.contains(char::is_lowercase);
                (!is_code).then_some(true)
            }
            (last, first) if last.is_ascii_digit() && first.is_ascii_digit() => {
                between_digits(before, behind, is_last, column)
            }
            // of two words that both stand elsewhere, short ones may be parts by chance
            _ if stand_alone && before.chars().count().min(behind.chars().count()) >= LONG_WORD => Some(true),
            _ if column.is_explained() => Some(true),
            (last, first) if last.is_alphabetic() && first.is_lowercase() => {
                let is_known = knows(before) || (is_last && knows(behind)) || column.small.contains_key(behind);
                (!is_known && column.begins_capital()).then_some(false)
            }
            _ => None,
        }
    }
}

/// Accounts and tax codes are long, and numbers of a column have their lengths.
fn between_digits(before: &str, behind: &str, is_last: bool, column: &Column) -> Option<bool> {
    let is_code = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c.is_uppercase());
    if before.chars().count() >= LONG_CODE && is_code(before) && is_code(behind) {
        return Some(false);
    }
    let is_length = |length: usize| column.numbers.contains(&length);
    if is_last && is_number(before) && is_number(behind) {
        let parts = is_length(before.len()) && is_length(behind.len());
        let whole = is_length(before.len() + behind.len());
        if whole && !parts {
            return Some(false);
        }
    }
    column.is_explained().then_some(true)
}

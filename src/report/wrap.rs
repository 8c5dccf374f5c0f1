//! Was a word cut at the end of a line, or did a blank stand there? Told from the whole report.
//!
//! A line without a blank that leaves no room for one more glyph is either a word that was cut because it
//! alone is wider than its cell, or a whole word that happens to fill it. The geometry cannot tell; other
//! cells, the words' shapes and the kind of the column can, nearly always. What stays open keeps the blank,
//! and is told.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    cell,
    shape::Shapes,
    table::{BREAK, PageTable},
};
use crate::{
    domain::Value,
    sync_type::{ValueType, spec::Words},
};

/// From so many cells on, a column shows whether its texts hold blanks.
const ENOUGH: usize = 5;
/// From so many words on, a column shows how its words begin ...
const MANY: usize = 20;
/// ... and if fewer than this share are small words seen once, another small letter goes on with a word.
const FEW_SMALL: f64 = 0.02;
/// Of the numbers that breaks part in a column, so many have the same number of digits.
const MOSTLY: f64 = 0.9;
/// From so many capitals and digits on, a text without a blank is a code.
const LONG_CODE: usize = 10;
/// From so many letters on, a word is not part of another one by chance.
const LONG_WORD: usize = 4;
/// So many breaks of one value are tried in all ways.
const MOST_TRIED: usize = 8;
/// Widths that differ by less (points) are the same.
const SAME_WIDTH: f32 = 0.75;

/// A blank that may be none, in a field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncertainBreak {
    /// The record's natural key.
    pub key: String,
    /// The field.
    pub field: String,
    /// The file's page, from 1.
    pub page: usize,
    /// The row on that page below the header, from 1.
    pub row: usize,
    /// Where in the value, in characters from 0, the blank stands that may be none.
    pub at: usize,
}

/// What is known of a column before its breaks are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub value_type: ValueType,
    /// What the type's file says of its words.
    pub words: Option<Words>,
}

/// Resolves the breaks of all pages: what is left of them is uncertain. `kind_of` tells the kind of a
/// column by its page in the cycle and number.
pub fn resolve(tables: &mut [PageTable], cycle: usize, kind_of: impl Fn(usize, usize) -> Option<Kind>) {
    if !tables.iter().any(PageTable::has_breaks) {
        return;
    }
    let columns = columns(tables, cycle);
    // what one pass makes certain is evidence for the next
    for _ in 0..2 {
        let vocabulary = Vocabulary::gather(tables);
        for (number, table) in tables.iter_mut().enumerate().filter(|(_, table)| table.has_breaks()) {
            let page = number % cycle;
            let mut left = Vec::new();
            let mut widths = std::mem::take(&mut table.breaks).into_iter();
            table.rewrite(|_, column, text| {
                let breaks = text.matches(BREAK).count();
                if breaks == 0 {
                    return text.to_owned();
                }
                let widths: Vec<f32> = widths.by_ref().take(breaks).collect();
                let none = Column::default();
                let own = columns.get(&(page, column)).unwrap_or(&none);
                let resolved = vocabulary.resolve(text, own, kind_of(page, column));
                // in a text of several breaks, which one is left matters to nobody any more
                left.extend(widths.into_iter().take(resolved.matches(BREAK).count()));
                resolved
            });
            table.breaks = left;
        }
    }
}

/// What a column shows, before any break is resolved.
#[derive(Debug, Default)]
struct Column {
    /// Cells that are filled.
    cells: usize,
    /// Of those, cells that hold a blank for certain, cells without a break, and with a small letter.
    with_blank: usize,
    sure: usize,
    with_small: usize,
    /// What its texts look like without their blanks.
    shapes: Shapes,
    /// Its texts without their blanks.
    seen: HashSet<String>,
    /// Words behind a certain blank, and those that begin with a small letter.
    behind_blank: usize,
    small: HashMap<String, usize>,
    /// Does a capital follow a small letter at any break?
    begins_words: bool,
    /// Breaks behind which a small letter or a digit seems to go on with the word before.
    seems_cut: usize,
    /// The widest line of one word that surely ends there, and the widest before a break.
    widest_word: f32,
    widest_break: f32,
    /// The lengths of numbers that surely stand alone.
    numbers: HashSet<usize>,
    /// How many digits the numbers have together that nothing but breaks part, and how often.
    chains: HashMap<usize, usize>,
}

/// Looks at every column, by its page in the cycle and its number.
fn columns(tables: &[PageTable], cycle: usize) -> HashMap<(usize, usize), Column> {
    let words = Vocabulary::gather(tables).words;
    let mut columns: HashMap<(usize, usize), Column> = HashMap::new();
    for (number, table) in tables.iter().enumerate() {
        let mut widths = table.breaks.iter();
        for column in 0..table.width() {
            let own = columns.entry((number % cycle, column)).or_default();
            own.widest_word = own.widest_word.max(table.widest_words[column]);
        }
        for row in 0..table.bands.len() {
            for column in 0..table.width() {
                let text = table.cell(row, column);
                let own = columns.entry((number % cycle, column)).or_default();
                own.note(text, &words);
                for width in widths.by_ref().take(text.matches(BREAK).count()) {
                    own.widest_break = own.widest_break.max(*width);
                }
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
            let are_digits = before.is_some_and(|last| last.is_ascii_digit()) && part.starts_with(|c: char| c.is_ascii_digit());
            self.seems_cut += usize::from(goes_on || are_digits);
            word_before = last_word(part);
            let is_capital = part.starts_with(char::is_uppercase);
            self.begins_words |= is_capital && before.is_some_and(char::is_lowercase);
            before = part.chars().next_back();
        }
    }

    /// Does no text of it hold a blank: codes, accounts, single words?
    fn holds_codes(&self) -> bool {
        // of many texts of several words, some would not fill their lines, or begin one with a capital
        let are_words = self.seen.len() >= MANY && !self.begins_words;
        let is_shown = self.sure >= ENOUGH || (self.cells >= ENOUGH && self.with_small == 0);
        self.with_blank == 0 && (are_words || is_shown || self.shapes.are_codes(ENOUGH))
    }

    /// Are all numbers of so many digits one number each, that is cut? Nearly all chains are as long, and
    /// parts as long as the first stand nowhere alone.
    fn cuts_number(&self, chain: &str) -> bool {
        let digits = chain.len() - chain.matches(BREAK).count();
        let all: usize = self.chains.values().sum();
        let alike = self.chains.get(&digits).copied().unwrap_or(0);
        let first = chain.split(BREAK).next().unwrap_or_default();
        self.with_small > 0 && all >= MANY && alike as f64 >= all as f64 * MOSTLY && !self.numbers.contains(&first.len())
    }

    /// Is it as wide as its longest word, so that it cuts none?
    fn is_explained(&self) -> bool {
        self.widest_word > 0.0 && self.widest_break <= self.widest_word + SAME_WIDTH && self.seems_cut == 0
    }

    /// Do its words hardly ever begin with a small letter, but for a few that come again and again?
    fn begins_capital(&self) -> bool {
        let rare = self.small.values().filter(|count| **count == 1).count();
        self.behind_blank >= MANY && rare as f64 <= self.behind_blank as f64 * FEW_SMALL
    }
}

fn without_blanks(text: &str) -> String {
    text.chars().filter(|character| *character != ' ' && *character != BREAK).collect()
}

/// The word that ends `text`, and that begins it.
fn last_word(text: &str) -> &str {
    text.rsplit([' ', BREAK]).next().unwrap_or_default()
}

fn first_word(text: &str) -> &str {
    text.split([' ', BREAK]).next().unwrap_or_default()
}

fn begins_small(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_lowercase)
}

/// The numbers of a text that breaks part, and where they begin.
fn chains(text: &str) -> Vec<(&str, usize)> {
    let is_part = |c: char| c.is_ascii_digit() || c == BREAK;
    let mut chains = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(is_part).map(|found| at + found) {
        let length = text[start..].find(|c| !is_part(c)).unwrap_or(text.len() - start);
        let chain = &text[start..start + length];
        let plain = chain.trim_matches(BREAK);
        if plain.contains(BREAK) {
            chains.push((plain, start + chain.len() - chain.trim_start_matches(BREAK).len()));
        }
        at = start + length;
    }
    chains
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words and texts that no break parts.
#[derive(Debug, Default)]
struct Vocabulary {
    /// Words with a blank or an end on both sides.
    words: HashSet<String>,
    /// Texts without a break, by themselves without their blanks; none where two differ.
    texts: HashMap<String, Option<String>>,
}

impl Vocabulary {
    fn gather(tables: &[PageTable]) -> Self {
        let mut vocabulary = Self::default();
        for table in tables {
            for (row, column) in (0..table.bands.len()).flat_map(|row| (0..table.width()).map(move |column| (row, column)))
            {
                let text = table.cell(row, column);
                if !text.is_empty() && !text.contains(BREAK) {
                    vocabulary.note_text(text);
                }
                // words beside a break may be parts
                for word in text.split(' ').filter(|word| !word.is_empty() && !word.contains(BREAK)) {
                    if !vocabulary.words.contains(word) {
                        vocabulary.words.insert(word.to_owned());
                    }
                }
            }
        }
        vocabulary
    }

    fn note_text(&mut self, text: &str) {
        let plain = without_blanks(text);
        match self.texts.get_mut(&plain) {
            Some(known) if known.as_deref() != Some(text) => *known = None,
            Some(_) => {}
            None => drop(self.texts.insert(plain, Some(text.to_owned()))),
        }
    }

    /// A cell's text with its breaks resolved as far as the evidence goes.
    fn resolve(&self, text: &str, column: &Column, kind: Option<Kind>) -> String {
        if let Some(read) = kind.and_then(|kind| by_value(text, kind.value_type)) {
            return read;
        }
        match kind.and_then(|kind| kind.words) {
            Some(Words::Whole) => return text.replace(BREAK, " "),
            Some(Words::Cut) => return text.replace(BREAK, ""),
            None => {}
        }
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
            (last, first) if last.is_alphabetic() && first.is_ascii_digit() && is_word(before) && column.with_small > 0 => {
                Some(true)
            }
            (last, first) if last.is_ascii_digit() && first.is_uppercase() && column.with_small > 0 => Some(true),
            (last, first) if last.is_ascii_digit() && first.is_ascii_digit() => {
                self.between_digits(before, behind, is_last, column)
            }
            // of two words that both stand elsewhere, short ones may be parts by chance
            _ if stand_alone && before.chars().count().min(behind.chars().count()) >= LONG_WORD => Some(true),
            _ if column.is_explained() => Some(true),
            (last, first) if last.is_alphabetic() && first.is_lowercase() => {
                let is_unknown = !knows(before) && !(is_last && knows(behind)) && !column.small.contains_key(behind);
                (is_unknown && column.begins_capital()).then_some(false)
            }
            _ => None,
        }
    }

    /// Accounts and tax codes are long, and numbers of a column have their lengths.
    fn between_digits(&self, before: &str, behind: &str, is_last: bool, column: &Column) -> Option<bool> {
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
}

/// The reading of a wrapped value that its column's type allows; `None` for texts, and where both fit.
fn by_value(text: &str, value_type: ValueType) -> Option<String> {
    let (cut, parted) = (text.replace(BREAK, ""), text.replace(BREAK, " "));
    match value_type {
        ValueType::Text => return None,
        ValueType::Tracking => return Some(tracking(text)),
        ValueType::Skip => return Some(parted),
        ValueType::Id if !cut.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => return None,
        _ => {}
    }
    match (cell::parse(value_type, &cut), cell::parse(value_type, &parted)) {
        (Ok(_), Err(_)) => Some(cut),
        (Err(_), Ok(_)) => Some(parted),
        (Ok(one), Ok(other)) if one == other => Some(parted),
        (Err(_), Err(_)) => by_parts(text, value_type).or(Some(parted)),
        (Ok(_), Ok(_)) => None,
    }
}

/// The one reading of several breaks that fits, such as `20/01/20|26|12:04:22`.
fn by_parts(text: &str, value_type: ValueType) -> Option<String> {
    let mut fitting = readings(text)?.filter(|read| cell::parse(value_type, read).is_ok());
    fitting.next().filter(|_| fitting.next().is_none())
}

/// All readings of a text with few breaks, those with the fewest blanks first.
fn readings(text: &str) -> Option<impl Iterator<Item = String>> {
    let parts: Vec<&str> = text.split(BREAK).collect();
    let breaks = parts.len() - 1;
    let mut choices: Vec<usize> = (breaks <= MOST_TRIED).then(|| (0..1 << breaks).collect())?;
    choices.sort_by_key(|choice| choice.count_ones());
    let reading = move |choice: usize| {
        let mut read = parts[0].to_owned();
        for (at, part) in parts[1..].iter().enumerate() {
            if choice >> at & 1 == 1 {
                read.push(' ');
            }
            read.push_str(part);
        }
        read
    };
    Some(choices.into_iter().map(reading))
}

/// The reading of a tracking cell that gives a courier and a number, else a number; what a printed link
/// says besides means nothing.
fn tracking(text: &str) -> String {
    let cut = text.replace(BREAK, "");
    // what stands before the visible text is a tag
    let tag = cut.rfind("</").and_then(|end| cut[..end].rfind('>')).map_or(0, |end| cut[..=end].chars().count());
    let (mut seen, mut from) = (0, text.len());
    for (at, character) in text.char_indices() {
        if seen == tag {
            from = at;
            break;
        }
        seen += usize::from(character != BREAK);
    }
    let head = text[..from].replace(BREAK, "");
    let rank = |read: &String| match cell::parse_tracking(read) {
        [Value::Text(_), _] => 2,
        [_, Value::Text(number)] if !number.contains(' ') => 1,
        _ => 0,
    };
    let all: Vec<String> =
        readings(&text[from..]).into_iter().flatten().map(|tail| format!("{head}{tail}")).collect();
    let most = all.iter().map(rank).max().unwrap_or(0);
    let best: Vec<&String> = all.iter().filter(|read| most > 0 && rank(read) == most).collect();
    let begins_with_digit = |read: &&&String| {
        matches!(&cell::parse_tracking(read)[1], Value::Text(number) if number.starts_with(|c: char| c.is_ascii_digit()))
    };
    let numbered: Vec<&&String> = best.iter().filter(begins_with_digit).collect();
    match (&best[..], &numbered[..]) {
        ([], _) => cut,
        // of one word and another number of blanks, the fewest
        ([first, ..], _) if most == 1 => (*first).clone(),
        ([only], _) => (*only).clone(),
        (_, [only]) => (**only).clone(),
        _ => format!("{head}{}", &text[from..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Option<Kind> = Some(Kind { value_type: ValueType::Text, words: None });

    fn resolved(cells: &[&str], widest_word: f32) -> Vec<String> {
        let rows: Vec<Vec<&str>> = cells.iter().map(|cell| vec![*cell]).collect();
        let mut tables = [PageTable::with_cells(1, &["NOME"], &rows)];
        tables[0].widest_words = vec![widest_word];
        resolve(&mut tables, 1, |_, _| TEXT);
        (0..cells.len()).map(|row| tables[0].cell(row, 0).to_owned()).collect()
    }

    #[test]
    fn whole_words_and_cut_ones_are_told_apart() {
        for (cells, expected) in [
            (&["Ambulatorio\u{1f}Rossi"][..], "Ambulatorio Rossi"),
            (&["Ambulatorio\u{1f}medico", "Ambulatorio Rossi", "Studio medico"], "Ambulatorio medico"),
            (&["ODONTO\u{1f}IATRICA", "ODONTOIATRICA"], "ODONTOIATRICA"),
            (&["Via Roma\u{1f}12"], "Via Roma 12"),
            (&["info@stu\u{1f}dio.example"], "info@studio.example"),
            (&["RSSMRA80\u{1f}A01H501U", "A1", "B2", "C3", "D4", "E5"], "RSSMRA80A01H501U"),
            (&["ROSSI\u{1f}MARIO", "A B", "C D"], "ROSSI\u{1f}MARIO"),
        ] {
            assert_eq!(resolved(cells, 0.0)[0], expected);
        }
        let names: Vec<String> = (0..25).map(|at| format!("Rossi {}", char::from(b'A' + at))).collect();
        let names: Vec<&str> = ["Ambul\u{1f}atori\u{1f}o"].into_iter().chain(names.iter().map(String::as_str)).collect();
        assert_eq!(resolved(&names, 0.0)[0], "Ambulatorio", "no word of the column begins small");
        assert_eq!(resolved(&["ROSSI\u{1f}MARIO", "A B"], 30.0)[0], "ROSSI MARIO", "as wide as its longest word");
        assert_eq!(resolved(&["Rossi Mario", "Rossi\u{1f}Mario", "Rossi\u{1f}Mario"], 0.0)[1], "Rossi Mario");
    }

    #[test]
    fn values_are_read_as_their_type_allows() {
        for (value_type, text, expected) in [
            (ValueType::Datetime, "20/01/2026\u{1f}12:04:22", Some("20/01/2026 12:04:22")),
            (ValueType::Datetime, "20/01/20\u{1f}26\u{1f}12:04:22", Some("20/01/2026 12:04:22")),
            (ValueType::Int, "1.2\u{1f}04", Some("1.204")),
            (ValueType::Money, "1.204,50\u{1f}€", Some("1.204,50 €")),
            (ValueType::Tracking, "<a href=x\u{1f}y>Ups\u{1f}1Z4\u{1f}V26</a>", Some("<a href=xy>Ups 1Z4V26</a>")),
            (ValueType::Tracking, "3489135\u{1f}91995", Some("348913591995")),
            (ValueType::Text, "a\u{1f}b", None),
        ] {
            assert_eq!(by_value(text, value_type).as_deref(), expected, "{text}");
        }
    }
}

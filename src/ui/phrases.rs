//! How is a text of the pages said in Italian? By a book of phrases: whole texts, and patterns with places for what
//! changes.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use regex::{Captures, Regex};

/// Left the English, right the Italian. `#` is a number; in another order than in English they are `#1`, `#2`. `{x}` is
/// any text, and looked up itself, as are `{y}`, `{z}`, `{w}` and `{type}`; `{day}` and `{month}` are to be in the book,
/// too. What has another name is a name or a value, and stays.
const BOOK: &str = include_str!("italian.toml");
const LOOKED_UP: [&str; 7] = ["x", "y", "z", "w", "type", "day", "month"];
/// Phrases within phrases.
const DEPTH: usize = 6;
/// Texts within one text that are looked up, at most: somebody else's may be made of nothing but commas.
const LOOKS: usize = 200;

static NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(NUMBERS));
static PLACES: LazyLock<Regex> = LazyLock::new(|| regex(r"\{(\w+)\}|#([1-9])?"));
static ITALIAN: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(BOOK));

const NUMBERS: &str = r"[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?";

/// One of ours: a test has made each of them.
#[allow(clippy::unwrap_used, reason = "it is part of the program, and a test has made it")]
pub(super) fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// A book.
pub(super) struct Phrases {
    /// Texts whose numbers are `#`.
    whole: HashMap<String, String>,
    /// Those with the longest texts of their own first.
    patterns: Vec<Pattern>,
}

/// What was looked up for one text, and how much more may be.
struct Search {
    left: usize,
    known: HashMap<String, Option<String>>,
}

struct Pattern {
    /// A part of it that every text of it has.
    part: String,
    shape: Regex,
    places: Vec<String>,
    said: String,
    /// Nothing of it is a word: it says something only of what it is made of.
    is_bare: bool,
}

impl Phrases {
    /// The Italian one.
    pub(super) fn italian() -> &'static Self {
        &ITALIAN
    }

    fn of(book: &str) -> Self {
        #[allow(clippy::unwrap_used, reason = "it is part of the program, and a test reads it")]
        let all: toml::Table = book.parse().unwrap();
        let texts = all.into_iter().map(|(text, said)| (text, said.as_str().unwrap_or_default().to_owned()));
        let (patterns, whole): (Vec<_>, Vec<_>) = texts.partition(|(text, _)| text.contains('{'));
        let mut patterns: Vec<_> = patterns
            .into_iter()
            .map(|(text, said)| (PLACES.replace_all(&text, "").len(), Pattern::of(&text, said)))
            .collect();
        patterns.sort_by_key(|(own, _)| std::cmp::Reverse(*own));
        Self {
            whole: whole.into_iter().collect(),
            patterns: patterns.into_iter().map(|(_, pattern)| pattern).collect(),
        }
    }

    /// What this text is, if the book knows it, and it is soon found.
    pub(super) fn say(&self, text: &str) -> Option<String> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.look(&text, &mut Search { left: LOOKS, known: HashMap::new() }, 0)
    }

    fn look(&self, text: &str, search: &mut Search, depth: usize) -> Option<String> {
        if let Some(known) = search.known.get(text) {
            return known.clone();
        }
        search.left = search.left.checked_sub(1)?;
        let found = self.find(text, search, depth);
        search.known.insert(text.to_owned(), found.clone());
        found
    }

    /// What was said in a line may stand as a sentence.
    fn find(&self, text: &str, search: &mut Search, depth: usize) -> Option<String> {
        let line = text.strip_suffix('.').filter(|line| !line.is_empty());
        let small = |text: &str| {
            Some(changed_first(text, |first| first.to_lowercase().collect())).filter(|small| small != text)
        };
        let great = |said: String| changed_first(&said, |first| first.to_uppercase().collect());
        for find in [Self::as_whole, Self::by_pattern] {
            let mut find = |text: &str| find(self, text, search, depth);
            let found = find(text)
                .or_else(|| find(line?).map(|said| said + "."))
                .or_else(|| find(&small(text)?).map(great))
                .or_else(|| find(&small(line?)?).map(great).map(|said| said + "."));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn as_whole(&self, text: &str, _: &mut Search, _: usize) -> Option<String> {
        let said = self.whole.get(NUMBER.replace_all(text, "#").as_ref())?;
        let numbers: Vec<&str> = NUMBER.find_iter(text).map(|number| number.as_str()).collect();
        Some(fill(said, &numbers, &HashMap::new()))
    }

    fn by_pattern(&self, text: &str, search: &mut Search, depth: usize) -> Option<String> {
        let near = self.patterns.iter().filter(|pattern| depth < DEPTH && text.contains(&pattern.part));
        for pattern in near {
            let found = pattern.shape.captures(text).and_then(|found| self.matched(pattern, &found, search, depth));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn matched(&self, pattern: &Pattern, found: &Captures<'_>, search: &mut Search, depth: usize) -> Option<String> {
        let (mut numbers, mut values) = (Vec::new(), HashMap::new());
        for (place, value) in pattern.places.iter().zip(found.iter().skip(1)) {
            let value = value.map_or("", |value| value.as_str());
            match place.as_str() {
                "#" => numbers.push(value),
                name if LOOKED_UP.contains(&name) => {
                    let said = self.look(value, search, depth + 1);
                    if said.is_none() && (pattern.is_bare || ["day", "month"].contains(&name)) {
                        return None;
                    }
                    values.insert(name, said.map_or(Cow::Borrowed(value), Cow::Owned));
                }
                name => {
                    values.insert(name, Cow::Borrowed(value));
                }
            }
        }
        Some(fill(&pattern.said, &numbers, &values))
    }
}

impl Pattern {
    fn of(text: &str, said: String) -> Self {
        let (mut shape, mut places, mut own, mut end) = ("^".to_owned(), Vec::new(), Vec::new(), 0);
        for place in PLACES.captures_iter(text) {
            let all = place.get_match();
            own.push(&text[end..all.start()]);
            shape += &regex::escape(&text[end..all.start()]);
            shape += "(";
            shape += match place.get(1).map(|name| name.as_str()) {
                None => NUMBERS,
                Some("code") => "[a-z_]+",
                Some("agent") => r"[\w.@-]+",
                Some("type") => r"Delivery notes|[\w-]+",
                Some(_) => ".+?",
            };
            shape += ")";
            places.push(place.get(1).map_or("#", |name| name.as_str()).to_owned());
            end = all.end();
        }
        own.push(&text[end..]);
        shape += &regex::escape(&text[end..]);
        let part = own.iter().max_by_key(|part| part.len()).copied().unwrap_or_default().to_owned();
        let is_bare = !own.concat().contains(char::is_alphabetic);
        Self { part, shape: regex(&(shape + "$")), places, said, is_bare }
    }
}

/// The Italian with its numbers and values.
fn fill(said: &str, numbers: &[&str], values: &HashMap<&str, Cow<'_, str>>) -> String {
    let mut next = 0;
    let filled = PLACES.replace_all(said, |place: &Captures<'_>| match (place.get(1), place.get(2)) {
        (Some(name), _) => values.get(name.as_str()).map(ToString::to_string).unwrap_or_default(),
        (None, number) => {
            next += 1;
            let at = number.and_then(|number| number.as_str().parse().ok()).unwrap_or(next);
            numbers.get(at - 1).map(|number| figures(number)).unwrap_or_default()
        }
    });
    filled.into_owned()
}

/// `1,284.5` is `1.284,5` in Italian.
pub(super) fn figures(number: &str) -> String {
    let swapped = |letter| match letter {
        ',' => '.',
        '.' => ',',
        other => other,
    };
    number.chars().map(swapped).collect()
}

fn changed_first(text: &str, change: impl Fn(char) -> String) -> String {
    let mut letters = text.chars();
    letters.next().map(change).unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(book: &str, text: &str) -> String {
        Phrases::of(book).say(text).unwrap_or_else(|| format!("? {text}"))
    }

    #[test]
    fn whole_texts_keep_their_numbers_as_italians_write_them() {
        let book = "'# of # are fresh' = '# su # aggiornati'\n'# before #' = 'dopo #2 prima #1'\n'late' = 'in ritardo'";
        assert_eq!(said(book, "3 of 1,284\n  are fresh"), "3 su 1.284 aggiornati");
        assert_eq!(said(book, "28.7 before 4"), "dopo 4 prima 28,7");
        assert_eq!(said(book, "Late."), "In ritardo.");
        assert_eq!(said(book, "later"), "? later");
    }

    #[test]
    fn names_stay_and_phrases_within_phrases_do_not() {
        let book = "'{type} of {agent}' = '{type} di {agent}'\n'Orders' = 'Ordini'\n'held: {x}' = 'trattenuto: {x}'\n\
                    '{x}, {y}' = '{x}, {y}'\n'# rows' = '# righe'\n'{day} # {month}' = '{day} # {month}'\n'Mon' = 'lun'\n\
                    'Nov' = 'nov'";
        assert_eq!(said(book, "Orders of Nov"), "Ordini di Nov");
        assert_eq!(said(book, "held: Orders of anna"), "trattenuto: Ordini di anna");
        assert_eq!(said(book, "1 rows, 2 rows"), "1 righe, 2 righe");
        assert_eq!(said(book, "Rossi, 2 rows"), "? Rossi, 2 rows", "a list is no sentence of ours");
        assert_eq!(said(book, "Mon 30 Nov"), "lun 30 nov");
        assert_eq!(said(book, "Big 30 Nov"), "? Big 30 Nov");
    }

    #[test]
    fn a_text_that_could_be_taken_apart_for_ever_is_given_up() {
        let text = "ab: late, ab: late; ".repeat(40) + "zzq, qq.";
        let started = std::time::Instant::now();
        assert!(Phrases::italian().say(&text).is_none_or(|said| said.contains("zzq")));
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[test]
    fn the_italian_book_fills_every_place_from_its_english() {
        let all: toml::Table = BOOK.parse().unwrap();
        for (text, said) in &all {
            let places = |text: &str| {
                let mut names: Vec<String> = PLACES
                    .captures_iter(text)
                    .map(|place| {
                        place.get_match().as_str()[..2.min(place.get_match().len())].replace(char::is_numeric, "")
                    })
                    .collect();
                names.sort();
                names
            };
            let said = said.as_str().unwrap();
            assert!(!said.is_empty() && places(text).len() >= places(said).len(), "{text} = {said}");
        }
        assert!(all.len() > 1_000, "{}", all.len());
    }
}

//! Which words and numbers does a text with breaks hold?

use super::super::table::BREAK;

pub(crate) fn without_blanks(text: &str) -> String {
    text.chars().filter(|character| *character != ' ' && *character != BREAK).collect()
}

/// The word that ends `text`, and that begins it.
pub(crate) fn last_word(text: &str) -> &str {
    text.rsplit([' ', BREAK]).next().unwrap_or_default()
}

pub(crate) fn first_word(text: &str) -> &str {
    text.split([' ', BREAK]).next().unwrap_or_default()
}

pub(crate) fn begins_small(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_lowercase)
}

/// The numbers of a text that breaks part, and where they begin.
pub(crate) fn chains(text: &str) -> Vec<(&str, usize)> {
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

pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

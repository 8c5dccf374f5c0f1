//! Which texts can be kept, how are lists of them configured, and how is what others say of an error put on
//! record?

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// The longest error that is kept, in characters.
const ERROR: usize = 500;

/// What is taken out of errors, and what stands there instead. In this order.
static PRIVATE: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rule = |pattern: &str, instead| Regex::new(pattern).ok().map(|pattern| (pattern, instead));
    let rules = [
        rule(r"://[^/\s@]*@", "://"),
        rule(r"(https?://[^\s?#]*)[?#]\S*", "$1"),
        rule(r"(?i)\b(bearer|basic)\s+\S+", "$1 [secret]"),
        rule(
            r#"(?i)\b(\w*(?:token|secret|password|passwd|signature|api_?key|key|authorization))(["']?\s*[=:]\s*)["']?[^\s,;"'}]+"#,
            "$1$2[secret]",
        ),
        rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "[e-mail]"),
        rule(r"\+?\d[\d /().-]{9,}\d", "[number]"),
        rule(r"[A-Za-z0-9+/_=-]{32,}", "[secret]"),
    ];
    rules.into_iter().flatten().collect()
});

/// An error as it may be stored and shown: its first line, without secrets and what looks like personal data (addresses,
/// telephone and account numbers), and no longer than 500 characters.
#[must_use]
pub fn on_record(error: &str) -> String {
    let line = error.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    // no more is looked at than could stay
    let start: String = line.chars().filter(|c| !c.is_control()).take(ERROR * 4).collect();
    let cleaned = PRIVATE.iter().fold(Cow::Owned(start), |text: Cow<'_, str>, (pattern, instead)| {
        Cow::Owned(pattern.replace_all(&text, *instead).into_owned())
    });
    let mut short: String = cleaned.chars().take(ERROR).collect();
    if short.len() < cleaned.len() {
        short.pop();
        short.push('…');
    }
    short
}

/// Where a text in `json` has a NUL character, as a JSON pointer below `at`: not every database can keep one.
#[must_use]
pub fn nul_in(json: &Json, at: &str) -> Option<String> {
    match json {
        Json::String(text) => text.contains('\0').then(|| at.to_owned()),
        Json::Array(items) => items.iter().enumerate().find_map(|(place, item)| nul_in(item, &format!("{at}/{place}"))),
        Json::Object(fields) => fields.iter().find_map(|(name, value)| {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.contains('\0') { Some(at) } else { nul_in(value, &at) }
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

/// The longest name of an agent, in characters.
pub const NAME: usize = 100;
/// The longest reason that a person gives, in characters.
pub const REASON: usize = 500;

/// Is this a text that people can read back: one line of 1 to `longest` characters, with something to see and
/// none that nobody sees, or that turns what stands behind it round?
///
/// # Errors
/// What it must be, for people.
pub fn plain_text(text: &str, longest: usize) -> Result<(), String> {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.trim().is_empty() || text.chars().nth(longest).is_some() || text.chars().any(is_hidden) {
        return Err(format!("must be 1 to {longest} characters in one line, without control characters"));
    }
    Ok(())
}

/// Is this a secret that can be tried out: short, or of few different characters?
#[must_use]
pub fn is_guessable(secret: &str) -> bool {
    let different: std::collections::BTreeSet<char> = secret.chars().collect();
    secret.chars().count() < 16 || different.len() < 6
}

/// One of some names, or what is wrong with `text`.
///
/// # Errors
/// Names them all.
pub fn choice<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("'{}' is none of {}", text.escape_debug(), names()))
}

/// A list of texts as settings have it: in a file a list, in the environment one text with commas.
///
/// # Errors
/// What is neither.
pub fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(input)? {
        Either::List(list) => list,
        Either::Text(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_on_record_is_one_bounded_line_without_secrets_or_people() {
        for (error, kept) in [
            ("refused: row 7 is locked\n   at Sheet.write (sheet.js:7)\n   at main", "refused: row 7 is locked"),
            ("\n\nfirst line\u{7}\nsecond", "first line"),
            ("GET https://user:pw@host.example/a/b?key=abc#x failed", "GET https://host.example/a/b failed"),
            ("Authorization: Bearer abc.def.ghi was refused", "Authorization: [secret] [secret] was refused"),
            (r#"{"password":"hunter2","code":7}"#, r#"{"password":[secret]","code":7}"#),
            ("access_token=xyz; retry", "access_token=[secret]; retry"),
            ("no such user anna.rossi+x@mail.example.com here", "no such user [e-mail] here"),
            ("call +39 041 555-123-4567 now", "call [number] now"),
            ("hash 0123456789abcdef0123456789abcdef leaked", "hash [secret] leaked"),
            ("status 503 after 3000 ms on 2026-11-27", "status 503 after 3000 ms on 2026-11-27"),
        ] {
            assert_eq!(on_record(error), kept, "{error}");
        }
        let long = on_record(&"word ".repeat(1_000));
        assert_eq!(long.chars().count(), 500);
        assert!(long.ends_with('…'));
        assert_eq!(on_record(&"x".repeat(5_000_000)), "[secret]");
    }

    #[test]
    fn every_rule_is_a_regular_expression() {
        assert_eq!(PRIVATE.len(), 7);
    }

    #[test]
    fn texts_of_people_are_one_line_that_can_be_seen() {
        for good in ["Anna", "Böhm & Söhne", "日本", "a b", &"x".repeat(NAME)] {
            assert_eq!(plain_text(good, NAME), Ok(()), "{good}");
        }
        for bad in ["", "  ", "a\0", "a\nb", "\u{1b}[31m", "a\u{202e}b", "a\u{200b}b", &"x".repeat(NAME + 1)] {
            assert!(plain_text(bad, NAME).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        assert_eq!(nul_in(&json!({ "a": [1, "x", { "b": "y\0" }] }), "/data").unwrap(), "/data/a/2/b");
        assert_eq!(nul_in(&json!({ "a/b": { "c\0": 1 } }), "").unwrap(), "/a~1b/c\0");
        assert_eq!(nul_in(&json!({ "a": ["\\u0000", null, true] }), ""), None);
    }
}

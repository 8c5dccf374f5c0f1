//! Why can settings not be used? In the operator's words, without secrets.

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read, or a key is unknown or of the wrong type.
    #[error("configuration: {0}")]
    Config(String),
    /// A file cannot be read, or is no TOML.
    #[error("configuration: {place}: {wrong}")]
    File {
        /// The file.
        place: String,
        /// What is wrong, without its text.
        wrong: String,
    },
    /// A value makes no sense.
    #[error("configuration: {key}: {wrong}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong.
        wrong: String,
    },
    /// The file of a secret cannot be read.
    #[error("configuration: {key}: cannot use {file}: {wrong}")]
    Secret {
        /// The key.
        key: String,
        /// The file.
        file: String,
        /// Why not.
        wrong: String,
    },
}

/// In the operator's words, and without the value, which may be a secret. The text is the whole error: a source beside
/// it would say the same twice.
impl From<config::ConfigError> for SettingsError {
    fn from(error: config::ConfigError) -> Self {
        use config::ConfigError::{At, Type};
        match error {
            At { error, key: Some(key), .. } => match *error {
                Type { unexpected, expected, .. } => Self::wrong_type(&key, &unexpected.to_string(), expected),
                config::ConfigError::Message(wrong) => {
                    let types = wrong.strip_prefix("invalid type: ").and_then(|types| types.split_once(", expected "));
                    match types {
                        Some((found, expected)) => Self::wrong_type(&key, found, expected),
                        None => Self::File { place: key, wrong },
                    }
                }
                other => Self::Config(other.to_string()),
            },
            Type { unexpected, expected, key: Some(key), .. } => {
                Self::wrong_type(&key, &unexpected.to_string(), expected)
            }
            other => Self::Config(other.to_string()),
        }
    }
}

impl SettingsError {
    fn wrong_type(key: &str, found: &str, expected: &str) -> Self {
        // the kind of value, before the value itself
        let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
        let wrong = format!("expected is {}, found is {}", plain(expected, EXPECTED), plain(kind, FOUND));
        Self::File { place: key.to_owned(), wrong }
    }
}

/// What the library calls a kind of value, and what an operator calls it; the first that fits.
type Words = [(&'static str, &'static str)];

const EXPECTED: &Words = &[
    ("unsigned 8 bit", "a whole number from 0 to 255"),
    ("unsigned 16 bit", "a whole number from 0 to 65535"),
    ("unsigned", "a whole number, 0 or more"),
    ("integer", "a whole number"),
    ("floating point", "a number"),
    ("boolean", "true or false"),
    ("string", "a text"),
    ("array", "a list"),
    ("sequence", "a list"),
    ("map", "a table"),
    ("struct", "a table"),
];

const FOUND: &Words = &[
    ("integer", "another number"),
    ("floating point", "a number with a fraction"),
    ("boolean", "true or false"),
    ("string", "a text"),
    ("unit", "nothing"),
    ("sequence", "a list"),
    ("map", "a table"),
];

fn plain<'a>(kind: &'a str, words: &Words) -> &'a str {
    words.iter().find(|(library, _)| kind.contains(library)).map_or(kind, |(_, plain)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_kind_is_told_in_plain_words_and_without_the_value() {
        let told = |found, expected| SettingsError::wrong_type("a.b", found, expected).to_string();
        let text = "configuration: a.b: expected is a whole number, found is a text";
        assert_eq!(told("string \"secret\"", "an integer"), text);
        let text = "configuration: a.b: expected is a whole number from 0 to 65535, found is another number";
        assert_eq!(told("64-bit unsigned integer `70000`", "an unsigned 16 bit integer"), text);
    }
}

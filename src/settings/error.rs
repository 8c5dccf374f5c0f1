//! Why can settings not be used? In the operator's words, without secrets.

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read, or a key is unknown or of the wrong type.
    #[error("configuration: {0}")]
    Config(#[from] config::ConfigError),
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

impl SettingsError {
    /// In the operator's words, and without the value, which may be a secret.
    pub(super) fn from_config(error: config::ConfigError) -> Self {
        use config::ConfigError::{At, Type};
        match error {
            At { error, key: Some(key), .. } => match *error {
                Type { unexpected, expected, .. } => Self::wrong_type(&key, &unexpected.to_string(), expected),
                config::ConfigError::Message(wrong) => Self::File { place: key, wrong },
                other => Self::Config(other),
            },
            Type { unexpected, expected, key: Some(key), .. } => {
                Self::wrong_type(&key, &unexpected.to_string(), expected)
            }
            other => Self::Config(other),
        }
    }

    fn wrong_type(key: &str, found: &str, expected: &str) -> Self {
        // the kind of value, before the value itself
        let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
        Self::File { place: key.to_owned(), wrong: format!("found is {kind}, expected is {expected}") }
    }
}

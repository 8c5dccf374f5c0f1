//! `[log]`: what is logged, and how does it look?

use serde::Deserialize;

use super::SettingsError;
use crate::domain::text::choice;

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A tracing filter.
    pub level: String,
}

/// What libraries say at this level tells of themselves: of their threads, and that nothing was to be done; and anyone may
/// send what is no HTTP, which the web server would call an error of its own.
const QUIET: &str = "info,actix_http::h1::dispatcher=off,actix_server=warn,sea_orm_migration=warn";

impl Log {
    /// The filter that `level` asks for. A bare level is lockstep's own: what others log in detail may hold the
    /// cookies and forms of the ERP, so they stay at `info` unless they are named.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for what is no level.
    pub fn filter(&self) -> Result<String, SettingsError> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let directive = |directive: &str| {
            let (target, level) = match directive.rsplit_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim().to_lowercase()),
                None => (None, directive.to_lowercase()),
            };
            if !LEVELS.contains(&level.as_str()) {
                let wrong = format!("'{level}' is no level; known are {}", LEVELS.join(", "));
                return Err(SettingsError::Invalid { key: "log.level", wrong });
            }
            Ok(match (target, level.as_str()) {
                (Some(target), level) => format!("{target}={level}"),
                (None, "debug" | "trace") => format!("{QUIET},lockstep={level}"),
                (None, "info") => QUIET.to_owned(),
                (None, level) => level.to_owned(),
            })
        };
        let parts = self.level.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.map(directive).collect::<Result<Vec<_>, _>>()?.join(","))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// For machines.
    Json,
    /// For people.
    Pretty,
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        choice(&text, &[("json", LogFormat::Json), ("pretty", LogFormat::Pretty)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_log_in_detail_is_only_logged_where_they_are_named() {
        let filter = |level: &str| Log { format: LogFormat::Json, level: level.to_owned() }.filter().unwrap();
        assert_eq!(
            filter("debug"),
            "info,actix_http::h1::dispatcher=off,actix_server=warn,sea_orm_migration=warn,lockstep=debug"
        );
        assert!(
            filter("info,actix_server=info").ends_with("actix_server=warn,sea_orm_migration=warn,actix_server=info")
        );
        assert_eq!(filter("WARN, sea_orm=debug"), "warn,sea_orm=debug");
    }
}

//! `[source]`: where do reports come from, how hard may it be pressed, and what of it is kept?

use serde::Deserialize;

use super::SettingsError;
use crate::{
    domain::text::choice,
    source::{Auth, CommandConfig, FolderConfig, HttpConfig},
};

/// `[source]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    pub kind: SourceKind,
    /// How often all processes together ask it in a minute; 0 is no limit.
    pub fetches_per_minute: u32,
    /// The longest fetch, in milliseconds.
    pub timeout_ms: u64,
    /// Fetches of this process at once.
    pub parallel: usize,
    /// Milliseconds between the starts of two fetches of this process.
    pub pause_ms: u64,
    /// Fetches at once for one agent.
    pub agent_parallel: usize,
    /// Milliseconds between the starts of two fetches for one agent.
    pub agent_pause_ms: u64,
    /// Keys that seal the agents' credentials, one a line.
    pub credentials_key: Option<secrecy::SecretString>,
    /// Reports of each type and agent that are kept.
    pub keep_reports: u64,
    /// How old kept documents become.
    pub keep_days: u64,
    /// Bytes of all single documents together that are kept.
    pub cache_bytes: u64,
    /// How long a kept single document is given out without asking the source again.
    pub cache_minutes: u64,
    /// `[source.folder]`
    #[serde(default)]
    pub folder: FolderConfig,
    /// `[source.http]`
    #[serde(default)]
    pub http: HttpConfig,
    /// `[source.command]`
    #[serde(default)]
    pub command: CommandConfig,
}

/// The kinds of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SourceKind {
    /// Files or objects.
    Folder,
    /// Uploads only.
    None,
    /// An ERP over HTTP.
    Http,
    /// An external program.
    Command,
}

impl TryFrom<String> for SourceKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        choice(
            &text,
            &[
                ("folder", SourceKind::Folder),
                ("http", SourceKind::Http),
                ("command", SourceKind::Command),
                ("none", SourceKind::None),
            ],
        )
    }
}

impl SourceKind {
    /// The name in files, and of the breakers' source.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Folder => "folder",
            SourceKind::None => "none",
            SourceKind::Http => "http",
            SourceKind::Command => "command",
        }
    }
}

impl SourceSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let invalid = |key, wrong: &str| Err(SettingsError::Invalid { key, wrong: wrong.to_owned() });
        match self.kind {
            SourceKind::Folder if self.folder.url.is_none() => {
                invalid("source.folder.url", "source.kind is folder, so the folder must be named")
            }
            SourceKind::Http if self.http.report_url.is_empty() => {
                invalid("source.http.report_url", "source.kind is http, so the URL of its reports must be named")
            }
            SourceKind::Http if self.http.auth == Auth::Form && self.http.login.url.is_empty() => {
                invalid("source.http.login.url", "source.http.auth is form, so the form's URL must be named")
            }
            SourceKind::Command if self.command.program.as_os_str().is_empty() => {
                invalid("source.command.program", "source.kind is command, so the program must be named")
            }
            SourceKind::Folder | SourceKind::None | SourceKind::Http | SourceKind::Command => Ok(()),
        }
    }
}

//! Why could a report not be fetched?

use std::time::Duration;

/// A report or document could not be fetched. Texts hold no secrets and no query strings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none (yet).
    #[error("there is no report at {0}")]
    NotFound(String),
    /// The source is away or fails.
    #[error("the source cannot be read: {0}")]
    Unreachable(String),
    /// The source has asked to be left alone for a while.
    #[error("the source asks to wait for {} s: {said}", after.as_secs())]
    Busy {
        /// What it said.
        said: String,
        /// For how long.
        after: Duration,
    },
    /// The session had expired, and a fresh log-in did not help.
    #[error("the session has expired: {0}")]
    Expired(String),
    /// The source refuses: wrong credentials, no permission.
    #[error("the source refuses: {0}")]
    Refused(String),
    /// Something came that is no report.
    #[error("what came is no report: {0}")]
    NotAReport(String),
    /// It is larger than any report may be.
    #[error("the report at {place} has {bytes} bytes, more than the {limit} that limits.report_bytes allows")]
    TooLarge {
        /// Where it is.
        place: String,
        /// Its size, or how much of it had come.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// It did not come in time.
    #[error("{what} did not come within the {} s that source.timeout_ms allows", limit.as_secs_f64())]
    TooSlow {
        /// What was asked for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The agent, type or number cannot be part of a place.
    #[error("'{0}' cannot be part of a path")]
    BadName(String),
    /// The place leads out of the folder that may be read.
    #[error("{0} leads out of the folder that source.folder.url allows")]
    Outside(String),
    /// The source needs credentials that are not there, or that cannot be opened.
    #[error("no credentials: {0}")]
    NoCredentials(String),
    /// No source is configured (`source.kind = "none"`).
    #[error("no source is configured: upload reports, or set source.kind")]
    NotConfigured,
}

impl SourceError {
    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SourceError::NotFound(_) => "report_not_found",
            SourceError::Unreachable(_) => "source_unreachable",
            SourceError::Busy { .. } => "source_busy",
            SourceError::Expired(_) => "session_expired",
            SourceError::Refused(_) => "source_refused",
            SourceError::NotAReport(_) => "not_a_report",
            SourceError::TooLarge { .. } => "report_too_large",
            SourceError::TooSlow { .. } => "source_too_slow",
            SourceError::BadName(_) => "bad_name",
            SourceError::Outside(_) => "outside_folder",
            SourceError::NoCredentials(_) => "no_credentials",
            SourceError::NotConfigured => "no_source",
        }
    }

    /// May another attempt succeed without a person? Wrong credentials are not tried again: that locks accounts.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            SourceError::NotFound(_)
            | SourceError::Unreachable(_)
            | SourceError::Busy { .. }
            | SourceError::Expired(_)
            | SourceError::NotAReport(_)
            | SourceError::TooSlow { .. } => true,
            SourceError::Refused(_)
            | SourceError::TooLarge { .. }
            | SourceError::BadName(_)
            | SourceError::Outside(_)
            | SourceError::NoCredentials(_)
            | SourceError::NotConfigured => false,
        }
    }

    /// What it tells of the source: `None` if that was not asked, else whether it failed. A missing or too
    /// large report is an answer.
    #[must_use]
    pub fn is_failure_of_source(&self) -> Option<bool> {
        match self {
            SourceError::NotFound(_) | SourceError::TooLarge { .. } => Some(false),
            SourceError::Unreachable(_)
            | SourceError::Busy { .. }
            | SourceError::Expired(_)
            | SourceError::Refused(_)
            | SourceError::NotAReport(_)
            | SourceError::TooSlow { .. } => Some(true),
            SourceError::BadName(_)
            | SourceError::Outside(_)
            | SourceError::NoCredentials(_)
            | SourceError::NotConfigured => None,
        }
    }
}

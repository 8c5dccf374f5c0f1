//! Where do reports come from? One trait, and the sources behind it.

mod folder;

use async_trait::async_trait;

pub use folder::Folder;

use crate::domain::{AgentId, SyncType};

/// Fetches reports.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The report of `sync_type` for `agent`, as the ERP prints it now: raw bytes, not yet looked
    /// at, of at most the configured size. Dropping the future gives the fetch up.
    ///
    /// # Errors
    /// [`SourceError`] saying what was asked for and what came.
    async fn fetch(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Vec<u8>, SourceError>;

    /// One document of `agent`: the PDF of the delivery note or invoice `number` (`folder` says which).
    ///
    /// # Errors
    /// [`SourceError`] saying what was asked for and what came.
    async fn document(&self, folder: &str, agent: &AgentId, number: &str) -> Result<Vec<u8>, SourceError>;
}

/// A report could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is none (yet).
    #[error("there is no report at {0}")]
    NotFound(String),
    /// The source is away or fails.
    #[error("the source cannot be read: {0}")]
    Unreachable(String),
    /// It is larger than any report may be.
    #[error("the report at {place} has {bytes} bytes, more than the {limit} that limits.report_bytes allows")]
    TooLarge {
        /// Where it is.
        place: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The agent or type cannot be part of a place.
    #[error("'{0}' cannot be part of a path")]
    BadName(String),
    /// No source is configured (`source.kind = \"none\"`).
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
            SourceError::TooLarge { .. } => "report_too_large",
            SourceError::BadName(_) => "bad_name",
            SourceError::NotConfigured => "no_source",
        }
    }

    /// May another attempt succeed without a person?
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            SourceError::NotFound(_) | SourceError::Unreachable(_) => true,
            SourceError::TooLarge { .. } | SourceError::BadName(_) | SourceError::NotConfigured => false,
        }
    }
}

/// No source: reports are only uploaded.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

#[async_trait]
impl Source for NoSource {
    async fn fetch(&self, _: &SyncType, _: &AgentId) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::NotConfigured)
    }

    async fn document(&self, _: &str, _: &AgentId, _: &str) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::NotConfigured)
    }
}

//! What kept a run from its end, and what does that make of it?

use crate::{
    domain::{Counts, Outcome},
    report::Refusal,
    source::SourceError,
    store::StoreError,
};

/// What kept a run from its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Someone asked it to stop.
    #[error("stopped")]
    Stopped,
    /// The report could not be fetched.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The report was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed, or refused the write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A held run's approval cannot be carried out any more.
    #[error("{0}")]
    Hold(String),
    /// The counts do not add up: the run must not count as a success.
    #[error("the counts do not balance: {0:?}")]
    Unbalanced(Counts),
}

impl RunError {
    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RunError::Stopped => "stopped",
            RunError::Source(error) => error.code(),
            RunError::Refused(refusal) => refusal.code.as_str(),
            RunError::Store(StoreError::LeaseLost { .. }) => "lease_lost",
            RunError::Store(_) => "database",
            RunError::Hold(_) => "hold_changed",
            RunError::Unbalanced(_) => "unbalanced",
        }
    }

    /// The outcome that this makes of a run.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            RunError::Stopped => Outcome::Stopped,
            RunError::Source(error) => Outcome::Failed { retryable: error.is_retryable() },
            RunError::Refused(refusal) => Outcome::Failed { retryable: refusal.code.is_transient() },
            RunError::Store(StoreError::LeaseLost { .. }) => Outcome::Lost,
            RunError::Store(error) => Outcome::Failed { retryable: error.is_retryable() },
            RunError::Hold(_) | RunError::Unbalanced(_) => Outcome::Failed { retryable: false },
        }
    }
}

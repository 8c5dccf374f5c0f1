//! Who has the effect of a write? The port to what lies outside.

use async_trait::async_trait;
use serde_json::Value as Json;

use crate::domain::{AgentId, JobType};

/// One write to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The same for every attempt of the same job, and of no other: a sink that keeps it can tell a repetition.
    pub id: String,
    /// Which operation.
    pub operation: JobType,
    /// For whom.
    pub agent: AgentId,
    /// What it is about.
    pub model: String,
    /// Which record of that.
    pub record: String,
    /// The caller's data.
    pub data: Json,
}

/// What the other side said.
pub type Delivered = Json;

/// A write could not be carried out, or it is not known whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The effect certainly did not happen, and may another time.
    #[error("not delivered: {0}")]
    NotSent(String),
    /// The effect certainly did not happen, and the same again would be refused again.
    #[error("refused: {0}")]
    Refused(String),
    /// The effect may have happened.
    #[error("it is not known whether it was done: {0}")]
    Unknown(String),
    /// No sink is configured.
    #[error("no sink is configured for this operation")]
    NotConfigured,
}

impl SinkError {
    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SinkError::NotSent(_) => "not_sent",
            SinkError::Refused(_) => "sink_refused",
            SinkError::Unknown(_) => "effect_unknown",
            SinkError::NotConfigured => "no_sink",
        }
    }
}

/// Carries writes out.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Has the effect, once. Dropping the future leaves it unknown whether it happened.
    ///
    /// # Errors
    /// [`SinkError`], which says whether the effect may have happened.
    async fn deliver(&self, delivery: Delivery) -> Result<Delivered, SinkError>;
}

/// No sink: every write is refused before it has an effect.
#[derive(Debug, Clone, Copy)]
pub struct NoSink;

#[async_trait]
impl Sink for NoSink {
    async fn deliver(&self, _: Delivery) -> Result<Delivered, SinkError> {
        Err(SinkError::NotConfigured)
    }
}

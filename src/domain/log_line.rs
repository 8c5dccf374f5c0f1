//! What did the log say at one moment?

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// What it says, and behind that its fields, `name=value`.
    pub text: String,
}

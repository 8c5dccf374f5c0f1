//! Why was a job asked for?

use serde::{Deserialize, Serialize};

/// Why a job was asked for. It is told, and it decides nothing but whether the run was `manual`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its type's timer.
    Timer,
    /// A person, through the API or the command line.
    Manual,
    /// A parent type changed something.
    Flow,
    /// A report was uploaded or named as a file.
    Upload,
    /// A kept report is read again, because its type's file has changed.
    Replay,
    /// A held run was approved.
    Approval,
    /// A person or a program asked for an operation.
    Operation,
}

impl Reason {
    /// All.
    pub const ALL: [Reason; 7] = [
        Reason::Timer,
        Reason::Manual,
        Reason::Flow,
        Reason::Upload,
        Reason::Replay,
        Reason::Approval,
        Reason::Operation,
    ];

    /// The reason that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Does such a job come with a document that a person gave or approved?
    #[must_use]
    pub fn has_document(self) -> bool {
        match self {
            Reason::Upload | Reason::Replay | Reason::Approval => true,
            Reason::Timer | Reason::Manual | Reason::Flow | Reason::Operation => false,
        }
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Timer => "timer",
            Reason::Manual => "manual",
            Reason::Flow => "flow",
            Reason::Upload => "upload",
            Reason::Replay => "replay",
            Reason::Approval => "approval",
            Reason::Operation => "operation",
        }
    }
}

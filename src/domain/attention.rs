//! What kinds of things need a person, and how much?

use serde::{Deserialize, Serialize};

/// What it is about; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AttentionKind)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Refused,
    Failing,
    Held,
    Late,
    BreakerOpen,
    WriteBackFailed,
    WriteBackDoubtful,
    ModelNotConfigured,
    Quarantine,
    Orphans,
    LayoutChanged,
}

/// Does it need a person, or is it to be known?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not get better by itself, or has not for too long.
    Problem,
    /// All works, but something is to be known.
    Notice,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::Refused,
        Kind::Failing,
        Kind::Held,
        Kind::Late,
        Kind::BreakerOpen,
        Kind::WriteBackFailed,
        Kind::WriteBackDoubtful,
        Kind::ModelNotConfigured,
        Kind::Quarantine,
        Kind::Orphans,
        Kind::LayoutChanged,
    ];

    /// As the API, the log and the database have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Refused => "refused",
            Kind::Failing => "failing",
            Kind::Held => "held",
            Kind::Late => "late",
            Kind::BreakerOpen => "breaker_open",
            Kind::WriteBackFailed => "write_back_failed",
            Kind::WriteBackDoubtful => "write_back_doubtful",
            Kind::ModelNotConfigured => "model_not_configured",
            Kind::Quarantine => "quarantine",
            Kind::Orphans => "orphans",
            Kind::LayoutChanged => "layout_changed",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Kind::Refused
            | Kind::Failing
            | Kind::Held
            | Kind::Late
            | Kind::BreakerOpen
            | Kind::WriteBackFailed
            | Kind::WriteBackDoubtful
            | Kind::ModelNotConfigured => Severity::Problem,
            Kind::Quarantine | Kind::Orphans | Kind::LayoutChanged => Severity::Notice,
        }
    }
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Problem => "problem",
            Severity::Notice => "notice",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_which_is_what_is_serialized() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
            assert_eq!(serde_json::json!(kind), kind.as_str());
            assert_eq!(serde_json::json!(kind.severity()), kind.severity().as_str());
        }
        assert_eq!(Kind::from_name("Refused"), None);
    }
}

//! How can a run end, and what did it count?

use std::any::Any;

use serde::{Deserialize, Serialize};

/// Where in the way of the data a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Getting the report's bytes.
    Fetch,
    /// Bytes to records.
    Read,
    /// Records to changes.
    Plan,
    /// Changes to the database.
    Apply,
}

impl Stage {
    /// The stage that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Stage::Fetch, Stage::Read, Stage::Plan, Stage::Apply].into_iter().find(|stage| stage.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Fetch => "fetch",
            Stage::Read => "read",
            Stage::Plan => "plan",
            Stage::Apply => "apply",
        }
    }
}

/// What became of a run that a guard holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It waits for a person.
    Open,
    /// A person approved it; its report is to be applied.
    Approved,
    /// Its report was applied.
    Applied,
    /// A person rejected it.
    Rejected,
    /// A newer run of its type and agent is held in its place.
    Superseded,
    /// A newer report was applied, or its approval could not be carried out.
    Closed,
}

impl Hold {
    /// What `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Hold::Open, Hold::Approved, Hold::Applied, Hold::Rejected, Hold::Superseded, Hold::Closed]
            .into_iter()
            .find(|hold| hold.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Hold::Open => "open",
            Hold::Approved => "approved",
            Hold::Applied => "applied",
            Hold::Rejected => "rejected",
            Hold::Superseded => "superseded",
            Hold::Closed => "closed",
        }
    }
}

/// The error code of a run that did not stop in time and was given up: what it wrote is not known.
pub const GIVEN_UP: &str = "given_up";

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

/// How a run ended. Skips and refusals are not outcomes: they never became a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything was read and stored.
    Succeeded,
    /// Everything that fitted was stored; some rows are in quarantine.
    SucceededWithQuarantine,
    /// The report says what is already stored.
    Unchanged,
    /// A guard waits for a person; nothing was written.
    Held,
    /// Someone asked it to stop; whole batches are stored.
    Stopped,
    /// It failed; `retryable` where another attempt may succeed without a person (the source was
    /// away), not where the same report would be refused again.
    Failed {
        /// Is another attempt worth while?
        retryable: bool,
    },
    /// It took longer than it may.
    TimedOut,
    /// The work panicked; the actor lives on.
    Panicked,
    /// Its process died or lost the lease.
    Lost,
    /// It was taken out of the queue before it started.
    Removed,
    /// There was nothing to do when its turn came (its agent was deactivated, its report is still the refused one).
    /// Neither success nor failure.
    Skipped,
    /// Its effect may have happened or not; a person looks before it is done again.
    Doubtful,
}

impl Outcome {
    /// All; of a failure that is read back nobody knows any more whether another attempt is worth while.
    pub const ALL: [Outcome; 12] = [
        Outcome::Succeeded,
        Outcome::SucceededWithQuarantine,
        Outcome::Unchanged,
        Outcome::Held,
        Outcome::Stopped,
        Outcome::Failed { retryable: false },
        Outcome::TimedOut,
        Outcome::Panicked,
        Outcome::Lost,
        Outcome::Removed,
        Outcome::Skipped,
        Outcome::Doubtful,
    ];

    /// The outcomes for which [`Outcome::is_applied`] holds.
    pub const APPLIED: [Outcome; 3] = [Outcome::Succeeded, Outcome::SucceededWithQuarantine, Outcome::Unchanged];

    /// Was the whole report applied? Only these close a hold, count as a success and may make the
    /// next identical report `unchanged`.
    #[must_use]
    pub fn is_applied(self) -> bool {
        match self {
            Outcome::Succeeded | Outcome::SucceededWithQuarantine | Outcome::Unchanged => true,
            Outcome::Held
            | Outcome::Stopped
            | Outcome::Failed { .. }
            | Outcome::TimedOut
            | Outcome::Panicked
            | Outcome::Lost
            | Outcome::Removed
            | Outcome::Skipped
            | Outcome::Doubtful => false,
        }
    }

    /// Did it end in a way that someone should know of? Stops, removals and skips are nobody's fault.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Panicked | Outcome::Lost | Outcome::Doubtful => true,
            Outcome::Succeeded
            | Outcome::SucceededWithQuarantine
            | Outcome::Unchanged
            | Outcome::Held
            | Outcome::Stopped
            | Outcome::Removed
            | Outcome::Skipped => false,
        }
    }

    /// The outcome that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// May the same work succeed later without a person?
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Outcome::Failed { retryable } => retryable,
            Outcome::TimedOut | Outcome::Panicked | Outcome::Lost => true,
            Outcome::Succeeded
            | Outcome::SucceededWithQuarantine
            | Outcome::Unchanged
            | Outcome::Held
            | Outcome::Stopped
            | Outcome::Removed
            | Outcome::Skipped
            | Outcome::Doubtful => false,
        }
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::SucceededWithQuarantine => "succeeded_with_quarantine",
            Outcome::Unchanged => "unchanged",
            Outcome::Held => "held",
            Outcome::Stopped => "stopped",
            Outcome::Failed { .. } => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Panicked => "panicked",
            Outcome::Lost => "lost",
            Outcome::Removed => "removed",
            Outcome::Skipped => "skipped",
            Outcome::Doubtful => "doubtful",
        }
    }
}

/// What became of each row of a report, and of stored rows that it no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Rows the report holds, totals row apart.
    pub read: u64,
    /// New rows.
    pub inserted: u64,
    /// Rows whose change hash differs.
    pub updated: u64,
    /// Rows that differ outside the change hash, or only because the spec changed.
    pub refreshed: u64,
    /// Rows that are stored already.
    pub unchanged: u64,
    /// Rows that were missing or deleted and came back.
    pub restored: u64,
    /// Rows that do not fit.
    pub quarantined: u64,
    /// Garbage rows: key `0` or blank.
    pub skipped: u64,
    /// Rows not written because the run was stopped or held.
    pub not_applied: u64,
    /// Stored rows that this report no longer holds, marked now.
    pub missing: u64,
    /// Stored rows missed a second time, deleted (softly) now.
    pub deleted: u64,
    /// Rows of this report whose parent is not known.
    pub orphans: u64,
}

impl Counts {
    /// Does every row that was read have exactly one fate?
    #[must_use]
    pub fn balance(&self) -> bool {
        self.read
            == self.inserted
                + self.updated
                + self.refreshed
                + self.unchanged
                + self.restored
                + self.quarantined
                + self.skipped
                + self.not_applied
    }

    /// Records that are otherwise than before: added, changed, brought back or deleted.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.inserted + self.updated + self.restored + self.deleted
    }

    /// Did this run write any record?
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.inserted + self.updated + self.refreshed + self.restored + self.missing + self.deleted > 0
    }
}

impl Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            let known = Self::ALL.map(|outcome| format!("`{}`", outcome.as_str())).join(", ");
            serde::de::Error::custom(format!("unknown variant `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_lose_a_row_do_not_balance() {
        let whole = Counts {
            read: 7,
            inserted: 1,
            updated: 1,
            refreshed: 1,
            unchanged: 1,
            restored: 1,
            quarantined: 1,
            skipped: 1,
            ..Counts::default()
        };
        assert!(whole.balance());
        assert!(!Counts { read: 8, ..whole }.balance());
        assert!(Counts { read: 8, not_applied: 1, ..whole }.balance());
        assert!(
            Counts { missing: 5, deleted: 5, orphans: 5, ..whole }.balance(),
            "stored rows are no rows of the report"
        );
    }
}

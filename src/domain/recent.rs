//! How did the last runs of one type and agent end, at a glance?

use serde::{Serialize, Serializer};

use super::Outcome;

/// So many are remembered.
pub const RECENT: usize = 30;

/// How one of them ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecentRun {
    /// Its report said what was stored already.
    Unchanged,
    /// It stored something.
    Changed,
    Held,
    Failed,
    /// Someone stopped it.
    Stopped,
}

impl RecentRun {
    const ALL: [(char, RecentRun); 5] = [
        ('u', RecentRun::Unchanged),
        ('c', RecentRun::Changed),
        ('h', RecentRun::Held),
        ('f', RecentRun::Failed),
        ('s', RecentRun::Stopped),
    ];

    /// Of a run that ended so; `None` of one that had nothing to do.
    #[must_use]
    pub fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Succeeded | Outcome::SucceededWithQuarantine => RecentRun::Changed,
            Outcome::Unchanged => RecentRun::Unchanged,
            Outcome::Held => RecentRun::Held,
            Outcome::Stopped => RecentRun::Stopped,
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Panicked | Outcome::Lost => RecentRun::Failed,
            Outcome::Removed | Outcome::Skipped | Outcome::Doubtful => return None,
        })
    }
}

/// The last runs, the oldest first: [`RECENT`] at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recent(Vec<RecentRun>);

impl Recent {
    /// As it is stored: a letter each.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let known = |letter| RecentRun::ALL.iter().find(|(of, _)| *of == letter).map(|(_, run)| *run);
        Self(text.chars().filter_map(known).collect())
    }

    /// As it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        let letter = |run| RecentRun::ALL.iter().find(|(_, of)| *of == run).map(|(letter, _)| *letter);
        self.0.iter().filter_map(|run| letter(*run)).collect()
    }

    /// With one more.
    pub fn push(&mut self, outcome: Outcome) {
        let Some(run) = RecentRun::of(outcome) else { return };
        self.0.push(run);
        let over = self.0.len().saturating_sub(RECENT);
        self.0.drain(..over);
    }

    #[must_use]
    pub fn runs(&self) -> &[RecentRun] {
        &self.0
    }
}

impl Serialize for Recent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thirty_are_remembered_as_letters() {
        let mut recent = Recent::default();
        for _ in 0..40 {
            recent.push(Outcome::Unchanged);
        }
        for outcome in [
            Outcome::Succeeded,
            Outcome::SucceededWithQuarantine,
            Outcome::Held,
            Outcome::Failed { retryable: true },
            Outcome::Lost,
            Outcome::Stopped,
            Outcome::Skipped,
        ] {
            recent.push(outcome);
        }
        assert_eq!(recent.text(), "u".repeat(24) + "cchffs");
        assert_eq!(Recent::read(&recent.text()), recent);
        assert_eq!(Recent::read("u?c"), Recent(vec![RecentRun::Unchanged, RecentRun::Changed]));
    }
}

//! May this kind of work be asked for now? Claims say the same in SQL, and one suite holds both to it.

use serde::{Deserialize, Serialize};

use super::{Class, Reason, Timestamp};

/// Syncs are paused by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Why, for people.
    pub reason: String,
    /// Who did it.
    pub by: String,
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Are running syncs left to finish?
    pub drain: bool,
    /// Does it hold for everything, also for writes, downloads and runs that a person forces?
    pub emergency: bool,
}

impl Pause {
    /// Does it hold at `now`?
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Does it keep this work from being asked for and from starting? A plain pause is for syncs, and one
    /// that a person forces passes it.
    #[must_use]
    pub fn stops(&self, class: Class, reason: Reason, force: bool) -> bool {
        let is_forced = force && reason == Reason::Manual;
        match class {
            Class::Sync => self.emergency || !is_forced,
            Class::Write | Class::Download => self.emergency,
        }
    }
}

/// Why no work is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// A pause holds.
    Paused {
        /// Its end.
        until: Option<Timestamp>,
    },
    /// The agent's breaker is open.
    BreakerOpen {
        /// When the source is tried again.
        until: Timestamp,
    },
}

impl Shut {
    /// When it opens by itself. Jobs wait for the breaker; a pause is looked at by each claim.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Shut::Paused { .. } => None,
            Shut::BreakerOpen { until } => Some(until),
        }
    }
}

/// Is this work shut out at `now`? `breaker` is when the agent's open breaker lets it try again; only work
/// that asks the source (`fetches`) minds it.
#[must_use]
pub fn shut(
    pause: Option<&Pause>,
    breaker: Option<Timestamp>,
    (class, reason, force, fetches): (Class, Reason, bool, bool),
    now: Timestamp,
) -> Option<Shut> {
    if let Some(pause) = pause.filter(|pause| pause.holds(now) && pause.stops(class, reason, force)) {
        return Some(Shut::Paused { until: pause.until });
    }
    let until = breaker.filter(|until| *until > now && fetches)?;
    Some(Shut::BreakerOpen { until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pause_and_a_breaker_shut_out() {
        let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        let later = now + chrono::Duration::minutes(1);
        let pause = |emergency, until| Pause {
            reason: "stocktaking".into(),
            by: "anna".into(),
            since: now,
            until,
            drain: false,
            emergency,
        };
        let (plain, emergency, over) = (pause(false, None), pause(true, Some(later)), pause(true, Some(now)));
        let paused = |until| Some(Shut::Paused { until });
        for (pause, breaker, work, expected) in [
            (None, None, (Class::Sync, Reason::Timer, false, true), None),
            (Some(&plain), None, (Class::Sync, Reason::Timer, false, true), paused(None)),
            (Some(&plain), None, (Class::Sync, Reason::Manual, false, true), paused(None)),
            (Some(&plain), None, (Class::Sync, Reason::Manual, true, true), None),
            (Some(&plain), None, (Class::Write, Reason::Manual, false, false), None),
            (Some(&emergency), None, (Class::Sync, Reason::Manual, true, true), paused(Some(later))),
            (Some(&emergency), None, (Class::Write, Reason::Manual, false, false), paused(Some(later))),
            (Some(&over), None, (Class::Sync, Reason::Timer, false, true), None),
            (None, Some(now), (Class::Sync, Reason::Timer, false, true), None),
            (None, Some(later), (Class::Write, Reason::Manual, false, false), None),
            (None, Some(later), (Class::Sync, Reason::Manual, true, true), Some(Shut::BreakerOpen { until: later })),
        ] {
            assert_eq!(shut(pause, breaker, work, now), expected, "{pause:?} {breaker:?} {work:?}");
        }
    }
}

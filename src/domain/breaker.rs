//! Does the source still answer for this agent? A breaker: two enums, one total function.

use std::time::Duration;

use serde::Serialize;

use super::Timestamp;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Consecutive failures that open it.
    pub failures: u32,
    /// How long it stays open the first time; doubled each time its probe fails.
    pub open: Duration,
    /// The longest time it stays open.
    pub max_open: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 3, open: Duration::from_secs(60), max_open: Duration::from_secs(900) }
    }
}

/// Where a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Breaker {
    /// Work passes; so many failures in a row so far.
    Closed {
        /// Consecutive failures.
        failures: u32,
    },
    /// No work passes until then; afterwards one job, as a probe: half-open.
    Open {
        /// When a probe may start.
        until: Timestamp,
        /// How often it has opened since it was last closed.
        times: u32,
    },
}

/// What a breaker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerEvent {
    /// The source answered, whatever it said.
    Answered,
    /// The source did not answer.
    Failed,
    /// A person trusts it again.
    Reset,
}

impl Breaker {
    /// The breaker after an event at `now`. Every state takes every event; stops, skips and failures that
    /// are not the source's are no events.
    #[must_use]
    pub fn on(self, event: BreakerEvent, policy: BreakerPolicy, now: Timestamp) -> Self {
        let open = |times: u32| {
            let doubled = policy.open * 2_u32.saturating_pow(times.saturating_sub(1).min(16));
            Breaker::Open { until: now + doubled.min(policy.max_open), times }
        };
        match (self, event) {
            (Breaker::Closed { .. } | Breaker::Open { .. }, BreakerEvent::Answered | BreakerEvent::Reset) => {
                Breaker::Closed { failures: 0 }
            }
            (Breaker::Closed { failures }, BreakerEvent::Failed) if failures + 1 >= policy.failures => open(1),
            (Breaker::Closed { failures }, BreakerEvent::Failed) => Breaker::Closed { failures: failures + 1 },
            // what was under way when it opened says nothing new
            (Breaker::Open { until, .. }, BreakerEvent::Failed) if until > now => self,
            (Breaker::Open { times, .. }, BreakerEvent::Failed) => open(times.saturating_add(1)),
        }
    }

    /// Until when no work passes.
    #[must_use]
    pub fn open_until(self) -> Option<Timestamp> {
        match self {
            Breaker::Closed { .. } => None,
            Breaker::Open { until, .. } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_open_it_a_failed_probe_doubles_and_an_answer_closes() {
        let at = |seconds: i64| Timestamp::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let (policy, closed) = (BreakerPolicy::default(), Breaker::Closed { failures: 0 });
        let fail = |breaker: Breaker, second: i64| breaker.on(BreakerEvent::Failed, policy, at(second));
        let two = fail(fail(closed, 0), 1);
        assert_eq!(two, Breaker::Closed { failures: 2 });
        assert_eq!(two.on(BreakerEvent::Answered, policy, at(2)), closed, "only failures in a row count");
        let open = fail(two, 2);
        assert_eq!(open, Breaker::Open { until: at(62), times: 1 });
        assert_eq!(fail(open, 30), open, "it does not move while it is open");
        let again = fail(open, 62);
        assert_eq!(again, Breaker::Open { until: at(62 + 120), times: 2 });
        let late = (0..10).fold(again, |breaker, _| fail(breaker, 1_000_000));
        assert_eq!(late, Breaker::Open { until: at(1_000_000 + 240), times: 3 }, "one failure a probe");
        let long = (1..=10).fold(late, |breaker, day| fail(breaker, 1_000_000 + day * 86_400));
        assert_eq!(long, Breaker::Open { until: at(1_864_000 + 900), times: 13 }, "at most 900 s");
        assert_eq!(again.on(BreakerEvent::Answered, policy, at(190)), closed);
        assert_eq!(again.on(BreakerEvent::Reset, policy, at(63)), closed);
    }
}

//! Which kinds of work are there, in which order do they run, and how often is each tried?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outcome, Timestamp};

/// The kinds of work, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Changes something outside: never preempted, never repeated once its effect may have happened.
    Write,
    /// Fetches something that a person waits for.
    Download,
    /// Reads a report: idempotent, and stopped for the two above.
    Sync,
}

/// Waiting this long is worth one step of priority, in milliseconds.
const AGING_MS: i64 = 60_000;
/// Classes lie this far apart in the order key: no sync ever waits so long (317 years).
const BAND_MS: i64 = 10_000_000_000_000;

impl Class {
    /// All, the most urgent first.
    pub const ALL: [Class; 3] = [Class::Write, Class::Download, Class::Sync];

    /// Its place, from 0: what the database keeps.
    #[must_use]
    pub fn rank(self) -> i16 {
        match self {
            Class::Write => 0,
            Class::Download => 1,
            Class::Sync => 2,
        }
    }

    /// The class of a rank.
    #[must_use]
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.rank() == rank)
    }

    /// The key by which waiting jobs are ordered, the smallest first: the class, then the moment of
    /// acceptance less a minute for each step of `priority` (1 to 9). Linear aging: the key of a job never
    /// changes, so it is stored and indexed, and a claim needs no clock. A job of priority p is overtaken
    /// only by jobs accepted less than `(their priority - p)` minutes after it.
    #[must_use]
    pub fn order_key(self, priority: u8, accepted: Timestamp) -> i64 {
        let band = i64::from(Class::Sync.rank() - self.rank()) * BAND_MS;
        accepted.timestamp_millis() - i64::from(priority) * AGING_MS - band
    }

    /// May its work be stopped for more urgent work of the same agent?
    #[must_use]
    pub fn is_preemptible(self) -> bool {
        match self {
            Class::Sync => true,
            Class::Write | Class::Download => false,
        }
    }

    /// How often and how soon failed work of this class is tried again.
    #[must_use]
    pub fn retries(self) -> RetryPolicy {
        let first_delay = Duration::from_secs(5);
        match self {
            Class::Write | Class::Sync => RetryPolicy { max_attempts: 3, first_delay },
            Class::Download => RetryPolicy { max_attempts: 2, first_delay },
        }
    }

    /// The name in answers and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Write => "write",
            Class::Download => "download",
            Class::Sync => "sync",
        }
    }
}

/// How often and how soon failed work is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// All attempts together, the first included.
    pub max_attempts: u32,
    /// The pause before the second attempt; doubled before each further one.
    pub first_delay: Duration,
}

impl RetryPolicy {
    /// The pause before the next attempt, or `None` if this outcome ends the job. `jitter` is in
    /// 0..1 and lengthens the pause by at most a fifth.
    #[must_use]
    pub fn backoff(self, outcome: Outcome, attempt: u32, jitter: f64) -> Option<Duration> {
        if !outcome.is_retryable() || attempt >= self.max_attempts {
            return None;
        }
        let doubled = self.first_delay * 2_u32.saturating_pow(attempt.saturating_sub(1));
        Some(doubled.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_and_end() {
        let policy = Class::Sync.retries();
        let delay = |attempt, jitter| policy.backoff(Outcome::Failed { retryable: true }, attempt, jitter);
        assert_eq!(delay(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(delay(2, 0.0), Some(Duration::from_secs(10)));
        assert_eq!(delay(2, 1.0), Some(Duration::from_secs(12)));
        assert_eq!(delay(3, 0.0), None);
        for outcome in [Outcome::Succeeded, Outcome::Failed { retryable: false }, Outcome::Held, Outcome::Stopped] {
            assert_eq!(policy.backoff(outcome, 1, 0.0), None);
        }
        assert_eq!(Class::Download.retries().max_attempts, 2);
    }

    #[test]
    fn classes_come_first_then_priority_then_waiting() {
        let at = |minute: i64| Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap();
        let key = |class: Class, priority, minute| class.order_key(priority, at(minute));
        assert!(key(Class::Write, 1, 1_000_000) < key(Class::Download, 9, 0));
        assert!(key(Class::Download, 1, 1_000_000) < key(Class::Sync, 9, 0));
        assert!(key(Class::Sync, 4, 0) < key(Class::Sync, 1, 0));
        assert!(key(Class::Sync, 4, 2) < key(Class::Sync, 1, 0), "two minutes later it still overtakes");
        assert!(key(Class::Sync, 4, 4) > key(Class::Sync, 1, 0), "four minutes later it does not");
    }
}

//! What time is it? A port: shells ask it, pure cores take `now` as an argument, tests decide it.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use futures_util::future::BoxFuture;

use super::Timestamp;

/// Tells the time and waits for a moment.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, in milliseconds: what every database keeps, so that a stored moment
    /// equals the one in memory.
    fn now(&self) -> Timestamp;

    /// Ends once `moment` has come on this clock, also when the clock is set forward meanwhile.
    /// Dropping the future gives the wait up.
    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()>;
}

/// Minutes between two runs of a type.
pub const INTERVAL_MINUTES: RangeInclusive<u32> = 5..=1440;

/// The last moment that is ever planned for: the end of the year 9999, which every database keeps.
pub const LATEST: Timestamp = match DateTime::from_timestamp_millis(253_402_300_799_999) {
    Some(moment) => moment,
    None => DateTime::UNIX_EPOCH,
};

/// The moment `wait` after `now`; a wait that is too long for that ends at [`LATEST`], never at once.
#[must_use]
pub fn after(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(wait).map_or(LATEST, |moment| moment.min(LATEST))
}

/// Something that is done again and again, with a pause between.
#[derive(Debug)]
pub struct Every {
    pause: Duration,
    last: Option<Instant>,
}

impl Every {
    /// Due at once, and then so often.
    #[must_use]
    pub fn new(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    /// Is it due? Then it is taken as done.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= self.pause);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_every_hour_is_due_at_once_and_an_hour_later() {
        let (mut every, now) = (Every::new(Duration::from_hours(1)), Instant::now());
        let due = [0, 1, 3_599, 3_600, 3_601].map(|second| every.is_due(now + Duration::from_secs(second)));
        assert_eq!(due, [true, false, false, true, false]);
    }

    #[test]
    fn a_wait_that_overflows_is_the_longest_one() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(after(now, Duration::from_secs(1)), DateTime::from_timestamp_millis(1_000).unwrap());
        for endless in [Duration::MAX, Duration::from_secs(u64::MAX / 1_000), Duration::from_secs(400_000_000_000)] {
            assert_eq!(after(now, endless), LATEST);
        }
        assert_eq!(LATEST.to_rfc3339(), "9999-12-31T23:59:59.999+00:00");
    }
}

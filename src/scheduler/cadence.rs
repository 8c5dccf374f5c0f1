//! When does a type run next? Pure arithmetic on moments and intervals.

use std::time::Duration;

use crate::domain::Timestamp;

/// The slot after `slot`: whole intervals later, the first one after `now`. Slots that were missed
/// collapse into one, and the type keeps its phase, so that no two types come to tick together.
#[must_use]
pub(crate) fn next_slot(slot: Timestamp, interval: Duration, now: Timestamp) -> Timestamp {
    let step = interval.as_millis().max(1);
    let behind = (now - slot).to_std().unwrap_or_default().as_millis();
    let steps = behind / step + 1;
    slot + chrono::Duration::milliseconds(i64::try_from(steps * step).unwrap_or(i64::MAX / 2))
}

/// The next run when an interval is changed: one new interval after the last tick, but not in the
/// past. A type that has never ticked keeps the run it waits for, if that comes sooner.
#[must_use]
pub(crate) fn after_change(
    last_tick: Option<Timestamp>,
    planned: Option<Timestamp>,
    interval: Duration,
    now: Timestamp,
) -> Timestamp {
    let interval = chrono::Duration::from_std(interval).unwrap_or(chrono::Duration::MAX);
    match last_tick {
        Some(tick) => (tick + interval).max(now),
        None => planned.unwrap_or(now).min(now + interval).max(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    #[test]
    fn missed_slots_collapse_and_the_phase_stays() {
        for (slot, interval, now, expected) in [(0, 10, 0, 10), (0, 10, 9, 10), (0, 10, 10, 20), (5, 10, 47, 55)] {
            assert_eq!(next_slot(at(slot), minutes(interval), at(now)), at(expected), "{slot} {interval} {now}");
        }
    }

    #[test]
    fn a_changed_interval_counts_from_the_last_tick() {
        for (last, planned, interval, now, expected) in [
            (Some(0), Some(10), 5, 3, 5),
            (Some(0), Some(10), 5, 7, 7),
            (Some(0), Some(10), 60, 3, 60),
            (None, Some(17), 5, 3, 8),
            (None, Some(4), 60, 3, 4),
            (None, None, 60, 3, 3),
        ] {
            let next = after_change(last.map(at), planned.map(at), minutes(interval), at(now));
            assert_eq!(next, at(expected), "{last:?} {planned:?} {interval} {now}");
        }
    }
}

//! Which jobs' processes have died? A lease is dead when its heartbeat has not moved for long
//! enough on the observer's own monotonic clock: no two wall clocks are compared.

use std::{collections::HashMap, time::Duration};

use crate::{domain::JobId, store::Beat};

/// What was last seen of each active job.
#[derive(Debug, Default)]
pub struct LeaseWatch {
    seen: HashMap<JobId, (Beat, Duration)>,
    looked: Option<Duration>,
}

impl LeaseWatch {
    /// Looks at all active jobs at `now` (monotonic, since any fixed start), and answers those whose
    /// heartbeat has stood still for `lease`.
    pub fn observe(&mut self, now: Duration, lease: Duration, active: &[Beat]) -> Vec<Beat> {
        self.seen.retain(|job, _| active.iter().any(|beat| beat.job == *job));
        // who could not look for so long (the database was away, this process was frozen) has seen nobody stand
        // still: nobody could move either
        let was_blind = self.looked.replace(now).is_some_and(|last| now.saturating_sub(last) * 2 > lease);
        if was_blind {
            self.seen.clear();
        }
        let mut dead = Vec::new();
        for beat in active {
            let entry = self.seen.entry(beat.job).or_insert_with(|| (beat.clone(), now));
            if entry.0 != *beat {
                *entry = (beat.clone(), now);
            } else if now.saturating_sub(entry.1) >= lease {
                dead.push(beat.clone());
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_dead_when_its_heartbeat_stands_still() {
        let beat = |job, lease, heartbeat| Beat { job, lease, owner: "p".into(), heartbeat };
        let at = Duration::from_secs;
        let mut watch = LeaseWatch::default();
        let dead = |watch: &mut LeaseWatch, now, active: &[Beat]| -> Vec<JobId> {
            watch.observe(at(now), at(20), active).into_iter().map(|beat| beat.job).collect()
        };
        assert!(dead(&mut watch, 0, &[beat(1, 1, 0), beat(2, 1, 0)]).is_empty());
        assert!(dead(&mut watch, 10, &[beat(1, 1, 0), beat(2, 1, 1)]).is_empty());
        assert!(dead(&mut watch, 19, &[beat(1, 1, 0), beat(2, 1, 3)]).is_empty());
        assert_eq!(dead(&mut watch, 20, &[beat(1, 1, 0), beat(2, 1, 3)]), [1]);
        assert!(dead(&mut watch, 21, &[beat(1, 2, 0), beat(2, 1, 3)]).is_empty(), "a new lease starts anew");
        assert!(dead(&mut watch, 30, &[]).is_empty());
        assert!(dead(&mut watch, 35, &[beat(1, 1, 0)]).is_empty());
        assert!(dead(&mut watch, 56, &[beat(1, 1, 0)]).is_empty(), "nobody could look for 21 s: it is given its time");
        assert!(dead(&mut watch, 66, &[beat(1, 1, 0)]).is_empty());
        assert_eq!(dead(&mut watch, 76, &[beat(1, 1, 0)]), [1]);
        assert!(dead(&mut watch, 80, &[beat(2, 1, 3)]).is_empty(), "a job that was away is looked at afresh");
    }
}

//! Who holds what, and whose process has died? A lease is dead when its heartbeat has not moved for long
//! enough on the observer's own monotonic clock: no two wall clocks are compared.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    time::Duration,
};

/// What a process holds, a job or an outbox item, and under which number: the same one may be held again a moment
/// later, under the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease<Id> {
    /// The job, or the item.
    pub id: Id,
    /// Rises each time that it is taken, given back or over.
    pub number: i64,
}

/// What one process holds, as another process's watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat<Id> {
    /// What it holds.
    pub lease: Lease<Id>,
    /// The process that holds it.
    pub owner: String,
    /// Moves as long as that process lives.
    pub heartbeat: i64,
}

/// What was last seen of each thing that is held, and for how long it has been seen standing still.
#[derive(Debug)]
pub struct LeaseWatch<Id> {
    seen: HashMap<Id, (Heartbeat<Id>, Duration)>,
    looked: Option<Duration>,
}

impl<Id> Default for LeaseWatch<Id> {
    fn default() -> Self {
        Self { seen: HashMap::new(), looked: None }
    }
}

impl<Id: Copy + Eq + Hash> LeaseWatch<Id> {
    /// Looks at all that is held at `now` (monotonic, since any fixed start), and answers those whose
    /// heartbeat has stood still for `lease`. Between two looks at most half a lease counts: who could not look
    /// for longer (the database was away, this process was frozen) cannot tell the dead from those who could not
    /// move either.
    pub fn observe(&mut self, now: Duration, lease: Duration, active: &[Heartbeat<Id>]) -> Vec<Heartbeat<Id>> {
        self.observe_since(now, lease, active, |_| Duration::ZERO)
    }

    /// As [`LeaseWatch::observe`], where `quiet` tells for how long a heartbeat has stood still by the database's
    /// clock. That counts for most of a lease where this process sees it for the first time: one that lives for less
    /// than a lease, again and again, would otherwise never find out what earlier ones left behind.
    pub fn observe_since(
        &mut self,
        now: Duration,
        lease: Duration,
        active: &[Heartbeat<Id>],
        quiet: impl Fn(&Heartbeat<Id>) -> Duration,
    ) -> Vec<Heartbeat<Id>> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |last| now.saturating_sub(last));
        let counted = since.min(lease / 2);
        let there: HashSet<Id> = active.iter().map(|beat| beat.lease.id).collect();
        self.seen.retain(|id, _| there.contains(id));
        let mut dead = Vec::new();
        for beat in active {
            match self.seen.get_mut(&beat.lease.id) {
                Some((last, still)) if last == beat => {
                    *still += counted;
                    if *still >= lease {
                        dead.push(beat.clone());
                    }
                }
                Some(_) => {
                    self.seen.insert(beat.lease.id, (beat.clone(), Duration::ZERO));
                }
                None => {
                    // clocks may be wrong: the rest is seen with one's own eyes
                    self.seen.insert(beat.lease.id, (beat.clone(), quiet(beat).min(lease * 3 / 4)));
                }
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_lease_that_is_allowed_ends_too() {
        // two heartbeats, and each look is a little late
        let beat = Heartbeat { lease: Lease { id: 1, number: 1 }, owner: "p".into(), heartbeat: 0 };
        let mut watch = LeaseWatch::default();
        let lease = Duration::from_millis(600);
        let looks =
            [0, 310, 620].map(|at| watch.observe(Duration::from_millis(at), lease, std::slice::from_ref(&beat)).len());
        assert_eq!(looks, [0, 0, 1]);
    }

    #[test]
    fn what_has_been_quiet_before_this_process_began_is_dead_sooner_but_not_at_once() {
        let beat = |id| Heartbeat { lease: Lease { id, number: 1 }, owner: "p".into(), heartbeat: 7 };
        let quiet = |beat: &Heartbeat<i64>| {
            if beat.lease.id == 1 { Duration::from_secs(3_600) } else { Duration::from_secs(4) }
        };
        let mut watch = LeaseWatch::default();
        let lease = Duration::from_secs(20);
        let dead = [0, 3, 6, 9, 12, 15, 18].map(|at| {
            let dead = watch.observe_since(Duration::from_secs(at), lease, &[beat(1), beat(2)], quiet);
            dead.into_iter().map(|beat| beat.lease.id).collect::<Vec<_>>()
        });
        assert_eq!(dead, [vec![], vec![], vec![1], vec![1], vec![1], vec![1], vec![1, 2]]);
    }

    #[test]
    fn a_lease_is_dead_when_its_heartbeat_stands_still() {
        let beat = |id, number, heartbeat| Heartbeat { lease: Lease { id, number }, owner: "p".into(), heartbeat };
        let mut watch = LeaseWatch::default();
        let mut dead = |now, active: &[Heartbeat<i64>]| -> Vec<i64> {
            let dead = watch.observe(Duration::from_secs(now), Duration::from_secs(20), active);
            dead.into_iter().map(|beat| beat.lease.id).collect()
        };
        assert!(dead(0, &[beat(1, 1, 0), beat(2, 1, 0)]).is_empty());
        assert!(dead(10, &[beat(1, 1, 0), beat(2, 1, 1)]).is_empty());
        assert!(dead(19, &[beat(1, 1, 0), beat(2, 1, 3)]).is_empty());
        assert_eq!(dead(20, &[beat(1, 1, 0), beat(2, 1, 3)]), [1]);
        assert!(dead(21, &[beat(1, 2, 0), beat(2, 1, 3)]).is_empty(), "a new lease starts anew");
        assert!(dead(30, &[]).is_empty());
        assert!(dead(35, &[beat(1, 1, 0)]).is_empty(), "a job that was away is looked at afresh");
        assert!(dead(80, &[beat(1, 1, 0)]).is_empty(), "nobody could look for 45 s");
        assert!(dead(89, &[beat(1, 1, 0)]).is_empty());
        assert_eq!(dead(90, &[beat(1, 1, 0)]), [1]);
    }
}

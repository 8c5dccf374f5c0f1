//! Which items lost whoever delivers them?

use std::time::{Duration, Instant};

use crate::domain::{Heartbeat, ItemId, LeaseWatch};

/// The owner of what is fetched by hand. It has no heartbeat: ...
pub(super) const FETCHER: &str = "fetched";
/// ... it is taken back after so long.
const FETCHED: Duration = Duration::from_secs(600);
/// Dead items that one heartbeat takes over; the next takes more.
const RECLAIMS: usize = 500;

/// What this process has seen of heartbeats.
#[derive(Debug)]
pub(super) struct LeaseKeeper {
    started: Instant,
    processes: LeaseWatch<ItemId>,
    fetchers: LeaseWatch<ItemId>,
}

impl LeaseKeeper {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, processes: LeaseWatch::default(), fetchers: LeaseWatch::default() }
    }

    /// The items whose heartbeat has stood still for a `lease`, or that were fetched too long ago.
    pub(super) fn dead(
        &mut self,
        beats: Vec<Heartbeat<ItemId>>,
        lease: Duration,
        now: Instant,
    ) -> Vec<Heartbeat<ItemId>> {
        let elapsed = now.duration_since(self.started);
        let (fetched, own): (Vec<_>, Vec<_>) = beats.into_iter().partition(|beat| beat.owner == FETCHER);
        let mut dead = self.processes.observe(elapsed, lease, &own);
        dead.extend(self.fetchers.observe(elapsed, FETCHED, &fetched));
        dead.truncate(RECLAIMS);
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Lease;

    #[test]
    fn a_process_is_dead_after_its_lease_and_a_person_after_ten_minutes() {
        let now = Instant::now();
        let beats = || {
            let beat = |id, owner: &str| {
                let lease = Lease { id: ItemId(id), number: 1 };
                Heartbeat { lease, heartbeat: 7, owner: owner.to_owned() }
            };
            vec![beat(1, "one"), beat(2, FETCHER)]
        };
        let first_dead = |id| {
            let mut keeper = LeaseKeeper::new(now);
            let dead_at = |second: &u64| {
                let dead = keeper.dead(beats(), Duration::from_secs(30), now + Duration::from_secs(*second));
                dead.iter().any(|beat| beat.lease.id == ItemId(id))
            };
            (0..=900).step_by(15).find(dead_at)
        };
        assert_eq!((first_dead(1), first_dead(2)), (Some(30), Some(600)));
    }
}

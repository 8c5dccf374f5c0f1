//! Which jobs lost their process, and which of this process's own does nobody carry out?

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::{Heartbeat, JobId, Lease, LeaseWatch};

/// How long an end that could not be recorded is remembered at least.
const UNSETTLED: Duration = Duration::from_mins(1);
/// Dead jobs that one heartbeat takes over; the next takes more.
const RECLAIMS: usize = 500;

/// What this process has seen of heartbeats.
pub(super) struct LeaseKeeper {
    started: Instant,
    leases: LeaseWatch<JobId>,
    /// What ran here and is not over by the database: taken over when the lease runs out, and never given back as
    /// if it had not been begun.
    unsettled: HashMap<Lease<JobId>, Instant>,
    begun: Begun,
}

/// What was given to a worker in this process and is not over by the database, over all lives of its queue.
#[derive(Debug, Clone, Default)]
pub struct Begun(Arc<Mutex<HashSet<Lease<JobId>>>>);

impl LeaseKeeper {
    pub(super) fn new(begun: Begun, now: Instant) -> Self {
        Self { started: now, leases: LeaseWatch::default(), unsettled: HashMap::new(), begun }
    }

    /// A job is given to its worker.
    pub(super) fn begin(&self, job: Lease<JobId>) {
        self.begun.0.lock().insert(job);
    }

    /// A job's end is in the database.
    pub(super) fn note_recorded(&self, job: Lease<JobId>) {
        self.begun.0.lock().remove(&job);
    }

    /// A job ran here, and its end could not be recorded.
    pub(super) fn note_unsettled(&mut self, job: Lease<JobId>, now: Instant) {
        self.unsettled.insert(job, now);
    }

    /// Of the jobs that are `owner`'s by the database, those that were never begun: they do not run `here`, and did
    /// not end here without being recorded.
    pub(super) fn never_begun(
        &mut self,
        owner: &str,
        active: &[Heartbeat<JobId>],
        here: &[Lease<JobId>],
        now: Instant,
    ) -> Vec<Lease<JobId>> {
        let held = |beat: &Heartbeat<JobId>| beat.lease;
        // one that ended after the database was read is not among these, and is not forgotten yet
        self.unsettled.retain(|one, since| {
            now.duration_since(*since) < UNSETTLED || active.iter().any(|beat| held(beat) == *one)
        });
        let own = active.iter().filter(|beat| beat.owner == owner).map(held);
        let mut begun = self.begun.0.lock();
        // what is over by the database needs no memory
        begun.retain(|one| here.contains(one) || active.iter().any(|beat| held(beat) == *one));
        let unknown = own.filter(|one| !here.contains(one) && !self.unsettled.contains_key(one));
        // an earlier life of the queue has begun these: they are left to their leases
        let (lost, unbegun): (Vec<Lease<JobId>>, Vec<Lease<JobId>>) = unknown.partition(|one| begun.contains(one));
        self.unsettled.extend(lost.into_iter().map(|one| (one, now)));
        unbegun
    }

    /// The jobs whose heartbeat has stood still for a `lease`; `quiet` says for how long it had before this process
    /// began to look.
    pub(super) fn dead(
        &mut self,
        active: &[Heartbeat<JobId>],
        lease: Duration,
        quiet: &HashMap<JobId, Duration>,
        now: Instant,
    ) -> Vec<Heartbeat<JobId>> {
        let quiet = |beat: &Heartbeat<JobId>| quiet.get(&beat.lease.id).copied().unwrap_or_default();
        let mut dead = self.leases.observe_since(now.duration_since(self.started), lease, active, quiet);
        dead.truncate(RECLAIMS);
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_claimed_and_not_begun_is_given_back_by_every_life_of_the_queue() {
        let (begun, now) = (Begun::default(), Instant::now());
        let held = |id| Lease { id: JobId(id), number: 1 };
        let beat = |id, owner: &str| Heartbeat { lease: held(id), heartbeat: 0, owner: owner.to_owned() };
        let active = [beat(1, "me"), beat(2, "me"), beat(3, "me"), beat(4, "other")];
        let first = LeaseKeeper::new(begun.clone(), now);
        first.begin(held(1));
        first.begin(held(2));
        // the first life ends; the second has found 1 at its worker, and the claim of 3 was never answered
        let mut second = LeaseKeeper::new(begun, now);
        assert_eq!(second.never_begun("me", &active, &[held(1)], now), [held(3)]);
        assert_eq!(second.never_begun("me", &active, &[held(1)], now), [held(3)], "2 is left to its lease");
        second.note_recorded(held(1));
        assert_eq!(second.never_begun("me", &active[1..], &[], now), [held(3)]);
    }
}

//! Which jobs lost their process, and which of this process's own does nobody carry out?

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::domain::{Heartbeat, Held, JobId, LeaseWatch};

/// How long an end that could not be recorded is remembered at least.
const UNSETTLED: Duration = Duration::from_mins(1);
/// Dead jobs that one heartbeat takes over; the next takes more.
const RECLAIMS: usize = 500;

/// What this process has seen of heartbeats.
pub(super) struct LeaseKeeper {
    started: Instant,
    leases: LeaseWatch,
    /// What ran here and is not over by the database: taken over when the lease runs out, and never given back as
    /// if it had not been begun.
    unsettled: HashMap<Held, Instant>,
    /// Was there an earlier life, whose claims are not known?
    is_second_life: bool,
}

impl LeaseKeeper {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, leases: LeaseWatch::default(), unsettled: HashMap::new(), is_second_life: false }
    }

    /// After an earlier life: what that had claimed may have been begun.
    pub(super) fn after_a_restart(now: Instant) -> Self {
        Self { is_second_life: true, ..Self::new(now) }
    }

    /// A job ran here, and its end could not be recorded.
    pub(super) fn is_unsettled(&mut self, job: Held, now: Instant) {
        self.unsettled.insert(job, now);
    }

    /// Of the jobs that are `owner`'s by the database, those that were never begun: they do not run `here`, and did
    /// not end here without being recorded.
    pub(super) fn never_begun(&mut self, owner: &str, active: &[Heartbeat], here: &[Held], now: Instant) -> Vec<Held> {
        let held = |beat: &Heartbeat| (beat.id, beat.lease);
        // one that ended after the database was read is not among these, and is not forgotten yet
        self.unsettled.retain(|one, since| {
            now.duration_since(*since) < UNSETTLED || active.iter().any(|beat| held(beat) == *one)
        });
        let own = active.iter().filter(|beat| beat.owner == owner).map(held);
        let unknown: Vec<Held> = own.filter(|one| !here.contains(one) && !self.unsettled.contains_key(one)).collect();
        if !std::mem::take(&mut self.is_second_life) {
            return unknown;
        }
        self.unsettled.extend(unknown.into_iter().map(|one| (one, now)));
        Vec::new()
    }

    /// The jobs whose heartbeat has stood still for a `lease`; `quiet` says for how long it had before this process
    /// began to look.
    pub(super) fn dead(
        &mut self,
        active: &[Heartbeat],
        lease: Duration,
        quiet: &HashMap<JobId, Duration>,
        now: Instant,
    ) -> Vec<Heartbeat> {
        let quiet = |beat: &Heartbeat| quiet.get(&beat.id).copied().unwrap_or_default();
        let mut dead = self.leases.observe_since(now.duration_since(self.started), lease, active, quiet);
        dead.truncate(RECLAIMS);
        dead
    }
}

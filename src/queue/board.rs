//! May this process start more work, what runs here, and when should it look again? Pure: no clock, no IO.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::{AgentId, ClaimedJob, Class, JobId, JobSelector, JobType, Lease, Pause, Timestamp, queue::ALL};

/// Even with nothing due, look so often: a signal of another process may have been lost.
const SAFETY_NET: TimeDelta = TimeDelta::seconds(30);

/// What this process runs, and whether a claim is under way.
#[derive(Debug)]
pub(crate) struct Board {
    /// What the settings say.
    configured: usize,
    limits: BTreeMap<String, usize>,
    running: BTreeMap<JobId, ClaimedJob>,
    claiming: bool,
    claim_again: bool,
    draining: bool,
    /// Jobs that a claim under way may bring, and that are to stop as soon as they start.
    stopped: BTreeSet<JobId>,
}

/// How many jobs may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Of any class.
    pub any: usize,
    /// Writes and downloads besides.
    pub urgent: usize,
}

impl Board {
    /// A board on which `concurrency` jobs may run at once, unless a limit set at run time says otherwise.
    #[must_use]
    pub(crate) fn new(concurrency: usize) -> Self {
        Self {
            configured: concurrency,
            limits: BTreeMap::new(),
            running: BTreeMap::new(),
            claiming: false,
            claim_again: false,
            draining: false,
            stopped: BTreeSet::new(),
        }
    }

    /// Begins a claim: how many jobs may be claimed now. `None` while a claim is under way (another
    /// follows it then), while all slots are taken, and while draining.
    pub(crate) fn begin_claim(&mut self) -> Option<Room> {
        if self.claiming {
            self.claim_again = true;
            return None;
        }
        let (most, running) = (self.concurrency(), self.running.len());
        let any = most.saturating_sub(running);
        // one slot more is for writes and downloads alone
        let urgent = (most + 1).saturating_sub(running).saturating_sub(any);
        if self.draining || any + urgent == 0 {
            return None;
        }
        self.claiming = true;
        Some(Room { any, urgent })
    }

    /// Is a quarter of the slots free, so that a claim is worth its transaction at once? With the few slots of
    /// the defaults one is.
    #[must_use]
    pub(crate) fn has_much_room(&self) -> bool {
        self.concurrency().saturating_sub(self.running.len()) * 4 >= self.concurrency()
    }

    /// Ends a claim that gave `claimed`; should another follow at once?
    pub(crate) fn end_claim(&mut self, room: Room, claimed: &[ClaimedJob]) -> bool {
        self.claiming = false;
        self.running.extend(claimed.iter().map(|job| (job.id, job.clone())));
        std::mem::take(&mut self.claim_again) || claimed.len() == room.any + room.urgent
    }

    /// Takes on a job that runs here already; false if it is known.
    pub(crate) fn adopt(&mut self, job: ClaimedJob) -> bool {
        self.running.insert(job.id, job).is_none()
    }

    /// Jobs that the database says are active, but that do not run here: if a claim is under way, it
    /// may be bringing them.
    pub(crate) fn stop_when_started(&mut self, jobs: &[JobId]) {
        if self.claiming {
            self.stopped.extend(jobs.iter().filter(|job| !self.running.contains_key(job)));
        }
    }

    /// Is a claim under way?
    #[must_use]
    pub(crate) fn is_claiming(&self) -> bool {
        self.claiming
    }

    /// The claim has brought what it could: who was not among it will not come.
    pub(crate) fn forget_stopped(&mut self) {
        self.stopped.clear();
    }

    /// Is this job to stop as soon as it starts?
    pub(crate) fn take_stopped(&mut self, job: JobId) -> bool {
        self.stopped.remove(&job)
    }

    /// An attempt has ended; the job may run here again already, under another lease.
    pub(crate) fn finished(&mut self, held: Lease<JobId>) {
        if self.running.get(&held.id).is_some_and(|running| running.lease == held.number) {
            self.running.remove(&held.id);
        }
    }

    /// No more claims.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Is the board closed?
    #[must_use]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Does nothing run, and is no claim under way?
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && !self.claiming
    }

    /// The running jobs.
    #[must_use]
    pub(crate) fn running(&self) -> Vec<JobId> {
        self.running.keys().copied().collect()
    }

    /// The running jobs, with the leases under which they run.
    #[must_use]
    pub(crate) fn held(&self) -> Vec<Lease<JobId>> {
        self.running.values().map(ClaimedJob::held).collect()
    }

    /// Those of `held` that run here under just that lease.
    #[must_use]
    pub(crate) fn still(&self, held: &[Lease<JobId>]) -> Vec<JobId> {
        let runs = |held: &&Lease<JobId>| self.running.get(&held.id).is_some_and(|job| job.lease == held.number);
        held.iter().filter(runs).map(|held| held.id).collect()
    }

    /// The running jobs that are meant.
    #[must_use]
    pub(crate) fn meant(&self, meant: &JobSelector) -> Vec<JobId> {
        let is_meant = |job: &&ClaimedJob| {
            meant.job.is_none_or(|id| id == job.id)
                && meant.job_type.as_ref().is_none_or(|name| *name == job.job_type)
                && meant.class.is_none_or(|class| class == job.class)
        };
        self.running.values().filter(is_meant).map(|job| job.id).collect()
    }

    /// The running syncs that have to make room for urgent work of this agent.
    #[must_use]
    pub(crate) fn preemptible(&self, agent: &AgentId) -> Vec<JobId> {
        let in_the_way = |job: &&ClaimedJob| job.class.is_preemptible() && job.agent == *agent;
        self.running.values().filter(in_the_way).map(|job| job.id).collect()
    }

    /// The running syncs that a pause stops; writes and downloads always finish.
    #[must_use]
    pub(crate) fn paused_by(&self, pause: &Pause) -> Vec<JobId> {
        let stops = |job: &&ClaimedJob| {
            job.class == Class::Sync && pause.stops(job.class, job.reason, job.force) && !pause.drain
        };
        self.running.values().filter(stops).map(|job| job.id).collect()
    }

    /// A running job.
    #[must_use]
    pub(crate) fn job(&self, id: JobId) -> Option<&ClaimedJob> {
        self.running.get(&id)
    }

    /// Takes over the limits that are set.
    pub(crate) fn set_limits(&mut self, limits: BTreeMap<String, usize>) {
        self.limits = limits;
    }

    /// How many may run at once.
    #[must_use]
    pub(crate) fn concurrency(&self) -> usize {
        self.limits.get(ALL).copied().unwrap_or(self.configured)
    }

    /// The limits of types.
    #[must_use]
    pub(crate) fn type_limits(&self) -> BTreeMap<JobType, usize> {
        let types = self.limits.iter().filter(|(name, _)| name.as_str() != ALL);
        types.map(|(name, limit)| (name.as_str().into(), *limit)).collect()
    }
}

/// When to look for due jobs again.
#[must_use]
pub(crate) fn wake_at(now: Timestamp, next_due: Option<Timestamp>) -> Timestamp {
    let net = now + SAFETY_NET;
    next_due.map_or(net, |due| due.min(net))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Reason, RunId};

    fn job(id: JobId) -> ClaimedJob {
        ClaimedJob {
            id,
            run: RunId(id.0),
            lease: 1,
            job_type: "orders".into(),
            class: Class::Sync,
            agent: "a".into(),
            reason: Reason::Timer,
            force: false,
            attempt: 1,
            max_attempts: 3,
            repeatable: true,
            payload: None,
            dedup_key: None,
            document: None,
            approves: None,
            enqueued_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn held(id: i64, number: i64) -> Lease<JobId> {
        Lease { id: JobId(id), number }
    }

    #[test]
    fn the_same_job_under_another_lease_is_another() {
        let mut board = Board::new(2);
        let room = board.begin_claim().unwrap();
        board.end_claim(room, &[ClaimedJob { lease: 3, ..job(JobId(7)) }]);
        assert_eq!(board.held(), [held(7, 3)]);
        assert_eq!(board.still(&[held(7, 2), held(7, 3), held(8, 3)]), [JobId(7)]);
        assert!(board.still(&[held(7, 2)]).is_empty(), "what was said of its last attempt is not meant for this one");
    }

    #[test]
    fn never_more_than_the_limit_and_never_two_claims_at_once() {
        let mut board = Board::new(2);
        let room = |any, urgent| Some(Room { any, urgent });
        let asked = Room { any: 2, urgent: 1 };
        assert_eq!(board.begin_claim(), Some(asked));
        assert_eq!(board.begin_claim(), None, "one claim at a time");
        assert!(board.end_claim(asked, &[job(JobId(1))]), "what came during the claim is looked for after it");
        assert_eq!(board.begin_claim(), room(1, 1));
        assert!(!board.end_claim(Room { any: 1, urgent: 1 }, &[job(JobId(2))]));
        assert_eq!(board.begin_claim(), room(0, 1), "one slot more, for writes and downloads");
        assert!(board.end_claim(Room { any: 0, urgent: 1 }, &[job(JobId(3))]));
        assert_eq!(board.begin_claim(), None, "all slots are taken");
        board.finished(held(1, 1));
        assert_eq!(board.begin_claim(), room(0, 1));
        assert!(!board.end_claim(Room { any: 0, urgent: 1 }, &[]), "nothing is due");
        board.set_limits(BTreeMap::from([(ALL.to_owned(), 5), ("orders".to_owned(), 1)]));
        assert_eq!(board.begin_claim(), room(3, 1), "limits change at run time");
        assert!(!board.end_claim(Room { any: 3, urgent: 1 }, &[]));
        assert_eq!(board.type_limits(), BTreeMap::from([("orders".into(), 1)]));
        board.drain();
        assert_eq!(board.begin_claim(), None);
        assert!(!board.is_idle());
        board.finished(held(2, 1));
        board.finished(held(3, 1));
        assert!(board.is_idle());
    }

    #[test]
    fn it_looks_again_when_the_next_job_is_due() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| now + chrono::Duration::seconds(seconds);
        for (next_due, expected) in [(None, 30), (Some(at(5)), 5), (Some(at(-5)), -5), (Some(at(500)), 30)] {
            assert_eq!(wake_at(now, next_due), at(expected));
        }
    }
}

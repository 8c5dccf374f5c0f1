//! May this process start more work, and when should it look again? Pure: no clock, no IO.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::domain::{ClaimedJob, JobId, SyncType, Timestamp};

/// Even with nothing due, look so often: a signal of another process may have been lost.
const SAFETY_NET: TimeDelta = TimeDelta::seconds(30);

/// What this process runs, and whether a claim is under way.
#[derive(Debug)]
pub struct Board {
    concurrency: usize,
    running: BTreeMap<JobId, SyncType>,
    claiming: bool,
    claim_again: bool,
    draining: bool,
    /// Jobs that a claim under way may bring, and that are to stop as soon as they start.
    stopped: BTreeSet<JobId>,
}

impl Board {
    /// A board on which `concurrency` jobs may run at once.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            running: BTreeMap::new(),
            claiming: false,
            claim_again: false,
            draining: false,
            stopped: BTreeSet::new(),
        }
    }

    /// Begins a claim: how many jobs may be claimed now. `None` while a claim is under way (another
    /// follows it then), while all slots are taken, and while draining.
    pub fn begin_claim(&mut self) -> Option<usize> {
        if self.claiming {
            self.claim_again = true;
            return None;
        }
        let free = self.concurrency.saturating_sub(self.running.len());
        if self.draining || free == 0 {
            return None;
        }
        self.claiming = true;
        Some(free)
    }

    /// Ends a claim of up to `asked` jobs that gave `claimed`; should another follow at once?
    pub fn end_claim(&mut self, asked: usize, claimed: &[ClaimedJob]) -> bool {
        self.claiming = false;
        self.running.extend(claimed.iter().map(|job| (job.id, job.sync_type.clone())));
        std::mem::take(&mut self.claim_again) || claimed.len() == asked
    }

    /// Jobs that the database says are active, but that do not run here: if a claim is under way, it
    /// may be bringing them.
    pub fn stop_when_started(&mut self, jobs: &[JobId]) {
        if self.claiming {
            self.stopped.extend(jobs.iter().filter(|job| !self.running.contains_key(job)));
        }
    }

    /// Is this job to stop as soon as it starts?
    pub fn take_stopped(&mut self, job: JobId) -> bool {
        self.stopped.remove(&job)
    }

    /// A job's run has ended.
    pub fn finished(&mut self, job: JobId) {
        self.running.remove(&job);
    }

    /// No more claims.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Is the board closed?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Does nothing run, and is no claim under way?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && !self.claiming
    }

    /// The running jobs.
    #[must_use]
    pub fn running(&self) -> Vec<JobId> {
        self.running.keys().copied().collect()
    }

    /// The running jobs that are meant, with their types: one job, all of one type, or all.
    pub fn meant<'a>(
        &'a self,
        job: Option<JobId>,
        sync_type: Option<&'a SyncType>,
    ) -> impl Iterator<Item = (JobId, &'a SyncType)> {
        self.running
            .iter()
            .filter(move |(id, running)| {
                job.is_none_or(|job| job == **id) && sync_type.is_none_or(|name| name == *running)
            })
            .map(|(id, running)| (*id, running))
    }

    /// How many may run at once.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }
}

/// When to look for due jobs again.
#[must_use]
pub fn wake_at(now: Timestamp, next_due: Option<Timestamp>) -> Timestamp {
    let net = now + SAFETY_NET;
    next_due.map_or(net, |due| due.min(net))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    fn job(id: JobId) -> ClaimedJob {
        ClaimedJob {
            id,
            run: id,
            lease: 1,
            sync_type: "orders".into(),
            agent: "a".into(),
            reason: Reason::Timer,
            force: false,
            attempt: 1,
            document: None,
            approves: None,
            enqueued_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn never_more_than_the_limit_and_never_two_claims_at_once() {
        let mut board = Board::new(2);
        assert_eq!(board.begin_claim(), Some(2));
        assert_eq!(board.begin_claim(), None, "one claim at a time");
        assert!(board.end_claim(2, &[job(1)]), "what came during the claim is looked for after it");
        assert_eq!(board.begin_claim(), Some(1));
        assert!(board.end_claim(1, &[job(2)]));
        assert_eq!(board.begin_claim(), None, "all slots are taken");
        board.finished(1);
        assert_eq!(board.begin_claim(), Some(1));
        assert!(!board.end_claim(1, &[]), "nothing is due");
        board.drain();
        assert_eq!(board.begin_claim(), None);
        assert!(!board.is_idle());
        board.finished(2);
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

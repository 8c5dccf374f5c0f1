//! Which in-flight keys does this process know to be taken? A memory of the database's answers.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use crate::domain::{JobId, Timestamp};

/// Keys of live jobs, as far as this process has seen them taken a moment ago. What it ends itself is forgotten
/// in the transaction that ends it; what another process ends is not noticed, so a key is known for a moment
/// only, and whoever answers by this asks the database afterwards, and is told then whether this process itself
/// has ended the winner since.
#[derive(Debug, Default)]
pub(crate) struct DedupCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// With the moment at which the database said so.
    owners: HashMap<String, (JobId, Timestamp)>,
    /// Ended here a moment ago, oldest first.
    ended: VecDeque<JobId>,
    is_ended: HashSet<JobId>,
}

/// More keys than these are not remembered, ...
const MOST: usize = 1_000_000;
/// ... nor more ends than these: a refusal is looked at again within a fraction of a second.
const ENDS: usize = 100_000;
/// For so long an answer of the database is taken for the present state: another process may end the job.
const FRESH: Duration = Duration::from_secs(2);

impl DedupCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }

    pub(crate) fn owner(&self, key: &str, now: Timestamp) -> Option<JobId> {
        let (job, seen) = self.known().owners.get(key).copied()?;
        (now - seen).to_std().is_ok_and(|age| age < FRESH).then_some(job)
    }

    /// Jobs that were answered, as of `now`, to have these keys. Ends are written beside the queue's transactions: what this process
    /// has ended may have been read just before.
    pub(crate) fn learn(&self, taken: impl Iterator<Item = (String, JobId)>, now: Timestamp) {
        let mut known = self.known();
        for (key, job) in taken {
            if known.owners.len() >= MOST {
                known.owners.retain(|_, (_, seen)| (now - *seen).to_std().is_ok_and(|age| age < FRESH));
            }
            if known.owners.len() < MOST && !known.is_ended.contains(&job) {
                known.owners.insert(key, (job, now));
            }
        }
    }

    pub(crate) fn forget(&self, key: &str) {
        self.known().owners.remove(key);
    }

    pub(crate) fn forget_all(&self) {
        self.known().owners.clear();
    }

    /// This process has ended these jobs, or parted them from their keys.
    pub(crate) fn end(&self, jobs: impl Iterator<Item = JobId>) {
        let mut known = self.known();
        for job in jobs {
            if known.is_ended.insert(job) {
                known.ended.push_back(job);
            }
        }
        while known.ended.len() > ENDS {
            let oldest = known.ended.pop_front();
            oldest.map(|job| known.is_ended.remove(&job));
        }
    }

    /// A job that was over is to run again.
    pub(crate) fn revive(&self, job: JobId) {
        let mut known = self.known();
        if known.is_ended.remove(&job) {
            known.ended.retain(|ended| *ended != job);
        }
    }

    /// Has this process ended this job a moment ago?
    pub(crate) fn has_ended(&self, job: JobId) -> bool {
        self.known().is_ended.contains(&job)
    }
}

//! Which syncs make room for urgent work of their agent, and which were told to already?

use std::collections::BTreeSet;

use crate::domain::{AgentId, ClaimedJob, JobId};

/// What this process has asked of its syncs.
#[derive(Default)]
pub(super) struct Preemption {
    /// Agents for whom urgent work was accepted while a claim was under way.
    accepted: BTreeSet<AgentId>,
    told: BTreeSet<JobId>,
}

impl Preemption {
    /// Urgent work was accepted while a claim was under way that may bring a sync of its agent.
    pub(super) fn accepted(&mut self, agent: &AgentId) {
        self.accepted.insert(agent.clone());
    }

    /// The claim has come back: the syncs that it brought and that are in the way.
    pub(super) fn claimed(&mut self, jobs: &[ClaimedJob]) -> Vec<JobId> {
        let accepted = std::mem::take(&mut self.accepted);
        let in_the_way = jobs.iter().filter(|job| job.class.is_preemptible() && accepted.contains(&job.agent));
        in_the_way.map(|job| job.id).collect()
    }

    /// A sync was told; true if it was the first time.
    pub(super) fn is_first(&mut self, job: JobId) -> bool {
        self.told.insert(job)
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, job: JobId) {
        self.told.remove(&job);
    }
}

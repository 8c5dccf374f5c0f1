//! How must a queue behave? The reference model: the same rules once more, in memory and in plain words, to
//! which every real board is held.

mod admin;
mod admit;
mod over;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::TimeDelta;

use crate::domain::{
    AgentId, Breaker, Claim, Claimed, ClaimedJob, Class, FlowOutcome, JobId, JobState, NewJob, Outcome, Pause, RunId,
    Timestamp, job::JobEvent,
};

/// One job.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Row {
    pub job: NewJob,
    pub state: JobState,
    pub outcome: Option<Outcome>,
    pub key: Option<String>,
    pub window_until: Option<Timestamp>,
    pub latest_start: Option<Timestamp>,
    pub order: i64,
    pub due: Timestamp,
    pub accepted: Timestamp,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub root: Option<JobId>,
    pub flow: Option<FlowOutcome>,
    pub lease: i64,
    pub heartbeat: i64,
    /// When it was last heard of.
    pub heard: Option<Timestamp>,
    pub owner: String,
    pub attempt: u32,
    pub stop: bool,
}

/// The whole queue.
#[derive(Debug, Default)]
pub(in crate::testing) struct Model {
    pub jobs: BTreeMap<JobId, Row>,
    last: JobId,
    /// Views of `jobs`, so that a simulation of millions stays quick.
    waiting: BTreeSet<(i64, JobId)>,
    delayed: BTreeSet<(Timestamp, JobId)>,
    live: HashMap<String, JobId>,
    kept: HashMap<String, JobId>,
    windows: HashMap<String, BTreeSet<JobId>>,
    families: HashMap<JobId, Vec<JobId>>,
    /// The flows in which a job stands for a child.
    links: HashMap<JobId, Vec<JobId>>,
    active: BTreeSet<JobId>,
    /// Waiting writes and downloads of each agent.
    urgent: HashMap<AgentId, [usize; 2]>,
    pub pause: Option<Pause>,
    pub limits: BTreeMap<String, usize>,
    pub breakers: BTreeMap<(AgentId, String), Breaker>,
}

fn later(now: Timestamp, by: std::time::Duration) -> Timestamp {
    now + TimeDelta::from_std(by).unwrap()
}

impl Model {
    /// Moves a job by an event, and keeps the views true.
    fn apply(&mut self, id: JobId, event: JobEvent) {
        let to = self.jobs[&id].state.on(event).unwrap();
        self.leave(id);
        self.jobs.get_mut(&id).unwrap().state = to;
        self.enter(id);
    }

    /// Changes a job, and keeps the views true.
    fn change(&mut self, id: JobId, change: impl FnOnce(&mut Row)) {
        self.leave(id);
        change(self.jobs.get_mut(&id).unwrap());
        self.enter(id);
    }

    fn leave(&mut self, id: JobId) {
        let row = &self.jobs[&id];
        self.waiting.remove(&(row.order, id));
        self.delayed.remove(&(row.due, id));
        self.active.remove(&id);
        if row.state == JobState::Waiting && row.job.class != Class::Sync {
            self.urgent.get_mut(&row.job.agent).unwrap()[usize::from(row.job.class == Class::Download)] -= 1;
        }
        let Some(key) = row.key.clone() else { return };
        for view in [&mut self.live, &mut self.kept] {
            if view.get(&key) == Some(&id) {
                view.remove(&key);
            }
        }
    }

    fn enter(&mut self, id: JobId) {
        let row = &self.jobs[&id];
        match row.state {
            JobState::Waiting => drop(self.waiting.insert((row.order, id))),
            JobState::Delayed => drop(self.delayed.insert((row.due, id))),
            JobState::Active => drop(self.active.insert(id)),
            JobState::Kept | JobState::Done => {}
        }
        if row.state == JobState::Waiting && row.job.class != Class::Sync {
            self.urgent.entry(row.job.agent.clone()).or_default()[usize::from(row.job.class == Class::Download)] += 1;
        }
        let Some(key) = row.key.clone() else { return };
        match row.state {
            JobState::Waiting | JobState::Delayed | JobState::Active => drop(self.live.insert(key, id)),
            JobState::Kept => drop(self.kept.insert(key, id)),
            JobState::Done => {}
        }
    }

    /// Claims in the order of the keys; only the first of each lane (type and agent) is looked at.
    pub(in crate::testing) fn claim(&mut self, claim: &Claim, now: Timestamp) -> Claimed {
        while let Some((due, id)) = self.delayed.first().copied().filter(|(due, _)| *due <= now) {
            debug_assert!(due <= now);
            self.apply(id, JobEvent::Due);
        }
        let mut busy: HashSet<AgentId> = self.active.iter().map(|id| self.jobs[id].job.agent.clone()).collect();
        let mut lanes = HashSet::new();
        let (mut any, mut urgent) = (claim.any, claim.urgent);
        let mut chosen: Vec<JobId> = Vec::new();
        for (_, id) in &self.waiting {
            if any + urgent == 0 {
                break;
            }
            let job = &self.jobs[id].job;
            if any == 0 && job.class == Class::Sync {
                // urgent work comes first: from here on there are only syncs
                break;
            }
            let is_first = lanes.insert((job.job_type.clone(), job.agent.clone()));
            let running = self.active.iter().chain(&chosen).filter(|one| self.jobs[one].job.job_type == job.job_type);
            let is_full = claim.limits.get(&job.job_type).is_some_and(|limit| running.count() >= *limit);
            let is_overtaken = self.is_overtaken(job, now);
            let is_shut = self.is_paused_for(job, now) || (job.fetches() && self.open_until(&job.agent, now).is_some());
            let has_place = any > 0 || job.class != Class::Sync;
            let fits = is_first && has_place && !is_full && !is_overtaken && !is_shut;
            if !fits || busy.contains(&job.agent) || !claim.known.contains(&job.job_type) {
                continue;
            }
            busy.insert(job.agent.clone());
            if any > 0 {
                any -= 1;
            } else {
                urgent -= 1;
            }
            chosen.push(*id);
        }
        let jobs = chosen.into_iter().map(|id| self.take(id, &claim.owner, now)).collect();
        Claimed { jobs, next_due: self.delayed.first().map(|(due, _)| *due) }
    }

    pub(in crate::testing) fn take(&mut self, id: JobId, owner: &str, now: Timestamp) -> ClaimedJob {
        self.apply(id, JobEvent::Claimed);
        let row = self.jobs.get_mut(&id).unwrap();
        owner.clone_into(&mut row.owner);
        row.lease += 1;
        row.attempt += 1;
        row.started = Some(now);
        row.outcome = None;
        ClaimedJob {
            id,
            run: RunId(id.0),
            lease: row.lease,
            job_type: row.job.job_type.clone(),
            class: row.job.class,
            agent: row.job.agent.clone(),
            reason: row.job.reason,
            force: row.job.force,
            attempt: row.attempt,
            max_attempts: row.job.max_attempts,
            repeatable: row.job.repeatable,
            payload: row.job.payload.clone(),
            dedup_key: row.key.clone(),
            document: row.job.document,
            approves: row.job.approves,
            enqueued_at: row.accepted,
            started_at: now,
        }
    }

    /// Active jobs: all, the stopped ones of `owner`, and its syncs that are in the way of urgent work.
    pub(in crate::testing) fn active(&self) -> impl Iterator<Item = (JobId, &Row)> {
        self.active.iter().map(|id| (*id, &self.jobs[id]))
    }

    /// Is it a sync whose agent has urgent work waiting that could start?
    pub(in crate::testing) fn is_overtaken(&self, job: &NewJob, now: Timestamp) -> bool {
        let [writes, downloads] = self.urgent.get(&job.agent).copied().unwrap_or_default();
        let could_start = writes > 0 || (downloads > 0 && self.open_until(&job.agent, now).is_none());
        job.class == Class::Sync && could_start
    }
}

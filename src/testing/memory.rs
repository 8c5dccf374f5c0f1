//! What would a database of the queue and the scheduler say? The reference model behind the same ports.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{
    board::{End, TestBoard},
    model::{Model, Row},
};
use crate::{
    domain::{
        Admission, AgentId, Cause, Claim, Claimed, ClaimedJob, Heartbeat, HeartbeatReport, JobId, JobSelector,
        JobState, KeyState, Lease, NewJob, Outcome, Pause, Retry, RunId, Slot, SyncType, Timestamp,
    },
    queue::{Before, BoardError, JobBoard},
    scheduler::SettingsBoard,
    store::{Amendments, Job, JobQuery, Setting, StoreError},
};

#[derive(Debug, Default)]
struct State {
    queue: Model,
    settings: BTreeMap<SyncType, Setting>,
    auto_sync_off: bool,
    agents: Vec<AgentId>,
    agent_queries: usize,
    broken: bool,
}

/// The in-memory twin of the store, as far as the queue and the scheduler see it.
#[derive(Debug, Clone, Default)]
pub struct MemoryBoard(Arc<Mutex<State>>);

impl MemoryBoard {
    /// A board with these active agents.
    #[must_use]
    pub fn with_agents(agents: &[&str]) -> Self {
        let board = Self::default();
        board.0.lock().unwrap().agents = agents.iter().map(|agent| AgentId::from(*agent)).collect();
        board
    }

    /// Adds a type's saved settings.
    pub fn put_setting(&self, sync_type: &str, minutes: u32, last_tick: Option<Timestamp>, next_run: Timestamp) {
        let setting = Setting {
            sync_type: sync_type.into(),
            interval_minutes: minutes,
            enabled: true,
            last_tick,
            next_run: Some(next_run),
        };
        self.0.lock().unwrap().settings.insert(sync_type.into(), setting);
    }

    /// A type's saved settings.
    #[must_use]
    pub fn setting(&self, sync_type: &str) -> Setting {
        self.0.lock().unwrap().settings[&SyncType::from(sync_type)].clone()
    }

    /// `(state, outcome)` of a job.
    #[must_use]
    pub fn job(&self, job: JobId) -> (JobState, Option<Outcome>) {
        let state = self.0.lock().unwrap();
        (state.queue.jobs[&job].state, state.queue.jobs[&job].outcome)
    }

    /// All jobs that were ever accepted, as `type:agent`, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.queue.jobs.values().map(|row| format!("{}:{}", row.job.job_type, row.job.agent)).collect()
    }

    /// How many jobs are not over.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.lock().unwrap().queue.jobs.values().filter(|row| row.state != JobState::Done).count()
    }

    /// How often the agents were asked for.
    #[must_use]
    pub fn agent_queries(&self) -> usize {
        self.0.lock().unwrap().agent_queries
    }

    /// From now on, every call fails (or works again).
    pub fn set_broken(&self, broken: bool) {
        self.0.lock().unwrap().broken = broken;
    }

    /// Puts a job there that another process holds under a lease.
    #[must_use]
    pub fn put_foreign(&self, sync_type: &str, agent: &str, now: Timestamp) -> JobId {
        let mut state = self.0.lock().unwrap();
        let job = NewJob::sync(&sync_type.into(), agent.into(), 4, crate::domain::Reason::Timer);
        let id = state.queue.admit(job, now).job().unwrap();
        state.queue.take(id, "another process", now);
        id
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.0.lock().unwrap();
        if state.broken {
            return Err(StoreError::Interrupted("the test broke the board".to_owned()));
        }
        Ok(work(&mut state))
    }
}

impl MemoryBoard {
    fn asked<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, BoardError> {
        Ok(self.with(work)?)
    }
}

#[async_trait]
impl JobBoard for MemoryBoard {
    fn by(self: Arc<Self>, _: Cause, _: Timestamp) -> Arc<dyn JobBoard> {
        self
    }

    async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), BoardError> {
        self.asked(|state| {
            // there is no other process that could have ended the winner
            let admit = |job: NewJob| match job.refused_for {
                Some(job) => Admission::AlreadyQueued { job },
                None => state.queue.admit(job, now),
            };
            let answers = jobs.into_iter().map(admit).collect();
            (answers, claim.map(|claim| state.queue.claim(&claim, now)))
        })
    }

    fn cached_holder(&self, key: &str, _: Timestamp) -> Option<JobId> {
        self.0.lock().unwrap().queue.owner(key)
    }

    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, BoardError> {
        self.asked(|state| {
            let setting = state.settings.get_mut(&slot.sync_type).unwrap();
            if setting.next_run != Some(slot.due) {
                return None;
            }
            (setting.last_tick, setting.next_run) = (Some(slot.due), Some(slot.next));
            Some(jobs.into_iter().map(|job| state.queue.admit(job, now)).collect())
        })
    }

    async fn approve(&self, _: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, BoardError> {
        self.asked(|state| Some(state.queue.admit(job, now)))
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, BoardError> {
        self.asked(|state| state.queue.claim(&claim, now))
    }

    async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, BoardError> {
        self.asked(|state| {
            let is_mine = |row: &Row| row.owner == owner && row.state == JobState::Active;
            let queue = &mut state.queue;
            for Lease { id, .. } in &running {
                queue.jobs.get_mut(id).filter(|row| is_mine(row)).into_iter().for_each(|row| {
                    row.heartbeat += 1;
                    row.heard = Some(now);
                });
            }
            let held = |(id, row): (JobId, &Row)| Lease { id, number: row.lease };
            let beat = |(id, row): (JobId, &Row)| Heartbeat {
                lease: held((id, row)),
                owner: row.owner.clone(),
                heartbeat: row.heartbeat,
            };
            let quiet = |row: &Row| (now - row.started.max(row.heard)?).to_std().ok();
            let mine = || queue.active().filter(|(_, row)| row.owner == owner);
            let is_emergency = queue.pause.as_ref().is_some_and(|pause| pause.holds(now) && pause.emergency);
            HeartbeatReport {
                active: queue.active().map(beat).collect(),
                quiet: queue.active().filter_map(|(id, row)| Some((id, quiet(row)?))).collect(),
                stop: mine().filter(|(_, row)| row.stop).map(held).collect(),
                preempt: mine()
                    .filter(|(_, row)| !is_emergency && queue.is_overtaken(&row.job, now))
                    .map(held)
                    .collect(),
                lost: running.into_iter().filter(|job| !mine().any(|mine| held(mine) == *job)).collect(),
                pause: queue.pause.clone().filter(|pause| pause.holds(now)),
                limits: queue.limits.clone(),
            }
        })
    }

    async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, BoardError> {
        self.asked(|state| state.queue.rescue(&dead, now))
    }

    async fn undo_claim(&self, job: Lease<JobId>, owner: String, now: Timestamp) -> Result<bool, BoardError> {
        self.asked(|state| state.queue.undo_claim(job, &owner, now))
    }

    async fn request_stop(&self, meant: JobSelector, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), BoardError> {
        self.asked(|state| state.queue.stop(&meant, now))
    }

    async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, BoardError> {
        self.asked(|state| state.queue.retry(job, even_if_done, now))
    }

    async fn set_pause(&self, pause: Option<Pause>) -> Result<(), BoardError> {
        self.asked(|state| state.queue.pause = pause)
    }

    async fn set_limits(
        &self,
        limits: BTreeMap<String, Option<usize>>,
        _: Timestamp,
    ) -> Result<BTreeMap<String, usize>, BoardError> {
        self.asked(|state| {
            for (name, limit) in limits {
                match limit {
                    Some(limit) => drop(state.queue.limits.insert(name, limit)),
                    None => drop(state.queue.limits.remove(&name)),
                }
            }
            state.queue.limits.clone()
        })
    }

    async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<bool, BoardError> {
        self.asked(|state| {
            let place = usize::try_from(id - 1).unwrap_or(usize::MAX);
            let Some((agent, source)) = state.queue.breakers.keys().nth(place).cloned() else { return false };
            state.queue.reset(&agent, &source, now);
            true
        })
    }

    async fn clean(&self, before: Before, now: Timestamp) -> Result<u64, BoardError> {
        self.asked(|state| state.queue.clean(before.jobs, now))
    }
}

#[async_trait]
impl TestBoard for MemoryBoard {
    async fn end(&self, job: &ClaimedJob, end: End, now: Timestamp) -> Result<(), StoreError> {
        if self.with(|state| state.queue.end(job, &end, now))? {
            Ok(())
        } else {
            Err(StoreError::LeaseLost { job: job.id, lease: job.lease })
        }
    }

    async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError> {
        self.with(|state| state.queue.key(&key, now))
    }

    async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError> {
        self.with(|state| state.queue.remove_key(&key, job, now))
    }

    async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError> {
        self.with(|state| {
            let is_meant = |(id, row): &(&JobId, &Row)| {
                wanted.state.is_none_or(|state| row.state == state)
                    && wanted.sync_type.as_deref().is_none_or(|name| row.job.job_type.as_str() == name)
                    && wanted.agent.as_deref().is_none_or(|agent| row.job.agent.as_str() == agent)
                    && wanted.root.is_none_or(|root| row.root == Some(root))
                    && wanted.before.is_none_or(|before| **id < before)
            };
            let meant = state.queue.jobs.iter().rev().filter(is_meant);
            meant.take(wanted.limit as usize).map(|(id, row)| job(*id, row)).collect()
        })
    }
}

/// What a watcher has seen last of a job that a process holds: for [`JobBoard::rescue`].
#[must_use]
pub fn last_seen(job: &ClaimedJob, heartbeat: i64) -> Heartbeat<JobId> {
    Heartbeat { lease: job.held(), owner: String::new(), heartbeat }
}

fn job(id: JobId, row: &Row) -> Job {
    Job {
        id,
        job_type: row.job.job_type.clone(),
        class: row.job.class,
        agent_id: row.job.agent.clone(),
        reason: row.job.reason,
        requested_by: Some(row.job.by.as_ref().map_or(row.job.reason.as_str(), |by| &by.who).to_owned()),
        state: row.state,
        outcome: row.outcome,
        error: None,
        priority: row.job.priority.into(),
        attempt: i32::try_from(row.attempt).unwrap(),
        parent_job_id: row.job.parent,
        root_job_id: row.root,
        flow_outcome: row.flow,
        dedup_key: row.key.clone(),
        max_attempts: i32::try_from(row.job.max_attempts).unwrap(),
        phase: None,
        result: None,
        stop_requested: row.stop,
        due_at: row.due,
        enqueued_at: row.accepted,
        started_at: row.started,
        finished_at: row.finished,
    }
}

#[async_trait]
impl SettingsBoard for MemoryBoard {
    fn by(self: Arc<Self>, _: Cause, _: Timestamp) -> Arc<dyn SettingsBoard> {
        self
    }

    async fn settings(&self) -> Result<Vec<Setting>, StoreError> {
        self.with(|state| state.settings.values().cloned().collect())
    }

    async fn amend_settings(&self, amendments: Amendments, _: Timestamp) -> Result<Vec<Setting>, StoreError> {
        self.with(|state| {
            let amend = |(sync_type, amend): (SyncType, Box<dyn FnOnce(Setting) -> Setting + Send>)| {
                let amended = amend(state.settings[&sync_type].clone());
                state.settings.insert(sync_type, amended.clone());
                amended
            };
            amendments.into_iter().map(amend).collect()
        })
    }

    async fn auto_sync(&self) -> Result<bool, StoreError> {
        self.with(|state| !state.auto_sync_off)
    }

    async fn set_auto_sync(&self, on: bool, _: Timestamp) -> Result<(), StoreError> {
        self.with(|state| state.auto_sync_off = !on)
    }

    async fn active_agents(&self) -> Result<Vec<AgentId>, StoreError> {
        self.with(|state| {
            state.agent_queries += 1;
            state.agents.clone()
        })
    }
}

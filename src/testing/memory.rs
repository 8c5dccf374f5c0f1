//! What would a database of the queue and the scheduler say? The same rules, in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::{
    domain::{
        Admission, AgentId, ClaimedJob, JobId, JobState, NewJob, NextStep, Outcome, RunId, SyncType, Timestamp,
        job::JobEvent,
    },
    queue::JobBoard,
    scheduler::SettingsBoard,
    store::{Beat, Heartbeat, Setting, Slot, StoreError},
};

#[derive(Debug, Clone)]
struct Row {
    job: NewJob,
    state: JobState,
    outcome: Option<Outcome>,
    order: i64,
    due: Timestamp,
    accepted: Timestamp,
    lease: i64,
    heartbeat: i64,
    owner: String,
    attempt: u32,
    stop: bool,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, Row>,
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
        (state.jobs[&job].state, state.jobs[&job].outcome)
    }

    /// All jobs that were ever accepted, as `type:agent`, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.jobs.values().map(|row| format!("{}:{}", row.job.sync_type, row.job.agent)).collect()
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
        let job = NewJob::sync(sync_type.into(), agent.into(), 4, crate::domain::Reason::Timer);
        let id = state.admit(job, now).job();
        let row = state.jobs.get_mut(&id).unwrap();
        row.apply(JobEvent::Claimed);
        (row.owner, row.lease, row.attempt) = ("another process".to_owned(), 1, 1);
        id
    }

    pub(super) fn finish(&self, job: &ClaimedJob, outcome: Outcome, next: NextStep) {
        let mut state = self.0.lock().unwrap();
        let row = state.jobs.get_mut(&job.id).unwrap();
        assert_eq!(row.lease, job.lease, "a late write");
        row.outcome = Some(outcome);
        match next {
            NextStep::Done => row.apply(JobEvent::Finished),
            NextStep::RetryIn(pause) => {
                row.due += TimeDelta::from_std(pause).unwrap();
                row.apply(JobEvent::Backoff);
            }
            NextStep::GiveBack => {
                row.attempt -= 1;
                row.apply(JobEvent::Released);
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.0.lock().unwrap();
        if state.broken {
            return Err(StoreError::Interrupted("the test broke the board".to_owned()));
        }
        Ok(work(&mut state))
    }
}

impl Row {
    fn apply(&mut self, event: JobEvent) {
        self.state = self.state.on(event).unwrap();
    }
}

impl State {
    fn admit(&mut self, job: NewJob, now: Timestamp) -> Admission {
        if let Some((key, _)) = &job.throttle {
            let open = self.jobs.iter().find_map(|(id, row)| {
                let (other, window) = row.job.throttle.as_ref()?;
                let rest = (row.accepted + TimeDelta::from_std(*window).unwrap() - now).to_std().ok()?;
                (other == key && !rest.is_zero()).then_some((*id, rest))
            });
            if let Some((job, retry_in)) = open {
                return Admission::Throttled { job, retry_in };
            }
        }
        let winner = self.jobs.iter().find(|(_, row)| {
            row.state != JobState::Done && job.dedup_key.is_some() && row.job.dedup_key == job.dedup_key
        });
        if let Some((id, _)) = winner {
            return Admission::AlreadyQueued { job: *id };
        }
        let id = JobId::try_from(self.jobs.len()).unwrap() + 1;
        let order = now.timestamp_millis() - i64::from(job.priority) * 60_000;
        let (state, outcome) = (JobState::Waiting, None);
        let (lease, heartbeat, attempt, owner, stop) = (0, 0, 0, String::new(), false);
        let row = Row { job, state, outcome, order, due: now, accepted: now, lease, heartbeat, owner, attempt, stop };
        self.jobs.insert(id, row);
        Admission::Accepted { job: id }
    }
}

#[async_trait]
impl JobBoard for MemoryBoard {
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Admission>, StoreError> {
        self.with(|state| jobs.into_iter().map(|job| state.admit(job, now)).collect())
    }

    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, StoreError> {
        self.with(|state| {
            let setting = state.settings.get_mut(&slot.sync_type).unwrap();
            if setting.next_run != Some(slot.due) {
                return None;
            }
            (setting.last_tick, setting.next_run) = (Some(slot.due), Some(slot.next));
            Some(jobs.into_iter().map(|job| state.admit(job, now)).collect())
        })
    }

    async fn approve(&self, _: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, StoreError> {
        self.with(|state| Some(state.admit(job, now)))
    }

    async fn claim(&self, slots: usize, owner: String, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError> {
        self.with(|state| {
            let mut claimed = Vec::new();
            while claimed.len() < slots {
                let is_busy = |agent: &AgentId| {
                    state.jobs.values().any(|row| row.state == JobState::Active && row.job.agent == *agent)
                };
                let is_claimable = |row: &Row| {
                    matches!(row.state, JobState::Waiting | JobState::Delayed)
                        && row.due <= now
                        && !is_busy(&row.job.agent)
                };
                let best =
                    state.jobs.iter().filter(|(_, row)| is_claimable(row)).min_by_key(|(id, row)| (row.order, **id));
                let Some(id) = best.map(|(id, _)| *id) else { break };
                let row = state.jobs.get_mut(&id).unwrap();
                row.apply(JobEvent::Claimed);
                row.owner.clone_from(&owner);
                row.lease += 1;
                row.attempt += 1;
                claimed.push(ClaimedJob {
                    id,
                    run: id,
                    lease: row.lease,
                    sync_type: row.job.sync_type.clone(),
                    agent: row.job.agent.clone(),
                    reason: row.job.reason,
                    force: row.job.force,
                    attempt: row.attempt,
                    document: row.job.document,
                    approves: row.job.approves,
                    enqueued_at: row.accepted,
                });
            }
            claimed
        })
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.with(|state| {
            let pending = state.jobs.values().filter(|row| matches!(row.state, JobState::Waiting | JobState::Delayed));
            pending.map(|row| row.due).filter(|due| *due > now).min()
        })
    }

    async fn heartbeat(&self, owner: String, running: Vec<JobId>) -> Result<Heartbeat, StoreError> {
        self.with(|state| {
            for id in running {
                state.jobs.get_mut(&id).unwrap().heartbeat += 1;
            }
            let active = || state.jobs.iter().filter(|(_, row)| row.state == JobState::Active);
            let beat = |(id, row): (&JobId, &Row)| Beat {
                job: *id,
                lease: row.lease,
                owner: row.owner.clone(),
                heartbeat: row.heartbeat,
            };
            let stop = active().filter(|(_, row)| row.stop && row.owner == owner).map(|(id, _)| *id).collect();
            Heartbeat { active: active().map(beat).collect(), stop }
        })
    }

    async fn rescue(&self, job: JobId, lease: i64, now: Timestamp) -> Result<bool, StoreError> {
        self.with(|state| {
            let row = state.jobs.get_mut(&job).unwrap();
            if row.lease != lease || row.state != JobState::Active {
                return false;
            }
            row.lease += 1;
            row.due = now;
            row.apply(JobEvent::Released);
            true
        })
    }

    async fn request_stop(
        &self,
        job: Option<JobId>,
        sync_type: Option<SyncType>,
        _: Timestamp,
    ) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        self.with(|state| {
            let (mut stopping, mut removed) = (Vec::new(), Vec::new());
            for (id, row) in &mut state.jobs {
                let is_meant = job.is_none_or(|job| job == *id)
                    && sync_type.as_ref().is_none_or(|name| *name == row.job.sync_type);
                match row.state {
                    JobState::Active if is_meant => {
                        row.stop = true;
                        stopping.push(*id);
                    }
                    JobState::Waiting | JobState::Delayed if is_meant => {
                        row.apply(JobEvent::Removed);
                        row.outcome = Some(Outcome::Removed);
                        removed.push(*id);
                    }
                    JobState::Waiting | JobState::Delayed | JobState::Active | JobState::Done => {}
                }
            }
            (stopping, removed)
        })
    }
}

#[async_trait]
impl SettingsBoard for MemoryBoard {
    async fn settings(&self) -> Result<Vec<Setting>, StoreError> {
        self.with(|state| state.settings.values().cloned().collect())
    }

    async fn save_settings(&self, settings: Vec<Setting>, _: Timestamp) -> Result<(), StoreError> {
        self.with(|state| {
            for setting in settings {
                state.settings.insert(setting.sync_type.clone(), setting);
            }
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

//! What must be accepted, replaced, kept or refused?

use super::{Model, Row, later};
use crate::domain::{Admission, AgentId, Class, JobId, JobState, Mode, NewJob, Reason, Timestamp, job::JobEvent};

impl Model {
    pub(in crate::testing) fn open_until(&self, agent: &AgentId, now: Timestamp) -> Option<Timestamp> {
        let own = self.breakers.iter().filter(|((of, _), _)| of == agent);
        own.filter_map(|(_, breaker)| breaker.open_until()).find(|until| *until > now)
    }

    pub(in crate::testing) fn owner(&self, key: &str) -> Option<JobId> {
        self.live.get(key).copied()
    }

    pub(in crate::testing) fn window(&self, key: &str, now: Timestamp) -> Option<(JobId, Timestamp)> {
        let open = |id: &JobId| Some((*id, self.jobs.get(id)?.window_until.filter(|until| *until > now)?));
        self.windows.get(key)?.iter().find_map(open)
    }

    /// Another job than `but` whose window for this key is open.
    pub(in crate::testing) fn window_but(&self, key: &str, but: JobId, now: Timestamp) -> Option<JobId> {
        let is_open = |id: &&JobId| {
            **id != but && self.jobs.get(id).and_then(|row| row.window_until).is_some_and(|until| until > now)
        };
        self.windows.get(key)?.iter().find(is_open).copied()
    }

    /// Accepts, replaces, keeps or refuses.
    pub(in crate::testing) fn admit(&mut self, job: NewJob, now: Timestamp) -> Admission {
        if let Some((owner, until)) = job.window.as_ref().and_then(|window| self.window(&window.key, now)) {
            return if self.jobs[&owner].job.digest() == job.digest() {
                Admission::Throttled { job: owner, retry_in: (until - now).to_std().unwrap() }
            } else {
                Admission::KeyReused { job: owner }
            };
        }
        let mut start = later(now, job.delay);
        if job.reason != Reason::Flow && self.is_paused_for(&job, now) {
            return Admission::Paused { until: self.pause.as_ref().unwrap().until };
        }
        if let Some(until) =
            self.open_until(&job.agent, now).filter(|_| job.fetches() && !self.is_paused_for(&job, now))
        {
            if job.reason != Reason::Flow {
                return Admission::BreakerOpen { until };
            }
            start = start.max(until);
        }
        let Some(owner) = job.dedup_key.as_ref().and_then(|key| self.owner(key)) else {
            let latest = match job.mode {
                Mode::Debounce { wait, max_wait } => {
                    start = later(now, wait.min(max_wait));
                    Some(later(now, max_wait))
                }
                Mode::Refuse | Mode::KeepLast => None,
            };
            let state = if start > now { JobState::Delayed } else { JobState::Waiting };
            return Admission::Accepted { job: self.insert(job, state, (start, latest), now) };
        };
        let (has_begun, state) = (self.jobs[&owner].started.is_some(), self.jobs[&owner].state);
        match job.mode {
            Mode::Refuse if job.window.is_some() && self.jobs[&owner].job.digest() != job.digest() => {
                Admission::KeyReused { job: owner }
            }
            Mode::Refuse => {
                if let Some(parent) = job.parent {
                    self.link(owner, parent);
                }
                Admission::AlreadyQueued { job: owner }
            }
            Mode::Debounce { wait, .. } if !has_begun && state != JobState::Active => {
                let latest = self.jobs[&owner].latest_start;
                let start = latest.map_or(self.jobs[&owner].due, |latest| later(now, wait).min(latest).max(now));
                self.replace(owner, job, start, now);
                Admission::Replaced { job: owner, start_in: (start - now).to_std().unwrap_or_default() }
            }
            Mode::Debounce { .. } | Mode::KeepLast => {
                let kept = self.kept.get(job.dedup_key.as_ref().unwrap()).copied();
                match kept {
                    Some(kept) => {
                        let due = self.jobs[&kept].due;
                        self.replace(kept, job, due, now);
                        Admission::Kept { job: kept, behind: owner }
                    }
                    None => Admission::Kept { job: self.insert(job, JobState::Kept, (now, None), now), behind: owner },
                }
            }
        }
    }

    pub(in crate::testing) fn is_paused_for(&self, job: &NewJob, now: Timestamp) -> bool {
        let pause = self.pause.as_ref().filter(|pause| pause.until.is_none_or(|until| until > now));
        pause.is_some_and(|pause| {
            let is_forced = job.class == Class::Sync && job.force && job.reason == Reason::Manual;
            pause.emergency || (job.class == Class::Sync && !is_forced)
        })
    }

    /// A live job stands for a child of the flow of `parent`.
    fn link(&mut self, id: JobId, parent: JobId) {
        let root = self.jobs.get(&parent).and_then(|row| row.root).unwrap_or(parent);
        let row = self.jobs.get_mut(&id).unwrap();
        if id == root || row.root == Some(root) {
            return;
        }
        match row.root {
            None => row.root = Some(root),
            Some(_) => self.links.entry(id).or_default().push(root),
        }
        self.families.entry(root).or_default().push(id);
    }

    pub(in crate::testing) fn insert(
        &mut self,
        job: NewJob,
        state: JobState,
        (due, latest_start): (Timestamp, Option<Timestamp>),
        now: Timestamp,
    ) -> JobId {
        self.last.0 += 1;
        let id = self.last;
        let window_until = job.window.as_ref().map(|window| later(now, window.length));
        if let Some(window) = &job.window {
            self.windows.entry(window.key.clone()).or_default().insert(id);
        }
        let root = job.parent.map(|parent| self.jobs.get(&parent).and_then(|row| row.root).unwrap_or(parent));
        let row = Row {
            key: job.dedup_key.clone(),
            order: job.class.order_key(job.priority, now),
            window_until,
            latest_start,
            state,
            outcome: None,
            due,
            accepted: now,
            started: None,
            finished: None,
            root,
            flow: None,
            lease: 0,
            heartbeat: 0,
            heard: None,
            owner: String::new(),
            attempt: 0,
            stop: false,
            job,
        };
        if let Some(root) = root {
            self.families.entry(root).or_default().push(id);
        }
        self.jobs.insert(id, row);
        self.enter(id);
        id
    }

    pub(in crate::testing) fn replace(&mut self, id: JobId, job: NewJob, start: Timestamp, now: Timestamp) {
        self.change(id, |row| {
            let accepted = if row.state == JobState::Kept { now } else { row.accepted };
            row.order = job.class.order_key(job.priority, accepted);
            row.due = start;
            if row.state != JobState::Kept && start > now {
                row.state = row.state.on(JobEvent::Postponed).unwrap();
            }
            let (window, parent, max_attempts) = (row.job.window.clone(), row.job.parent, row.job.max_attempts);
            let dedup_key = row.job.dedup_key.clone();
            row.job = NewJob { dedup_key, window, parent, max_attempts, ..job };
        });
    }
}

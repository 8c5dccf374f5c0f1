//! What must a stop, a retry, a removed key and forgetting do?

use std::collections::HashSet;

use super::{Model, Row};
use crate::domain::{JobId, JobSelector, JobState, KeyState, Outcome, Retry, Timestamp, job::JobEvent};

impl Model {
    /// Stops what runs, removes what has not started.
    pub(in crate::testing) fn stop(&mut self, meant: &JobSelector, now: Timestamp) -> (Vec<JobId>, Vec<JobId>) {
        let is_meant = |id: JobId, row: &Row| {
            meant.job.is_none_or(|job| job == id)
                && meant.job_type.as_ref().is_none_or(|name| *name == row.job.job_type)
                && meant.class.is_none_or(|class| class == row.job.class)
                && row.state != JobState::Done
        };
        let all: Vec<JobId> = self.jobs.iter().filter(|(id, row)| is_meant(**id, row)).map(|(id, _)| *id).collect();
        let (active, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|id| self.jobs[id].state == JobState::Active);
        let stopping = if meant.only_waiting { Vec::new() } else { active };
        for id in &stopping {
            self.jobs.get_mut(id).unwrap().stop = true;
        }
        // what was kept goes first, so that nothing of it follows a winner that is removed with it
        let (kept, other): (Vec<JobId>, Vec<JobId>) = rest.iter().partition(|id| self.jobs[id].state == JobState::Kept);
        for id in kept.into_iter().chain(other) {
            self.over(id, JobEvent::Removed, Outcome::Removed, now);
        }
        (stopping, rest)
    }

    pub(in crate::testing) fn retry(&mut self, id: JobId, even_if_done: bool, now: Timestamp) -> Retry {
        let Some(row) = self.jobs.get(&id) else { return Retry::Unknown };
        if row.state != JobState::Done {
            return Retry::NotOver;
        }
        if row.outcome.is_some_and(Outcome::is_applied) {
            return Retry::Succeeded;
        }
        if row.outcome == Some(Outcome::Doubtful) && !even_if_done {
            return Retry::Doubtful;
        }
        let later = row.job.window.as_ref().and_then(|window| self.window_but(&window.key, id, now));
        if let Some(later) = later {
            return Retry::AlreadyQueued { job: later };
        }
        if let Some(owner) = row.key.as_ref().and_then(|key| self.owner(key)) {
            return Retry::AlreadyQueued { job: owner };
        }
        let root = row.root;
        self.change(id, |row| {
            row.order = row.job.class.order_key(row.job.priority, now);
            (row.due, row.accepted, row.finished, row.outcome) = (now, now, None, None);
            (row.attempt, row.stop, row.flow) = (0, false, None);
            row.state = row.state.on(JobEvent::Retried).unwrap();
        });
        let linked = self.links.get(&id).cloned().unwrap_or_default();
        for root in root.into_iter().chain(linked) {
            if let Some(first) = self.jobs.get_mut(&root) {
                first.flow = None;
            }
        }
        Retry::Accepted
    }

    pub(in crate::testing) fn key(&self, key: &str, now: Timestamp) -> KeyState {
        let window = self.window(key, now);
        KeyState {
            job_id: self.owner(key),
            kept_job_id: self.kept.get(key).copied(),
            window_job_id: window.map(|(id, _)| id),
            window_until: window.map(|(_, until)| until),
        }
    }

    pub(in crate::testing) fn remove_key(&mut self, key: &str, id: JobId, now: Timestamp) -> bool {
        let Some(row) = self.jobs.get(&id) else { return false };
        let is_owner = row.key.as_deref() == Some(key) && row.state != JobState::Done;
        let has_window = row.job.window.as_ref().is_some_and(|window| window.key == key);
        let was_kept = row.state == JobState::Kept;
        self.change(id, |row| {
            row.key = row.key.take().filter(|_| !is_owner);
            row.window_until = row.window_until.filter(|_| !has_window);
        });
        if is_owner && was_kept {
            self.promote(id, now);
        } else if is_owner {
            self.start_kept(key, now);
        }
        is_owner || has_window
    }

    /// Forgets old jobs.
    pub(in crate::testing) fn clean(&mut self, before: Timestamp, now: Timestamp) -> u64 {
        let roots_of = |(id, row): (&JobId, &Row)| {
            row.root.into_iter().chain(self.links.get(id).into_iter().flatten().copied()).collect::<Vec<_>>()
        };
        let live: HashSet<JobId> =
            self.jobs.iter().filter(|(_, row)| row.state != JobState::Done).flat_map(roots_of).collect();
        let is_old = |id: JobId, row: &Row| {
            row.finished.is_some_and(|at| at < before)
                && row.window_until.is_none_or(|until| until <= now)
                && !live.contains(&row.root.unwrap_or(id))
        };
        let old: Vec<JobId> = self.jobs.iter().filter(|(id, row)| is_old(**id, row)).map(|(id, _)| *id).collect();
        for id in &old {
            let row = self.jobs.remove(id).unwrap();
            if let Some(window) = row.job.window {
                self.windows.get_mut(&window.key).unwrap().remove(id);
            }
        }
        old.len() as u64
    }
}

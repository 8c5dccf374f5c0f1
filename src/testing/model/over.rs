//! What must follow when an attempt or a job ends?

use super::{Model, Row, later};
use crate::{
    domain::{
        AgentId, Breaker, BreakerEvent, BreakerPolicy, ClaimedJob, FlowOutcome, Heartbeat, JobId, JobState, Lease,
        Mode, NextStep, Outcome, SourceReport, Timestamp, job::JobEvent,
    },
    testing::End,
};

impl Model {
    /// Ends an attempt; false if its lease is another's.
    pub(in crate::testing) fn end(&mut self, job: &ClaimedJob, end: &End, now: Timestamp) -> bool {
        let Some(row) = self.jobs.get(&job.id).filter(|row| row.state == JobState::Active && row.lease == job.lease)
        else {
            return false;
        };
        let next = if row.stop { NextStep::Done } else { end.next };
        let open = end.source.as_ref().and_then(|report| self.tell(report, &job.agent, now));
        let row = self.jobs.get_mut(&job.id).unwrap();
        row.lease += 1;
        row.owner.clear();
        row.outcome = Some(end.outcome);
        match next {
            NextStep::Done => self.over(job.id, JobEvent::Finished, end.outcome, now),
            NextStep::RetryIn(pause) => {
                row.due = open.unwrap_or(now).max(later(now, pause));
                self.apply(job.id, JobEvent::Backoff);
            }
            NextStep::GiveBack => {
                row.attempt -= 1;
                self.apply(job.id, JobEvent::Released);
            }
        }
        true
    }

    /// A job is over for good: its window, what was kept behind it, its flow.
    pub(in crate::testing) fn over(&mut self, id: JobId, event: JobEvent, outcome: Outcome, now: Timestamp) {
        self.apply(id, event);
        let row = self.jobs.get_mut(&id).unwrap();
        row.outcome = Some(outcome);
        row.finished = Some(now);
        let never_ran = event == JobEvent::Removed && row.started.is_none();
        let releases = row.job.window.as_ref().is_some_and(|window| window.release_on_failure);
        if never_ran || (releases && outcome.is_failure()) {
            row.window_until = None;
        }
        let (key, root) = (row.key.clone(), row.root.unwrap_or(id));
        if let Some(key) = key {
            self.start_kept(&key, now);
        }
        self.end_flow(root);
        self.end_flow(id);
        for root in self.links.get(&id).cloned().unwrap_or_default() {
            self.end_flow(root);
        }
    }

    pub(in crate::testing) fn start_kept(&mut self, key: &str, now: Timestamp) {
        if let Some(id) = self.kept.get(key).copied() {
            self.promote(id, now);
        }
    }

    /// A kept job starts by its own priority and delay.
    pub(in crate::testing) fn promote(&mut self, id: JobId, now: Timestamp) {
        self.change(id, |row| {
            let delay = match row.job.mode {
                Mode::Debounce { wait, .. } => wait,
                Mode::Refuse | Mode::KeepLast => row.job.delay,
            };
            row.due = later(now, delay);
            row.order = row.job.class.order_key(row.job.priority, now);
            row.state = row.state.on(JobEvent::Followed).unwrap();
            if row.due > now {
                row.state = row.state.on(JobEvent::Postponed).unwrap();
            }
        });
    }

    pub(in crate::testing) fn end_flow(&mut self, root: JobId) {
        let Some(family) = self.families.get(&root) else { return };
        let children: Vec<&Row> = family.iter().filter_map(|id| self.jobs.get(id)).collect();
        let is_over = |row: &&Row| row.state == JobState::Done;
        let failed = |row: &Row| row.outcome.is_some_and(Outcome::is_failure);
        if children.is_empty() || !children.iter().all(is_over) {
            return;
        }
        let errors = children.iter().any(|row| failed(row));
        let Some(first) = self.jobs.get_mut(&root).filter(|row| row.state == JobState::Done) else { return };
        first.flow = Some(match (failed(first), errors) {
            (true, _) => FlowOutcome::Failed,
            (false, true) => FlowOutcome::CompletedWithErrors,
            (false, false) => FlowOutcome::Completed,
        });
    }

    /// Tells an agent's breaker what a run has learnt; answers until when it is open.
    pub(in crate::testing) fn tell(
        &mut self,
        report: &SourceReport,
        agent: &AgentId,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let event = if report.failed.is_some() { BreakerEvent::Failed } else { BreakerEvent::Answered };
        self.move_breaker((agent, &report.source), event, report.policy, now)
    }

    /// A person trusts the source again.
    pub(in crate::testing) fn reset(&mut self, agent: &AgentId, source: &str, now: Timestamp) {
        self.move_breaker((agent, source), BreakerEvent::Reset, BreakerPolicy::default(), now);
    }

    fn move_breaker(
        &mut self,
        (agent, source): (&AgentId, &str),
        event: BreakerEvent,
        policy: BreakerPolicy,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let breaker = self.breakers.entry((agent.clone(), source.to_owned()));
        let breaker = breaker.or_insert(Breaker::Closed { failures: 0 });
        let before = *breaker;
        *breaker = before.on(event, policy, now);
        let until = breaker.open_until().filter(|until| *until > now);
        let own = |row: &Row| row.job.agent == *agent;
        match (until, before.open_until()) {
            (Some(until), _) => {
                for id in self.ids(|row| own(row) && row.state == JobState::Waiting && row.job.fetches()) {
                    self.change(id, |row| row.due = until);
                    self.apply(id, JobEvent::Postponed);
                }
            }
            (None, Some(opened)) => {
                for id in self.ids(|row| own(row) && row.state == JobState::Delayed && row.due == opened) {
                    self.change(id, |row| row.due = now);
                }
            }
            (None, None) => {}
        }
        until
    }

    pub(in crate::testing) fn ids(&self, is_meant: impl Fn(&Row) -> bool) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, row)| is_meant(row)).map(|(id, _)| *id).collect()
    }

    /// Takes a job from a dead process.
    pub(in crate::testing) fn rescue(&mut self, dead: &Heartbeat<JobId>, now: Timestamp) -> Option<Outcome> {
        let (Lease { id, number: lease }, heartbeat) = (dead.lease, dead.heartbeat);
        let row = self
            .jobs
            .get_mut(&id)
            .filter(|row| row.state == JobState::Active && (row.lease, row.heartbeat) == (lease, heartbeat))?;
        row.lease += 1;
        row.owner.clear();
        let is_over = row.stop || row.attempt >= row.job.max_attempts;
        self.change(id, |row| row.due = now);
        if is_over {
            self.over(id, JobEvent::Finished, Outcome::Lost, now);
        } else {
            self.apply(id, JobEvent::Released);
        }
        Some(Outcome::Lost)
    }

    /// Gives back what `owner` claimed without learning so.
    pub(in crate::testing) fn undo_claim(
        &mut self,
        Lease { id, number: lease }: Lease<JobId>,
        owner: &str,
        now: Timestamp,
    ) -> bool {
        let is_held = |row: &&mut Row| row.state == JobState::Active && row.lease == lease && row.owner == owner;
        let Some(row) = self.jobs.get_mut(&id).filter(is_held) else { return false };
        row.lease += 1;
        row.attempt -= 1;
        row.owner.clear();
        self.change(id, |row| row.due = now);
        self.apply(id, JobEvent::Released);
        true
    }
}

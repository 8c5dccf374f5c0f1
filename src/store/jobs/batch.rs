//! Jobs that are asked for together: each is decided over knowing those before it, and all are inserted at once.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, Set, prelude::*};

use super::{
    admission_snapshot::AdmissionSnapshot,
    flow, lane,
    row::{delay_ms, row},
    start::{claimed, start, startable},
};
use crate::{
    domain::{
        Admission, Claim, ClaimedJob, JobId, JobState, NewJob, RunId, Timestamp,
        admission::{Decision, OpenWindow, Owner, decide},
        gate,
    },
    store::{
        StoreError,
        db::{bulk, dialect},
        schema::entity,
    },
};

use entity::job::Column as C;

/// What became of jobs that were asked for together.
pub(crate) struct Admitted {
    /// One a job, in order.
    pub answers: Vec<Admission>,
    /// What was looked at: it is what a claim looks at.
    pub facts: AdmissionSnapshot,
    /// Those that run already.
    pub started: Vec<ClaimedJob>,
}

/// The jobs that are asked for together. Until they are inserted they have numbers below zero, by their order.
pub(crate) struct Batch<'t> {
    tx: &'t DatabaseTransaction,
    /// Room for those that can start at once.
    claim: Option<&'t mut Claim>,
    now: Timestamp,
    /// What the database holds of them, and what was accepted here since.
    facts: AdmissionSnapshot,
    /// Accepted, but not yet inserted.
    pending: Vec<entity::job::ActiveModel>,
    answers: Vec<Admission>,
    started: Vec<ClaimedJob>,
}

impl<'t> Batch<'t> {
    pub(crate) fn new(
        tx: &'t DatabaseTransaction,
        claim: Option<&'t mut Claim>,
        facts: AdmissionSnapshot,
        now: Timestamp,
    ) -> Self {
        Self { tx, claim, now, facts, pending: Vec::new(), answers: Vec::new(), started: Vec::new() }
    }

    /// Inserts what is pending; what became of them all.
    pub(crate) async fn end(mut self) -> Result<Admitted, StoreError> {
        self.flush().await?;
        let Batch { answers, facts, started, .. } = self;
        Ok(Admitted { answers, facts, started })
    }
}

impl Batch<'_> {
    /// Decides over one more job.
    pub(crate) async fn admit(&mut self, job: &NewJob) -> Result<(), StoreError> {
        let window = job.window.as_ref().and_then(|window| self.facts.windows.get(&window.key));
        let owner = job.dedup_key.as_ref().and_then(|key| self.facts.owners.get(key));
        let work = (job.class, job.reason, job.force, job.fetches());
        let shut = gate::shut(self.facts.pause.as_ref(), self.facts.open.get(&job.agent).copied(), work, self.now);
        let decision = decide(job, window, shut, owner, self.now);
        if is_about_pending(&decision, job) {
            // the job that it is about needs its number now
            self.flush().await?;
            return Box::pin(self.admit(job)).await;
        }
        let answer = match decision {
            Decision::Refuse(refusal) => {
                if let (Admission::AlreadyQueued { job: stands_in }, Some(parent)) = (refusal, job.parent) {
                    let root = self.facts.roots.get(&parent).copied().unwrap_or(parent);
                    if !flow::link(self.tx, stands_in, root).await? {
                        // it has ended since it was looked at, and its key is free
                        self.facts.owners.retain(|_, owner| owner.job != stands_in);
                        return Box::pin(self.admit(job)).await;
                    }
                }
                refusal
            }
            Decision::Insert { due, latest_start } => {
                let state = if due > self.now { JobState::Delayed } else { JobState::Waiting };
                self.insert_later(job, state, due, latest_start);
                return Ok(());
            }
            Decision::Replace { job: id, due } => {
                let start = self.replace(id, job, due).await?;
                Admission::Replaced { job: id, start_in: (start - self.now).to_std().unwrap_or_default() }
            }
            Decision::Keep { behind, over: Some(kept) } => {
                self.replace(kept, job, None).await?;
                Admission::Kept { job: kept, behind }
            }
            Decision::Keep { behind, over: None } => {
                if !flow::still_lives(self.tx, behind).await? {
                    // it has ended since it was looked at, and its key is free
                    self.facts.owners.retain(|_, owner| owner.job != behind);
                    return Box::pin(self.admit(job)).await;
                }
                self.insert_later(job, JobState::Kept, self.now, None);
                self.flush().await?;
                let kept = self.answers.last().and_then(|answer| answer.job()).unwrap_or_default();
                self.answers.pop();
                if let Some(owner) = job.dedup_key.as_ref().and_then(|key| self.facts.owners.get_mut(key)) {
                    (owner.job, owner.kept) = (behind, Some(kept));
                }
                Admission::Kept { job: kept, behind }
            }
        };
        self.answers.push(answer);
        Ok(())
    }

    fn insert_later(&mut self, job: &NewJob, state: JobState, due: Timestamp, latest_start: Option<Timestamp>) {
        self.note_due(state, due);
        let root = job.parent.map(|parent| self.facts.roots.get(&parent).copied().unwrap_or(parent));
        let row = row(job, state, (due, latest_start), root, self.now);
        // its number comes with the insert
        let id = JobId(-1 - i64::try_from(self.pending.len()).unwrap_or(i64::MAX));
        self.answers.push(Admission::Accepted { job: id });
        self.remember(id, &row);
        self.pending.push(row);
    }

    fn note_due(&mut self, state: JobState, due: Timestamp) {
        if state == JobState::Delayed {
            self.facts.next_due = self.facts.next_due.into_iter().chain([due]).min();
        }
    }

    fn note_first(&mut self, order_key: i64) {
        self.facts.first = self.facts.first.into_iter().chain([order_key]).min();
    }

    /// Inserts what is pending, and starts what can start at once.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let failed = StoreError::while_doing("admit jobs");
        let mut pending = std::mem::take(&mut self.pending);
        let mut runs: HashMap<usize, RunId> = HashMap::new();
        if let Some(claim) = self.claim.as_deref_mut() {
            let places = startable(claim, &self.facts, &pending, self.now);
            let numbers = dialect::take_numbers(self.tx, "sync_run", places.len()).await.map_err(&failed)?;
            for (place, run) in places.into_iter().zip(numbers.into_iter().map(RunId)) {
                start(&mut pending[place], run, &claim.owner, self.now)?;
                runs.insert(place, run);
            }
        }
        let overtaken = self.find_heads(&mut pending);
        lane::mark(self.tx, overtaken, false).await?;
        let ids = bulk::insert::<_, JobId>(self.tx, pending.clone()).await.map_err(failed)?;
        let real =
            |job: JobId| usize::try_from(-1 - job.0).ok().and_then(|place| ids.get(place)).copied().unwrap_or(job);
        for answer in &mut self.answers {
            *answer = answer.renumbered(real);
        }
        for owner in self.facts.owners.values_mut() {
            owner.job = real(owner.job);
        }
        for window in self.facts.windows.values_mut() {
            window.job = real(window.job);
        }
        for (place, (id, row)) in ids.iter().zip(&pending).enumerate() {
            if *row.is_next.as_ref() {
                self.note_first(*row.order_key.as_ref());
                self.facts.heads.insert(lane_of(row), (*row.order_key.as_ref(), *id));
            }
            if let Some(run) = runs.get(&place) {
                let job = claimed(*id, *run, row, self.now);
                self.facts.busy.insert(job.agent.to_string());
                let owner = job.dedup_key.as_ref().and_then(|key| self.facts.owners.get_mut(key));
                if let Some(owner) = owner.filter(|owner| owner.job == *id) {
                    (owner.state, owner.has_begun) = (JobState::Active, true);
                }
                self.started.push(job);
            }
        }
        Ok(())
    }

    /// Marks those of the pending jobs that are first in their lanes; answers the jobs that they overtake.
    fn find_heads(&self, pending: &mut [entity::job::ActiveModel]) -> Vec<JobId> {
        let mut best: HashMap<(String, String), (i64, usize)> = HashMap::new();
        for (number, row) in pending.iter().enumerate() {
            if *row.state.as_ref() == JobState::Waiting {
                let place = (*row.order_key.as_ref(), number);
                best.entry(lane_of(row)).and_modify(|first| *first = place.min(*first)).or_insert(place);
            }
        }
        let mut overtaken = Vec::new();
        for (lane, (order, number)) in best {
            match self.facts.heads.get(&lane) {
                Some((head, _)) if *head <= order => continue,
                Some((_, id)) => overtaken.push(*id),
                None => {}
            }
            pending[number].is_next = Set(true);
        }
        overtaken
    }

    /// It has its keys from now on.
    fn remember(&mut self, id: JobId, row: &entity::job::ActiveModel) {
        let digest = row.payload_digest.as_ref().clone();
        let state = *row.state.as_ref();
        if let Some(key) = row.dedup_key.as_ref().clone().filter(|_| state != JobState::Kept) {
            let latest_start = *row.latest_start.as_ref();
            let owner = Owner { job: id, state, has_begun: false, latest_start, kept: None, digest: digest.clone() };
            self.facts.owners.insert(key, owner);
        }
        if let (Some(key), Some(until)) = (row.throttle_key.as_ref().clone(), *row.throttle_until.as_ref()) {
            self.facts.windows.insert(key, OpenWindow { job: id, until, digest });
        }
    }

    /// Gives a job that has not started the payload of `job`; answers its start.
    async fn replace(&mut self, id: JobId, job: &NewJob, due: Option<Timestamp>) -> Result<Timestamp, StoreError> {
        let failed = StoreError::while_doing("replace a payload");
        let old = entity::job::Entity::find_by_id(id).one(self.tx).await.map_err(&failed)?;
        let old = old.ok_or_else(|| StoreError::Missing(format!("job {id}")))?;
        let was = old.state;
        let start = due.unwrap_or(old.due_at);
        let is_later = was != JobState::Kept && start > self.now;
        let accepted = if was == JobState::Kept { self.now } else { old.enqueued_at };
        let mut update = entity::job::Entity::update_many()
            .col_expr(C::Payload, Expr::val(job.payload.clone()))
            .col_expr(C::PayloadDigest, Expr::val(job.digest()))
            .col_expr(C::Reason, Expr::val(job.reason))
            .col_expr(C::Force, Expr::val(job.force))
            .col_expr(C::Priority, Expr::val(i32::from(job.priority)))
            .col_expr(C::OrderKey, Expr::val(job.class.order_key(job.priority, accepted)))
            .col_expr(C::DelayMs, Expr::val(delay_ms(job)))
            .col_expr(C::DueAt, Expr::val(start))
            .filter(C::Id.eq(id));
        if was == JobState::Waiting {
            self.note_first(job.class.order_key(job.priority, accepted));
        }
        if is_later {
            self.note_due(JobState::Delayed, start);
            update = update.col_expr(C::State, Expr::val(JobState::Delayed)).col_expr(C::IsNext, Expr::val(false));
        }
        update.exec(self.tx).await.map_err(failed)?;
        lane::refresh(self.tx, [id]).await?;
        self.facts.heads.remove(&(old.job_type, old.agent_id.clone()));
        self.facts.heads.extend(lane::heads(self.tx, [old.agent_id.as_str()].into()).await?);
        Ok(start)
    }
}

/// Does it change, or link, a job that is not inserted yet?
fn is_about_pending(decision: &Decision, job: &NewJob) -> bool {
    match decision {
        Decision::Refuse(refusal) => job.parent.is_some() && refusal.job().is_some_and(|job| job.0 < 0),
        Decision::Replace { job, .. } => job.0 < 0,
        Decision::Keep { behind, over } => behind.0 < 0 || over.is_some_and(|over| over.0 < 0),
        Decision::Insert { .. } => false,
    }
}

fn lane_of(row: &entity::job::ActiveModel) -> (String, String) {
    (row.job_type.as_ref().clone(), row.agent_id.as_ref().clone())
}

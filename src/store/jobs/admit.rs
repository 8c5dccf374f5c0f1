//! Which jobs are accepted? Asks the rules of admission, with what the database holds; many jobs at once.

use std::collections::{HashMap, HashSet};

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, Set, prelude::*};

use super::{
    admission_snapshot::{AdmissionSnapshot, facts},
    claim::claim_in,
    dedup_cache::DedupCache,
    flow, lane,
    row::{delay_ms, row},
};
use crate::{
    domain::{
        Admission, Claim, Claimed, ClaimedJob, JobId, JobState, NewJob, Slot, Timestamp,
        admission::{Decision, OpenWindow, Owner, decide},
        gate,
    },
    store::{
        Store, StoreError,
        db::{bulk, statistics::Queue},
        schema::entity,
        settings::schedule::move_tick,
    },
};

use entity::job::Column as C;

impl Store {
    /// Admits or refuses jobs, all in one durable transaction; one answer a job, in order. What can start at
    /// once is claimed in the same transaction, as far as `claim` has room.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was admitted and none claimed.
    pub async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), StoreError> {
        let is_new = |job: &&NewJob| job.refused_for.is_none();
        let key = |job| Some(job).filter(is_new).and_then(|job: &NewJob| job.dedup_key.clone());
        let keys: Vec<Option<String>> = jobs.iter().map(key).collect();
        self.note_growth(Queue::Jobs, jobs.len());
        let (inner, live) = (self.inner.clone(), self.inner.clone());
        let learn = move |(answers, _): &(Vec<Admission>, Option<Claimed>)| {
            let taken = keys.into_iter().zip(answers).filter_map(|(key, answer)| match answer {
                Admission::Accepted { job } | Admission::AlreadyQueued { job } => Some((key?, *job)),
                _ => None,
            });
            inner.dedup.learn(taken, now);
        };
        let write = self.inner.writer.write(
            move |tx| {
                Box::pin(async move {
                    let (answers, facts) = admit_again(tx, &live.dedup, jobs, now).await?;
                    let claimed = match claim {
                        Some(claim) => Some(claim_in(tx, &claim, facts, now).await?),
                        None => None,
                    };
                    Ok((answers, claimed))
                })
            },
            learn,
        );
        write.await
    }

    /// The live job that has this in-flight key, as far as this process has seen it taken a moment ago: no look
    /// at the database, so another process may have ended it meanwhile.
    #[must_use]
    pub fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        self.inner.dedup.owner(key, now)
    }

    /// Moves a timer's slot and admits its jobs in one transaction; `None` if another process had
    /// moved it already, so that each slot fires once.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then the slot has not moved.
    pub async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if !move_tick(tx, &slot.sync_type, slot.due, slot.next).await? {
                    return Ok(None);
                }
                admit_all(tx, jobs, now).await.map(|(answers, _)| Some(answers))
            })
        })
        .await
    }

    /// Admits one job and claims it at once, in one transaction; a job with its key that only waits is
    /// claimed instead. `None` if its agent is busy or has urgent work waiting, or the service is paused; then
    /// nothing is stored.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn enqueue_claimed(
        &self,
        job: NewJob,
        owner: String,
        now: Timestamp,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("claim a job");
                let running = entity::job::Entity::find().filter(lane::is(JobState::Active));
                let busy = running.filter(C::AgentId.eq(job.agent.as_str())).one(tx).await.map_err(&failed)?;
                let heads = lane::heads(tx, [job.agent.as_str()].into()).await?;
                // writes and downloads have negative keys: they come first
                if busy.is_some() || heads.values().any(|(order, _)| *order < 0) {
                    return Ok(None);
                }
                let (answers, _) = admit_all(tx, vec![job], now).await?;
                let Some(id) = answers.first().and_then(|answer| answer.job()) else { return Ok(None) };
                let row = entity::job::Entity::find_by_id(id).into_partial_model().one(tx).await.map_err(&failed)?;
                let row = row.ok_or_else(|| StoreError::Missing(format!("job {id}")))?;
                Ok(crate::store::jobs::take::take(tx, vec![row], &owner, now).await?.pop())
            })
        })
        .await
    }
}

/// The jobs that are asked for together.
struct Desk<'t> {
    tx: &'t DatabaseTransaction,
    now: Timestamp,
    /// What the database holds of them, and what was accepted here since.
    facts: AdmissionSnapshot,
    /// Accepted, but not yet inserted: by their place among the answers.
    pending: Vec<(usize, entity::job::ActiveModel)>,
    pending_keys: HashSet<String>,
    answers: Vec<Admission>,
}

/// Admits jobs, those apart that were refused from memory for a job that this process has ended since: that
/// job lived when they were refused.
async fn admit_again(
    tx: &DatabaseTransaction,
    live: &DedupCache,
    jobs: Vec<NewJob>,
    now: Timestamp,
) -> Result<(Vec<Admission>, AdmissionSnapshot), StoreError> {
    let rightly = |job: &NewJob| job.refused_for.filter(|winner| live.has_ended(*winner));
    let refused: Vec<Option<JobId>> = jobs.iter().map(rightly).collect();
    let open = jobs.into_iter().zip(&refused).filter(|(_, refused)| refused.is_none()).map(|(job, _)| job);
    let (answers, facts) = admit_all(tx, open.collect(), now).await?;
    let mut answers = answers.into_iter();
    let told = refused.into_iter().map(|refused| match refused {
        Some(job) => Some(Admission::AlreadyQueued { job }),
        None => answers.next(),
    });
    let told = told.collect::<Option<_>>().ok_or_else(|| StoreError::Missing("answer to a job".to_owned()))?;
    Ok((told, facts))
}

/// Admits jobs one after the other, each knowing those before it. What was looked at is answered, too: it is what a
/// claim looks at.
pub(crate) async fn admit_all(
    tx: &DatabaseTransaction,
    jobs: Vec<NewJob>,
    now: Timestamp,
) -> Result<(Vec<Admission>, AdmissionSnapshot), StoreError> {
    let facts = facts(tx, &jobs, now).await?;
    let answers = Vec::with_capacity(jobs.len());
    let mut desk = Desk { tx, now, facts, pending: Vec::new(), pending_keys: HashSet::new(), answers };
    for job in jobs {
        desk.admit(&job).await?;
    }
    desk.flush().await?;
    Ok((desk.answers, desk.facts))
}

/// Admits one job.
pub(crate) async fn admit(tx: &DatabaseTransaction, job: NewJob, now: Timestamp) -> Result<Admission, StoreError> {
    let (answers, _) = admit_all(tx, vec![job], now).await?;
    answers.into_iter().next().ok_or_else(|| StoreError::Missing("answer to a job".to_owned()))
}

impl Desk<'_> {
    async fn admit(&mut self, job: &NewJob) -> Result<(), StoreError> {
        let keys = [job.dedup_key.as_ref(), job.window.as_ref().map(|window| &window.key)];
        if keys.into_iter().flatten().any(|key| self.pending_keys.contains(key)) {
            // its winner is among those just accepted: their numbers are needed now
            self.flush().await?;
        }
        let window = job.window.as_ref().and_then(|window| self.facts.windows.get(&window.key));
        let owner = job.dedup_key.as_ref().and_then(|key| self.facts.owners.get(key));
        let work = (job.class, job.reason, job.force, job.fetches());
        let shut = gate::shut(self.facts.pause.as_ref(), self.facts.open.get(&job.agent).copied(), work, self.now);
        let decision = decide(job, window, shut, owner, self.now);
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
        let place = self.answers.len();
        // its number comes with the insert
        self.answers.push(Admission::Accepted { job: JobId::default() });
        let root = job.parent.map(|parent| self.facts.roots.get(&parent).copied().unwrap_or(parent));
        self.pending_keys.extend(job.dedup_key.clone());
        self.pending_keys.extend(job.window.as_ref().map(|window| window.key.clone()));
        self.pending.push((place, row(job, state, (due, latest_start), root, self.now)));
    }

    fn note_due(&mut self, state: JobState, due: Timestamp) {
        if state == JobState::Delayed {
            self.facts.next_due = self.facts.next_due.into_iter().chain([due]).min();
        }
    }

    fn note_first(&mut self, order_key: i64) {
        self.facts.first = self.facts.first.into_iter().chain([order_key]).min();
    }

    /// Inserts what is pending, and remembers it as the owner of its keys.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.pending_keys.clear();
        let mut pending = std::mem::take(&mut self.pending);
        let overtaken = self.find_heads(&mut pending);
        lane::mark(self.tx, overtaken, false).await?;
        let inserted = pending.iter().map(|(_, row)| row.clone()).collect();
        let ids = bulk::insert(self.tx, inserted).await.map_err(StoreError::while_doing("admit jobs"))?;
        for (id, (place, row)) in ids.into_iter().zip(&pending) {
            self.answers[*place] = Admission::Accepted { job: id };
            self.remember(id, row);
        }
        Ok(())
    }

    /// Marks those of the pending jobs that are first in their lanes; answers the jobs that they overtake.
    fn find_heads(&self, pending: &mut [(usize, entity::job::ActiveModel)]) -> Vec<JobId> {
        let mut best: HashMap<(String, String), (i64, usize)> = HashMap::new();
        for (number, (_, row)) in pending.iter().enumerate() {
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
            pending[number].1.is_next = Set(true);
        }
        overtaken
    }

    fn remember(&mut self, id: JobId, row: &entity::job::ActiveModel) {
        let digest = row.payload_digest.as_ref().clone();
        let state = *row.state.as_ref();
        if let Some(key) = row.dedup_key.as_ref().clone().filter(|_| state != JobState::Kept) {
            let latest_start = *row.latest_start.as_ref();
            let owner = Owner { job: id, state, has_begun: false, latest_start, kept: None, digest: digest.clone() };
            self.facts.owners.insert(key, owner);
        }
        if *row.is_next.as_ref() {
            self.note_first(*row.order_key.as_ref());
            self.facts.heads.insert(lane_of(row), (*row.order_key.as_ref(), id));
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

fn lane_of(row: &entity::job::ActiveModel) -> (String, String) {
    (row.job_type.as_ref().clone(), row.agent_id.as_ref().clone())
}

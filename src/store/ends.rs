//! How do many plain runs end together? What most runs leave behind is a few values: those that end while a
//! transaction is under way share the next one, in a dozen statements whatever their number.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Weak,
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    prelude::*,
    sea_query::{ExprTrait, OnConflict},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Inner, Store, StoreError, entity,
    finish::{Finish, Finished, run_row},
    lane,
    link::{count_orphans, warn_of_orphans},
    over::{Over, follow},
};
use crate::{
    domain::{ClaimedJob, Class, Counts, JobId, JobState, NextStep, Outcome, Timestamp, job::JobEvent},
    sync_type::SyncTypes,
};

use entity::job::Column as C;

/// Ends in one transaction.
const AT_ONCE: usize = 500;

/// An attempt that ends, and who waits for it to be stored.
pub(super) struct Ending {
    job: ClaimedJob,
    end: Finish,
    now: Timestamp,
    reply: oneshot::Sender<Result<Finished, StoreError>>,
}

/// Does it end with nothing to store but what became of the run? A sync that succeeded and is over, with
/// nothing to delete, to hold, to quarantine or to tell a breaker.
fn is_plain(job: &ClaimedJob, end: &Finish, next: NextStep) -> bool {
    let Finish {
        outcome,
        stage: _,
        error_code,
        error,
        counts: _,
        verdicts,
        notes: _,
        layout: _,
        quarantined,
        missed_at: _,
        missing,
        deleted,
        sha256: _,
        version: _,
        plan_digest: _,
        document,
        source,
        result,
    } = end;
    job.class == Class::Sync
        && next == NextStep::Done
        && outcome.is_some_and(Outcome::is_applied)
        && error_code.is_none()
        && error.is_none()
        && verdicts.is_empty()
        && quarantined.is_empty()
        && missing.is_empty()
        && deleted.is_empty()
        && document.is_none()
        && result.is_none()
        && source.as_ref().is_none_or(|source| source.failed.is_none())
        && job.document.is_none()
        && job.approves.is_none()
}

impl Store {
    /// Ends an attempt, with others if it is a plain one.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the job is another's by now; nothing is written then.
    pub async fn finish(
        &self,
        job: &ClaimedJob,
        end: Finish,
        next: NextStep,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        if !is_plain(job, &end, next) {
            return self.finish_alone(job, end, next, now).await;
        }
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Interrupted("the database is closed".to_owned());
        self.inner.ends.send(Ending { job: job.clone(), end, now, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Stores ends as they come, until the store is dropped.
pub(super) async fn work(inner: Weak<Inner>, mut ends: mpsc::Receiver<Ending>) {
    let mut batch = Vec::new();
    while ends.recv_many(&mut batch, AT_ONCE).await > 0 {
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner };
        let (asked, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|ending| ((ending.job, ending.end, ending.now), ending.reply)).unzip();
        let stored = store.end_together(asked.clone()).await;
        for ((job, end, now), reply) in asked.into_iter().zip(replies) {
            let answer = match &stored {
                Ok(Stored { done, .. }) if done.contains_key(&(job.id, job.lease)) => {
                    Ok(Finished { counts: done[&(job.id, job.lease)], ..Finished::default() })
                }
                Ok(stored) if stored.lost.contains(&(job.id, job.lease)) => {
                    Err(StoreError::LeaseLost { job: job.id, lease: job.lease })
                }
                // something waits behind it, or one of them could not be stored: each by itself then
                Ok(_) | Err(_) => {
                    let store = store.clone();
                    tokio::spawn(async move {
                        drop(reply.send(store.finish_alone(&job, end, NextStep::Done, now).await));
                    });
                    continue;
                }
            };
            // whoever asked may have stopped waiting
            drop(reply.send(answer));
        }
    }
}

/// Which of the ends are stored, and which were refused; by job and lease, since one process may run a job
/// again while its given-up attempt still ends.
#[derive(Default)]
struct Stored {
    done: HashMap<(JobId, i64), Counts>,
    lost: HashSet<(JobId, i64)>,
}

impl Store {
    async fn end_together(&self, asked: Vec<(ClaimedJob, Finish, Timestamp)>) -> Result<Stored, StoreError> {
        let (types, before, after) = (self.types().clone(), self.inner.clone(), self.inner.clone());
        let keys: Vec<String> = asked.iter().filter_map(|(job, ..)| job.dedup_key.clone()).collect();
        let forgotten = keys.clone();
        // as `write_ending`: before the commit, and after it
        let write = self.inner.writer.write(
            move |tx| {
                Box::pin(async move {
                    let stored = end_in(tx, &types, asked).await?;
                    for key in &keys {
                        before.live.forget(key);
                    }
                    before.live.end(stored.done.keys().map(|(job, _)| *job));
                    Ok(stored)
                })
            },
            move |_| {
                for key in &forgotten {
                    after.live.forget(key);
                }
            },
        );
        write.await
    }
}

async fn end_in(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    asked: Vec<(ClaimedJob, Finish, Timestamp)>,
) -> Result<Stored, StoreError> {
    let failed = StoreError::while_doing("end runs");
    let rows = entity::job::Entity::find()
        .filter(C::Id.is_in(asked.iter().map(|(job, ..)| job.id)))
        .filter(lane::is(JobState::Active))
        .order_by_asc(C::Id)
        .lock_exclusive()
        .all(tx)
        .await
        .map_err(&failed)?;
    let rows: HashMap<JobId, entity::job::Model> = rows.into_iter().map(|row| (row.id, row)).collect();
    let busy = followed(tx, &rows).await?;
    let orphans = orphans(tx, types, &rows).await?;
    let mut stored = Stored::default();
    let mut runs = Vec::new();
    let mut outcomes: BTreeMap<&'static str, Vec<JobId>> = BTreeMap::new();
    let mut over = Vec::new();
    let mut latest = None;
    for (job, mut end, now) in asked {
        let Some(row) = rows.get(&job.id).filter(|row| row.lease == job.lease) else {
            stored.lost.insert((job.id, job.lease));
            continue;
        };
        if busy.contains(&job.id) {
            continue;
        }
        latest = Ord::max(latest, Some(now));
        outcomes.entry(end.outcome.map_or("", Outcome::as_str)).or_default().push(job.id);
        over.push(Over::from(row));
        let fingerprint = types.get(&row.job_type).map_or("", |spec| spec.fingerprint.as_str());
        let mut counts = end.counts;
        if let Some(parent) = types.get(&row.job_type).and_then(|spec| spec.parent.as_ref()) {
            let of = (row.job_type.clone(), row.agent_id.clone());
            let (orphans, live) = orphans.get(&of).copied().unwrap_or_default();
            counts.orphans = orphans;
            warn_of_orphans(&mut end.notes, orphans, live, parent.sync_type.as_str());
        }
        stored.done.insert((job.id, job.lease), counts);
        runs.push(entity::sync_run::ActiveModel {
            id: Set(job.run),
            job_id: Set(job.id),
            sync_type: Set(row.job_type.clone()),
            agent_id: Set(row.agent_id.clone()),
            reason: Set(row.reason.clone()),
            attempt: Set(row.attempt),
            spec_fingerprint: Set(fingerprint.to_owned()),
            started_at: Set(row.started_at.unwrap_or(now)),
            ..run_row(end, counts, None, now)
        });
    }
    let Some(now) = latest else { return Ok(stored) };
    end_runs(tx, runs).await.map_err(&failed)?;
    for (outcome, ids) in outcomes {
        entity::job::Entity::update_many()
            .col_expr(C::Owner, Expr::val(Option::<String>::None))
            .col_expr(C::Lease, Expr::col(C::Lease).add(1))
            .col_expr(C::State, Expr::val(super::claim::state_after(JobState::Active.as_str(), JobEvent::Finished)?))
            .col_expr(C::Outcome, Expr::val(outcome))
            .col_expr(C::FinishedAt, Expr::val(now))
            .filter(C::Id.is_in(ids))
            .exec(tx)
            .await
            .map_err(&failed)?;
    }
    entity::agent_lock::Entity::delete_many()
        .filter(entity::agent_lock::Column::JobId.is_in(over.iter().map(|job| job.id)))
        .exec(tx)
        .await
        .map_err(&failed)?;
    follow(tx, types, &over, now).await?;
    Ok(stored)
}

/// `(type, agent)` -> `(records without a parent, all records)`, for the types that have parents.
async fn orphans(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    rows: &HashMap<JobId, entity::job::Model>,
) -> Result<HashMap<(String, String), (u64, u64)>, StoreError> {
    let mut agents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows.values() {
        agents.entry(row.job_type.as_str()).or_default().push(&row.agent_id);
    }
    let mut counted = HashMap::new();
    for (name, agents) in agents {
        let Some(spec) = types.get(name).filter(|spec| spec.parent.is_some()) else { continue };
        let found = count_orphans(tx, spec, &agents).await.map_err(StoreError::while_doing("count orphans"))?;
        counted.extend(found.into_iter().map(|(agent, counts)| ((name.to_owned(), agent), counts)));
    }
    Ok(counted)
}

/// Which of these jobs leave more behind after all: follow-ups that are due, holds to settle, a breaker that
/// has counted failures?
async fn followed(
    tx: &DatabaseTransaction,
    rows: &HashMap<JobId, entity::job::Model>,
) -> Result<HashSet<JobId>, StoreError> {
    use entity::{breaker::Column as B, sync_run::Column as R};
    let failed = StoreError::while_doing("see what a run leaves behind");
    let agents = || rows.values().map(|row| row.agent_id.as_str());
    let mut concerned: HashSet<(String, String)> = entity::job::Entity::find()
        .filter(Expr::cust("follow_up_due"))
        .filter(C::AgentId.is_in(agents()))
        .select_only()
        .columns([C::JobType, C::AgentId])
        .into_tuple()
        .all(tx)
        .await
        .map_err(&failed)?
        .into_iter()
        .collect();
    let held: Vec<(String, String)> = entity::sync_run::Entity::find()
        .filter(Expr::cust("hold IN ('open', 'approved')"))
        .filter(R::AgentId.is_in(agents()))
        .select_only()
        .columns([R::SyncType, R::AgentId])
        .into_tuple()
        .all(tx)
        .await
        .map_err(&failed)?;
    concerned.extend(held);
    let failing: HashSet<String> = entity::breaker::Entity::find()
        .filter(B::Failures.gt(0).or(B::OpenUntil.is_not_null()))
        .filter(B::AgentId.is_in(agents()))
        .select_only()
        .column(B::AgentId)
        .into_tuple()
        .all(tx)
        .await
        .map_err(&failed)?
        .into_iter()
        .collect();
    let is_concerned = |row: &&entity::job::Model| {
        failing.contains(&row.agent_id) || concerned.contains(&(row.job_type.clone(), row.agent_id.clone()))
    };
    Ok(rows.values().filter(is_concerned).map(|row| row.id).collect())
}

/// The runs began when they were claimed: their entries are there, and are filled.
async fn end_runs(tx: &DatabaseTransaction, runs: Vec<entity::sync_run::ActiveModel>) -> Result<(), DbErr> {
    use entity::sync_run::Column as R;
    let ends = [
        R::Outcome,
        R::Stage,
        R::Read,
        R::Inserted,
        R::Updated,
        R::Refreshed,
        R::Unchanged,
        R::Restored,
        R::Skipped,
        R::Missing,
        R::Deleted,
        R::Orphans,
        R::Notes,
        R::Layout,
        R::LayoutFingerprint,
        R::PlanDigest,
        R::DocumentSha256,
        R::DocumentVersion,
        R::FinishedAt,
    ];
    let fill = OnConflict::column(R::Id).update_columns(ends).to_owned();
    let insert = entity::sync_run::Entity::insert_many(runs).on_conflict(fill).into_query();
    tx.execute(&insert).await.map(|_| ())
}

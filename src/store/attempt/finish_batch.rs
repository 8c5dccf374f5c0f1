//! How do many plain runs end together? What most runs leave behind is a few values: those that end while a
//! transaction is under way share the next one; on PostgreSQL in a dozen statements whatever their number.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Weak,
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    prelude::*,
    sea_query::{ExprTrait, IntoTableRef, LockBehavior, LockType, Query, TableRef, UnionType},
};
use tokio::sync::{mpsc, oneshot};

use super::finish::Finished;
use crate::{
    domain::{ClaimedJob, Class, Counts, JobId, JobState, Lease, NextStep, Outcome, RunId, Timestamp, job::JobEvent},
    store::{
        Inner, Store, StoreError,
        db::{
            arrays::{among, among_ids},
            bulk,
        },
        jobs::lane,
        records::parents::{count_orphans, warn_of_orphans},
        runs::{
            ending::{Finish, ended, run_row},
            log::keep_logs,
        },
        schema::entity,
        settings::audit::Signer,
        states::count_in::count_in,
    },
    sync_type::{SyncTypes, ValueType},
};

use entity::job::Column as C;

/// Ends in one transaction.
const AT_ONCE: usize = 500;

/// An attempt that ends, and who waits for it to be stored.
pub(crate) struct Ending {
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
        stages: _,
        spec_fingerprint: _,
        log: _,
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
pub(crate) async fn work(inner: Weak<Inner>, mut ends: mpsc::Receiver<Ending>) {
    let mut batch = Vec::new();
    while ends.recv_many(&mut batch, AT_ONCE).await > 0 {
        let Some(inner) = inner.upgrade() else { return };
        let store = Store { inner, signer: Signer::default() };
        let (asked, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|ending| ((ending.job, ending.end, ending.now), ending.reply)).unzip();
        let stored = store.end_together(asked.clone()).await;
        for ((job, end, now), reply) in asked.into_iter().zip(replies) {
            let answer = match &stored {
                Ok(Stored { done, .. }) if done.contains_key(&job.held()) => {
                    Ok(Finished { counts: done[&job.held()], ..Finished::default() })
                }
                Ok(stored) if stored.lost.contains(&job.held()) => {
                    Err(StoreError::LeaseLost { job: job.id, lease: job.lease })
                }
                // something waits behind it, it is being decided over, or one of them could not be stored: each by
                // itself then, in its turn
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
    done: HashMap<Lease<JobId>, Counts>,
    lost: HashSet<Lease<JobId>>,
}

impl Store {
    async fn end_together(&self, asked: Vec<(ClaimedJob, Finish, Timestamp)>) -> Result<Stored, StoreError> {
        let (types, inner) = (self.types().clone(), self.inner.clone());
        let keys: Vec<String> = asked.iter().filter_map(|(job, ..)| job.dedup_key.clone()).collect();
        let forgotten = keys.clone();
        // they decide nothing over the queue, and what is decided meanwhile finds them running or over
        let write = self.write_beside(move |tx| {
            Box::pin(async move {
                let stored = end_in(tx, &types, asked).await?;
                // before the commit, so that nobody who sees the end is answered from memory ...
                inner.dedup.end(stored.done.keys().map(|held| held.id));
                for key in &keys {
                    inner.dedup.forget(key);
                }
                Ok(stored)
            })
        });
        let stored = write.await;
        // ... and after it, because the key may have been learnt meanwhile
        for key in &forgotten {
            self.inner.dedup.forget(key);
        }
        stored
    }
}

async fn end_in(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    asked: Vec<(ClaimedJob, Finish, Timestamp)>,
) -> Result<Stored, StoreError> {
    let failed = StoreError::while_doing("end runs");
    let ids = asked.iter().map(|(job, ..)| job.id);
    // Locked, so that what follows sees all that was decided before, and nothing else is decided until it is written:
    // a newer wish that is kept behind one of them, a rescue, a stop. What is locked is being decided over, and left:
    // whoever holds one row and waits for another can be waited for in a ring. By number alone: the index of what runs
    // is full of what ran a moment ago.
    let found = entity::job::Entity::find()
        .filter(among_ids(Expr::col(C::Id), ids, tx.get_database_backend()))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .select_only()
        .columns([C::Id, C::Lease, C::State])
        .into_tuple::<(JobId, i64, JobState)>()
        .all(tx)
        .await
        .map_err(&failed)?;
    // the lease of each that is ours to write; of one that does not run any more, none
    let running = |state: &JobState| *state == JobState::Active;
    let leases: HashMap<JobId, Option<i64>> =
        found.into_iter().map(|(id, lease, state)| (id, Some(lease).filter(|_| running(&state)))).collect();
    let ours = asked.into_iter().filter(|(job, ..)| leases.contains_key(&job.id));
    let (held, lost): (Vec<_>, Vec<_>) = ours.partition(|(job, ..)| leases[&job.id] == Some(job.lease));
    let mut stored = Stored { lost: lost.iter().map(|(job, ..)| job.held()).collect(), ..Stored::default() };
    let busy = leave_more(tx, held.iter().map(|(job, ..)| job).collect()).await?;
    let plain = || held.iter().filter(|(job, ..)| !busy.contains(&job.id));
    let Some(now) = plain().map(|(_, _, now)| *now).max() else { return Ok(stored) };
    let mut outcomes: HashMap<Option<Outcome>, Vec<JobId>> = HashMap::new();
    for (job, end, _) in plain() {
        outcomes.entry(end.outcome).or_default().push(job.id);
    }
    let mut over = HashSet::new();
    for (outcome, ids) in outcomes {
        over.extend(end_jobs(tx, outcome, ids, now).await?);
    }
    let orphans = orphans(tx, types, plain().map(|(job, ..)| job).collect()).await?;
    let (mut runs, mut ends, mut logs) = (Vec::new(), Vec::new(), Vec::new());
    for (job, mut end, now) in held.into_iter().filter(|(job, ..)| over.contains(&job.id)) {
        if let Some(parent) = types.get(job.job_type.as_str()).and_then(|spec| spec.parent.as_ref()) {
            let of = (job.job_type.to_string(), job.agent.to_string());
            let (orphans, live) = orphans.get(&of).copied().unwrap_or_default();
            end.counts.orphans = orphans;
            warn_of_orphans(&mut end.notes, orphans, live, parent.sync_type.as_str());
        }
        stored.done.insert(job.held(), end.counts);
        ends.extend(ended(&job, &end, now));
        logs.push((job.run, std::mem::take(&mut end.log)));
        runs.push(run_row(types, &job, end, None, now));
    }
    bulk::insert::<_, RunId>(tx, runs).await.map_err(failed)?;
    keep_logs(tx, logs).await?;
    count_in(tx, ends).await?;
    Ok(stored)
}

/// Ends these jobs; answers which. One that has become part of a flow, or has a follow-up due, is left: a batch that
/// was being written until now may have said so.
async fn end_jobs(
    tx: &DatabaseTransaction,
    outcome: Option<Outcome>,
    ids: Vec<JobId>,
    now: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let failed = StoreError::while_doing("end jobs");
    let mut update = Query::update();
    update
        .table(entity::job::Entity)
        .value(C::Owner, Option::<String>::None)
        .value(C::Lease, Expr::col(C::Lease).add(1))
        .value(C::State, JobState::Active.on(JobEvent::Finished)?)
        .value(C::Outcome, outcome)
        .value(C::FinishedAt, now)
        .and_where(among_ids(Expr::col(C::Id), ids, tx.get_database_backend()))
        .and_where(Expr::cust("NOT follow_up_due"))
        .and_where(Expr::col(C::RootJobId).is_null())
        .returning_col(C::Id);
    let rows = tx.query_all(&update).await.map_err(&failed)?;
    rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>().map_err(failed)
}

/// `(type, agent)` -> `(records without a parent, all records)`, for the types that have parents.
async fn orphans(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    jobs: Vec<&ClaimedJob>,
) -> Result<HashMap<(String, String), (u64, u64)>, StoreError> {
    let mut agents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for job in jobs {
        agents.entry(job.job_type.as_str()).or_default().push(job.agent.as_str());
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
/// has counted failures, a newer wish that was kept behind them, a flow that may end with them?
async fn leave_more(tx: &DatabaseTransaction, jobs: Vec<&ClaimedJob>) -> Result<HashSet<JobId>, StoreError> {
    use entity::{breaker::Column as B, sync_run::Column as R};
    let backend = tx.get_database_backend();
    let agents: HashSet<&str> = jobs.iter().map(|job| job.agent.as_str()).collect();
    let of_agents = |column: Expr| among(column, ValueType::Text, &agents, backend);
    let pair = |table: TableRef, columns: [&'static str; 2], those: Expr| {
        let [first, second] = columns.map(Expr::cust);
        Query::select().expr_as(first, "first").expr_as(second, "second").from(table).and_where(those).to_owned()
    };
    let follow_ups = Expr::cust("follow_up_due").and(of_agents(Expr::col(C::AgentId)));
    let holds = Expr::cust("hold IN ('open', 'approved')").and(of_agents(Expr::col(R::AgentId)));
    let failing = Expr::col(B::Failures).gt(0).or(Expr::col(B::OpenUntil).is_not_null());
    let keys = jobs.iter().filter_map(|job| job.dedup_key.as_deref());
    let kept = lane::is(JobState::Kept).and(among(Expr::col(C::DedupKey), ValueType::Text, keys, backend));
    let firsts = Expr::cust("root_job_id IS NOT NULL");
    let firsts = firsts.and(among_ids(Expr::col(C::RootJobId), jobs.iter().map(|job| job.id), backend));
    let job = || entity::job::Entity.into_table_ref();
    let question = pair(job(), ["job_type", "agent_id"], follow_ups)
        .union(UnionType::All, pair(entity::sync_run::Entity.into_table_ref(), ["sync_type", "agent_id"], holds))
        .union(
            UnionType::All,
            pair(
                entity::breaker::Entity.into_table_ref(),
                ["''", "agent_id"],
                failing.and(of_agents(Expr::col(B::AgentId))),
            ),
        )
        .union(UnionType::All, pair(job(), ["'='", "dedup_key"], kept))
        .union(UnionType::All, pair(job(), ["'^'", "CAST(root_job_id AS text)"], firsts))
        .to_owned();
    let failed = StoreError::while_doing("see what a run leaves behind");
    let found = tx.query_all(&question).await.map_err(&failed)?;
    let pairs = found.iter().map(|row| Ok((row.try_get("", "first")?, row.try_get("", "second")?)));
    let concerned: HashSet<(String, String)> = pairs.collect::<Result<_, DbErr>>().map_err(failed)?;
    let says = |first: &str, second: &str| concerned.contains(&(first.to_owned(), second.to_owned()));
    let is_concerned = |job: &&ClaimedJob| {
        says(job.job_type.as_str(), job.agent.as_str())
            || says("", job.agent.as_str())
            || job.dedup_key.as_deref().is_some_and(|key| says("=", key))
            || says("^", &job.id.to_string())
    };
    Ok(jobs.into_iter().filter(is_concerned).map(|job| job.id).collect())
}

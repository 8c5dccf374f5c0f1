//! How are changes written? In batches of at most ten records, whole or not at all, under the lease.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    prelude::*,
    sea_query::{ExprTrait, Query, Value as SqlValue},
};

use tokio_util::sync::CancellationToken;

use crate::{
    delta::{Change, ChangeKind, Plan},
    domain::{ClaimedJob, Timestamp},
    store::{
        Store, StoreError,
        db::writer::Writer,
        jobs::lease::is_held,
        records::{changes, parents, upsert::Upsert},
        schema::entity,
    },
    sync_type::SyncTypeSpec,
};

use entity::job::Column as C;

/// Consecutive batches share one durable commit, up to so many records ...
const RECORDS_A_COMMIT: RangeInclusive<usize> = 100..=2_000;
/// ... of which the first takes so many ...
const FIRST_COMMIT: usize = 500;
/// ... and each other as many as take this long by the one before it: a Stop is seen between commits at the latest.
const WANTED: Duration = Duration::from_millis(15);
/// Heartbeats and other writers are not starved for longer than this. On PostgreSQL the batches become one statement
/// at its end, and nobody is in its way.
const TIME_A_COMMIT: Duration = Duration::from_millis(50);
/// On SQLite, where others wait to write, a commit makes room for them after this long.
const TIME_BESIDE_OTHERS: Duration = Duration::from_millis(5);

const WRITE: &str = "write a batch of records";

/// What one commit stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The number of changes of the plan that are stored now, counted from the first.
    pub upto: usize,
    /// Was Stop seen before a batch?
    pub stopped: bool,
}

/// What [`Store::apply`] needs to know besides the plan.
pub struct Batches {
    pub spec: Arc<SyncTypeSpec>,
    /// Records a batch, 1 to 10.
    pub size: usize,
    /// Polled before each batch.
    pub stop: CancellationToken,
    /// Told after each batch: how many changes have been taken up so far; they are stored when
    /// [`Store::apply`] says so.
    pub progress: Arc<dyn Fn(usize) + Send + Sync>,
    pub pace: Pace,
}

/// How many records the next commit takes.
#[derive(Debug)]
pub struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(FIRST_COMMIT))
    }
}

impl Pace {
    fn records(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A commit of so many records took this long.
    fn learn(&self, records: usize, took: Duration) {
        let fit = records as f64 * WANTED.as_secs_f64() / took.as_secs_f64().max(f64::EPSILON);
        self.0.store((fit as usize).clamp(*RECORDS_A_COMMIT.start(), *RECORDS_A_COMMIT.end()), Ordering::Relaxed);
    }
}

impl Store {
    /// Writes the plan's changes from number `from` on, until the commit is full, the plan ends or
    /// Stop is set. What was written before a Stop is committed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the job is another's by now; nothing is written then.
    pub async fn apply(
        &self,
        job: &ClaimedJob,
        plan: &Arc<Plan>,
        from: usize,
        batches: &Arc<Batches>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let began = Instant::now();
        let pace = batches.clone();
        let (job, plan, batches, types) = (job.clone(), plan.clone(), batches.clone(), self.types().clone());
        // where others have to wait for this one
        let writer = (self.backend() == DbBackend::Sqlite).then(|| self.inner.writer.clone());
        let applied = self.write_beside(move |tx| {
            Box::pin(async move {
                hold_lease(tx, &job).await?;
                let spec = &batches.spec;
                let mut upsert = Upsert::new(spec, &job, now);
                let is_waited_for = || writer.as_ref().is_some_and(Writer::is_waited_for);
                let started = Instant::now();
                let mut upto = from;
                let mut stopped = false;
                let end = plan.changes.len().min(from + batches.pace.records());
                let replaced = changes::before(tx, spec, &job.agent, &plan.replaced_at(from, end - from)).await;
                let replaced = replaced.map_err(StoreError::while_doing("read what is replaced"))?;
                while upto < end && started.elapsed() < TIME_A_COMMIT {
                    if upto > from && started.elapsed() > TIME_BESIDE_OTHERS && is_waited_for() {
                        break;
                    }
                    if batches.stop.is_cancelled() {
                        stopped = true;
                        break;
                    }
                    let batch = &plan.changes[upto..end.min(upto + batches.size)];
                    upsert.add(tx, batch).await.map_err(StoreError::while_doing(WRITE))?;
                    upto += batch.len();
                    (batches.progress)(upto);
                }
                upsert.flush(tx).await.map_err(StoreError::while_doing(WRITE))?;
                let written = &plan.changes[from..upto];
                let kept = changes::keep(tx, spec, &job, (&plan, written), &replaced, now).await;
                kept.map_err(StoreError::while_doing("keep what changed"))?;
                keep_history(tx, spec, &job, written, now)
                    .await
                    .map_err(StoreError::while_doing("write the history"))?;
                parents::join(tx, &types, spec, &job.agent, written)
                    .await
                    .map_err(StoreError::while_doing("join records with their parents"))?;
                if written.iter().any(|change| change.triggers) {
                    mark_follow_up(tx, &job).await.map_err(StoreError::while_doing("remember the follow-up"))?;
                }
                Ok(Applied { upto, stopped })
            })
        });
        let applied = applied.await?;
        pace.pace.learn(applied.upto - from, began.elapsed());
        Ok(applied)
    }
}

/// Refuses the write of a job that was rescued, stopped for good or finished by another process, and keeps it
/// from being so until the transaction ends. Whoever writes is alive: it is a heartbeat too, and heartbeats
/// need not wait for rows that are locked by it.
async fn hold_lease(tx: &DatabaseTransaction, job: &ClaimedJob) -> Result<(), StoreError> {
    let held = entity::job::Entity::update_many()
        .col_expr(C::Heartbeat, Expr::col(C::Heartbeat).add(1))
        .filter(is_held(job))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("check the lease"))?;
    if held.rows_affected == 1 { Ok(()) } else { Err(StoreError::LeaseLost { job: job.id, lease: job.lease }) }
}

async fn keep_history(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    written: &[Change],
    now: Timestamp,
) -> Result<(), DbErr> {
    let Some(history) = &spec.history else { return Ok(()) };
    let mut insert = Query::insert();
    insert.into_table(history.table.clone()).columns([
        "agent_id",
        "record_key",
        "old_value",
        "new_value",
        "changed_at",
        "run_id",
    ]);
    let text = |v: &crate::domain::Value| (!v.is_null()).then(|| v.canonical().into_owned());
    let mut any = false;
    for change in written.iter().filter(|change| change.kind != ChangeKind::Insert) {
        let Some((old, new)) = &change.history else { continue };
        any = true;
        let values: [SqlValue; 6] = [
            job.agent.as_str().into(),
            change.key.clone().into(),
            text(old).into(),
            text(new).into(),
            now.into(),
            job.run.into(),
        ];
        insert.values_panic(values.map(Expr::val));
    }
    if any {
        tx.execute(&insert).await?;
    }
    Ok(())
}

async fn mark_follow_up(tx: &DatabaseTransaction, job: &ClaimedJob) -> Result<(), DbErr> {
    entity::job::Entity::update_many()
        .col_expr(C::FollowUpDue, Expr::val(true))
        .filter(C::Id.eq(job.id))
        .exec(tx)
        .await
        .map(|_| ())
}

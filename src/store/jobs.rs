//! Which jobs wait, run and are over? Admission and claims; the job row is the truth.

use super::{Store, StoreError, entity, settings::move_tick};
use crate::domain::{Admission, ClaimedJob, JobState, NewJob, Reason, SyncType, Timestamp, job::JobEvent};
use chrono::Duration;
use sea_orm::{
    ActiveValue::NotSet,
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Set,
    prelude::*,
    sea_query::{OnConflict, Query},
};

use entity::job::Column as C;

/// Waiting this long is worth one step of priority.
const AGING_MS: i64 = 60_000;

/// The timer slot that a batch of jobs belongs to: moved in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The type whose timer fired.
    pub sync_type: SyncType,
    /// The stored next run that it fired for.
    pub due: Timestamp,
    /// The next run after it.
    pub next: Timestamp,
}

impl Store {
    /// Admits or refuses jobs, all in one durable transaction; one answer a job, in order.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was admitted.
    pub async fn enqueue(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Admission>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut answers = Vec::with_capacity(jobs.len());
                for job in jobs {
                    answers.push(admit(tx, job, now).await?);
                }
                Ok(answers)
            })
        })
        .await
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
                let mut answers = Vec::with_capacity(jobs.len());
                for job in jobs {
                    answers.push(admit(tx, job, now).await?);
                }
                Ok(Some(answers))
            })
        })
        .await
    }

    /// Claims up to `slots` jobs for the process `owner`, best effective priority first, never two
    /// for one agent. Takes the agents' rows and begins the runs' history in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then nothing was claimed.
    pub async fn claim(&self, slots: usize, owner: String, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError> {
        let fingerprints: Vec<_> =
            self.types().iter().map(|spec| (spec.name.clone(), spec.fingerprint.clone())).collect();
        self.write(move |tx| {
            Box::pin(async move {
                let mut claimed = Vec::new();
                while claimed.len() < slots {
                    let Some(row) = next_claimable(tx, &fingerprints, now).await? else { break };
                    let fingerprint = fingerprints.iter().find(|(name, _)| name.as_str() == row.sync_type);
                    let fingerprint = fingerprint.map_or(String::new(), |(_, fingerprint)| fingerprint.clone());
                    claimed.push(take(tx, row, fingerprint, &owner, now).await?);
                }
                Ok(claimed)
            })
        })
        .await
    }

    /// Admits one job and claims it at once, in one transaction; a job with its key that only waits is
    /// claimed instead. `None` if its agent is busy; then nothing is stored.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn enqueue_claimed(
        &self,
        job: NewJob,
        owner: String,
        now: Timestamp,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        let spec = self.types().get(job.sync_type.as_str()).cloned();
        let spec = spec.ok_or_else(|| StoreError::Missing(format!("sync type {}", job.sync_type)))?;
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("claim a job");
                let busy = entity::agent_lock::Entity::find_by_id(job.agent.as_str()).one(tx).await.map_err(&failed)?;
                if busy.is_some() {
                    return Ok(None);
                }
                let job = admit(tx, job, now).await?.job();
                let row = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)?;
                let row = row.ok_or_else(|| StoreError::Missing(format!("job {job}")))?;
                Ok(Some(take(tx, row, spec.fingerprint.clone(), &owner, now).await?))
            })
        })
        .await
    }

    /// When the earliest job that is not yet due becomes so.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = entity::job::Entity::find()
                    .filter(C::State.is_in(["waiting", "delayed"]))
                    .filter(C::DueAt.gt(now))
                    .order_by_asc(C::DueAt)
                    .one(db)
                    .await;
                Ok(row.map_err(StoreError::while_doing("look for the next job"))?.map(|row| row.due_at))
            })
        })
        .await
    }
}

/// Admits one job: a throttle window or a live job with its key refuses it, naming the winner.
pub(super) async fn admit(tx: &DatabaseTransaction, job: NewJob, now: Timestamp) -> Result<Admission, StoreError> {
    let failed = StoreError::while_doing("admit a job");
    if let Some((key, _)) = &job.throttle {
        let open = entity::job::Entity::find()
            .filter(C::ThrottleKey.eq(key.as_str()))
            .filter(C::ThrottleUntil.gt(now))
            .one(tx)
            .await
            .map_err(&failed)?;
        if let Some(row) = open {
            let until = row.throttle_until.unwrap_or(now);
            return Ok(Admission::Throttled { job: row.id, retry_in: (until - now).to_std().unwrap_or_default() });
        }
    }
    let root = match job.parent {
        Some(parent) => {
            let row = entity::job::Entity::find_by_id(parent).one(tx).await.map_err(&failed)?;
            row.and_then(|row| row.root_job_id).or(Some(parent))
        }
        None => None,
    };
    let window = job.throttle.as_ref().and_then(|(_, window)| Duration::from_std(*window).ok());
    let row = entity::job::ActiveModel {
        id: NotSet,
        sync_type: Set(job.sync_type.to_string()),
        agent_id: Set(job.agent.to_string()),
        reason: Set(job.reason.as_str().to_owned()),
        state: Set("waiting".to_owned()),
        outcome: Set(None),
        error: Set(None),
        dedup_key: Set(job.dedup_key.clone()),
        throttle_key: Set(job.throttle.map(|(key, _)| key)),
        throttle_until: Set(window.map(|window| now + window)),
        priority: Set(i32::from(job.priority)),
        order_key: Set(now.timestamp_millis() - i64::from(job.priority) * AGING_MS),
        due_at: Set(now),
        force: Set(job.force),
        document_id: Set(job.document),
        approves_run_id: Set(job.approves),
        parent_job_id: Set(job.parent),
        root_job_id: Set(root),
        attempt: Set(0),
        lease: Set(0),
        heartbeat: Set(0),
        owner: Set(None),
        stop_requested: Set(false),
        follow_up_due: Set(false),
        enqueued_at: Set(now),
        started_at: Set(None),
        finished_at: Set(None),
    };
    let insert = entity::job::Entity::insert(row).on_conflict(OnConflict::new().do_nothing().to_owned());
    match insert.exec(tx).await {
        Ok(inserted) => Ok(Admission::Accepted { job: inserted.last_insert_id }),
        Err(DbErr::RecordNotInserted) => {
            let key = job.dedup_key.unwrap_or_default();
            let winner = entity::job::Entity::find()
                .filter(C::DedupKey.eq(key.as_str()))
                .filter(C::State.ne("done"))
                .one(tx)
                .await
                .map_err(&failed)?;
            let winner = winner.ok_or_else(|| StoreError::Missing(format!("live job with the key {key}")))?;
            Ok(Admission::AlreadyQueued { job: winner.id })
        }
        Err(error) => Err(failed(error)),
    }
}

/// The best job that is due, of a known type, and whose agent has no running job.
async fn next_claimable(
    tx: &DatabaseTransaction,
    known: &[(SyncType, String)],
    now: Timestamp,
) -> Result<Option<entity::job::Model>, StoreError> {
    let mut busy = Query::select();
    busy.column(entity::agent_lock::Column::AgentId).from(entity::agent_lock::Entity);
    entity::job::Entity::find()
        .filter(C::State.is_in(["waiting", "delayed"]))
        .filter(C::DueAt.lte(now))
        .filter(C::AgentId.not_in_subquery(busy))
        .filter(C::SyncType.is_in(known.iter().map(|(name, _)| name.as_str())))
        .order_by_asc(C::OrderKey)
        .order_by_asc(C::Id)
        .one(tx)
        .await
        .map_err(StoreError::while_doing("claim a job"))
}

/// The name of the state that a job in `state` comes to; every change of a job's state asks here.
pub(super) fn state_after(state: &str, event: JobEvent) -> Result<&'static str, StoreError> {
    let known = JobState::from_name(state).ok_or_else(|| StoreError::Missing(format!("job state '{state}'")))?;
    Ok(known.on(event)?.as_str())
}

async fn take(
    tx: &DatabaseTransaction,
    row: entity::job::Model,
    fingerprint: String,
    owner: &str,
    now: Timestamp,
) -> Result<ClaimedJob, StoreError> {
    let failed = StoreError::while_doing("claim a job");
    let (lease, attempt) = (row.lease + 1, row.attempt + 1);
    let lock =
        entity::agent_lock::ActiveModel { agent_id: Set(row.agent_id.clone()), job_id: Set(row.id), lease: Set(lease) };
    entity::agent_lock::Entity::insert(lock).exec_without_returning(tx).await.map_err(&failed)?;
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(state_after(&row.state, JobEvent::Claimed)?))
        .col_expr(C::Lease, Expr::val(lease))
        .col_expr(C::Attempt, Expr::val(attempt))
        .col_expr(C::Owner, Expr::val(owner))
        .col_expr(C::StartedAt, Expr::val(now))
        .filter(C::Id.eq(row.id))
        .exec(tx)
        .await
        .map_err(&failed)?;
    let run = begin_run(tx, &row, attempt, fingerprint, now).await?;
    Ok(ClaimedJob {
        id: row.id,
        run,
        lease,
        sync_type: row.sync_type.into(),
        agent: row.agent_id.into(),
        reason: Reason::from_name(&row.reason),
        force: row.force,
        attempt: attempt.unsigned_abs(),
        document: row.document_id,
        approves: row.approves_run_id,
        enqueued_at: row.enqueued_at,
    })
}

/// Begins an attempt's entry in the history; all that is not said here comes with its end.
async fn begin_run(
    tx: &DatabaseTransaction,
    job: &entity::job::Model,
    attempt: i32,
    fingerprint: String,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let mut insert = Query::insert();
    insert
        .into_table(entity::sync_run::Entity)
        .columns(["job_id", "sync_type", "agent_id", "reason", "attempt", "spec_fingerprint", "started_at"])
        .values_panic([
            Expr::val(job.id),
            Expr::val(job.sync_type.as_str()),
            Expr::val(job.agent_id.as_str()),
            Expr::val(job.reason.as_str()),
            Expr::val(attempt),
            Expr::val(fingerprint),
            Expr::val(now),
        ])
        .returning_col("id");
    let failed = StoreError::while_doing("begin a run");
    let row = tx.query_one(&insert).await.map_err(&failed)?;
    row.ok_or_else(|| StoreError::Missing("run just begun".to_owned()))?.try_get("", "id").map_err(failed)
}

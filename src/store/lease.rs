//! Who holds which job, is its process alive, and who was asked to stop?

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, QueryTrait, prelude::*, sea_query::ExprTrait,
};

use super::{Store, StoreError, entity, jobs::state_after};
use crate::domain::{JobId, RetryPolicy, RunId, SyncType, Timestamp, job::JobEvent};

use entity::job::Column as C;

/// One active job, as another process's watcher sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The job.
    pub job: JobId,
    /// Its lease number.
    pub lease: i64,
    /// The process that holds it.
    pub owner: String,
    /// Moves as long as that process lives.
    pub heartbeat: i64,
}

/// What a heartbeat tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// All active jobs of all processes.
    pub active: Vec<Beat>,
    /// Of this process's: those that someone asked to stop.
    pub stop: Vec<JobId>,
}

impl Store {
    /// Moves the heartbeat of the jobs that `owner` runs now, and reads everyone's. A job that it
    /// holds but does not run any more gets none, and is taken over.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn heartbeat(&self, owner: String, running: Vec<JobId>) -> Result<Heartbeat, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("send a heartbeat");
                entity::job::Entity::update_many()
                    .col_expr(C::Heartbeat, Expr::col(C::Heartbeat).add(1))
                    .filter(C::Owner.eq(owner.as_str()))
                    .filter(C::Id.is_in(running))
                    .filter(C::State.eq("active"))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                let rows = entity::job::Entity::find().filter(C::State.eq("active")).all(tx).await.map_err(&failed)?;
                let is_mine = |row: &&entity::job::Model| row.owner.as_deref() == Some(owner.as_str());
                let stop = rows.iter().filter(is_mine).filter(|row| row.stop_requested).map(|row| row.id).collect();
                let beat = |row: entity::job::Model| Beat {
                    job: row.id,
                    lease: row.lease,
                    owner: row.owner.unwrap_or_default(),
                    heartbeat: row.heartbeat,
                };
                Ok(Heartbeat { active: rows.into_iter().map(beat).collect(), stop })
            })
        })
        .await
    }

    /// Takes a job from a process that died: its lease number rises, so that a late write of the
    /// old process is refused; its run is `lost`; it waits again, or is over if it was the last try.
    /// False if the lease was no longer that.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn rescue(&self, job: JobId, lease: i64, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("rescue a job");
                let found = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)?;
                let Some(row) = found.filter(|row| row.lease == lease && row.state == "active") else {
                    return Ok(false);
                };
                let is_last = row.stop_requested || row.attempt.unsigned_abs() >= RetryPolicy::SYNC.max_attempts;
                let mut update = entity::job::Entity::update_many()
                    .col_expr(C::Lease, Expr::val(lease + 1))
                    .col_expr(C::Owner, Expr::val(Option::<String>::None))
                    .col_expr(C::DueAt, Expr::val(now))
                    .filter(C::Id.eq(job));
                update = if is_last {
                    settle(tx, &row).await?;
                    update
                        .col_expr(C::State, Expr::val(state_after(&row.state, JobEvent::Finished)?))
                        .col_expr(C::Outcome, Expr::val("lost"))
                        .col_expr(C::FinishedAt, Expr::val(now))
                } else {
                    update.col_expr(C::State, Expr::val(state_after(&row.state, JobEvent::Released)?))
                };
                update.exec(tx).await.map_err(&failed)?;
                release_agent(tx, job).await?;
                entity::sync_run::Entity::update_many()
                    .col_expr(entity::sync_run::Column::Outcome, Expr::val("lost"))
                    .col_expr(entity::sync_run::Column::Error, Expr::val("the process that ran it died or froze"))
                    .col_expr(entity::sync_run::Column::FinishedAt, Expr::val(now))
                    .filter(entity::sync_run::Column::JobId.eq(job))
                    .filter(entity::sync_run::Column::Outcome.is_null())
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                Ok(true)
            })
        })
        .await
    }

    /// Asks running jobs to stop, and takes waiting ones out of the queue: one job, or all of one
    /// type, or all. Answers `(asked to stop, removed)`.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn request_stop(
        &self,
        job: Option<JobId>,
        sync_type: Option<SyncType>,
        now: Timestamp,
    ) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("stop jobs");
                let ids = |states: &'static [&'static str]| {
                    entity::job::Entity::find()
                        .filter(C::State.is_in(states.iter().copied()))
                        .apply_if(job, |query, id| query.filter(C::Id.eq(id)))
                        .apply_if(sync_type.clone(), |query, name| query.filter(C::SyncType.eq(name.as_str())))
                        .select_only()
                        .column(C::Id)
                        .into_tuple::<i64>()
                        .all(tx)
                };
                let running = ids(&["active"]).await.map_err(&failed)?;
                let waiting = ids(&["waiting", "delayed"]).await.map_err(&failed)?;
                entity::job::Entity::update_many()
                    .col_expr(C::StopRequested, Expr::val(true))
                    .filter(C::Id.is_in(running.clone()))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                let removed = entity::job::Entity::find().filter(C::Id.is_in(waiting.clone())).all(tx);
                for row in removed.await.map_err(&failed)? {
                    state_after(&row.state, JobEvent::Removed)?;
                    settle(tx, &row).await?;
                }
                entity::job::Entity::update_many()
                    .col_expr(C::State, Expr::val("done"))
                    .col_expr(C::Outcome, Expr::val("removed"))
                    .col_expr(C::FinishedAt, Expr::val(now))
                    .filter(C::Id.is_in(waiting.clone()))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                Ok((running, waiting))
            })
        })
        .await
    }
}

/// Gives the agent of a job free for others.
pub(super) async fn release_agent(tx: &DatabaseTransaction, job: JobId) -> Result<(), StoreError> {
    entity::agent_lock::Entity::delete_many()
        .filter(entity::agent_lock::Column::JobId.eq(job))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("release an agent"))
}

/// What a job leaves behind that ends without a run of its own: its upload has no reader any more, and
/// a hold that it was to apply waits for a person again.
async fn settle(tx: &DatabaseTransaction, row: &entity::job::Model) -> Result<(), StoreError> {
    drop_upload(tx, row.document_id, row.approves_run_id).await?;
    if let Some(held) = row.approves_run_id {
        entity::sync_run::Entity::update_many()
            .col_expr(entity::sync_run::Column::Hold, Expr::val("open"))
            .filter(entity::sync_run::Column::Id.eq(held))
            .filter(entity::sync_run::Column::Hold.eq("approved"))
            .exec(tx)
            .await
            .map_err(StoreError::while_doing("open a hold again"))?;
    }
    Ok(())
}

/// An upload's bytes have done their work once its job is over; an approved document is dropped with
/// its hold.
pub(super) async fn drop_upload(
    tx: &DatabaseTransaction,
    document: Option<i64>,
    approves: Option<RunId>,
) -> Result<(), StoreError> {
    let Some(document) = document.filter(|_| approves.is_none()) else { return Ok(()) };
    let dropped = entity::document::Entity::delete_by_id(document).exec(tx).await;
    dropped.map(|_| ()).map_err(StoreError::while_doing("drop an upload"))
}

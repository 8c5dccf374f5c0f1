//! How are jobs told to stop, taken out of the queue, asked for again, or parted from their keys?

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, prelude::*};
use serde::Serialize;

use super::{
    Store, StoreError,
    claim::state_after,
    entity,
    lane::{self, is, is_live},
    over::{Over, follow, settle, start_kept},
};
use crate::domain::{Class, JobId, JobState, JobType, Outcome, Timestamp, job::JobEvent};

use entity::job::Column as C;

/// Jobs that one transaction removes.
const REMOVED_AT_ONCE: usize = 500;

/// Which jobs are meant; all conditions together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meant {
    /// Only this one.
    pub job: Option<JobId>,
    /// Only of this type.
    pub job_type: Option<JobType>,
    /// Only of this class.
    pub class: Option<Class>,
    /// Only those that have not started: what runs goes on.
    pub only_waiting: bool,
}

/// Why a job cannot be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "refused")]
pub enum Retry {
    /// It waits again.
    Accepted,
    /// There is no such job.
    Unknown,
    /// It is not over yet.
    NotOver,
    /// It did what it was to do.
    Succeeded,
    /// Its effect may have happened; say that it is to be done even so.
    Doubtful,
    /// The document that it was to read is gone.
    DocumentGone,
    /// A live job has its key by now.
    AlreadyQueued {
        /// That job.
        job: JobId,
    },
}

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyState {
    /// The live job that it is the in-flight key of.
    pub job_id: Option<JobId>,
    /// The job that is kept behind that one.
    pub kept_job_id: Option<JobId>,
    /// The job whose throttle window is open.
    pub window_job_id: Option<JobId>,
    /// When that closes.
    pub window_until: Option<Timestamp>,
}

impl Store {
    /// Asks running jobs to stop, and takes those that have not started out of the queue. Answers
    /// `(asked to stop, removed)`. A job that never ran frees its keys.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn request_stop(&self, meant: Meant, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        let (running, meant) = self.write(move |tx| Box::pin(async move { mark_stopped(tx, meant).await })).await?;
        let mut removed = Vec::new();
        // a few hundred a transaction: other writers have their turn in between
        for chunk in meant.chunks(REMOVED_AT_ONCE) {
            let (types, inner, ids) = (self.types().clone(), self.inner.clone(), chunk.to_vec());
            let done = self.write_ending(move |tx| {
                Box::pin(async move {
                    let rows = entity::job::Entity::find()
                        .filter(C::Id.is_in(ids))
                        .filter(Expr::cust("state IN ('waiting', 'delayed', 'kept')"))
                        .all(tx)
                        .await
                        .map_err(StoreError::while_doing("remove jobs"))?;
                    inner.live.end(rows.iter().map(|row| row.id));
                    remove(tx, &rows, now).await?;
                    let over: Vec<Over> = rows.iter().map(Over::from).collect();
                    follow(tx, &types, &over, now).await?;
                    Ok(rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
                })
            });
            removed.extend(done.await?);
        }
        removed.sort_unstable();
        Ok((running, removed))
    }

    /// Puts a job that is over, and did not succeed, back into the queue: it takes its key again, or is
    /// refused. `even_if_done` is a person's word that a doubtful effect is to be repeated.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("retry a job");
                let Some(row) = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)? else {
                    return Ok(Retry::Unknown);
                };
                if let Some(refused) = refuse_retry(tx, &row, even_if_done, now).await? {
                    return Ok(refused);
                }
                let class = Class::from_rank(row.class);
                let priority = u8::try_from(row.priority).unwrap_or(1);
                entity::job::Entity::update_many()
                    .col_expr(C::State, Expr::val(state_after(&row.state, JobEvent::Retried)?))
                    .col_expr(C::Outcome, Expr::val(Option::<String>::None))
                    .col_expr(C::Error, Expr::val(Option::<String>::None))
                    .col_expr(C::FinishedAt, Expr::val(Option::<Timestamp>::None))
                    .col_expr(C::Phase, Expr::val(Option::<String>::None))
                    .col_expr(C::FlowOutcome, Expr::val(Option::<String>::None))
                    .col_expr(C::StopRequested, Expr::val(false))
                    .col_expr(C::Attempt, Expr::val(0))
                    .col_expr(C::DueAt, Expr::val(now))
                    .col_expr(C::EnqueuedAt, Expr::val(now))
                    .col_expr(C::OrderKey, Expr::val(class.order_key(priority, now)))
                    .filter(C::Id.eq(job))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                if let Some(root) = row.root_job_id {
                    // its flow is under way again
                    entity::job::Entity::update_many()
                        .col_expr(C::FlowOutcome, Expr::val(Option::<String>::None))
                        .filter(C::Id.eq(root))
                        .exec(tx)
                        .await
                        .map_err(failed)?;
                }
                lane::refresh(tx, &row.job_type, &row.agent_id).await?;
                Ok(Retry::Accepted)
            })
        })
        .await
    }

    /// Who has this key, in flight or as a throttle window?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("look for a key");
                let of_key = || entity::job::Entity::find().filter(C::DedupKey.eq(key.as_str()));
                let owner = of_key().filter(is_live()).one(db).await.map_err(&failed)?;
                let kept = of_key().filter(is(JobState::Kept)).one(db).await.map_err(&failed)?;
                let window = entity::job::Entity::find()
                    .filter(Expr::cust("throttle_key IS NOT NULL"))
                    .filter(C::ThrottleKey.eq(key.as_str()))
                    .filter(C::ThrottleUntil.gt(now))
                    .one(db)
                    .await
                    .map_err(&failed)?;
                Ok(KeyState {
                    job_id: owner.map(|row| row.id),
                    kept_job_id: kept.map(|row| row.id),
                    window_until: window.as_ref().and_then(|row| row.throttle_until),
                    window_job_id: window.map(|row| row.id),
                })
            })
        })
        .await
    }

    /// Parts a job from its keys: others may take them. The job itself goes on, and its end frees nobody
    /// else's. False if it has none of them (any more).
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let inner = self.inner.clone();
        self.write_ending(move |tx| {
            Box::pin(async move {
                inner.live.end([job].into_iter());
                let failed = StoreError::while_doing("remove a key");
                let found = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)?;
                let Some(row) = found else { return Ok(false) };
                let is_owner = row.dedup_key.as_deref() == Some(key.as_str()) && row.state != "done";
                let has_window = row.throttle_key.as_deref() == Some(key.as_str());
                let mut update = entity::job::Entity::update_many().filter(C::Id.eq(job));
                if is_owner {
                    update = update.col_expr(C::DedupKey, Expr::val(Option::<String>::None));
                }
                if has_window {
                    update = update.col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None));
                }
                if !is_owner && !has_window {
                    return Ok(false);
                }
                update.exec(tx).await.map_err(&failed)?;
                if !is_owner {
                    return Ok(true);
                }
                // nothing is before the kept one any more, be it this one
                let kept = if row.state == JobState::Kept.as_str() {
                    Some(row)
                } else {
                    let kept = entity::job::Entity::find().filter(is(JobState::Kept)).filter(C::DedupKey.eq(key));
                    kept.one(tx).await.map_err(failed)?
                };
                match kept {
                    Some(kept) => start_kept(tx, &kept, now).await.map(|()| true),
                    None => Ok(true),
                }
            })
        })
        .await
    }
}

/// Marks the running jobs that are meant; answers them, and those that have not started, kept ones first: so
/// nothing follows a winner that is removed with it.
async fn mark_stopped(tx: &DatabaseTransaction, meant: Meant) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
    let failed = StoreError::while_doing("stop jobs");
    let ids = |state| of(&meant).filter(is(state)).select_only().column(C::Id).into_tuple::<i64>();
    let running = if meant.only_waiting { Vec::new() } else { ids(JobState::Active).all(tx).await.map_err(&failed)? };
    for chunk in running.chunks(REMOVED_AT_ONCE) {
        entity::job::Entity::update_many()
            .col_expr(C::StopRequested, Expr::val(true))
            .filter(C::Id.is_in(chunk.to_vec()))
            .exec(tx)
            .await
            .map_err(&failed)?;
    }
    let mut waiting = Vec::new();
    for state in [JobState::Kept, JobState::Delayed, JobState::Waiting] {
        waiting.extend(ids(state).all(tx).await.map_err(&failed)?);
    }
    Ok((running, waiting))
}

fn of(meant: &Meant) -> Select<entity::job::Entity> {
    entity::job::Entity::find()
        .apply_if(meant.job, |query, id| query.filter(C::Id.eq(id)))
        .apply_if(meant.job_type.clone(), |query, name| query.filter(C::JobType.eq(name.as_str())))
        .apply_if(meant.class, |query, class| query.filter(C::Class.eq(class.rank())))
}

/// Takes jobs that have not started out of the queue. One that never ran opens its throttle window.
async fn remove(tx: &DatabaseTransaction, rows: &[entity::job::Model], now: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("remove jobs");
    for row in rows {
        state_after(&row.state, JobEvent::Removed)?;
        settle(tx, row).await?;
    }
    let meant = || entity::job::Entity::update_many().filter(C::Id.is_in(rows.iter().map(|row| row.id)));
    meant()
        .col_expr(C::State, Expr::val(JobState::Done.as_str()))
        .col_expr(C::IsNext, Expr::val(false))
        .col_expr(C::Outcome, Expr::val(Outcome::Removed.as_str()))
        .col_expr(C::FinishedAt, Expr::val(now))
        .exec(tx)
        .await
        .map_err(&failed)?;
    meant()
        .col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None))
        .filter(C::StartedAt.is_null())
        .exec(tx)
        .await
        .map_err(&failed)?;
    lane::advance(tx, rows.iter().map(|row| row.id)).await
}

async fn refuse_retry(
    tx: &DatabaseTransaction,
    row: &entity::job::Model,
    even_if_done: bool,
    now: Timestamp,
) -> Result<Option<Retry>, StoreError> {
    let failed = StoreError::while_doing("retry a job");
    if row.state != JobState::Done.as_str() {
        return Ok(Some(Retry::NotOver));
    }
    let outcome = row.outcome.as_deref().and_then(Outcome::from_name);
    if outcome.is_some_and(Outcome::is_applied) {
        return Ok(Some(Retry::Succeeded));
    }
    if outcome == Some(Outcome::Doubtful) && !even_if_done {
        return Ok(Some(Retry::Doubtful));
    }
    if let Some(document) = row.document_id {
        let kept = entity::document::Entity::find_by_id(document).select_only();
        let kept = kept.column(entity::document::Column::Id).into_tuple::<i64>().one(tx).await.map_err(&failed)?;
        if kept.is_none() || row.approves_run_id.is_some() {
            return Ok(Some(Retry::DocumentGone));
        }
    }
    if let Some(key) = &row.throttle_key {
        // its idempotency key was taken by a later job: the same must not be done twice under one key
        let later = entity::job::Entity::find()
            .filter(Expr::cust("throttle_key IS NOT NULL"))
            .filter(C::ThrottleKey.eq(key.as_str()))
            .filter(C::ThrottleUntil.gt(now))
            .filter(C::Id.ne(row.id))
            .order_by_asc(C::Id)
            .one(tx)
            .await
            .map_err(&failed)?;
        if let Some(later) = later {
            return Ok(Some(Retry::AlreadyQueued { job: later.id }));
        }
    }
    let Some(key) = &row.dedup_key else { return Ok(None) };
    let owner = entity::job::Entity::find().filter(C::DedupKey.eq(key.as_str())).filter(is_live()).one(tx).await;
    Ok(owner.map_err(failed)?.map(|owner| Retry::AlreadyQueued { job: owner.id }))
}

//! Who holds which job, is its process alive, and who is to stop?

use std::time::Duration;

use sea_orm::{
    ActiveValue::NotSet,
    DerivePartialModel, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
    prelude::*,
    sea_query::{ExprTrait, LockBehavior, LockType},
};

use super::{
    controls,
    follow::{Over, follow, keep_window, release},
    lane::{self, is},
};
use crate::{
    domain::{
        ClaimedJob, Class, Ended, Heartbeat, HeartbeatReport, JobId, JobState, Lease, Outcome, Phase, Timestamp,
        job::JobEvent,
    },
    store::{Store, StoreError, schema::entity, states::count_in::count_in},
    sync_type::SyncTypes,
};

use entity::job::Column as C;

/// Does this attempt still hold its job? A lease's number rises whenever its job stops running, so that it says all;
/// if the state were named as well, the database might go through all that runs.
pub(crate) fn is_held(job: &ClaimedJob) -> Expr {
    Expr::col(C::Id).eq(job.id).and(Expr::col(C::Lease).eq(job.lease))
}

/// What a heartbeat needs of a running job.
#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "entity::job::Entity")]
struct Alive {
    id: JobId,
    lease: i64,
    owner: Option<String>,
    heartbeat: i64,
    stop_requested: bool,
    started_at: Option<Timestamp>,
    heartbeat_at: Option<Timestamp>,
}

impl Alive {
    fn held(&self) -> Lease<JobId> {
        Lease { id: self.id, number: self.lease }
    }

    /// For how long nothing was heard of it.
    fn quiet(&self, now: Timestamp) -> Option<Duration> {
        let last = [self.started_at, self.heartbeat_at].into_iter().flatten().max()?;
        (now - last).to_std().ok()
    }
}

impl Store {
    /// Moves the heartbeat of the jobs that `owner` runs now, and reads everyone's. A job that it
    /// holds but does not run gets none, and is taken over.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("send a heartbeat");
                // a row that is locked is being written to by its own run, which is a heartbeat too
                let mine = entity::job::Entity::find()
                    .filter(C::Owner.eq(owner.as_str()))
                    .filter(C::Id.is_in(running.iter().map(|job| job.id)))
                    .filter(is(JobState::Active))
                    .select_only()
                    .column(C::Id)
                    .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
                    .into_tuple::<JobId>()
                    .all(tx)
                    .await
                    .map_err(&failed)?;
                entity::job::Entity::update_many()
                    .col_expr(C::Heartbeat, Expr::col(C::Heartbeat).add(1))
                    .col_expr(C::HeartbeatAt, Expr::val(now))
                    .filter(C::Id.is_in(mine))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                // what they are to do and what came of it may be large, and says nothing here
                let active = entity::job::Entity::find().filter(is(JobState::Active)).order_by_asc(C::Id);
                let rows = active.into_partial_model::<Alive>().all(tx).await.map_err(&failed)?;
                let is_mine = |row: &&Alive| row.owner.as_deref() == Some(owner.as_str());
                let mine: Vec<Lease<JobId>> = rows.iter().filter(is_mine).map(Alive::held).collect();
                let stop = rows.iter().filter(is_mine).filter(|row| row.stop_requested).map(Alive::held).collect();
                let pause = controls::pause_at(tx, now).await?;
                let overtaken = entity::job::Entity::find()
                    .filter(is(JobState::Active))
                    .filter(C::Owner.eq(owner.as_str()))
                    .filter(lane::is_overtaken(now))
                    .order_by_asc(C::Id)
                    .into_partial_model::<Alive>()
                    .all(tx)
                    .await
                    .map_err(&failed)?;
                let beat = |row: &Alive| Heartbeat {
                    lease: row.held(),
                    owner: row.owner.clone().unwrap_or_default(),
                    heartbeat: row.heartbeat,
                };
                // in an emergency nothing starts, so nothing needs room
                let is_emergency = pause.as_ref().is_some_and(|pause| pause.emergency);
                Ok(HeartbeatReport {
                    pause,
                    limits: controls::limits(tx).await?,
                    stop,
                    preempt: overtaken.iter().filter(|_| !is_emergency).map(Alive::held).collect(),
                    lost: running.iter().filter(|job| !mine.contains(job)).copied().collect(),
                    active: rows.iter().map(beat).collect(),
                    quiet: rows.iter().filter_map(|row| Some((row.id, row.quiet(now)?))).collect(),
                })
            })
        })
        .await
    }

    /// Takes a job from a process that died: its lease number rises, so that a late write of the
    /// old process is refused; its run is `lost`; it waits again, or is over if it was the last try. A write
    /// whose effect may have happened is not repeated unless its type says that it may be: it is over, and
    /// doubtful. `None` if lease or heartbeat were no longer these: the process lives.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
        let (Lease { id: job, number: lease }, heartbeat) = (dead.lease, dead.heartbeat);
        let (types, inner) = (self.types().clone(), self.inner.clone());
        self.write_ending(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("rescue a job");
                let found = entity::job::Entity::find_by_id(job).lock_exclusive().one(tx).await.map_err(&failed)?;
                let Some(row) = found
                    .filter(|row| row.lease == lease && row.heartbeat == heartbeat && row.state == JobState::Active)
                else {
                    return Ok(None);
                };
                let is_doubtful = row.phase == Some(Phase::Sending) && !row.repeatable;
                let outcome = if is_doubtful { Outcome::Doubtful } else { Outcome::Lost };
                let is_over = is_doubtful || row.stop_requested || row.attempt >= row.max_attempts;
                let event = if is_over { JobEvent::Finished } else { JobEvent::Released };
                let mut update = entity::job::Entity::update_many()
                    .col_expr(C::Lease, Expr::val(lease + 1))
                    .col_expr(C::Owner, Expr::val(Option::<String>::None))
                    .col_expr(C::DueAt, Expr::val(now))
                    .col_expr(C::State, Expr::val(row.state.on(event)?))
                    .filter(C::Id.eq(job));
                if is_over {
                    update = update.col_expr(C::Outcome, Expr::val(outcome)).col_expr(C::FinishedAt, Expr::val(now));
                    if row.release_window && !is_doubtful {
                        update = update.col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None));
                    }
                }
                update.exec(tx).await.map_err(&failed)?;
                if is_doubtful {
                    keep_window(tx, job, now).await?;
                }
                entity::sync_run::Entity::insert(lost(&types, &row, outcome, now))
                    .exec_without_returning(tx)
                    .await
                    .map_err(&failed)?;
                if row.class == Class::Sync {
                    count_in(tx, vec![ended(&row, outcome, now)]).await?;
                }
                if is_over {
                    inner.dedup.end([job].into_iter());
                    release(tx, &row).await?;
                    follow(tx, &types, &[Over::from(&row)], now).await?;
                } else {
                    lane::refresh(tx, [row.id]).await?;
                }
                Ok(Some(outcome))
            })
        })
        .await
    }

    /// Gives back a job that `owner` claimed without learning so, because the answer to its commit was lost:
    /// nothing of it was begun, so it costs no attempt and leaves no run. False if it is not held so (any more).
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn undo_claim(
        &self,
        Lease { id: job, number: lease }: Lease<JobId>,
        owner: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("give a job back");
                let found = entity::job::Entity::find_by_id(job).lock_exclusive().one(tx).await.map_err(&failed)?;
                let is_held = |row: &entity::job::Model| {
                    row.state == JobState::Active && row.lease == lease && row.owner.as_deref() == Some(owner.as_str())
                };
                let Some(row) = found.filter(is_held) else { return Ok(false) };
                entity::job::Entity::update_many()
                    .col_expr(C::State, Expr::val(row.state.on(JobEvent::Released)?))
                    .col_expr(C::Lease, Expr::val(lease + 1))
                    .col_expr(C::Attempt, Expr::val(row.attempt - 1))
                    .col_expr(C::Owner, Expr::val(Option::<String>::None))
                    .col_expr(C::DueAt, Expr::val(now))
                    .filter(C::Id.eq(job))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                lane::refresh(tx, [row.id]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Notes, durably and under the lease, that an operation is about to have its effect.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the job is another's by now: then the effect must not happen.
    pub async fn begin_effect(&self, job: &ClaimedJob) -> Result<(), StoreError> {
        let job = job.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let moved = entity::job::Entity::update_many()
                    .col_expr(C::Phase, Expr::val(Phase::Sending))
                    .filter(is_held(&job))
                    .exec(tx)
                    .await
                    .map_err(StoreError::while_doing("note an operation's phase"))?;
                let lost = StoreError::LeaseLost { job: job.id, lease: job.lease };
                if moved.rows_affected == 1 { Ok(()) } else { Err(lost) }
            })
        })
        .await
    }
}

const DIED: &str = "the process that ran it died or froze";

/// The end of a sync whose process did not live to tell.
fn ended(job: &entity::job::Model, outcome: Outcome, now: Timestamp) -> Ended {
    Ended {
        sync_type: job.job_type.as_str().into(),
        agent: job.agent_id.as_str().into(),
        run: job.run_id.unwrap_or_default(),
        reason: job.reason,
        outcome,
        stage: None,
        error_code: None,
        error: Some(DIED.to_owned()),
        started_at: job.started_at.unwrap_or(now),
        at: now,
        fetched_at: None,
        rows: 0,
        changed: 0,
        quarantined: 0,
        orphans: 0,
        was_read: false,
        layout_changed: false,
    }
}

/// What the history says of an attempt whose process did not live to tell.
fn lost(
    types: &SyncTypes,
    job: &entity::job::Model,
    outcome: Outcome,
    now: Timestamp,
) -> entity::sync_run::ActiveModel {
    let fingerprint = types.get(&job.job_type).map_or("", |spec| spec.fingerprint.as_str());
    entity::sync_run::ActiveModel {
        id: job.run_id.map_or(NotSet, Set),
        job_id: Set(job.id),
        sync_type: Set(job.job_type.clone()),
        agent_id: Set(job.agent_id.clone()),
        reason: Set(job.reason),
        attempt: Set(job.attempt),
        outcome: Set(Some(outcome)),
        error: Set(Some(DIED.to_owned())),
        spec_fingerprint: Set(fingerprint.to_owned()),
        started_at: Set(job.started_at.unwrap_or(now)),
        finished_at: Set(Some(now)),
        ..Default::default()
    }
}

//! How does a run end? One transaction: missing rows, counts, hold, follow-ups, job, agent.

use chrono::Duration;
use sea_orm::{
    ActiveValue::NotSet,
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, Set,
    prelude::*,
    sea_query::{ExprTrait, Func, Query},
};
use serde_json::Value as Json;

use super::{
    Store, StoreError,
    apply::check_lease,
    entity,
    jobs::{admit, state_after},
    lease::{drop_upload, release_agent},
    link,
    record_table::equals,
};
use crate::{
    delta::Verdict,
    domain::{
        Admission, ClaimedJob, Counts, JobState, NewJob, NextStep, Outcome, Reason, Stage, Timestamp, job::JobEvent,
    },
    report::{Layout, Quarantined},
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// More quarantined rows of one run than these are counted, but not kept one by one.
const MAX_QUARANTINED: usize = 1_000;
/// Keys in one `IN (...)`.
const CHUNK: usize = 500;

/// Everything that a run's end stores.
#[derive(Debug, Clone, Default)]
pub struct Finish {
    /// How it ended; `None` only before it is known.
    pub outcome: Option<Outcome>,
    /// Where it was when it did not succeed.
    pub stage: Option<Stage>,
    /// A short name for the reason, for programs.
    pub error_code: Option<String>,
    /// The reason, for people.
    pub error: Option<String>,
    /// What became of the rows.
    pub counts: Counts,
    /// Why a guard holds it.
    pub verdicts: Vec<Verdict>,
    /// Drift and warnings, as told in the run.
    pub notes: Option<Json>,
    /// How the report was laid out.
    pub layout: Option<Layout>,
    /// Rows that did not fit.
    pub quarantined: Vec<Quarantined>,
    /// When the report was looked at: the moment from which a miss counts.
    pub missed_at: Option<Timestamp>,
    /// Keys to mark missing.
    pub missing: Vec<String>,
    /// Keys to delete.
    pub deleted: Vec<String>,
    /// SHA-256 of the report's bytes.
    pub sha256: Option<String>,
    /// The plan's digest, for a hold.
    pub plan_digest: Option<String>,
    /// The report's bytes, for a hold.
    pub document: Option<Vec<u8>>,
}

/// What the end of a run led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The final counts.
    pub counts: Counts,
    /// Jobs that follow: accepted, or already there.
    pub follow_ups: Vec<Admission>,
}

impl Store {
    /// Ends an attempt.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the job is another's by now; nothing is written then.
    pub async fn finish(
        &self,
        job: &ClaimedJob,
        mut end: Finish,
        next: NextStep,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let (job, types) = (job.clone(), self.types().clone());
        self.write(move |tx| {
            Box::pin(async move {
                check_lease(tx, &job).await?;
                let next =
                    if is_stopped(tx, &job).await? && next != NextStep::GiveBack { NextStep::Done } else { next };
                let spec = types.get(job.sync_type.as_str());
                let spec = spec.ok_or_else(|| StoreError::Missing(format!("sync type {}", job.sync_type)))?.clone();
                let is_applied = end.outcome.is_some_and(Outcome::is_applied);
                let mut finished = Finished { counts: end.counts, ..Finished::default() };
                if is_applied {
                    mark_missing(tx, &spec, &job, &end, now)
                        .await
                        .map_err(StoreError::while_doing("mark missing rows"))?;
                    let unjoined = link::unjoin(tx, &types, &spec, &job.agent, &end.deleted).await;
                    unjoined.map_err(StoreError::while_doing("part records from deleted parents"))?;
                    if let Some(parent) = &spec.parent {
                        let counted = count_orphans(tx, &spec, &job).await;
                        let (orphans, live) = counted.map_err(StoreError::while_doing("count orphans"))?;
                        finished.counts.orphans = orphans;
                        warn_of_orphans(&mut end.notes, orphans, live, parent.sync_type.as_str());
                    }
                    finished.follow_ups = follow_up(tx, &types, &spec, &job, now).await?;
                }
                let document = settle_holds(tx, &job, &end, (is_applied, next == NextStep::Done), now).await?;
                quarantine(tx, &job, &end.quarantined).await.map_err(StoreError::while_doing("quarantine rows"))?;
                end_run(tx, &job, end, finished.counts, document, now).await?;
                end_job(tx, &job, next, now).await?;
                release_agent(tx, job.id).await?;
                Ok(finished)
            })
        })
        .await
    }
}

/// Has someone asked this job to stop? Then no retry follows.
async fn is_stopped(tx: &DatabaseTransaction, job: &ClaimedJob) -> Result<bool, StoreError> {
    let row = entity::job::Entity::find_by_id(job.id).one(tx).await;
    Ok(row.map_err(StoreError::while_doing("end a run"))?.is_some_and(|row| row.stop_requested))
}

async fn mark_missing(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    end: &Finish,
    now: Timestamp,
) -> Result<(), DbErr> {
    let missed_at = end.missed_at.unwrap_or(now);
    for (keys, column, moment) in [(&end.missing, "missing_since", missed_at), (&end.deleted, "deleted_at", now)] {
        for chunk in keys.chunks(CHUNK) {
            let mut update = Query::update();
            update
                .table(spec.name.as_str().to_owned())
                .value(column, moment)
                .value("missing_run_id", job.run)
                .and_where(equals("agent_id", job.agent.as_str()))
                .and_where(Expr::col(spec.key_name().to_owned()).is_in(chunk.to_vec()));
            tx.execute(&update).await?;
        }
    }
    Ok(())
}

/// `(records without a parent, all records)`, deleted ones apart.
async fn count_orphans(tx: &DatabaseTransaction, spec: &SyncTypeSpec, job: &ClaimedJob) -> Result<(u64, u64), DbErr> {
    let mut query = Query::select();
    query
        .from(spec.name.as_str().to_owned())
        .expr_as(Func::count(Expr::col("agent_id")), "live")
        .expr_as(Func::count(Expr::col("parent_key")), "joined")
        .and_where(equals("agent_id", job.agent.as_str()))
        .and_where(Expr::col("deleted_at").is_null());
    let Some(row) = tx.query_one(&query).await? else { return Ok((0, 0)) };
    let (live, joined): (i64, i64) = (row.try_get("", "live")?, row.try_get("", "joined")?);
    Ok(((live - joined).unsigned_abs(), live.unsigned_abs()))
}

/// A run that matched almost nothing stored its rows, but must not look like a plain success.
fn warn_of_orphans(notes: &mut Option<Json>, orphans: u64, live: u64, parent: &str) {
    if orphans * 2 > live {
        let warning = format!("{orphans} of {live} records have no known record of {parent} that they belong to");
        tracing::warn!(warning, "low match");
        let notes = notes.get_or_insert_with(|| Json::Object(serde_json::Map::new()));
        notes["warnings"] = Json::Array(vec![warning.into()]);
    }
}

/// Inserts the follow-up jobs that this run, or one before it that was stopped or killed, called for.
async fn follow_up(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    use entity::job::Column as C;
    let cleared = entity::job::Entity::update_many()
        .col_expr(C::FollowUpDue, Expr::val(false))
        .filter(C::SyncType.eq(job.sync_type.as_str()))
        .filter(C::AgentId.eq(job.agent.as_str()))
        .filter(C::FollowUpDue.eq(true))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("look for follow-ups"))?;
    let mut admissions = Vec::new();
    if cleared.rows_affected > 0 {
        for child in spec.triggers.iter().filter_map(|name| types.get(name.as_str())) {
            let mut follow_up = NewJob::sync(child.name.clone(), job.agent.clone(), child.priority, Reason::Flow);
            follow_up.parent = Some(job.id);
            admissions.push(admit(tx, follow_up, now).await?);
        }
    }
    Ok(admissions)
}

/// At most one open hold per type and agent: a newer one supersedes it, an applied run closes it.
/// Answers the document that this run keeps.
async fn settle_holds(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    end: &Finish,
    (is_applied, is_over): (bool, bool),
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    use entity::sync_run::Column as C;
    let failed = StoreError::while_doing("settle holds");
    let is_held = end.outcome == Some(Outcome::Held);
    if is_applied || is_held {
        let hold = if is_held { "superseded" } else { "closed" };
        let open = entity::sync_run::Entity::find()
            .filter(C::SyncType.eq(job.sync_type.as_str()))
            .filter(C::AgentId.eq(job.agent.as_str()))
            .filter(C::Hold.is_in(["open", "approved"]))
            .all(tx)
            .await
            .map_err(&failed)?;
        for row in open {
            let hold = if job.approves == Some(row.id) && is_applied { "applied" } else { hold };
            super::runs::close_hold(tx, &row, hold).await?;
        }
    }
    if let Some(approved) = job.approves.filter(|_| is_over && !is_applied) {
        // its plan is half done or no longer the one that was shown: the next run judges anew
        let row = entity::sync_run::Entity::find_by_id(approved).one(tx).await.map_err(&failed)?;
        if let Some(row) = row.filter(|row| row.hold.as_deref() == Some("approved")) {
            super::runs::close_hold(tx, &row, "closed").await?;
        }
    }
    match &end.document {
        Some(bytes) if is_held => {
            let row = entity::document::ActiveModel {
                id: NotSet,
                sha256: Set(end.sha256.clone().unwrap_or_default()),
                bytes: Set(bytes.clone()),
                created_at: Set(now),
            };
            Ok(Some(entity::document::Entity::insert(row).exec(tx).await.map_err(&failed)?.last_insert_id))
        }
        _ => Ok(None),
    }
}

async fn quarantine(tx: &DatabaseTransaction, job: &ClaimedJob, rows: &[Quarantined]) -> Result<(), DbErr> {
    let small = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    for chunk in rows[..rows.len().min(MAX_QUARANTINED)].chunks(CHUNK) {
        let models = chunk.iter().map(|row| entity::quarantine::ActiveModel {
            id: NotSet,
            run_id: Set(job.run),
            sync_type: Set(job.sync_type.to_string()),
            agent_id: Set(job.agent.to_string()),
            page: Set(small(row.page)),
            row_number: Set(small(row.row)),
            column_header: Set(row.column.clone()),
            printed: Set(row.text.clone()),
            why: Set(row.why.clone()),
            record_key: Set(row.key.clone()),
        });
        entity::quarantine::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
}

async fn end_run(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    end: Finish,
    counts: Counts,
    document: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let count = |number: u64| Set(i64::try_from(number).unwrap_or(i64::MAX));
    let is_held = end.outcome == Some(Outcome::Held);
    let row = entity::sync_run::ActiveModel {
        id: Set(job.run),
        outcome: Set(end.outcome.map(|outcome| outcome.as_str().to_owned())),
        stage: Set(end.stage.map(|stage| stage.as_str().to_owned())),
        error_code: Set(end.error_code),
        error: Set(end.error.clone()),
        read: count(counts.read),
        inserted: count(counts.inserted),
        updated: count(counts.updated),
        refreshed: count(counts.refreshed),
        unchanged: count(counts.unchanged),
        restored: count(counts.restored),
        quarantined: count(counts.quarantined),
        skipped: count(counts.skipped),
        not_applied: count(counts.not_applied),
        missing: count(counts.missing),
        deleted: count(counts.deleted),
        orphans: count(counts.orphans),
        verdicts: Set((!end.verdicts.is_empty()).then(|| serde_json::json!(end.verdicts))),
        notes: Set(end.notes),
        layout_fingerprint: Set(end.layout.as_ref().map(Layout::fingerprint)),
        layout: Set(end.layout.map(|layout| serde_json::json!(layout))),
        hold: Set(is_held.then(|| "open".to_owned())),
        plan_digest: Set(end.plan_digest),
        document_sha256: Set(end.sha256),
        document_id: Set(document),
        finished_at: Set(Some(now)),
        ..Default::default()
    };
    entity::sync_run::Entity::update(row).exec(tx).await.map_err(StoreError::while_doing("end a run"))?;
    entity::job::Entity::update_many()
        .col_expr(entity::job::Column::Outcome, Expr::val(end.outcome.map(Outcome::as_str)))
        .col_expr(entity::job::Column::Error, Expr::val(end.error))
        .filter(entity::job::Column::Id.eq(job.id))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("end a run"))?;
    Ok(())
}

async fn end_job(tx: &DatabaseTransaction, job: &ClaimedJob, next: NextStep, now: Timestamp) -> Result<(), StoreError> {
    use entity::job::Column as C;
    let failed = StoreError::while_doing("end a job");
    let event = match next {
        NextStep::Done => JobEvent::Finished,
        NextStep::RetryIn(_) => JobEvent::Backoff,
        NextStep::GiveBack => JobEvent::Released,
    };
    // the lease was checked, so the job is active
    let state = state_after(JobState::Active.as_str(), event)?;
    let update = entity::job::Entity::update_many()
        .col_expr(C::Owner, Expr::val(Option::<String>::None))
        .col_expr(C::State, Expr::val(state))
        .filter(C::Id.eq(job.id));
    let update = match next {
        NextStep::Done => {
            drop_upload(tx, job.document, job.approves).await?;
            update.col_expr(C::FinishedAt, Expr::val(now))
        }
        NextStep::RetryIn(pause) => {
            update.col_expr(C::DueAt, Expr::val(now + Duration::from_std(pause).unwrap_or(Duration::zero())))
        }
        NextStep::GiveBack => update.col_expr(C::Attempt, Expr::val(i32::try_from(job.attempt).unwrap_or(1) - 1)),
    };
    update.exec(tx).await.map(|_| ()).map_err(failed)
}

//! How does a run end? One transaction: missing rows, counts, hold, follow-ups, job.

use std::sync::Arc;

use chrono::Duration;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, Set, prelude::*, sea_query::Query,
};
use serde_json::Value as Json;

use super::{
    Store, StoreError,
    admit::admit_all,
    breakers::{self, SourceReport},
    claim::state_after,
    entity,
    holds::{quarantine, settle_holds},
    lane,
    lease::{SENT, is_held},
    link,
    over::{Over, drop_upload, follow, keep_window},
    record_table::{equals, has_key},
};
use crate::{
    delta::Verdict,
    domain::{
        Admission, ClaimedJob, Class, Counts, JobState, JobType, NewJob, NextStep, Outcome, Reason, Stage, Timestamp,
        job::JobEvent,
    },
    report::{Layout, Quarantined},
    sync_type::{SyncTypeSpec, SyncTypes},
};

use entity::job::Column as C;

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
    /// By what the source tells whether its report is still that one.
    pub version: Option<String>,
    /// The plan's digest, for a hold.
    pub plan_digest: Option<String>,
    /// The report's bytes, for a hold or for going on after a preemption.
    pub document: Option<Arc<Vec<u8>>>,
    /// What was learnt of the source, for its breaker.
    pub source: Option<SourceReport>,
    /// What an operation brought back.
    pub result: Option<Json>,
}

/// What the end of a run led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The final counts.
    pub counts: Counts,
    /// Jobs that follow: accepted, or already there.
    pub follow_ups: Vec<(JobType, Admission)>,
}

impl Store {
    /// Ends an attempt with all that it may leave behind, in a transaction of its own.
    pub(super) async fn finish_alone(
        &self,
        job: &ClaimedJob,
        end: Finish,
        next: NextStep,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let (job, types, inner) = (job.clone(), self.types().clone(), self.inner.clone());
        let key = job.dedup_key.clone();
        let has_failed = end.source.as_ref().is_some_and(|source| source.failed.is_some());
        let forget = move || match &key {
            // a breaker may have opened: that is to be answered then
            _ if has_failed => inner.live.forget_all(),
            Some(key) => inner.live.forget(key),
            None => {}
        };
        let (before, live) = (forget.clone(), self.inner.clone());
        // as `write_ending`: before the commit, and after it
        let write = self.inner.writer.write(
            move |tx| {
                Box::pin(async move {
                    let finished = finish_in(tx, &types, &job, end, next, now).await?;
                    before();
                    if next == NextStep::Done {
                        live.live.end([job.id].into_iter());
                    }
                    Ok(finished)
                })
            },
            move |_| forget(),
        );
        write.await
    }
}

async fn finish_in(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    job: &ClaimedJob,
    mut end: Finish,
    next: NextStep,
    now: Timestamp,
) -> Result<Finished, StoreError> {
    let row = held(tx, job).await?;
    // whoever asked for a stop wants no other attempt, also if the run was to be given back besides
    let mut next = if row.stop_requested { NextStep::Done } else { next };
    let is_applied = end.outcome.is_some_and(Outcome::is_applied);
    let mut finished = Finished { counts: end.counts, ..Finished::default() };
    if let Some(spec) = types.get(job.job_type.as_str()).filter(|_| is_applied) {
        end_sync(tx, types, spec, (job, &mut end, &mut finished), now).await?;
    }
    let open_until = match &end.source {
        Some(report) => breakers::tell(tx, report, job.agent.as_str(), now).await?,
        None => None,
    };
    let document = settle_holds(tx, job, &end, (is_applied, next == NextStep::Done), now).await?;
    quarantine(tx, job, &end.quarantined).await.map_err(StoreError::while_doing("quarantine rows"))?;
    let is_download = job.class == Class::Download && is_applied;
    if let Some(bytes) = if is_download { end.document.take() } else { None } {
        let document = super::documents::insert(tx, &bytes, now).await;
        let result = end.result.get_or_insert_with(|| Json::Object(serde_json::Map::new()));
        result["documentId"] = document.map_err(StoreError::while_doing("keep a document"))?.into();
    }
    let kept = end.document.take().filter(|_| next == NextStep::GiveBack);
    let told = Told { outcome: end.outcome, error: end.error.clone(), result: end.result.take(), kept };
    end_run(tx, job, end, finished.counts, document, now).await?;
    if let (NextStep::RetryIn(pause), Some(until)) = (&mut next, open_until) {
        // its breaker has opened: the retry is the probe, or comes after it
        *pause = (*pause).max((until - now).to_std().unwrap_or_default());
    }
    end_job(tx, job, next, told, now).await?;
    if next == NextStep::Done {
        follow(tx, types, &[Over::from(&row)], now).await?;
    } else {
        lane::refresh(tx, [job.id]).await?;
    }
    Ok(finished)
}

/// The last writes of a sync whose whole report was applied: missing rows, parents, follow-ups.
async fn end_sync(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    (job, end, finished): (&ClaimedJob, &mut Finish, &mut Finished),
    now: Timestamp,
) -> Result<(), StoreError> {
    mark_missing(tx, spec, job, end, now).await.map_err(StoreError::while_doing("mark missing rows"))?;
    let unjoined = link::unjoin(tx, types, spec, &job.agent, &end.deleted).await;
    unjoined.map_err(StoreError::while_doing("part records from deleted parents"))?;
    if let Some(parent) = &spec.parent {
        let counted = link::count_orphans(tx, spec, &[job.agent.as_str()]).await;
        let mut counted = counted.map_err(StoreError::while_doing("count orphans"))?;
        let (orphans, live) = counted.remove(job.agent.as_str()).unwrap_or_default();
        finished.counts.orphans = orphans;
        link::warn_of_orphans(&mut end.notes, orphans, live, parent.sync_type.as_str());
    }
    finished.follow_ups = follow_up(tx, types, spec, job, now).await?;
    Ok(())
}

/// The job's row, if this attempt still holds it.
async fn held(tx: &DatabaseTransaction, job: &ClaimedJob) -> Result<entity::job::Model, StoreError> {
    let found = entity::job::Entity::find()
        .filter(is_held(job))
        // a batch that is being written ends first
        .lock_exclusive()
        .one(tx)
        .await;
    let found = found.map_err(StoreError::while_doing("check the lease"))?;
    found.ok_or(StoreError::LeaseLost { job: job.id, lease: job.lease })
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
        if keys.is_empty() {
            continue;
        }
        let mut update = Query::update();
        update
            .table(spec.name.as_str().to_owned())
            .value(column, moment)
            .value("missing_run_id", job.run)
            .and_where(equals("agent_id", job.agent.as_str()))
            .and_where(has_key(spec, keys, tx.get_database_backend()));
        tx.execute(&update).await?;
    }
    Ok(())
}

/// Inserts the follow-up jobs that this run, or one before it that was stopped or killed, called for.
async fn follow_up(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    now: Timestamp,
) -> Result<Vec<(JobType, Admission)>, StoreError> {
    let cleared = entity::job::Entity::update_many()
        .col_expr(C::FollowUpDue, Expr::val(false))
        .filter(C::JobType.eq(job.job_type.as_str()))
        .filter(C::AgentId.eq(job.agent.as_str()))
        .filter(Expr::cust("follow_up_due"))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("look for follow-ups"))?;
    if cleared.rows_affected == 0 {
        return Ok(Vec::new());
    }
    let children = spec.triggers.iter().filter_map(|name| types.get(name.as_str()));
    let children: Vec<NewJob> =
        children.map(|child| NewJob { parent: Some(job.id), ..child.job(&job.agent, Reason::Flow) }).collect();
    let names: Vec<JobType> = children.iter().map(|child| child.job_type.clone()).collect();
    let (answers, _) = admit_all(tx, children, now).await?;
    Ok(names.into_iter().zip(answers).collect())
}

async fn end_run(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    end: Finish,
    counts: Counts,
    document: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    entity::sync_run::Entity::update_many()
        .set(run_row(end, counts, document, now))
        .filter(entity::sync_run::Column::Id.eq(job.run))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("end a run"))
}

/// What the history says of a run that has ended.
pub(super) fn run_row(
    end: Finish,
    counts: Counts,
    document: Option<i64>,
    now: Timestamp,
) -> entity::sync_run::ActiveModel {
    let count = |number: u64| Set(i64::try_from(number).unwrap_or(i64::MAX));
    let is_held = end.outcome == Some(Outcome::Held);
    entity::sync_run::ActiveModel {
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
        document_version: Set(end.version),
        document_id: Set(document),
        finished_at: Set(Some(now)),
        ..Default::default()
    }
}

/// What a job's own row says of the attempt's end.
struct Told {
    outcome: Option<Outcome>,
    error: Option<String>,
    result: Option<Json>,
    /// The report from which a preempted run goes on.
    kept: Option<Arc<Vec<u8>>>,
}

/// Ends the job, or puts it back. Its lease number rises in any case: no write of this attempt fits any more.
async fn end_job(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    next: NextStep,
    told: Told,
    now: Timestamp,
) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("end a job");
    let event = match next {
        NextStep::Done => JobEvent::Finished,
        NextStep::RetryIn(_) => JobEvent::Backoff,
        NextStep::GiveBack => JobEvent::Released,
    };
    // a report that was kept for going on, and not a person's
    let is_own_fetch = job.document.is_some() && !job.reason.has_document();
    // the lease was checked, so the job is active
    let state = state_after(JobState::Active.as_str(), event)?;
    let mut update = entity::job::Entity::update_many()
        .col_expr(C::Owner, Expr::val(Option::<String>::None))
        .col_expr(C::Lease, Expr::val(job.lease + 1))
        .col_expr(C::State, Expr::val(state))
        .col_expr(C::Outcome, Expr::val(told.outcome.map(Outcome::as_str)))
        .col_expr(C::Error, Expr::val(told.error))
        .col_expr(C::Result, Expr::val(told.result))
        .filter(C::Id.eq(job.id));
    match next {
        NextStep::Done => {
            drop_upload(tx, job.document, job.approves).await?;
            update = update.col_expr(C::FinishedAt, Expr::val(now));
            if is_own_fetch {
                update = update.col_expr(C::DocumentId, Expr::val(Option::<i64>::None));
            }
            if job.class == Class::Write && told.outcome != Some(Outcome::Doubtful) {
                // it is known now whether the effect happened
                let phase = told.outcome.is_some_and(Outcome::is_applied).then_some(SENT);
                update = update.col_expr(C::Phase, Expr::val(phase));
            }
            if told.outcome == Some(Outcome::Doubtful) {
                keep_window(tx, job.id, now).await?;
            } else if told.outcome.is_some_and(Outcome::is_failure) {
                let released = entity::job::Entity::update_many()
                    .col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None))
                    .filter(C::Id.eq(job.id))
                    .filter(Expr::cust("release_window"));
                released.exec(tx).await.map_err(&failed)?;
            }
        }
        NextStep::RetryIn(pause) => {
            let due = now + Duration::from_std(pause).unwrap_or(Duration::zero());
            update = update.col_expr(C::DueAt, Expr::val(due)).col_expr(C::Phase, Expr::val(Option::<String>::None));
            if is_own_fetch {
                // what was kept for going on is read once; a retry fetches anew
                drop_upload(tx, job.document, None).await?;
                update = update.col_expr(C::DocumentId, Expr::val(Option::<i64>::None));
            }
        }
        NextStep::GiveBack => {
            update = update.col_expr(C::Attempt, Expr::val(i32::try_from(job.attempt).unwrap_or(1) - 1));
            if told.kept.is_none() && is_own_fetch {
                // it goes on nobody knows when: it fetches anew then
                drop_upload(tx, job.document, None).await?;
                update = update.col_expr(C::DocumentId, Expr::val(Option::<i64>::None));
            }
            if let Some(bytes) = told.kept.filter(|_| job.document.is_none()) {
                let document = super::documents::insert(tx, &bytes, now).await.map_err(&failed)?;
                update = update.col_expr(C::DocumentId, Expr::val(document));
            }
        }
    }
    update.exec(tx).await.map(|_| ()).map_err(failed)
}

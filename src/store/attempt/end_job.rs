//! How does a job end, or go back to be tried again? Its own row.

use std::sync::Arc;

use chrono::Duration;
use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, prelude::*};
use serde_json::Value as Json;

use crate::{
    domain::{ClaimedJob, Class, DocumentId, JobState, NextStep, Outcome, Phase, Timestamp, job::JobEvent},
    store::{
        StoreError, documents,
        jobs::follow::{drop_upload, keep_window},
        schema::entity,
    },
};

use entity::job::Column as C;

/// What a job's own row says of the attempt's end.
pub(crate) struct JobEnd {
    pub outcome: Option<Outcome>,
    pub error: Option<String>,
    pub result: Option<Json>,
    /// The report from which a preempted run goes on.
    pub kept: Option<Arc<Vec<u8>>>,
}

/// Ends the job, or puts it back. Its lease number rises in any case: no write of this attempt fits any more.
pub(crate) async fn end_job(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    next: NextStep,
    end: JobEnd,
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
    let state = JobState::Active.on(event)?;
    let mut update = entity::job::Entity::update_many()
        .col_expr(C::Owner, Expr::val(Option::<String>::None))
        .col_expr(C::Lease, Expr::val(job.lease + 1))
        .col_expr(C::State, Expr::val(state))
        .col_expr(C::Outcome, Expr::val(end.outcome))
        .col_expr(C::Error, Expr::val(end.error))
        .col_expr(C::Result, Expr::val(end.result))
        .filter(C::Id.eq(job.id));
    match next {
        NextStep::Done => {
            drop_upload(tx, job.document, job.approves).await?;
            update = update.col_expr(C::FinishedAt, Expr::val(now));
            if is_own_fetch {
                update = update.col_expr(C::DocumentId, Expr::val(Option::<DocumentId>::None));
            }
            if job.class == Class::Write && end.outcome != Some(Outcome::Doubtful) {
                // it is known now whether the effect happened
                let phase = end.outcome.is_some_and(Outcome::is_applied).then_some(Phase::Done);
                update = update.col_expr(C::Phase, Expr::val(phase));
            }
            if end.outcome == Some(Outcome::Doubtful) {
                keep_window(tx, job.id, now).await?;
            } else if end.outcome.is_some_and(Outcome::is_failure) {
                let released = entity::job::Entity::update_many()
                    .col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None))
                    .filter(C::Id.eq(job.id))
                    .filter(Expr::cust("release_window"));
                released.exec(tx).await.map_err(&failed)?;
            }
        }
        NextStep::RetryIn(pause) => {
            let due = now + Duration::from_std(pause).unwrap_or(Duration::zero());
            update = update.col_expr(C::DueAt, Expr::val(due)).col_expr(C::Phase, Expr::val(Option::<Phase>::None));
            if is_own_fetch {
                // what was kept for going on is read once; a retry fetches anew
                drop_upload(tx, job.document, None).await?;
                update = update.col_expr(C::DocumentId, Expr::val(Option::<DocumentId>::None));
            }
        }
        NextStep::GiveBack => {
            update = update.col_expr(C::Attempt, Expr::val(i32::try_from(job.attempt).unwrap_or(1) - 1));
            if end.kept.is_none() && is_own_fetch {
                // it goes on nobody knows when: it fetches anew then
                drop_upload(tx, job.document, None).await?;
                update = update.col_expr(C::DocumentId, Expr::val(Option::<DocumentId>::None));
            }
            if let Some(bytes) = end.kept.filter(|_| job.document.is_none()) {
                let document = documents::insert(tx, &bytes, now).await.map_err(&failed)?;
                update = update.col_expr(C::DocumentId, Expr::val(document));
            }
        }
    }
    update.exec(tx).await.map(|_| ()).map_err(failed)
}

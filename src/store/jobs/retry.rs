//! May a job that is over be done again? It takes its key anew, or is refused with the reason.

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};

use serde_json::json;

use super::{
    flow::flows_of,
    lane::{self, is_live},
};
use crate::{
    domain::{DocumentId, FlowOutcome, JobId, JobState, Outcome, Phase, Retry, Timestamp, job::JobEvent},
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

use entity::job::Column as C;

impl Store {
    /// Puts a job that is over, and did not succeed, back into the queue: it takes its key again, or is
    /// refused. `even_if_done` is a person's word that a doubtful effect is to be repeated.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, StoreError> {
        let (inner, signer) = (self.inner.clone(), self.signer.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("retry a job");
                let Some(row) = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)? else {
                    return Ok(Retry::Unknown);
                };
                if let Some(refused) = refuse_retry(tx, &row, even_if_done, now).await? {
                    return Ok(refused);
                }
                let priority = u8::try_from(row.priority).unwrap_or(1);
                entity::job::Entity::update_many()
                    .col_expr(C::State, Expr::val(row.state.on(JobEvent::Retried)?))
                    .col_expr(C::Outcome, Expr::val(Option::<Outcome>::None))
                    .col_expr(C::Error, Expr::val(Option::<String>::None))
                    .col_expr(C::FinishedAt, Expr::val(Option::<Timestamp>::None))
                    .col_expr(C::Phase, Expr::val(Option::<Phase>::None))
                    .col_expr(C::FlowOutcome, Expr::val(Option::<FlowOutcome>::None))
                    .col_expr(C::StopRequested, Expr::val(false))
                    .col_expr(C::Attempt, Expr::val(0))
                    .col_expr(C::DueAt, Expr::val(now))
                    .col_expr(C::EnqueuedAt, Expr::val(now))
                    .col_expr(C::OrderKey, Expr::val(row.class.order_key(priority, now)))
                    .filter(C::Id.eq(job))
                    .exec(tx)
                    .await
                    .map_err(&failed)?;
                let flows: Vec<JobId> = flows_of(tx, [row.id].into_iter()).await?;
                let flows: Vec<JobId> = row.root_job_id.into_iter().chain(flows).collect();
                if !flows.is_empty() {
                    // what it belongs to is under way again
                    entity::job::Entity::update_many()
                        .col_expr(C::FlowOutcome, Expr::val(Option::<FlowOutcome>::None))
                        .filter(C::Id.is_in(flows))
                        .exec(tx)
                        .await
                        .map_err(failed)?;
                }
                lane::refresh(tx, [row.id]).await?;
                let before = json!({ "outcome": row.outcome, "error": row.error });
                let after = json!({ "evenIfDone": even_if_done });
                signer.note(tx, Change::new("job.retry", format!("job:{job}")).from(before).to(after)).await?;
                inner.dedup.revive(job);
                Ok(Retry::Accepted)
            })
        })
        .await
    }
}

async fn refuse_retry(
    tx: &DatabaseTransaction,
    row: &entity::job::Model,
    even_if_done: bool,
    now: Timestamp,
) -> Result<Option<Retry>, StoreError> {
    let failed = StoreError::while_doing("retry a job");
    if row.state != JobState::Done {
        return Ok(Some(Retry::NotOver));
    }
    if row.outcome.is_some_and(Outcome::is_applied) {
        return Ok(Some(Retry::Succeeded));
    }
    if row.outcome == Some(Outcome::Doubtful) && !even_if_done {
        return Ok(Some(Retry::Doubtful));
    }
    if let Some(document) = row.document_id {
        let kept = entity::document::Entity::find_by_id(document).select_only();
        let kept =
            kept.column(entity::document::Column::Id).into_tuple::<DocumentId>().one(tx).await.map_err(&failed)?;
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

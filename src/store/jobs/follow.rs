//! What follows when a job is over? The newest wish that was kept behind it, the end of its flow, and what
//! it leaves behind.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, prelude::*};

use super::{
    flow::{flows_of, is_in_flow},
    lane::{self, is},
};
use crate::{
    domain::{DocumentId, FlowOutcome, Hold, JobId, JobState, Outcome, RunId, Timestamp, job::JobEvent},
    store::{StoreError, schema::entity},
    sync_type::SyncTypes,
};

use entity::job::Column as C;

/// A job that has just ended for good.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub id: JobId,
    pub key: Option<String>,
    pub root: Option<JobId>,
}

impl From<&entity::job::Model> for Over {
    fn from(row: &entity::job::Model) -> Self {
        Self { id: row.id, key: row.dedup_key.clone(), root: row.root_job_id }
    }
}

/// Keys and numbers in one `IN (...)`.
const CHUNK: usize = 500;
/// The key of a write that may have had its effect stays refused, until long after a person has looked.
const DOUBT: chrono::Duration = chrono::Duration::days(3_650);

/// Lets the kept jobs of these keys follow, and ends the flows that have nothing left.
pub(crate) async fn follow(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    over: &[Over],
    now: Timestamp,
) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("see what follows");
    for chunk in over.chunks(CHUNK) {
        let keys: Vec<&str> = chunk.iter().filter_map(|job| job.key.as_deref()).collect();
        if !keys.is_empty() {
            let kept = entity::job::Entity::find().filter(is(JobState::Kept)).filter(C::DedupKey.is_in(keys)).all(tx);
            for row in kept.await.map_err(&failed)? {
                start_kept(tx, &row, now).await?;
            }
        }
        let firsts = entity::job::Entity::find()
            .filter(Expr::cust("root_job_id IS NOT NULL"))
            .filter(C::RootJobId.is_in(chunk.iter().map(|job| job.id)))
            .select_only()
            .column(C::RootJobId)
            .distinct()
            .into_tuple::<JobId>()
            .all(tx)
            .await
            .map_err(&failed)?;
        let linked = flows_of(tx, chunk.iter().map(|job| job.id)).await?;
        let roots: BTreeSet<JobId> = chunk.iter().filter_map(|job| job.root).chain(firsts).chain(linked).collect();
        for root in roots {
            end_flow(tx, types, root, now).await?;
        }
    }
    Ok(())
}

/// A job that was kept behind another starts by its own priority and delay.
pub(crate) async fn start_kept(
    tx: &DatabaseTransaction,
    row: &entity::job::Model,
    now: Timestamp,
) -> Result<(), StoreError> {
    let due = now + chrono::Duration::milliseconds(row.delay_ms);
    let mut state = row.state.on(JobEvent::Followed)?;
    if due > now {
        state = state.on(JobEvent::Postponed)?;
    }
    let priority = u8::try_from(row.priority).unwrap_or(1);
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(state))
        .col_expr(C::DueAt, Expr::val(due))
        .col_expr(C::OrderKey, Expr::val(row.class.order_key(priority, now)))
        .filter(C::Id.eq(row.id))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("start a kept job"))?;
    lane::refresh(tx, [row.id]).await
}

/// An effect that may have happened: the same key is answered with this job until a person has decided.
pub(crate) async fn keep_window(tx: &DatabaseTransaction, job: JobId, now: Timestamp) -> Result<(), StoreError> {
    entity::job::Entity::update_many()
        .col_expr(C::ThrottleUntil, Expr::val(now + DOUBT))
        .filter(C::Id.eq(job))
        .filter(Expr::cust("throttle_key IS NOT NULL"))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("keep a window open"))
}

/// Ends a flow whose jobs are all over: its first job says how, by what each type makes of a failure.
async fn end_flow(tx: &DatabaseTransaction, types: &SyncTypes, root: JobId, now: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("end a flow");
    let children = entity::job::Entity::find()
        .filter(is_in_flow(root))
        .select_only()
        .columns([C::JobType, C::State, C::Outcome])
        .into_tuple::<(String, JobState, Option<Outcome>)>()
        .all(tx)
        .await
        .map_err(&failed)?;
    if children.is_empty() {
        return Ok(());
    }
    let first = entity::job::Entity::find_by_id(root).one(tx).await.map_err(&failed)?;
    let Some(first) = first.filter(|row| row.state == JobState::Done) else { return Ok(()) };
    if children.iter().any(|(_, state, _)| *state != JobState::Done) {
        return Ok(());
    }
    let rule = |name: &str| types.get(name).map(|spec| spec.on_failure).unwrap_or_default();
    let children = children.iter().map(|(name, _, outcome)| (rule(name), *outcome));
    let outcome = FlowOutcome::of(first.outcome, children);
    entity::job::Entity::update_many()
        .col_expr(C::FlowOutcome, Expr::val(outcome))
        .col_expr(C::FlowFinishedAt, Expr::val(now))
        .filter(C::Id.eq(root))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(failed)
}

/// What a job leaves behind that ends without a run of its own: its upload has no reader any more, and
/// a hold that it was to apply waits for a person again.
pub(crate) async fn release(tx: &DatabaseTransaction, row: &entity::job::Model) -> Result<(), StoreError> {
    drop_upload(tx, row.document_id, row.approves_run_id).await?;
    if row.document_id.is_some() && !row.reason.has_document() {
        // it was kept for going on: a retry fetches anew
        entity::job::Entity::update_many()
            .col_expr(C::DocumentId, Expr::val(Option::<DocumentId>::None))
            .filter(C::Id.eq(row.id))
            .exec(tx)
            .await
            .map_err(StoreError::while_doing("part a job from its document"))?;
    }
    if let Some(held) = row.approves_run_id {
        entity::sync_run::Entity::update_many()
            .col_expr(entity::sync_run::Column::Hold, Expr::val(Hold::Open))
            .filter(entity::sync_run::Column::Id.eq(held))
            .filter(entity::sync_run::Column::Hold.eq(Hold::Approved))
            .exec(tx)
            .await
            .map_err(StoreError::while_doing("open a hold again"))?;
    }
    Ok(())
}

/// An upload's bytes have done their work once its job is over; an approved document is dropped with
/// its hold.
pub(crate) async fn drop_upload(
    tx: &DatabaseTransaction,
    document: Option<DocumentId>,
    approves: Option<RunId>,
) -> Result<(), StoreError> {
    let Some(document) = document.filter(|_| approves.is_none()) else { return Ok(()) };
    let dropped = entity::document::Entity::delete_by_id(document).exec(tx).await;
    dropped.map(|_| ()).map_err(StoreError::while_doing("drop an upload"))
}

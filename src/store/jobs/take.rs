//! How does a chosen job become the one that its agent runs?

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DerivePartialModel, EntityTrait, QueryFilter, Set, prelude::*,
    sea_query::ExprTrait,
};

use super::lane;
use crate::{
    domain::{ClaimedJob, Class, DocumentId, JobId, JobState, Outcome, Reason, RunId, Timestamp, job::JobEvent},
    store::{
        StoreError,
        db::{arrays::among_ids, bulk},
        schema::entity,
    },
    sync_type::SyncTypes,
};

use entity::job::Column as C;

/// What a claim needs of a job's row.
#[derive(Debug, Clone, DerivePartialModel)]
#[sea_orm(entity = "entity::job::Entity")]
pub(crate) struct Candidate {
    pub id: JobId,
    pub job_type: String,
    pub class: Class,
    pub agent_id: String,
    pub reason: Reason,
    pub state: JobState,
    pub force: bool,
    pub order_key: i64,
    pub attempt: i32,
    pub max_attempts: i32,
    pub repeatable: bool,
    pub payload: Option<serde_json::Value>,
    pub dedup_key: Option<String>,
    pub document_id: Option<DocumentId>,
    pub approves_run_id: Option<RunId>,
    pub lease: i64,
    pub enqueued_at: Timestamp,
    /// The first of the jobs behind it in its lane.
    #[sea_orm(from_expr = "lane::first_behind()")]
    pub behind: Option<JobId>,
}

/// Makes the jobs their agents' running ones, which is refused if one has another, and raises the leases.
pub(crate) async fn take(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    rows: Vec<Candidate>,
    owner: &str,
    now: Timestamp,
) -> Result<Vec<ClaimedJob>, StoreError> {
    let failed = StoreError::while_doing("claim a job");
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    for row in &rows {
        row.state.on(JobEvent::Claimed)?;
    }
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(JobState::Active))
        .col_expr(C::IsNext, Expr::val(false))
        .col_expr(C::Lease, Expr::col(C::Lease).add(1))
        .col_expr(C::Attempt, Expr::col(C::Attempt).add(1))
        .col_expr(C::Owner, Expr::val(owner))
        .col_expr(C::StartedAt, Expr::val(now))
        .col_expr(C::Outcome, Expr::val(Option::<Outcome>::None))
        .col_expr(C::Error, Expr::val(Option::<String>::None))
        .filter(among_ids(Expr::col(C::Id), rows.iter().map(|row| row.id), tx.get_database_backend()))
        .exec(tx)
        .await
        .map_err(&failed)?;
    let runs = begin_runs(tx, types, &rows, now).await?;
    lane::mark(tx, rows.iter().filter_map(|row| row.behind).collect(), true).await?;
    let claim = |(row, run): (Candidate, RunId)| {
        Ok(ClaimedJob {
            id: row.id,
            run,
            lease: row.lease + 1,
            job_type: row.job_type.into(),
            class: row.class,
            agent: row.agent_id.into(),
            reason: row.reason,
            force: row.force,
            attempt: (row.attempt + 1).unsigned_abs(),
            max_attempts: row.max_attempts.unsigned_abs(),
            repeatable: row.repeatable,
            payload: row.payload,
            dedup_key: row.dedup_key,
            document: row.document_id,
            approves: row.approves_run_id,
            enqueued_at: row.enqueued_at,
        })
    };
    rows.into_iter().zip(runs).map(claim).collect()
}

/// Begins the attempts' entries in the history; all that is not said here comes with their end.
async fn begin_runs(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    jobs: &[Candidate],
    now: Timestamp,
) -> Result<Vec<RunId>, StoreError> {
    let begin = |job: &Candidate| entity::sync_run::ActiveModel {
        job_id: Set(job.id),
        sync_type: Set(job.job_type.clone()),
        agent_id: Set(job.agent_id.clone()),
        reason: Set(job.reason),
        attempt: Set(job.attempt + 1),
        spec_fingerprint: Set(types.get(&job.job_type).map_or("", |spec| spec.fingerprint.as_str()).to_owned()),
        started_at: Set(now),
        ..Default::default()
    };
    let runs = jobs.iter().map(begin).collect();
    bulk::insert(tx, runs).await.map_err(StoreError::while_doing("begin a run"))
}

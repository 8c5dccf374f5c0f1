//! How does a chosen job become the one that its agent runs?

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DerivePartialModel, QueryResult,
    prelude::*,
    sea_query::{ExprTrait, Query},
};

use super::lane;
use crate::{
    domain::{ClaimedJob, Class, DocumentId, JobId, JobState, Outcome, Reason, RunId, Timestamp, job::JobEvent},
    store::{
        StoreError,
        db::{arrays::among_ids, dialect},
        schema::entity,
    },
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
    let ids: Vec<JobId> = rows.iter().map(|row| row.id).collect();
    let mut update = Query::update();
    update
        .table(entity::job::Entity)
        .value(C::State, JobState::Active)
        .value(C::IsNext, false)
        .value(C::Lease, Expr::col(C::Lease).add(1))
        .value(C::Attempt, Expr::col(C::Attempt).add(1))
        .value(C::RunId, dialect::next_numbers(tx, "sync_run", &ids).await.map_err(&failed)?)
        .value(C::Owner, owner)
        .value(C::StartedAt, now)
        .value(C::Outcome, Option::<Outcome>::None)
        .value(C::Error, Option::<String>::None)
        .and_where(among_ids(Expr::col(C::Id), ids, tx.get_database_backend()))
        .returning(Query::returning().columns([C::Id, C::RunId]));
    let taken = tx.query_all(&update).await.map_err(&failed)?;
    let run = |row: &QueryResult| Ok((row.try_get("", "id")?, row.try_get("", "run_id")?));
    let runs: HashMap<JobId, RunId> = taken.iter().map(run).collect::<Result<_, DbErr>>().map_err(&failed)?;
    lane::mark(tx, rows.iter().filter_map(|row| row.behind).collect(), true).await?;
    let claim = |row: Candidate| {
        Ok(ClaimedJob {
            id: row.id,
            run: *runs.get(&row.id).ok_or_else(|| StoreError::Missing(format!("job {}", row.id)))?,
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
            started_at: now,
        })
    };
    rows.into_iter().map(claim).collect()
}

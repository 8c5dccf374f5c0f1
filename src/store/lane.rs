//! Which waiting job of each lane is next? A lane is one type's jobs for one agent; a claim looks at the
//! first of each lane alone, so that a million jobs of one busy agent are one row in its way.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{Alias, ExprTrait, Query, SimpleExpr},
};

use super::{StoreError, entity};
use crate::domain::{JobId, JobState, Timestamp};

use entity::job::Column as C;

/// Keys in one `IN (...)`.
const CHUNK: usize = 500;

// Partial indexes are used only where the query says the same words as the index: no bound values here.

/// Is the job in this state?
pub(super) fn is(state: JobState) -> SimpleExpr {
    Expr::cust(format!("state = '{}'", state.as_str()))
}

/// Does the job hold its in-flight key?
pub(super) fn is_live() -> SimpleExpr {
    Expr::cust("state NOT IN ('done', 'kept')")
}

/// Is it the first of its lane?
pub(super) fn is_next() -> SimpleExpr {
    Expr::cust("is_next")
}

/// Is the breaker of the job's agent open?
pub(super) fn breaker_is_open(now: Timestamp) -> Expr {
    let mut open = Query::select();
    open.expr(Expr::val(1))
        .from(entity::breaker::Entity)
        .and_where(Expr::cust("breaker.agent_id = job.agent_id"))
        .and_where(Expr::col(entity::breaker::Column::OpenUntil).gt(now));
    Expr::exists(open)
}

/// Is it a sync whose agent has urgent work waiting that could start, so that it has to make room? A download
/// could not while the agent's breaker is open.
pub(super) fn is_overtaken(now: Timestamp) -> Expr {
    let mut urgent = Query::select();
    urgent
        .expr(Expr::val(1))
        .from_as(entity::job::Entity, Alias::new("other"))
        .and_where(Expr::cust("other.agent_id = job.agent_id AND other.is_next"))
        .and_where(Expr::cust("other.class = 0").or(Expr::cust("other.class = 1").and(breaker_is_open(now).not())));
    Expr::cust("class = 2").and(Expr::exists(urgent))
}

/// The first of each lane of these agents: `(type, agent)` -> `(order key, job)`.
pub(super) async fn heads(
    tx: &DatabaseTransaction,
    agents: BTreeSet<&str>,
) -> Result<HashMap<(String, String), (i64, JobId)>, StoreError> {
    let agents: Vec<&str> = agents.into_iter().collect();
    let mut heads = HashMap::new();
    for chunk in agents.chunks(CHUNK) {
        let rows = entity::job::Entity::find()
            .filter(is_next())
            .filter(C::AgentId.is_in(chunk.iter().copied()))
            .select_only()
            .columns([C::Id, C::JobType, C::AgentId, C::OrderKey])
            .into_tuple::<(i64, String, String, i64)>()
            .all(tx)
            .await
            .map_err(StoreError::while_doing("find what is next"))?;
        heads.extend(rows.into_iter().map(|(id, job_type, agent, order)| ((job_type, agent), (order, id))));
    }
    Ok(heads)
}

/// These jobs have left their lanes: the next of each lane is the first.
pub(super) async fn advance(tx: &DatabaseTransaction, left: impl Iterator<Item = JobId>) -> Result<(), StoreError> {
    // sea-query has no words for a subquery that is limited by a row outside of it
    let first = "(SELECT waiting.id FROM job AS waiting WHERE waiting.state = 'waiting' AND waiting.agent_id = \
                 job.agent_id AND waiting.job_type = job.job_type ORDER BY waiting.order_key, waiting.id LIMIT 1)";
    let left: Vec<JobId> = left.collect();
    for chunk in left.chunks(CHUNK) {
        let firsts = entity::job::Entity::find()
            .filter(C::Id.is_in(chunk.to_vec()))
            .select_only()
            .expr_as(Expr::cust(first), "first")
            .into_tuple::<Option<JobId>>()
            .all(tx)
            .await
            .map_err(StoreError::while_doing("find what is next"))?;
        // mostly there is none
        mark(tx, firsts.into_iter().flatten().collect(), true).await?;
    }
    Ok(())
}

/// Finds the first of a lane anew.
pub(super) async fn refresh(tx: &DatabaseTransaction, job_type: &str, agent: &str) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("find what is next");
    let lane = || entity::job::Entity::find().filter(C::AgentId.eq(agent)).filter(C::JobType.eq(job_type));
    let ids = |query: Select<entity::job::Entity>| query.select_only().column(C::Id).into_tuple::<i64>();
    let first = ids(lane().filter(is(JobState::Waiting)).order_by_asc(C::OrderKey).order_by_asc(C::Id)).one(tx);
    let first = first.await.map_err(&failed)?;
    let marked = ids(lane().filter(is_next())).all(tx).await.map_err(&failed)?;
    mark(tx, marked.iter().copied().filter(|id| Some(*id) != first).collect(), false).await?;
    mark(tx, first.into_iter().filter(|id| !marked.contains(id)).collect(), true).await
}

pub(super) async fn mark(tx: &DatabaseTransaction, jobs: Vec<JobId>, next: bool) -> Result<(), StoreError> {
    for chunk in jobs.chunks(CHUNK) {
        entity::job::Entity::update_many()
            .col_expr(C::IsNext, Expr::val(next))
            .filter(C::Id.is_in(chunk.to_vec()))
            .exec(tx)
            .await
            .map_err(StoreError::while_doing("mark what is next"))?;
    }
    Ok(())
}

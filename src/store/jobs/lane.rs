//! Which waiting job of each lane is next? A lane is one type's jobs for one agent; a claim looks at the
//! first of each lane alone, so that a million jobs of one busy agent are one row in its way.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    prelude::*,
    sea_query::{Alias, ExprTrait, Query, SimpleExpr},
};

use crate::{
    domain::{JobId, JobState, Timestamp},
    store::{
        StoreError,
        db::arrays::{among, among_ids},
        schema::entity,
    },
    sync_type::ValueType,
};

use entity::job::Column as C;

// Partial indexes are used only where the query says the same words as the index: no bound values here.

/// What waits behind the first of its lane.
const BEHIND: &str = "state = 'waiting' AND NOT is_next";

/// Is the job in this state?
pub(crate) fn is(state: JobState) -> SimpleExpr {
    Expr::cust(format!("state = '{}'", state.as_str()))
}

/// Does the job hold its in-flight key?
pub(crate) fn is_live() -> SimpleExpr {
    Expr::cust("state NOT IN ('done', 'kept')")
}

/// Is it the first of its lane?
pub(crate) fn is_next() -> SimpleExpr {
    Expr::cust("is_next")
}

/// What waits, in the two parts that have indexes: the first of each lane, and those behind them. By its state alone
/// it would be looked for among all jobs that ever were.
pub(crate) fn waiting() -> [SimpleExpr; 2] {
    [is_next(), Expr::cust(BEHIND)]
}

/// Is the breaker of the job's agent open?
pub(crate) fn breaker_is_open(now: Timestamp) -> Expr {
    let mut open = Query::select();
    open.expr(Expr::val(1))
        .from(entity::breaker::Entity)
        .and_where(Expr::cust("breaker.agent_id = job.agent_id"))
        .and_where(Expr::col(entity::breaker::Column::OpenUntil).gt(now));
    Expr::exists(open)
}

/// Is it a sync whose agent has urgent work waiting that could start, so that it has to make room? A download
/// could not while the agent's breaker is open.
pub(crate) fn is_overtaken(now: Timestamp) -> Expr {
    let mut urgent = Query::select();
    urgent
        .expr(Expr::val(1))
        .from_as(entity::job::Entity, Alias::new("other"))
        .and_where(Expr::cust("other.agent_id = job.agent_id AND other.is_next"))
        .and_where(Expr::cust("other.class = 0").or(Expr::cust("other.class = 1").and(breaker_is_open(now).not())));
    Expr::cust("class = 2").and(Expr::exists(urgent))
}

/// The first of each lane of these agents: `(type, agent)` -> `(order key, job)`.
pub(crate) async fn heads(
    tx: &DatabaseTransaction,
    agents: BTreeSet<&str>,
) -> Result<HashMap<(String, String), (i64, JobId)>, StoreError> {
    let rows = entity::job::Entity::find()
        .filter(is_next())
        .filter(among(Expr::col(C::AgentId), ValueType::Text, agents, tx.get_database_backend()))
        .select_only()
        .columns([C::Id, C::JobType, C::AgentId, C::OrderKey])
        .into_tuple::<(JobId, String, String, i64)>()
        .all(tx)
        .await
        .map_err(StoreError::while_doing("find what is next"))?;
    Ok(rows.into_iter().map(|(id, job_type, agent, order)| ((job_type, agent), (order, id))).collect())
}

/// Of a job that is or was the first of its lane: which one is behind it?
pub(crate) fn first_behind() -> Expr {
    // sea-query has no words for a subquery that is limited by a row outside of it
    Expr::cust(format!(
        "(SELECT behind.id FROM job AS behind WHERE {BEHIND} AND behind.agent_id = \
         job.agent_id AND behind.job_type = job.job_type ORDER BY behind.order_key, behind.id LIMIT 1)"
    ))
}

/// These jobs have left their lanes: the next of each lane is the first.
pub(crate) async fn advance(tx: &DatabaseTransaction, left: impl Iterator<Item = JobId>) -> Result<(), StoreError> {
    let firsts = entity::job::Entity::find()
        .filter(among_ids(Expr::col(C::Id), left, tx.get_database_backend()))
        .select_only()
        .expr_as(first_behind(), "first")
        .into_tuple::<Option<JobId>>()
        .all(tx)
        .await
        .map_err(StoreError::while_doing("find what is next"))?;
    // mostly there is none
    mark(tx, firsts.into_iter().flatten().collect(), true).await
}

/// Finds the firsts of the lanes of these jobs anew.
pub(crate) async fn refresh(tx: &DatabaseTransaction, jobs: impl IntoIterator<Item = JobId>) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("find what is next");
    let backend = tx.get_database_backend();
    // of each lane what is marked, and the best that is not: more need not be looked at
    let ones = entity::job::Entity::find()
        .filter(among_ids(Expr::col(C::Id), jobs, backend))
        .select_only()
        .columns([C::JobType, C::AgentId])
        .expr_as(first_behind(), "behind")
        .into_tuple::<(String, String, Option<JobId>)>()
        .all(tx)
        .await
        .map_err(&failed)?;
    let behind = entity::job::Entity::find()
        .filter(among_ids(Expr::col(C::Id), ones.iter().filter_map(|(.., behind)| *behind), backend))
        .select_only()
        .columns([C::JobType, C::AgentId, C::OrderKey, C::Id])
        .into_tuple::<(String, String, i64, JobId)>()
        .all(tx)
        .await
        .map_err(failed)?;
    let heads = heads(tx, ones.iter().map(|(_, agent, _)| agent.as_str()).collect()).await?;
    let (mut overtaken, mut first) = (Vec::new(), Vec::new());
    for (job_type, agent, order, id) in behind {
        match heads.get(&(job_type, agent)) {
            Some(head) if *head <= (order, id) => continue,
            Some((_, head)) => overtaken.push(*head),
            None => {}
        }
        first.push(id);
    }
    mark(tx, overtaken, false).await?;
    mark(tx, first, true).await
}

pub(crate) async fn mark(tx: &DatabaseTransaction, jobs: Vec<JobId>, next: bool) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    entity::job::Entity::update_many()
        .col_expr(C::IsNext, Expr::val(next))
        .filter(among_ids(Expr::col(C::Id), jobs, tx.get_database_backend()))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("mark what is next"))
}

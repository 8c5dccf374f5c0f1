//! Which waiting job of each lane is next? A lane is one type's jobs for one agent; a claim looks at the
//! first of each lane alone, so that a million jobs of one busy agent are one row in its way.

use std::collections::HashMap;

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::SimpleExpr,
};

use super::{StoreError, entity};
use crate::domain::{JobId, JobState};

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

/// A job that has joined a lane.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    id: JobId,
    lane: (String, String),
    order: i64,
    waits: bool,
}

impl Entry {
    pub(super) fn of(id: JobId, row: &entity::job::ActiveModel) -> Self {
        Self {
            id,
            lane: (row.job_type.as_ref().clone(), row.agent_id.as_ref().clone()),
            order: *row.order_key.as_ref(),
            waits: row.state.as_ref() == JobState::Waiting.as_str(),
        }
    }
}

/// New jobs wait: those that are first in their lane now are marked, and those they overtook unmarked.
pub(super) async fn joined(tx: &DatabaseTransaction, entries: Vec<Entry>) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("find what is next");
    let mut best: HashMap<(String, String), (i64, JobId)> = HashMap::new();
    for entry in entries.into_iter().filter(|entry| entry.waits) {
        let place = (entry.order, entry.id);
        best.entry(entry.lane).and_modify(|first| *first = place.min(*first)).or_insert(place);
    }
    let mut agents: Vec<String> = best.keys().map(|(_, agent)| agent.clone()).collect();
    agents.sort_unstable();
    agents.dedup();
    let mut overtaken = Vec::new();
    for chunk in agents.chunks(CHUNK) {
        let rows = entity::job::Entity::find()
            .filter(is_next())
            .filter(C::AgentId.is_in(chunk.iter().map(String::as_str)))
            .select_only()
            .columns([C::Id, C::JobType, C::AgentId, C::OrderKey])
            .into_tuple::<(i64, String, String, i64)>()
            .all(tx)
            .await
            .map_err(&failed)?;
        for (id, job_type, agent, order) in rows {
            let lane = (job_type, agent);
            match best.get(&lane) {
                Some(first) if *first < (order, id) => overtaken.push(id),
                Some(_) => drop(best.remove(&lane)),
                None => {}
            }
        }
    }
    mark(tx, overtaken, false).await?;
    mark(tx, best.into_values().map(|(_, id)| id).collect(), true).await
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

async fn mark(tx: &DatabaseTransaction, jobs: Vec<JobId>, next: bool) -> Result<(), StoreError> {
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

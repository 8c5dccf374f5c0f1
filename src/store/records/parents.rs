//! Which parent does a record belong to? Joined when the child comes, and again when the parent comes; those
//! without one are counted.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, QueryResult,
    sea_query::{Alias, Cond, Expr, ExprTrait, Func, Query, SelectStatement, UpdateStatement},
};
use serde_json::Value as Json;

use crate::{
    delta::Change,
    domain::AgentId,
    store::{
        db::arrays::among,
        schema::record_table::{equals, has_key},
    },
    sync_type::{Scope, SyncTypeSpec, SyncTypes, ValueType, spec::Parent},
};

/// Joins what a commit has written with its parents, and its children with it.
pub(crate) async fn join(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    written: &[Change],
) -> Result<(), DbErr> {
    if let Some(parent) = &spec.parent
        && let Some((parent_spec, parent_agent)) = types.parent_agent(spec, agent)
    {
        let mut update = set_parent(spec, parent, &parent_spec, &parent_agent);
        update.and_where(equals("agent_id", agent.as_str())).and_where(has_key(
            spec,
            written.iter().map(|change| &change.key),
            tx.get_database_backend(),
        ));
        tx.execute(&update).await?;
    }
    let keys: Vec<String> = written.iter().map(|change| change.key.clone()).collect();
    for child in types.children_of(&spec.name) {
        let Some(matches) = child.parent.as_ref().and_then(|parent| spec.field(&parent.matches)) else { continue };
        let links = written.iter().map(|change| change.record.text(matches)).filter(|text| !text.is_empty());
        join_children(tx, spec, child, agent, links.collect(), &keys).await?;
    }
    Ok(())
}

/// Parts the children of deleted records from them, or joins them with another parent.
pub(crate) async fn unjoin(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    deleted: &[String],
) -> Result<(), DbErr> {
    if deleted.is_empty() {
        return Ok(());
    }
    for child in types.children_of(&spec.name) {
        join_children(tx, spec, child, agent, BTreeSet::new(), deleted).await?;
    }
    Ok(())
}

/// Finds the parent anew for every child that names one of `links` or belongs to one of `keys`.
async fn join_children(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    child: &SyncTypeSpec,
    agent: &AgentId,
    links: BTreeSet<String>,
    keys: &[String],
) -> Result<(), DbErr> {
    let Some(parent) = &child.parent else { return Ok(()) };
    let backend = tx.get_database_backend();
    let value_type = child.field(&parent.field).map_or(ValueType::Text, |field| child.fields[field].value_type);
    let concerned = Cond::any().add(among(Expr::col("parent_key"), ValueType::Text, keys, backend)).add(among(
        Expr::col(parent.field.clone()),
        value_type,
        links,
        backend,
    ));
    let mut update = set_parent(child, parent, spec, agent);
    update.cond_where(concerned);
    // an agent's parents have children under the same agent, and so have shared ones whose children are shared, too;
    // otherwise those have some under every agent
    if spec.scope == Scope::Agent || child.scope == Scope::Shared {
        update.and_where(equals("agent_id", agent.as_str()));
    }
    tx.execute(&update).await.map(|_| ())
}

/// `UPDATE child SET parent_key = (its parent's key, or null)`, for the caller to narrow down.
fn set_parent(
    child: &SyncTypeSpec,
    parent: &Parent,
    parent_spec: &SyncTypeSpec,
    parent_agent: &AgentId,
) -> UpdateStatement {
    let above = Alias::new("above");
    let mut find: SelectStatement = Query::select();
    find.expr(Func::min(Expr::col((above.clone(), parent_spec.key_name().to_owned())).cast_as("text")))
        .from_as(parent_spec.name.as_str().to_owned(), above.clone())
        .and_where(Expr::col((above.clone(), Alias::new("agent_id"))).eq(parent_agent.as_str()))
        .and_where(
            Expr::col((above.clone(), Alias::new(&parent.matches)))
                .equals((Alias::new(child.name.as_str()), Alias::new(&parent.field))),
        )
        .and_where(Expr::col((above, Alias::new("deleted_at"))).is_null());
    let mut update = Query::update();
    update.table(child.name.as_str().to_owned()).value("parent_key", Expr::from(find));
    update
}

/// Of each of these agents: `(records without a parent, all records)`, deleted ones apart.
pub(crate) async fn count_orphans(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    agents: &[&str],
) -> Result<HashMap<String, (u64, u64)>, DbErr> {
    let mut query = Query::select();
    query
        .from(spec.name.as_str().to_owned())
        .column("agent_id")
        .expr_as(Func::count(Expr::col("agent_id")), "live")
        .expr_as(Func::count(Expr::col("parent_key")), "joined")
        .and_where(among(Expr::col("agent_id"), ValueType::Text, agents, tx.get_database_backend()))
        .and_where(Expr::col("deleted_at").is_null())
        .group_by_col("agent_id");
    let rows = tx.query_all(&query).await?;
    let counts = |row: &QueryResult| {
        let (live, joined): (i64, i64) = (row.try_get("", "live")?, row.try_get("", "joined")?);
        Ok((row.try_get("", "agent_id")?, ((live - joined).unsigned_abs(), live.unsigned_abs())))
    };
    rows.iter().map(counts).collect()
}

/// A run that matched almost nothing stored its rows, but must not look like a plain success.
pub(crate) fn warn_of_orphans(notes: &mut Option<Json>, orphans: u64, live: u64, parent: &str) {
    if orphans * 2 > live {
        let warning = format!("{orphans} of {live} records have no known record of {parent} that they belong to");
        tracing::warn!(warning, "low match");
        let notes = notes.get_or_insert_with(|| Json::Object(serde_json::Map::new()));
        notes["warnings"] = Json::Array(vec![warning.into()]);
    }
}

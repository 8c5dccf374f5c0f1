//! Which records are stored? Read page by page, for people and programs.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, QueryResult,
    sea_query::{Cond, Expr, ExprTrait, Order, Query},
};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::value;
use crate::{
    domain::{AgentId, Record, RunId, Timestamp},
    store::{
        Store, StoreError,
        db::dialect,
        schema::record_table::{equals, has_key},
    },
    sync_type::SyncTypeSpec,
};

/// Which records to list.
#[derive(Debug, Clone, Default)]
pub struct DataQuery {
    /// Only this agent's.
    pub agent: Option<String>,
    /// Only these agents; all of them if `None`.
    pub agents: Option<Vec<String>>,
    /// Only the record with this key.
    pub key: Option<String>,
    /// Only records that belong to the one with this key.
    pub parent: Option<String>,
    /// Only records with this text in one of their text fields.
    pub text: Option<String>,
    /// Only records written at or after this moment.
    pub updated_since: Option<Timestamp>,
    /// Only records after this `(agent, key)`.
    pub after: Option<(String, String)>,
    /// Deleted records too.
    pub deleted: bool,
    /// At most so many.
    pub limit: u64,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct DataPage {
    /// Fields by their names, and lockstep's own columns.
    pub items: Vec<Map<String, Json>>,
    /// `(agent, key)` of the last one, if there may be more.
    pub next: Option<(String, String)>,
}

impl Store {
    /// Records of one type, by agent and key.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn data(&self, spec: &SyncTypeSpec, wanted: DataQuery) -> Result<DataPage, StoreError> {
        let spec = spec.clone();
        self.read(move |db| {
            Box::pin(async move {
                let (key, key_type) = (spec.key_name().to_owned(), spec.fields[spec.key].value_type);
                let backend = db.get_database_backend();
                let mut query = Query::select();
                query
                    .from(spec.name.as_str().to_owned())
                    .columns(["agent_id", "parent_key", "first_seen_at", "updated_at", "missing_since", "deleted_at"])
                    .columns(["change_hash", "content_hash", "run_id"])
                    .columns(spec.fields.iter().map(|field| field.name.clone()))
                    .order_by("agent_id", Order::Asc)
                    .order_by(key.clone(), Order::Asc)
                    .limit(wanted.limit + 1);
                if let Some(agent) = &wanted.agent {
                    query.and_where(equals("agent_id", agent.as_str()));
                }
                if let Some(agents) = &wanted.agents {
                    query.and_where(Expr::col("agent_id").is_in(agents.iter().cloned()));
                }
                if let Some(wanted) = &wanted.key {
                    query.and_where(has_key(&spec, [wanted], backend));
                }
                if let Some(parent) = &wanted.parent {
                    query.and_where(equals("parent_key", parent.as_str()));
                }
                if !wanted.deleted {
                    query.and_where(Expr::col("deleted_at").is_null());
                }
                if let Some(since) = wanted.updated_since {
                    query.and_where(Expr::col("updated_at").gte(since));
                }
                if let Some(text) = &wanted.text {
                    query.cond_where(contains(&spec, text, backend));
                }
                if let Some((agent, after)) = wanted.after {
                    let same_agent = equals("agent_id", agent.as_str())
                        .and(Expr::col(key).gt(value::bind_text(key_type, &after, backend)));
                    query.and_where(Expr::col("agent_id").gt(agent).or(same_agent));
                }
                let rows = db.query_all(&query).await.map_err(StoreError::while_doing("list records"))?;
                let items = rows.iter().map(|row| item(row, &spec)).collect::<Result<Vec<_>, _>>();
                Ok(page(items.map_err(StoreError::while_doing("list records"))?, wanted.limit))
            })
        })
        .await
    }
}

/// What became of a record's watched field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueChange {
    pub at: Timestamp,
    pub run_id: RunId,
    pub old: Option<String>,
    pub new: Option<String>,
}

impl Store {
    /// Every change of a record's watched field, oldest first; none where its type watches none.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn history(
        &self,
        spec: &SyncTypeSpec,
        agent: &AgentId,
        key: &str,
    ) -> Result<Vec<ValueChange>, StoreError> {
        let Some(history) = &spec.history else { return Ok(Vec::new()) };
        let mut query = Query::select();
        query
            .from(history.table.clone())
            .columns(["changed_at", "run_id", "old_value", "new_value"])
            .and_where(equals("record_key", key))
            .and_where(equals("agent_id", agent.as_str()))
            .order_by("id", Order::Asc);
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("read the history");
                let rows = db.query_all(&query).await.map_err(&failed)?;
                let change = |row: &QueryResult| {
                    Ok(ValueChange {
                        at: row.try_get("", "changed_at")?,
                        run_id: row.try_get("", "run_id")?,
                        old: row.try_get("", "old_value")?,
                        new: row.try_get("", "new_value")?,
                    })
                };
                rows.iter().map(change).collect::<Result<_, DbErr>>().map_err(failed)
            })
        })
        .await
    }
}

/// Any text field contains `text`, in capitals or not.
fn contains(spec: &SyncTypeSpec, text: &str, backend: DbBackend) -> Cond {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    spec.fields
        .iter()
        .filter(|field| field.value_type.is_text())
        .fold(Cond::any(), |any, field| any.add(dialect::like(field.name.clone(), &format!("%{escaped}%"), backend)))
}

fn item(row: &QueryResult, spec: &SyncTypeSpec) -> Result<(String, String, Map<String, Json>), DbErr> {
    let values = spec.fields.iter().map(|field| value::fetch(row, field.name.as_str(), field.value_type));
    let record = Record { values: values.collect::<Result<_, _>>()? };
    let agent: String = row.try_get("", "agent_id")?;
    let mut object = spec.to_json(&record, |_| true);
    object.insert("agent_id".to_owned(), agent.clone().into());
    for column in ["parent_key", "change_hash", "content_hash"] {
        object.insert(column.to_owned(), row.try_get::<Option<String>>("", column)?.into());
    }
    object.insert("run_id".to_owned(), row.try_get::<Option<i64>>("", "run_id")?.into());
    for column in ["first_seen_at", "updated_at", "missing_since", "deleted_at"] {
        let moment = row.try_get::<Option<Timestamp>>("", column)?;
        object.insert(column.to_owned(), serde_json::json!(moment));
    }
    Ok((agent, record.text(spec.key), object))
}

fn page(mut found: Vec<(String, String, Map<String, Json>)>, limit: u64) -> DataPage {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(agent, key, _)| (agent.clone(), key.clone()));
    DataPage { items: found.into_iter().map(|(_, _, object)| object).collect(), next }
}

//! What became of each record? Written in the transaction that changes it, so that the two never disagree.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::*,
    sea_query::Query,
};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::value;
use crate::{
    delta::{Change, ChangeKind, FieldChange, Plan, differing},
    domain::{AgentId, ClaimedJob, Record, RunId, SyncType, Timestamp},
    store::{
        Store, StoreError,
        db::bulk,
        schema::{
            entity::record_change::{ActiveModel, Column as C, Entity, Model},
            record_table::{equals, has_key},
        },
    },
    sync_type::SyncTypeSpec,
};

/// The records that a plan's changes are about to replace, by key.
pub(crate) type Before = HashMap<String, Record>;

/// Reads what is stored under these keys.
pub(crate) async fn before(
    tx: &impl ConnectionTrait,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    keys: &[String],
) -> Result<Before, DbErr> {
    if keys.is_empty() {
        return Ok(Before::new());
    }
    let mut query = Query::select();
    query
        .from(spec.name.as_str().to_owned())
        .columns(spec.fields.iter().map(|field| field.name.clone()))
        .and_where(equals("agent_id", agent.as_str()))
        .and_where(has_key(spec, keys, tx.get_database_backend()));
    let rows = tx.query_all(&query).await?;
    let read = |row: &QueryResult| {
        let values = spec.fields.iter().enumerate().map(|(at, field)| value::fetch(row, at, field.value_type));
        let record = Record { values: values.collect::<Result<_, DbErr>>()? };
        Ok((record.text(spec.key), record))
    };
    rows.iter().map(read).collect()
}

/// Keeps what `written` did to the records that were there `before`.
pub(crate) async fn keep(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    (plan, written): (&Plan, &[Change]),
    before: &Before,
    now: Timestamp,
) -> Result<(), DbErr> {
    let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let row = |change: &Change| {
        let (action, fields) = match change.kind {
            ChangeKind::Insert if plan.is_first => return None,
            ChangeKind::Insert => ("insert", None),
            ChangeKind::Update | ChangeKind::Refresh | ChangeKind::Restore => {
                let fields = before.get(&change.key).map(|old| fields(spec, old, &change.record))?;
                match change.kind {
                    ChangeKind::Restore => ("restore", Some(fields)),
                    // only the type's file changed
                    _ if fields.is_empty() => return None,
                    _ => ("update", Some(fields)),
                }
            }
        };
        Some(ActiveModel {
            page: Set(change.printed.map(|at| small(at.page))),
            row_number: Set(change.printed.map(|at| small(at.row))),
            ..model(spec, job, &change.key, action, fields, now)
        })
    };
    insert(tx, written.iter().filter_map(row).collect()).await
}

/// Keeps that a report did not hold these records, and what became of them: `missing` or `delete`.
pub(crate) async fn keep_gone(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    (action, keys): (&'static str, &[String]),
    now: Timestamp,
) -> Result<(), DbErr> {
    insert(tx, keys.iter().map(|key| model(spec, job, key, action, None, now)).collect()).await
}

async fn insert(tx: &DatabaseTransaction, rows: Vec<ActiveModel>) -> Result<(), DbErr> {
    bulk::insert::<_, i64>(tx, rows).await.map(|_| ())
}

fn model(
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    key: &str,
    action: &'static str,
    fields: Option<Map<String, Json>>,
    now: Timestamp,
) -> ActiveModel {
    ActiveModel {
        id: NotSet,
        sync_type: Set(spec.name.to_string()),
        agent_id: Set(job.agent.to_string()),
        record_key: Set(key.to_owned()),
        run_id: Set(job.run),
        at: Set(now),
        action: Set(action.to_owned()),
        fields: Set(fields.map(Json::Object)),
        page: Set(None),
        row_number: Set(None),
    }
}

/// Old and new value of each field that differs, by its name.
fn fields(spec: &SyncTypeSpec, old: &Record, new: &Record) -> Map<String, Json> {
    differing(spec, old, new).into_iter().map(|change| (change.field, json!([change.old, change.new]))).collect()
}

/// What became of a record in one run.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordChange {
    pub id: i64,
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    pub agent_id: AgentId,
    pub key: String,
    pub run_id: RunId,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `insert`, `update`, `restore`, `missing` or `delete`.
    pub action: String,
    /// Where the run's report has it: its page, from 1, and the row there; nothing of what it lacked.
    pub page: Option<u32>,
    pub row: Option<u32>,
    /// What it did to which fields; none where nothing but that is to be said.
    pub fields: Vec<FieldChange>,
}

/// Which changes to list; all conditions together.
#[derive(Debug, Clone, Default)]
pub struct ChangeQuery {
    pub sync_type: Option<String>,
    pub agent: Option<String>,
    /// Only these agents; all of them if `None`.
    pub agents: Option<Vec<String>>,
    pub key: Option<String>,
    pub run: Option<RunId>,
    /// Only those at or after this moment.
    pub since: Option<Timestamp>,
    /// Only those before this one.
    pub before: Option<i64>,
    pub limit: u64,
}

impl RecordChange {
    fn read(row: Model) -> Self {
        let fields = match row.fields {
            Some(Json::Object(fields)) => fields,
            _ => Map::new(),
        };
        let field = |(field, mut pair): (String, Json)| FieldChange { field, old: pair[0].take(), new: pair[1].take() };
        Self {
            id: row.id,
            sync_type: row.sync_type.into(),
            agent_id: row.agent_id.into(),
            key: row.record_key,
            run_id: row.run_id,
            at: row.at,
            action: row.action,
            page: row.page.and_then(|page| page.try_into().ok()),
            row: row.row_number.and_then(|row| row.try_into().ok()),
            fields: fields.into_iter().map(field).collect(),
        }
    }
}

impl Store {
    /// What is stored of an agent's records with these keys, by key.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn replaced(
        &self,
        spec: &SyncTypeSpec,
        agent: &AgentId,
        keys: Vec<String>,
    ) -> Result<HashMap<String, Record>, StoreError> {
        let (spec, agent) = (spec.clone(), agent.clone());
        self.read(move |db| {
            Box::pin(async move {
                let found = before(db, &spec, &agent, &keys).await;
                found.map_err(StoreError::while_doing("read what would be replaced"))
            })
        })
        .await
    }

    /// What became of records, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn changes(&self, wanted: ChangeQuery) -> Result<Vec<RecordChange>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = Entity::find()
                    .apply_if(wanted.sync_type, |query, name| query.filter(C::SyncType.eq(name)))
                    .apply_if(wanted.agent, |query, agent| query.filter(C::AgentId.eq(agent)))
                    .apply_if(wanted.agents, |query, agents| query.filter(C::AgentId.is_in(agents)))
                    .apply_if(wanted.key, |query, key| query.filter(C::RecordKey.eq(key)))
                    .apply_if(wanted.run, |query, run| query.filter(C::RunId.eq(run)))
                    .apply_if(wanted.since, |query, since| query.filter(C::At.gte(since)))
                    .apply_if(wanted.before, |query, id| query.filter(C::Id.lt(id)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                let rows = rows.map_err(StoreError::while_doing("list what changed"))?;
                Ok(rows.into_iter().map(RecordChange::read).collect())
            })
        })
        .await
    }

    /// Forgets what became of records before `before`. Answers how many rows.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn clean_changes(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.forget::<Entity>((C::Id, C::At), before, "forget old changes").await
    }
}

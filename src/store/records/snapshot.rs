//! What is stored of one type for one agent? One query for keys, hashes, marks and needed values.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, QueryResult,
    sea_query::{Expr, Func, Query},
};

use super::value;
use crate::{
    delta::{Snapshot, Stored},
    domain::{AgentId, Timestamp},
    store::{Store, StoreError, db::arrays::among_hashed, schema::record_table::equals},
    sync_type::SyncTypeSpec,
};

impl Store {
    /// Loads the snapshot that a plan over `spec` needs; `fields` are the field numbers whose values
    /// it needs besides the hashes. Where a row was stored under another spec, all are loaded.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn snapshot(
        &self,
        spec: &SyncTypeSpec,
        agent: &AgentId,
        fields: Vec<usize>,
    ) -> Result<Snapshot, StoreError> {
        let (spec, agent) = (spec.clone(), agent.clone());
        self.read(move |db| {
            Box::pin(async move {
                let snapshot = load(db, &spec, &agent, fields).await?;
                if snapshot.needs_all() {
                    return load(db, &spec, &agent, (0..spec.fields.len()).collect()).await;
                }
                Ok(snapshot)
            })
        })
        .await
    }

    /// How many of `keys` are stored under `agent`, and the most that are stored under one other.
    ///
    /// # Errors
    /// [`StoreError`] if a query fails.
    pub async fn known_under(
        &self,
        spec: &SyncTypeSpec,
        agent: &AgentId,
        keys: Vec<String>,
    ) -> Result<(u64, u64), StoreError> {
        let (spec, agent) = (spec.clone(), agent.clone());
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("count known keys");
                let (key, key_type) = (Expr::col(spec.key_name().to_owned()), spec.fields[spec.key].value_type);
                let mut query = Query::select();
                query
                    .from(spec.name.as_str().to_owned())
                    .column("agent_id")
                    .expr_as(Func::count(Expr::col("agent_id")), "known")
                    // whoever's: the index of the keys begins with the agent
                    .and_where(among_hashed(key, key_type, keys, db.get_database_backend()))
                    .group_by_col("agent_id");
                let rows = db.query_all(&query).await.map_err(&failed)?;
                let counts = rows.iter().map(|row| Ok((row.try_get("", "agent_id")?, row.try_get("", "known")?)));
                let counts: Vec<(String, i64)> = counts.collect::<Result<_, DbErr>>().map_err(failed)?;
                let (here, others): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(id, _)| id == agent.as_str());
                let most = |counts: Vec<(String, i64)>| counts.into_iter().map(|(_, known)| known).max().unwrap_or(0);
                Ok((most(here).unsigned_abs(), most(others).unsigned_abs()))
            })
        })
        .await
    }
}

async fn load(
    db: &DatabaseConnection,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    fields: Vec<usize>,
) -> Result<Snapshot, StoreError> {
    let mut query = Query::select();
    // in the order in which `stored` reads them
    query
        .from(spec.name.as_str().to_owned())
        .columns(["change_hash", "content_hash", "spec_fingerprint", "missing_since", "deleted_at"])
        .expr_as(Expr::col(spec.key_name().to_owned()), "natural_key")
        .and_where(equals("agent_id", agent.as_str()));
    for field in &fields {
        query.column(spec.fields[*field].name.clone());
    }
    let rows = db.query_all(&query).await.map_err(StoreError::while_doing("load the stored hashes"))?;
    let stored = rows.iter().map(|row| stored(row, spec, &fields)).collect::<Result<_, _>>();
    let rows = stored.map_err(StoreError::while_doing("load the stored hashes"))?;
    Ok(Snapshot { loaded: fields, rows })
}

fn stored(row: &QueryResult, spec: &SyncTypeSpec, fields: &[usize]) -> Result<(String, Stored), DbErr> {
    // by place: looking each name up in each row would take as long as the rest
    let key = value::fetch(row, 5_usize, spec.fields[spec.key].value_type)?.canonical().into_owned();
    let values = fields.iter().zip(6_usize..).map(|(field, at)| value::fetch(row, at, spec.fields[*field].value_type));
    let stored = Stored {
        change_hash: row.try_get_by_index(0)?,
        content_hash: row.try_get_by_index(1)?,
        same_spec: row.try_get_by_index::<String>(2)? == spec.fingerprint,
        missing_since: row.try_get_by_index::<Option<Timestamp>>(3)?,
        deleted_at: row.try_get_by_index::<Option<Timestamp>>(4)?,
        values: values.collect::<Result<_, _>>()?,
    };
    Ok((key, stored))
}

//! Which records were not in the report? They are marked, and at the second miss deleted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, sea_query::Query};

use crate::{
    domain::{AgentId, RunId, Timestamp},
    store::schema::record_table::{equals, has_key},
    sync_type::SyncTypeSpec,
};

/// Marks `keys` in `column` (`missing_since` or `deleted_at`), as of `moment`.
pub(crate) async fn mark(
    tx: &DatabaseTransaction,
    spec: &SyncTypeSpec,
    (agent, run): (&AgentId, RunId),
    (column, moment): (&'static str, Timestamp),
    keys: &[String],
) -> Result<(), DbErr> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut update = Query::update();
    update
        .table(spec.name.as_str().to_owned())
        .value(column, moment)
        .value("missing_run_id", run)
        .and_where(equals("agent_id", agent.as_str()))
        .and_where(has_key(spec, keys, tx.get_database_backend()));
    tx.execute(&update).await.map(|_| ())
}

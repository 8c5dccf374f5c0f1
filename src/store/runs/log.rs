//! What did the log say of a run?

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, Set, prelude::*};

use crate::{
    domain::{LogLine, RunId},
    store::{Store, StoreError, schema::entity},
};

use entity::run_log::Column as C;

/// Keeps the lines of runs that end; of those without any there is nothing to keep.
pub(crate) async fn keep_logs(
    tx: &DatabaseTransaction,
    logs: impl IntoIterator<Item = (RunId, Vec<LogLine>)>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = logs
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(run, lines)| entity::run_log::ActiveModel { run_id: Set(run), lines: Set(serde_json::json!(lines)) })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let kept = entity::run_log::Entity::insert_many(rows).exec_without_returning(tx).await;
    kept.map(|_| ()).map_err(StoreError::while_doing("keep the log of a run"))
}

/// Forgets those of these runs.
pub(crate) async fn forget_logs(tx: &DatabaseTransaction, runs: &[i64]) -> Result<(), DbErr> {
    entity::run_log::Entity::delete_many().filter(C::RunId.is_in(runs.iter().copied())).exec(tx).await.map(|_| ())
}

impl Store {
    /// The lines of a run's log, oldest first. A run that changed nothing keeps none.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn log_of(&self, run: RunId) -> Result<Vec<LogLine>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = entity::run_log::Entity::find_by_id(run).one(db).await;
                let row = row.map_err(StoreError::while_doing("read the log of a run"))?;
                Ok(row.and_then(|row| serde_json::from_value(row.lines).ok()).unwrap_or_default())
            })
        })
        .await
    }
}

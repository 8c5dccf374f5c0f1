//! Which rows of a report could not be read?

use sea_orm::{ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Set, prelude::*};

use crate::{
    domain::{ClaimedJob, RunId},
    report::Quarantined,
    store::{Store, StoreError, schema::entity},
};

/// More quarantined rows of one run than these are counted, but not kept one by one.
const MAX_QUARANTINED: usize = 1_000;
/// Rows in one statement.
const CHUNK: usize = 500;

pub(crate) async fn quarantine(tx: &DatabaseTransaction, job: &ClaimedJob, rows: &[Quarantined]) -> Result<(), DbErr> {
    let small = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    for chunk in rows[..rows.len().min(MAX_QUARANTINED)].chunks(CHUNK) {
        let models = chunk.iter().map(|row| entity::quarantine::ActiveModel {
            id: NotSet,
            run_id: Set(job.run),
            sync_type: Set(job.job_type.to_string()),
            agent_id: Set(job.agent.to_string()),
            page: Set(small(row.page)),
            row_number: Set(small(row.row)),
            column_header: Set(row.column.clone()),
            printed: Set(row.text.clone()),
            why: Set(row.why.clone()),
            record_key: Set(row.key.clone()),
        });
        entity::quarantine::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
}

impl Store {
    /// The quarantined rows of a run.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn quarantined(&self, run: RunId) -> Result<Vec<Quarantined>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = entity::quarantine::Entity::find()
                    .filter(entity::quarantine::Column::RunId.eq(run))
                    .order_by_asc(entity::quarantine::Column::Id)
                    .all(db)
                    .await
                    .map_err(StoreError::while_doing("read the quarantine"))?;
                let number = |number: i32| usize::try_from(number).unwrap_or_default();
                let row = |row: entity::quarantine::Model| Quarantined {
                    page: number(row.page),
                    row: number(row.row_number),
                    column: row.column_header,
                    text: row.printed,
                    why: row.why,
                    key: row.record_key,
                };
                Ok(rows.into_iter().map(row).collect())
            })
        })
        .await
    }
}

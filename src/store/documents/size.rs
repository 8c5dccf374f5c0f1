//! How many bytes do documents take?

use sea_orm::{EntityTrait, QueryFilter, QuerySelect, prelude::*};

use crate::store::{Store, StoreError, db::size::number, schema::entity};

impl Store {
    /// Bytes of all documents that live jobs are to read.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn waiting_bytes(&self) -> Result<u64, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let live = "id IN (SELECT document_id FROM job WHERE state <> 'done')";
                let sizes = entity::document::Entity::find()
                    .select_only()
                    .column(entity::document::Column::Size)
                    .filter(Expr::cust(live))
                    .into_tuple::<i64>()
                    .all(db)
                    .await;
                let sizes = sizes.map_err(StoreError::while_doing("measure the documents that wait"))?;
                Ok(sizes.into_iter().map(i64::unsigned_abs).sum())
            })
        })
        .await
    }

    /// The bytes of all kept reports and single documents, as they are stored.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn kept_reports_bytes(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let sql = "SELECT CAST(COALESCE(SUM(document.size), 0) AS BIGINT) FROM kept_document \
                           JOIN document ON document.id = kept_document.document_id";
                number(db, sql).await.map_err(StoreError::while_doing("measure the kept reports"))
            })
        })
        .await
    }
}

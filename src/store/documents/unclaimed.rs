//! Which documents does nobody need any more?

use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, prelude::*};

use crate::{
    domain::{DocumentId, Timestamp},
    store::{Store, StoreError, db::dialect, schema::entity},
};

impl Store {
    /// Drops the documents that were kept before `before` and that nothing refers to: no job, no held run, no
    /// result and no kept document. Whoever brought them died, or lost the answer, before there was a job. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn clean_documents(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let brought = dialect::number_in("job.result", "documentId", tx.get_database_backend());
                let gone = entity::document::Entity::delete_many()
                    .filter(entity::document::Column::CreatedAt.lt(before))
                    .filter(Expr::cust("NOT EXISTS (SELECT 1 FROM job WHERE job.document_id = document.id)"))
                    .filter(Expr::cust("NOT EXISTS (SELECT 1 FROM sync_run WHERE sync_run.document_id = document.id)"))
                    .filter(Expr::cust(format!(
                        "NOT EXISTS (SELECT 1 FROM job WHERE job.result IS NOT NULL AND {brought} = document.id)"
                    )))
                    .filter(Expr::cust(
                        "NOT EXISTS (SELECT 1 FROM kept_document WHERE kept_document.document_id = document.id)",
                    ))
                    .exec(tx)
                    .await;
                Ok(gone.map_err(StoreError::while_doing("drop documents that nothing refers to"))?.rows_affected)
            })
        })
        .await
    }

    /// Drops a document that nothing refers to.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn drop_document(&self, id: DocumentId) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let dropped = entity::document::Entity::delete_by_id(id).exec(tx).await;
                dropped.map(|_| ()).map_err(StoreError::while_doing("drop a document"))
            })
        })
        .await
    }
}

//! Which documents are kept? Uploads until they are read, and the reports of held runs.

use sea_orm::{
    ActiveValue::NotSet, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, Set, prelude::*,
};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, dialect, entity};
use crate::domain::Timestamp;

impl Store {
    /// Keeps a document and answers its number.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn keep_document(&self, bytes: Vec<u8>, now: Timestamp) -> Result<i64, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move { insert(tx, bytes, now).await.map_err(StoreError::while_doing("keep a document")) })
        })
        .await
    }

    /// A kept document's bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it was dropped.
    pub async fn document(&self, id: i64) -> Result<Vec<u8>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::document::Entity::find_by_id(id).one(db).await;
                let found = found.map_err(StoreError::while_doing("read a document"))?;
                found.map(|row| row.bytes).ok_or_else(|| StoreError::Missing(format!("document {id}")))
            })
        })
        .await
    }

    /// Drops the documents that were kept before `before` and that nothing refers to: no job, no held run, and no
    /// result. Whoever brought them died, or lost the answer, before there was a job. Answers how many.
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
    pub async fn drop_document(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let dropped = entity::document::Entity::delete_by_id(id).exec(tx).await;
                dropped.map(|_| ()).map_err(StoreError::while_doing("drop a document"))
            })
        })
        .await
    }
}

/// Stores a document.
pub(super) async fn insert(tx: &DatabaseTransaction, bytes: Vec<u8>, now: Timestamp) -> Result<i64, DbErr> {
    let sha256 = Set(hex::encode(Sha256::digest(&bytes)));
    let row = entity::document::ActiveModel { id: NotSet, sha256, bytes: Set(bytes), created_at: Set(now) };
    Ok(entity::document::Entity::insert(row).exec(tx).await?.last_insert_id)
}

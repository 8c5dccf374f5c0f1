//! Which documents are kept? Uploads until they are read, and the reports of held runs.

use sea_orm::{ActiveValue::NotSet, DatabaseTransaction, DbErr, EntityTrait, Set};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, entity};
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

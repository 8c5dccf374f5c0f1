//! How is a document stored, and how is it read? In parts.

use std::io::{Cursor, Read};

use futures_util::{Stream, stream};
use sea_orm::{ActiveValue::NotSet, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, Set, prelude::*};
use sha2::{Digest, Sha256};

use crate::{
    domain::{DocumentId, Timestamp},
    store::{Store, StoreError, join, schema::entity},
};

/// Bytes of one row: nobody needs more of a document in memory than this.
pub(crate) const PART: usize = 1 << 20;

impl Store {
    /// As [`Store::keep_document_from`], for one that is in memory.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn keep_document(&self, bytes: Vec<u8>, now: Timestamp) -> Result<DocumentId, StoreError> {
        let known = (Some(bytes.len() as u64), hex::encode(Sha256::digest(&bytes)));
        self.keep_document_from(Cursor::new(bytes), known, now).await
    }

    /// Keeps a document and answers its number: all of `from`, whose hash is `sha256`; where its size is known, it is
    /// `expected`.
    ///
    /// Each row is a transaction of its own, so that others write in between; a document that was not stored to its
    /// end is nobody's, and goes with those that nothing refers to.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or stored, or is of another size.
    pub async fn keep_document_from(
        &self,
        mut from: impl Read + Send + 'static,
        (expected, sha256): (Option<u64>, String),
        now: Timestamp,
    ) -> Result<DocumentId, StoreError> {
        let id = self
            .write_beside(move |tx| Box::pin(async move { insert_head(tx, 0, sha256, now).await.map_err(failed) }))
            .await?;
        let stored = async {
            let mut size = 0;
            for number in 0.. {
                let part;
                (part, from) = self.next_part(from).await?;
                size += part.len() as u64;
                let is_last = part.len() < PART;
                if let Some(expected) = expected.filter(|expected| is_last && size != *expected) {
                    let text = format!("a document of {expected} bytes had {size} when it was stored");
                    return Err(StoreError::Interrupted(text));
                }
                let store = async move |tx: &DatabaseTransaction| {
                    insert_part(tx, id, number, part).await?;
                    if is_last { set_size(tx, id, size).await } else { Ok(()) }
                };
                self.write_beside(move |tx| Box::pin(async move { store(tx).await.map_err(failed) })).await?;
                if is_last {
                    break;
                }
            }
            Ok(id)
        };
        let stored = stored.await;
        if stored.is_err() {
            // else it is dropped with what nothing refers to
            self.drop_document(id).await.ok();
        }
        stored
    }

    /// The next part, shorter than [`PART`] if it is the last, and what it is read from.
    pub(crate) async fn next_part<R: Read + Send + 'static>(&self, mut from: R) -> Result<(Vec<u8>, R), StoreError> {
        let read = move || {
            let mut part = Vec::with_capacity(PART);
            from.by_ref().take(PART as u64).read_to_end(&mut part).map(|_| (part, from))
        };
        let read = join(self.inner.runtime.spawn_blocking(read).await)?;
        read.map_err(|error| StoreError::Interrupted(format!("a document cannot be read: {error}")))
    }

    /// A kept document's bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it was dropped.
    pub async fn document(&self, id: DocumentId) -> Result<Vec<u8>, StoreError> {
        let size = self.document_size(id).await?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        for number in 0.. {
            match self.document_part(id, number).await? {
                Some(part) => bytes.extend(part),
                None => break,
            }
        }
        // it may have been dropped meanwhile
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(missing(id)) }
    }

    /// A kept document's size, and its bytes one row after the other.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it was dropped; within the stream the same, if it is dropped meanwhile.
    pub async fn document_stream(
        &self,
        id: DocumentId,
    ) -> Result<(u64, impl Stream<Item = Result<Vec<u8>, StoreError>> + use<>), StoreError> {
        let size = self.document_size(id).await?;
        let parts = stream::try_unfold((self.clone(), 0, size), move |(store, number, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let part = store.document_part(id, number).await?.ok_or_else(|| missing(id))?;
            let left = left.saturating_sub(part.len() as u64);
            Ok(Some((part, (store, number + 1, left))))
        });
        Ok((size, parts))
    }

    async fn document_size(&self, id: DocumentId) -> Result<u64, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::document::Entity::find_by_id(id).one(db).await;
                let found = found.map_err(StoreError::while_doing("read a document"))?;
                found.map(|row| row.size.unsigned_abs()).ok_or_else(|| missing(id))
            })
        })
        .await
    }

    async fn document_part(&self, id: DocumentId, number: i32) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::document_part::Entity::find_by_id((id, number)).one(db).await;
                Ok(found.map_err(StoreError::while_doing("read a document"))?.map(|part| part.bytes))
            })
        })
        .await
    }
}

/// Stores a document within a transaction of the caller's; answers its number.
pub(crate) async fn insert(tx: &DatabaseTransaction, bytes: &[u8], now: Timestamp) -> Result<DocumentId, DbErr> {
    let id = insert_head(tx, bytes.len() as u64, hex::encode(Sha256::digest(bytes)), now).await?;
    for (number, part) in (0..).zip(bytes.chunks(PART)) {
        insert_part(tx, id, number, part.to_vec()).await?;
    }
    Ok(id)
}

async fn insert_head(tx: &DatabaseTransaction, size: u64, sha256: String, now: Timestamp) -> Result<DocumentId, DbErr> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let row = entity::document::ActiveModel { id: NotSet, sha256: Set(sha256), size: Set(size), created_at: Set(now) };
    Ok(entity::document::Entity::insert(row).exec(tx).await?.last_insert_id)
}

async fn set_size(tx: &DatabaseTransaction, id: DocumentId, size: u64) -> Result<(), DbErr> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let update = entity::document::Entity::update_many().col_expr(entity::document::Column::Size, Expr::val(size));
    update.filter(entity::document::Column::Id.eq(id)).exec(tx).await.map(|_| ())
}

async fn insert_part(tx: &DatabaseTransaction, id: DocumentId, number: i32, bytes: Vec<u8>) -> Result<(), DbErr> {
    let row = entity::document_part::ActiveModel { document_id: Set(id), number: Set(number), bytes: Set(bytes) };
    entity::document_part::Entity::insert(row).exec_without_returning(tx).await.map(|_| ())
}

fn missing(id: DocumentId) -> StoreError {
    StoreError::Missing(format!("document {id}"))
}

fn failed(error: DbErr) -> StoreError {
    StoreError::while_doing("keep a document")(error)
}

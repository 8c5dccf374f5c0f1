//! Which documents are kept? Uploads until they are read, and the reports of held runs.

use std::io::{Cursor, Read};

use futures_util::{Stream, stream};
use sea_orm::{
    ActiveValue::NotSet, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect,
    Set, Statement, prelude::*,
};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, dialect, entity, join};
use crate::domain::Timestamp;

/// Bytes of one row: nobody needs more of a document in memory than this.
const PART: usize = 1 << 20;
/// SQLite's pages (4 KiB each) that stay in the file for what is written next.
const SPARE_PAGES: i64 = 4_096;
/// SQLite's pages that are given back in one transaction.
const PAGES_A_STEP: i64 = 2_560;

impl Store {
    /// As [`Store::keep_document_from`], for one that is in memory.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn keep_document(&self, bytes: Vec<u8>, now: Timestamp) -> Result<i64, StoreError> {
        let known = (bytes.len() as u64, hex::encode(Sha256::digest(&bytes)));
        self.keep_document_from(Cursor::new(bytes), known, now).await
    }

    /// Keeps a document and answers its number: `size` bytes with the hash `sha256`, out of `from`.
    ///
    /// Each row is a transaction of its own, so that others write in between; a document that was not stored to its
    /// end is nobody's, and goes with those that nothing refers to.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or stored.
    pub async fn keep_document_from(
        &self,
        from: impl Read + Send + 'static,
        (size, sha256): (u64, String),
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let failed = StoreError::while_doing("keep a document");
        let id = self
            .write_beside(move |tx| Box::pin(async move { insert_head(tx, size, sha256, now).await.map_err(failed) }))
            .await?;
        let stored = self.keep_parts(id, from).await;
        match stored {
            Ok(stored) if stored == size => Ok(id),
            wrong => {
                // what cannot be dropped now is dropped with what nothing refers to
                self.drop_document(id).await.ok();
                Err(wrong.err().unwrap_or_else(|| {
                    StoreError::Interrupted(format!("a document changed while it was stored: it had {size} bytes"))
                }))
            }
        }
    }

    /// Stores all of `from`; answers how many bytes it was.
    async fn keep_parts(&self, id: i64, mut from: impl Read + Send + 'static) -> Result<u64, StoreError> {
        let mut stored = 0;
        for number in 0.. {
            let read = move || {
                let mut part = Vec::with_capacity(PART);
                let read = from.by_ref().take(PART as u64).read_to_end(&mut part);
                read.map(|_| (part, from))
            };
            let read = join(self.inner.runtime.spawn_blocking(read).await)?;
            let (part, rest) =
                read.map_err(|error| StoreError::Interrupted(format!("a document cannot be read: {error}")))?;
            from = rest;
            if part.is_empty() {
                break;
            }
            stored += part.len() as u64;
            self.write_beside(move |tx| {
                Box::pin(async move {
                    insert_part(tx, id, number, part).await.map_err(StoreError::while_doing("keep a document"))
                })
            })
            .await?;
        }
        Ok(stored)
    }

    /// A kept document's bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it was dropped.
    pub async fn document(&self, id: i64) -> Result<Vec<u8>, StoreError> {
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
        id: i64,
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

    async fn document_size(&self, id: i64) -> Result<u64, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::document::Entity::find_by_id(id).one(db).await;
                let found = found.map_err(StoreError::while_doing("read a document"))?;
                found.map(|row| row.size.unsigned_abs()).ok_or_else(|| missing(id))
            })
        })
        .await
    }

    async fn document_part(&self, id: i64, number: i32) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::document_part::Entity::find_by_id((id, number)).one(db).await;
                Ok(found.map_err(StoreError::while_doing("read a document"))?.map(|part| part.bytes))
            })
        })
        .await
    }

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

    /// Gives the disk back what was deleted from an SQLite file, but for what the next writes may use. A file from
    /// before this was possible keeps its size and uses its room again. Answers how many pages it gave back.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn give_back_space(&self) -> Result<u64, StoreError> {
        if self.backend() != DbBackend::Sqlite {
            return Ok(0);
        }
        let mut given_back = 0;
        loop {
            let step = self.write_beside(|tx| {
                Box::pin(async move {
                    let failed = StoreError::while_doing("give back space");
                    let free = free_pages(tx).await.map_err(&failed)?;
                    if free > SPARE_PAGES {
                        let pages = PAGES_A_STEP.min(free - SPARE_PAGES);
                        tx.execute_unprepared(&format!("PRAGMA incremental_vacuum({pages})")).await.map_err(&failed)?;
                    }
                    Ok(free - free_pages(tx).await.map_err(&failed)?)
                })
            });
            match step.await? {
                0 => return Ok(given_back),
                pages => given_back += pages.unsigned_abs(),
            }
        }
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

/// Stores a document within a transaction of the caller's; answers its number.
pub(super) async fn insert(tx: &DatabaseTransaction, bytes: &[u8], now: Timestamp) -> Result<i64, DbErr> {
    let id = insert_head(tx, bytes.len() as u64, hex::encode(Sha256::digest(bytes)), now).await?;
    for (number, part) in (0..).zip(bytes.chunks(PART)) {
        insert_part(tx, id, number, part.to_vec()).await?;
    }
    Ok(id)
}

async fn free_pages(tx: &DatabaseTransaction) -> Result<i64, DbErr> {
    let row = tx.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA freelist_count")).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

async fn insert_head(tx: &DatabaseTransaction, size: u64, sha256: String, now: Timestamp) -> Result<i64, DbErr> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let row = entity::document::ActiveModel { id: NotSet, sha256: Set(sha256), size: Set(size), created_at: Set(now) };
    Ok(entity::document::Entity::insert(row).exec(tx).await?.last_insert_id)
}

async fn insert_part(tx: &DatabaseTransaction, id: i64, number: i32, bytes: Vec<u8>) -> Result<(), DbErr> {
    let row = entity::document_part::ActiveModel { document_id: Set(id), number: Set(number), bytes: Set(bytes) };
    entity::document_part::Entity::insert(row).exec_without_returning(tx).await.map(|_| ())
}

fn missing(id: i64) -> StoreError {
    StoreError::Missing(format!("document {id}"))
}

//! Does the disk get back what was deleted? SQLite keeps it in its file unless it is asked.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use crate::store::{Store, StoreError};

/// SQLite's pages (4 KiB each) that stay in the file for what is written next.
const SPARE_PAGES: i64 = 4_096;
/// SQLite's pages that are given back in one transaction.
const PAGES_A_STEP: i64 = 2_560;

impl Store {
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
}

async fn free_pages(tx: &DatabaseTransaction) -> Result<i64, DbErr> {
    let row = tx.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA freelist_count")).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

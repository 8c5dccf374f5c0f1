//! Which database is it, and how large has it become?

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use crate::store::{Store, StoreError};

impl Store {
    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.backend() == DbBackend::Postgres { "postgres" } else { "sqlite" }
    }

    /// The bytes of the whole database, indexes and free pages included.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let sql = match db.get_database_backend() {
                    DbBackend::Postgres => "SELECT pg_database_size(current_database())",
                    _ => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
                };
                number(db, sql).await.map_err(StoreError::while_doing("measure the database"))
            })
        })
        .await
    }
}

/// The one number that a query answers.
pub(crate) async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<u64, DbErr> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0).map(i64::unsigned_abs))
}

//! Where do tests get databases of their own? Made on a server that they are told of, and dropped again.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::{runtime::Handle, time::sleep};

use crate::store::{StoreError, join};

/// Makes a database called `name` on the server at `url` (which names any database there, and a user who may do
/// this); answers the URL of the new one.
///
/// # Errors
/// [`StoreError`] if it cannot be made.
pub async fn create_database(url: &str, name: &str, runtime: &Handle) -> Result<String, StoreError> {
    let made = url.rsplit_once('/').map(|(server, _)| format!("{server}/{name}")).unwrap_or_default();
    execute(url, format!("CREATE DATABASE \"{name}\" STRATEGY FILE_COPY"), runtime).await?;
    Ok(made)
}

/// Drops it, whoever is connected.
///
/// # Errors
/// [`StoreError`] if it cannot be dropped.
pub async fn drop_database(url: &str, name: &str, runtime: &Handle) -> Result<(), StoreError> {
    execute(url, format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"), runtime).await
}

/// Carries out a statement, whatever it is: for what no part of lockstep would do.
///
/// # Errors
/// [`StoreError`] if it fails.
pub async fn execute(url: &str, sql: String, runtime: &Handle) -> Result<(), StoreError> {
    let url = url.to_owned();
    let work = async move {
        let db = Database::connect(url).await?;
        db.execute_unprepared(&sql).await?;
        db.close().await
    };
    join(runtime.spawn(work).await)?.map_err(StoreError::while_doing("make or drop a throwaway database"))
}

/// How many rows of this table have been read so far, whether they were wanted or only looked at? PostgreSQL counts a
/// session when it ends: this waits until there is no other in the database.
///
/// # Errors
/// [`StoreError`] if it cannot be asked.
pub async fn rows_read(url: &str, table: &str, runtime: &Handle) -> Result<i64, StoreError> {
    const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                          backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let (url, table) = (url.to_owned(), table.to_owned());
    let work = async move {
        // one: a second session of its own would be another that it waits for
        let mut one = ConnectOptions::new(url);
        one.max_connections(1);
        let db = Database::connect(one).await?;
        while number(&db, OTHERS.to_owned()).await? > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let read = format!(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = '{table}'"
        );
        let read = number(&db, read).await?;
        db.close().await?;
        Ok(read)
    };
    join(runtime.spawn(work).await)?.map_err(StoreError::while_doing("count the rows that were read"))
}

async fn number(db: &DatabaseConnection, sql: String) -> Result<i64, DbErr> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("number".to_owned()))?.try_get_by_index(0)
}

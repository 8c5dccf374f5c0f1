//! Where do tests get databases of their own? Made on a server that they are told of, and dropped again.

use sea_orm::{ConnectionTrait, Database};
use tokio::runtime::Handle;

use super::{StoreError, join};

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

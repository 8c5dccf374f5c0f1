//! Where do records, jobs and runs live? All SQL, on one writer and several reader connections.
//!
//! Every call runs on the app's IO runtime, whichever runtime awaits it: a pooled socket belongs to
//! the runtime that opened it, and a transaction must not be cut off by a dropped future.

mod admit;
mod agents;
mod apply;
mod asked;
mod breakers;
mod claim;
mod control;
mod data;
mod document;
mod entity;
mod error;
mod finish;
mod holds;
mod job_list;
mod keys;
mod lane;
mod lease;
mod link;
mod live;
mod over;
mod record_table;
mod retention;
mod retry;
mod runs;
mod settings;
mod snapshot;
mod stop;
mod tokens;
mod value;
mod writer;

use std::{future::Future, path::Path, pin::Pin, sync::Arc, time::Duration};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction};
use tokio::runtime::Handle;
use tracing::Instrument as _;

pub use admit::Slot;
pub use agents::Agent;
pub use apply::{Applied, Batches};
pub use breakers::{SourceReport, StoredBreaker};
pub use claim::{Claim, Claimed};
pub use control::ALL;
pub use data::{DataPage, DataQuery};
pub use error::StoreError;
pub use finish::{Finish, Finished};
pub use job_list::{Job, JobQuery};
pub use keys::KeyState;
pub use lease::{Beat, Heartbeat};
pub use retry::Retry;
pub use runs::{Run, RunQuery};
pub use settings::Setting;
pub use stop::Meant;

use crate::sync_type::SyncTypes;
use live::LiveKeys;
use writer::Writer;

/// A future that a transaction's body returns.
type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// The database, and what its record tables look like. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    /// The writer's connection, for migrations.
    schema: DatabaseConnection,
    reader: DatabaseConnection,
    live: LiveKeys,
    runtime: Handle,
    types: Arc<SyncTypes>,
}

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

impl Store {
    /// Opens the database at `url`; makes a missing SQLite file and its folder.
    ///
    /// # Errors
    /// [`StoreError`] naming what cannot be opened.
    pub async fn open(url: &str, runtime: Handle, types: Arc<SyncTypes>) -> Result<Self, StoreError> {
        let Some(path) = url.strip_prefix("sqlite:") else {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StoreError::Unsupported(format!(
                "database.url: '{scheme}' is not supported yet, use sqlite://"
            )));
        };
        let path = path.trim_start_matches("//").split('?').next().unwrap_or_default();
        if path.is_empty() || path == ":memory:" {
            let wrong = "database.url: an in-memory database is a different one for each connection, name a file";
            return Err(StoreError::Unsupported(wrong.to_owned()));
        }
        if let Some(folder) = Path::new(path).parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::Unsupported(format!("database.url: cannot make {}: {error}", folder.display()))
            })?;
        }
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new(url);
            options.max_connections(connections).min_connections(1).acquire_timeout(Duration::from_secs(30));
            options.sqlx_logging(false).test_before_acquire(false);
            options.map_sqlx_sqlite_opts(|sqlite| {
                use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
                sqlite
                    .journal_mode(SqliteJournalMode::Wal)
                    // durable on every commit: a job that was accepted survives a power cut
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_TIMEOUT)
                    .foreign_keys(true)
            });
            let runtime = runtime.clone();
            async move { join(runtime.spawn(Database::connect(options)).await)?.map_err(StoreError::opening) }
        };
        let writer = connect(1).await?;
        let reader = connect(4).await?;
        let schema = writer.clone();
        let writer = Writer::start(writer, &runtime);
        Ok(Self { inner: Arc::new(Inner { writer, schema, reader, live: LiveKeys::default(), runtime, types }) })
    }

    /// Brings the control tables up to date, and makes the record tables that the sync types need.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let db = self.inner.schema.clone();
        let work = async move { Migrator::up(&db, None).await };
        join(self.inner.runtime.spawn(work).await)?.map_err(StoreError::while_doing("migrate the control tables"))?;
        self.create_record_tables().await
    }

    /// Takes the control tables away again; record tables stay, because they hold people's data.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn migrate_down(&self) -> Result<(), StoreError> {
        let db = self.inner.schema.clone();
        let work = async move { Migrator::down(&db, None).await };
        join(self.inner.runtime.spawn(work).await)?.map_err(StoreError::while_doing("take the control tables away"))
    }

    /// `(migration, is it applied)` for each migration.
    ///
    /// # Errors
    /// [`StoreError`] if the history cannot be read.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let db = self.inner.schema.clone();
        let work = async move { Migrator::get_migration_with_status(&db).await };
        let known =
            join(self.inner.runtime.spawn(work).await)?.map_err(StoreError::while_doing("read the migrations"))?;
        let is_applied = |status| matches!(status, migration::MigrationStatus::Applied);
        Ok(known.iter().map(|one| (one.name().to_owned(), is_applied(one.status()))).collect())
    }

    /// Closes the connections once what runs has ended.
    pub async fn close(&self) {
        let inner = self.inner.clone();
        let closing = self.inner.runtime.spawn(async move {
            // the last connection to close folds the write-ahead log into the file
            let closed = inner.reader.clone().close().await.and(inner.schema.clone().close().await);
            if let Err(error) = closed {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        });
        drop(closing.await);
    }

    /// The sync types whose tables these are.
    #[must_use]
    pub fn types(&self) -> &Arc<SyncTypes> {
        &self.inner.types
    }

    /// Runs `query` on a reader connection.
    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseConnection) -> Work<'c, T> + Send + 'static,
    {
        let reader = self.inner.reader.clone();
        join(self.inner.runtime.spawn(async move { query(&reader).await }.in_current_span()).await)?
    }

    /// Runs `body` in a durable transaction, which is committed if it returns `Ok`; see [`Writer`].
    async fn write<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, T> + Send + 'static,
    {
        self.inner.writer.write(body, |_| ()).await
    }

    /// As `write`, for what ends jobs or parts them from their keys.
    async fn write_ending<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, T> + Send + 'static,
    {
        let (before, after) = (self.inner.clone(), self.inner.clone());
        // before the commit, so that nobody who sees the end is answered from memory; and after it, because
        // what shares the transaction may have learnt the key
        let write = self.inner.writer.write(
            move |tx| {
                before.live.forget_all();
                body(tx)
            },
            move |_| after.live.forget_all(),
        );
        write.await
    }
}

fn join<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, StoreError> {
    joined.map_err(|error| StoreError::Interrupted(error.to_string()))
}

//! How is the database reached? Connection pools, by what its URL says; the places where two databases differ
//! in more than what a statement builder knows are `dialect` and `writer`.

use std::{collections::BTreeSet, path::Path, time::Duration};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement,
    sqlx::{self, Executor as _, Row as _},
};
use tokio::runtime::Handle;

use crate::store::{StoreError, join};

/// The connections of one process.
pub(crate) struct Connections {
    /// One connection: whatever decides over the queue is written through it, one transaction at a time.
    pub writer: DatabaseConnection,
    /// For writes that decide nothing over the queue; none where a database has one writer anyway (SQLite).
    pub beside: Option<DatabaseConnection>,
    /// Reads see what is committed.
    pub reader: DatabaseConnection,
}

/// SQLite: what a connection keeps of the file in memory, in KiB (negative, as SQLite has it). Its default of 2 MiB is
/// less than the indexes of a long queue.
const CACHE: &str = "-16384";
/// SQLite: once readers allow it, the write-ahead log is cut to this (bytes), however large one transaction was.
const WAL: &str = "16777216";
/// SQLite: how long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// SQLite: how long until a locked file is tried again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// PostgreSQL: how long a caller waits for a connection, also while the server is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// PostgreSQL's own limits for our sessions. A process that is frozen in a transaction would hold its locks
/// for as long as it is frozen: the server ends its session instead, and with it the transaction.
///
/// They are set once a session is there: a pooler in between refuses a client that brings them along.
const SESSION: &str = "
    SET idle_in_transaction_session_timeout = '5s';
    SET lock_timeout = '20s';
    -- a host that vanished is noticed in half a minute
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    -- short statements: compiling them would take longer than they do
    SET jit = off;
";

/// Nobody waits longer for what is only looked at: a list that takes longer is asked for in another way.
const READING: &str = "SET statement_timeout = '60s'";

impl Connections {
    /// Opens `url`; makes a missing SQLite file and its folder.
    pub(crate) async fn open(url: &str, most: u32, runtime: &Handle) -> Result<Self, StoreError> {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" => Self::sqlite(url, runtime).await,
            "postgres" | "postgresql" => Self::postgres(url, most, runtime).await,
            _ => Err(StoreError::Unsupported(format!(
                "database.url: '{scheme}' is not supported, use sqlite:// or postgres://"
            ))),
        }
    }

    async fn sqlite(url: &str, runtime: &Handle) -> Result<Self, StoreError> {
        use sqlx::sqlite::{SqliteAutoVacuum, SqliteJournalMode, SqliteSynchronous};
        let path = sqlite_file(url).unwrap_or(Path::new(""));
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            let wrong = "database.url: an in-memory database is a different one for each connection, name a file";
            return Err(StoreError::Unsupported(wrong.to_owned()));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::Unsupported(format!("database.url: cannot make {}: {error}", folder.display()))
            })?;
        }
        let options = |connections: u32| {
            let mut options = ConnectOptions::new(url);
            options.max_connections(connections).min_connections(1).acquire_timeout(Duration::from_secs(30));
            options.sqlx_logging(false).test_before_acquire(false);
            options.map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    // of a new file: what is deleted from it goes back to the disk
                    .auto_vacuum(SqliteAutoVacuum::Incremental)
                    .journal_mode(SqliteJournalMode::Wal)
                    // durable on every commit: a job that was accepted survives a power cut
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(BUSY_TIMEOUT)
                    .pragma("cache_size", CACHE)
                    .pragma("journal_size_limit", WAL)
                    .foreign_keys(true)
            });
            options
        };
        // SQLite waits for a lock, but not for the one under which another process makes a new file one with a log
        let end = tokio::time::Instant::now() + BUSY_TIMEOUT;
        let writer = loop {
            match join(runtime.spawn(Database::connect(options(1))).await)? {
                Err(error) if is_locked(&error) && tokio::time::Instant::now() < end => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                opened => break opened.map_err(|error| StoreError::opening(&error))?,
            }
        };
        Ok(Self { writer, beside: None, reader: connect(options(4), runtime).await? })
    }

    async fn postgres(url: &str, most: u32, runtime: &Handle) -> Result<Self, StoreError> {
        let options = |connections: u32, is_tested: bool| {
            let mut options = ConnectOptions::new(url);
            options.max_connections(connections).min_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
            options.sqlx_logging(false).test_before_acquire(is_tested).set_application_name("lockstep");
            options.map_sqlx_postgres_opts(|postgres| postgres.extra_float_digits(None));
            options.map_sqlx_postgres_pool_opts(|pool| {
                pool.after_connect(|session, _| {
                    Box::pin(async move { session.execute(sqlx::raw_sql(SESSION)).await.map(|_| ()) })
                })
            });
            options
        };
        // the writer finds out by itself whether its connection lives, before anything is at stake
        let writer = connect(options(1, false), runtime).await?;
        let readers = ((most - 1) / 3).max(1);
        let beside = connect(options(most - 1 - readers, true), runtime).await?;
        let mut reading = options(readers, true);
        reading.map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|session, _| {
                Box::pin(async move {
                    session.execute(sqlx::raw_sql(SESSION)).await?;
                    session.execute(sqlx::raw_sql(READING)).await.map(|_| ())
                })
            })
        });
        let reader = connect(reading, runtime).await?;
        let opened = Self { writer, beside: Some(beside), reader };
        opened.try_out(most, runtime).await?;
        opened.check_encoding(runtime).await?;
        Ok(opened)
    }

    /// Texts of people have every letter there is.
    async fn check_encoding(&self, runtime: &Handle) -> Result<(), StoreError> {
        let reader = self.reader.clone();
        let asked = async move {
            let row = reader.query_one_raw(Statement::from_string(DbBackend::Postgres, "SHOW server_encoding")).await?;
            row.map(|row| row.try_get::<String>("", "server_encoding")).transpose()
        };
        match join(runtime.spawn(asked).await)?.map_err(|error| StoreError::opening(&error))? {
            Some(encoding) if encoding != "UTF8" => Err(StoreError::Unsupported(format!(
                "database.url: the database is encoded in {encoding}, which lacks letters of names; make one with \
                 ENCODING 'UTF8'"
            ))),
            _ => Ok(()),
        }
    }

    /// Has every connection that may be needed at once, or says how many there are.
    async fn try_out(&self, most: u32, runtime: &Handle) -> Result<(), StoreError> {
        let pools: Vec<_> = [Some(&self.writer), self.beside.as_ref(), Some(&self.reader)]
            .into_iter()
            .flatten()
            .map(|pool| pool.get_postgres_connection_pool().clone())
            .collect();
        let acquired = async move {
            let acquire = pools.iter().flat_map(|pool| {
                (0..pool.options().get_max_connections()).map(move |_| async move { pool.acquire().await })
            });
            let (mut sessions, mut error) = (BTreeSet::new(), None);
            let mut held = Vec::new();
            for one in futures_util::future::join_all(acquire).await {
                match one {
                    Ok(connection) => held.push(connection),
                    Err(wrong) => error = Some(wrong.to_string()),
                }
            }
            for connection in &mut held {
                // no prepared statement: where sessions are shared, it may be there already
                let row = connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await;
                sessions.insert(row.and_then(|row| row.try_get::<i32, _>(0)).map_err(|error| error.to_string())?);
            }
            Ok((held.len(), sessions.len(), error))
        };
        let asked: Result<_, String> = join(runtime.spawn(acquired).await)?;
        let failed = |text| StoreError::Unsupported(format!("cannot open the database: {text}"));
        let (given, sessions, error) = asked.map_err(failed)?;
        if sessions < given {
            return Err(StoreError::Unsupported(format!(
                "database.url: {given} connections share {sessions} sessions of the server: the pooler in between must \
                 pool sessions, not transactions"
            )));
        }
        let Some(error) = error else { return Ok(()) };
        Err(StoreError::Unsupported(format!(
            "database.connections: {most} are wanted and {given} were given within {} s: {error}; lower the number, or \
             raise what the server or its pooler allows",
            ACQUIRE_TIMEOUT.as_secs()
        )))
    }

    /// Closes them once what runs has ended.
    pub(crate) async fn close(&self) {
        // SQLite: the last connection to close folds the write-ahead log into the file
        for connection in [Some(&self.reader), self.beside.as_ref(), Some(&self.writer)].into_iter().flatten() {
            if let Err(error) = connection.clone().close().await {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        }
    }
}

/// The file of an SQLite database, from its URL; `None` for another database's.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<&Path> {
    let behind = url.strip_prefix("sqlite:")?.trim_start_matches("//");
    Some(Path::new(behind.split('?').next().unwrap_or_default()))
}

/// Does another process hold SQLite's file?
fn is_locked(error: &DbErr) -> bool {
    let (DbErr::Conn(cause) | DbErr::Exec(cause) | DbErr::Query(cause)) = error else { return false };
    let RuntimeErr::SqlxError(cause) = cause else { return false };
    cause.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "5")
}

async fn connect(options: ConnectOptions, runtime: &Handle) -> Result<DatabaseConnection, StoreError> {
    join(runtime.spawn(Database::connect(options)).await)?.map_err(|error| StoreError::opening(&error))
}

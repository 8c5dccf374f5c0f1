//! Where do records, jobs and runs live? All SQL: on one connection that decides over the queue, some that write
//! beside it where the database can, and some that read.
//!
//! Every call runs on the app's IO runtime, whichever runtime awaits it: a pooled socket belongs to
//! the runtime that opened it, and a transaction must not be cut off by a dropped future.

mod alerts;
mod attempt;
mod db;
mod documents;
mod jobs;
mod outbox;
mod records;
mod runs;
mod schema;
mod settings;
mod states;

use std::{future::Future, pin::Pin, sync::Arc};

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend, TransactionTrait};
use tokio::{runtime::Handle, sync::mpsc};
use tracing::Instrument as _;

pub use alerts::{Alert, AlertQuery, AlertsChanged, NewAlert, NotAcknowledged};
pub use attempt::{Applied, Batches, Finished, Pace};
#[cfg(feature = "testing")]
pub use db::throwaway;
pub use db::{StoreError, Times, sqlite_file};
pub use documents::{KeepLimits, KeptReport, NotKept};
pub use jobs::{Job, JobQuery, StoredBreaker};
pub use outbox::{ClaimedItems, ItemClaim, ItemDepth, ItemQuery, ItemsDone, Undelivered, enqueue_items_in};
pub use records::{ChangeQuery, DataPage, DataQuery, RecordChange, ValueChange};
pub use runs::{Finish, OpenHold, Run, RunQuery};
pub use schema::Trouble;
pub use settings::{
    Agent, Amendments, AuditEntry, AuditQuery, AuditedChange, Begun, GivenAnswer, NewToken, PageSession,
    SealedCredential, Setting, Taught, UnknownAgent, token_hash,
};
pub use states::RunTotals;

use crate::{
    domain::{Cause, Timestamp},
    sync_type::SyncTypes,
};
use attempt::finish_batch::{self, Ending};
use db::{
    connect::Connections,
    statistics::Growth,
    times::{BATCH, READ},
    writer::Writer,
};
use jobs::dedup_cache::DedupCache;
use schema::probe::Probe;
use settings::{audit::Signer, taught::KnownHeaders};

/// A transaction of the database.
pub use sea_orm::DatabaseTransaction as Transaction;

/// A future that a transaction's body returns.
type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// The database, and what its record tables look like. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    signer: Signer,
}

struct Inner {
    writer: Writer,
    connections: Connections,
    dedup: DedupCache,
    runtime: Handle,
    types: Arc<SyncTypes>,
    ends: mpsc::Sender<Ending>,
    growth: Growth,
    probe: Probe,
    times: Times,
    headers: KnownHeaders,
}

/// One that decides over the queue, eight that write beside it, four that read.
const CONNECTIONS: u32 = 13;
/// One of each kind.
pub const FEWEST_CONNECTIONS: u32 = 3;
/// Ends that wait to be stored; more than these wait to wait.
const ENDS_WAITING: usize = 1_024;

impl Store {
    /// Opens the database at `url` (`sqlite://` or `postgres://`); makes a missing SQLite file and its folder.
    ///
    /// # Errors
    /// [`StoreError`] naming what cannot be opened.
    pub async fn open(url: &str, runtime: Handle, types: Arc<SyncTypes>) -> Result<Self, StoreError> {
        Self::open_with(url, CONNECTIONS, runtime, types).await
    }

    /// As [`Store::open`], with so many connections to PostgreSQL, at least
    /// [`FEWEST_CONNECTIONS`]: all of them are tried out.
    ///
    /// # Errors
    /// [`StoreError`] naming what cannot be opened.
    pub async fn open_with(url: &str, most: u32, runtime: Handle, types: Arc<SyncTypes>) -> Result<Self, StoreError> {
        let connections = Connections::open(url, most, &runtime).await?;
        let times = Times::default();
        let writer = Writer::start(connections.writer.clone(), times.clone(), &runtime);
        let (ends, queue) = mpsc::channel(ENDS_WAITING);
        let dedup = DedupCache::default();
        let (growth, probe, headers) = (Growth::default(), Probe::default(), KnownHeaders::default());
        let inner = Arc::new(Inner {
            writer,
            connections,
            dedup,
            runtime: runtime.clone(),
            types,
            ends,
            growth,
            probe,
            times,
            headers,
        });
        runtime.spawn(finish_batch::work(Arc::downgrade(&inner), queue));
        Ok(Self { inner, signer: Signer::default() })
    }

    /// Closes the connections once what runs has ended.
    pub async fn close(&self) {
        let inner = self.inner.clone();
        drop(self.inner.runtime.spawn(async move { inner.connections.close().await }).await);
    }

    /// The same database, where what people can change is noted in the audit as changed by `by` at `at`, in the
    /// transaction of the change.
    #[must_use]
    pub fn by(&self, by: Cause, at: Timestamp) -> Self {
        Self { inner: self.inner.clone(), signer: Signer::new(by, at) }
    }

    /// The time of the database's server; `None` where it is this machine's anyway.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn server_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|db| {
            Box::pin(
                async move { db::dialect::server_time(db).await.map_err(StoreError::while_doing("read the time")) },
            )
        })
        .await
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
        let reader = self.inner.connections.reader.clone();
        let asked = self.inner.runtime.spawn(async move { query(&reader).await }.in_current_span());
        join(self.inner.times.of(READ, asked).await)?
    }

    fn backend(&self) -> DbBackend {
        self.inner.connections.reader.get_database_backend()
    }

    /// As `write`, for what decides nothing over the queue and may take long: where the database lets several
    /// write at once, it goes beside the queue's transactions. Fenced by rows, not by turns.
    async fn write_beside<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, T> + Send + 'static,
    {
        let Some(beside) = self.inner.connections.beside.clone() else {
            return self.inner.times.of(BATCH, self.inner.writer.write(body, |_| ())).await;
        };
        let work = async move {
            let tx = beside.begin().await.map_err(StoreError::while_doing("begin"))?;
            let done = body(&tx).await?;
            tx.commit().await.map_err(StoreError::while_doing("commit"))?;
            Ok(done)
        };
        let done = self.inner.runtime.spawn(work.in_current_span());
        join(self.inner.times.of(BATCH, done).await)?
    }

    /// How long the database takes.
    #[must_use]
    pub fn times(&self) -> &Times {
        &self.inner.times
    }

    /// Runs `body` in a durable transaction, which is committed if it returns `Ok`; see [`Writer`].
    async fn write<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, T> + Send + 'static,
    {
        self.inner.writer.write(body, |_| ()).await
    }

    /// Runs `body` in a durable transaction of the caller's own, which is committed if it returns `Ok`: what it
    /// writes and [`enqueue_items_in`] are one.
    ///
    /// # Errors
    /// What `body` returns, or [`StoreError`] if the transaction cannot be committed.
    pub async fn transaction<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c Transaction) -> Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>
            + Send
            + 'static,
    {
        self.write(body).await
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
                before.dedup.forget_all();
                body(tx)
            },
            move |_| after.dedup.forget_all(),
        );
        write.await
    }
}

fn join<T>(joined: Result<T, tokio::task::JoinError>) -> Result<T, StoreError> {
    joined.map_err(|error| StoreError::Interrupted(error.to_string()))
}

//! How are the writes that decide over the queue made durable? One writer; what arrives together shares one commit.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tracing::Instrument as _;

use super::{
    dialect::lock_queue,
    times::{self, Times},
};
use crate::{
    domain::run::panic_text,
    store::{StoreError, Work},
};

/// Writes that share a commit, at most ...
const WRITES_A_COMMIT: usize = 256;
/// ... and for how long they are gathered while others arrive.
const TIME_A_COMMIT: Duration = Duration::from_millis(10);
/// Writes that wait for their turn; more than these wait to wait.
const WAITING: usize = 4_096;

/// Tells a caller how its write ended, once that is certain.
type Acknowledge = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A caller's write: `None` if it failed by itself and has to be undone (its caller is told already).
type Written<'c> = Pin<Box<dyn Future<Output = Option<Acknowledge>> + Send + 'c>>;

/// One caller's write.
struct Write {
    run: Box<dyn for<'c> FnOnce(&'c DatabaseTransaction) -> Written<'c> + Send>,
    /// Tells the caller that it could not even begin.
    refuse: Box<dyn FnOnce(StoreError) + Send>,
}

/// Where one caller's answer goes: whoever answers first, answers.
type Reply<T> = Arc<Mutex<Option<oneshot::Sender<Result<T, StoreError>>>>>;

fn reply_to<T>(reply: &Reply<T>, answer: Result<T, StoreError>) {
    if let Some(sender) = reply.lock().take() {
        // whoever asked may have stopped waiting
        drop(sender.send(answer));
    }
}

/// The one writer of a database. A durable commit costs milliseconds, a statement microseconds: writes that
/// come while one is under way are put into the same transaction, each in a savepoint of its own, so that one
/// that fails undoes itself alone.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    writes: mpsc::Sender<Write>,
}

impl Writer {
    /// Starts the writer on `runtime`; it ends when the last handle is dropped.
    pub(crate) fn start(connection: DatabaseConnection, times: Times, runtime: &Handle) -> Self {
        let (writes, queue) = mpsc::channel(WAITING);
        runtime.spawn(work(connection, times, queue));
        Self { writes }
    }

    /// Do others wait for their turn?
    pub(crate) fn is_waited_for(&self) -> bool {
        self.writes.capacity() < WAITING
    }

    /// Carries `body` out in a durable transaction. `committed` is called right after the commit, before any
    /// later write begins.
    pub(crate) async fn write<T, F, C>(&self, body: F, committed: C) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, T> + Send + 'static,
        C: FnOnce(&T) + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let reply: Reply<T> = Arc::new(Mutex::new(Some(sender)));
        let refused = reply.clone();
        let span = tracing::Span::current();
        let run: Box<dyn for<'c> FnOnce(&'c DatabaseTransaction) -> Written<'c> + Send> = Box::new(move |tx| {
            let work = AssertUnwindSafe(body(tx).instrument(span)).catch_unwind();
            Box::pin(async move {
                let done = work.await.unwrap_or_else(|panic| Err(StoreError::Interrupted(panic_text(panic.as_ref()))));
                match done {
                    Ok(done) => {
                        let acknowledge: Acknowledge = Box::new(move |commit| {
                            let answer = commit.map(|()| {
                                committed(&done);
                                done
                            });
                            reply_to(&reply, answer);
                        });
                        Some(acknowledge)
                    }
                    Err(error) => {
                        reply_to(&reply, Err(error));
                        None
                    }
                }
            })
        });
        let write = Write { run, refuse: Box::new(move |error| reply_to(&refused, Err(error))) };
        let gone = || StoreError::Interrupted("the database is closed".to_owned());
        self.writes.send(write).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn work(connection: DatabaseConnection, times: Times, mut queue: mpsc::Receiver<Write>) {
    while let Some(first) = queue.recv().await {
        let mut waiting = Vec::new();
        let transaction = commit_together(&connection, first, &mut queue, &mut waiting);
        let committed = times.of(times::WRITE, transaction).await;
        if committed.is_err() {
            renew(&connection).await;
        }
        for acknowledge in waiting {
            // the error is told to each of them
            acknowledge(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(StoreError::Database { doing: "commit", error: DbErr::Custom(error.to_string()) }),
            });
        }
    }
}

/// After a failed commit or rollback nobody knows in which transaction the connection is (on a full disk
/// SQLite rolls back by itself): it is closed, and the pool opens another.
async fn renew(connection: &DatabaseConnection) {
    if connection.get_database_backend() != DbBackend::Sqlite {
        return;
    }
    if let Ok(broken) = connection.get_sqlite_connection_pool().acquire().await
        && let Err(error) = broken.close().await
    {
        tracing::warn!(%error, "a broken connection did not close cleanly");
    }
}

/// A write that has arrived meanwhile, if there is still time for it in this transaction.
fn another(started: Instant, queue: &mut mpsc::Receiver<Write>) -> Option<Write> {
    if started.elapsed() < TIME_A_COMMIT { queue.try_recv().ok() } else { None }
}

/// Begins a transaction that no other queue transaction runs beside. A connection that has died since it was
/// used last (the server was restarted, say) is found out here, where nothing is lost yet: another is opened.
async fn begin(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let once = async || {
        let options = TransactionOptions {
            // take the write lock at once: a later upgrade could fail against another process
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = connection.begin_with_options(options).await?;
        lock_queue(&transaction).await?;
        Ok(transaction)
    };
    match once().await {
        Err(_) if connection.get_database_backend() != DbBackend::Sqlite => once().await,
        begun => begun,
    }
}

/// One transaction: `first`, and what has arrived by the time the one before it is done.
async fn commit_together(
    connection: &DatabaseConnection,
    first: Write,
    queue: &mut mpsc::Receiver<Write>,
    waiting: &mut Vec<Acknowledge>,
) -> Result<(), DbErr> {
    let transaction = match begin(connection).await {
        Ok(transaction) => transaction,
        Err(error) => {
            (first.refuse)(StoreError::Database { doing: "begin", error });
            return Ok(());
        }
    };
    let started = Instant::now();
    let mut next = Some(first);
    while let Some(write) = next {
        if waiting.is_empty() {
            // nothing to keep if it fails: it needs no savepoint
            match (write.run)(&transaction).await {
                Some(acknowledge) => waiting.push(acknowledge),
                None => return transaction.rollback().await,
            }
            next = another(started, queue);
            continue;
        }
        let savepoint = match transaction.begin().await {
            Ok(savepoint) => savepoint,
            Err(error) => {
                let text = DbErr::Custom(error.to_string());
                (write.refuse)(StoreError::Database { doing: "begin", error: text });
                return Err(error);
            }
        };
        match (write.run)(&savepoint).await {
            Some(acknowledge) => {
                // told with the others, also if this fails
                waiting.push(acknowledge);
                savepoint.commit().await?;
            }
            None => savepoint.rollback().await?,
        }
        let has_room = waiting.len() < WRITES_A_COMMIT;
        next = if has_room { another(started, queue) } else { None };
    }
    transaction.commit().await
}

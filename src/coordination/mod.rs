//! Who may, and who should look, when several processes run? Messages to all processes, throttle windows, shared
//! limits: in memory for one process, in Redis for many. Everything here is a short cut: the database is the
//! truth, and what is lost here is found there, at the latest at the next heartbeat.

mod limit;
mod memory;
mod redis;
mod ring;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use self::redis::Redis;
pub use memory::Memory;

use crate::domain::{JobId, Timestamp};

/// A hint to other processes: where to look in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Something may start: claim.
    Work,
    /// Someone asked jobs to stop, paused the queue, changed limits, or asked for urgent work.
    Look,
    /// Intervals, timers or the auto-sync switch changed.
    Schedule,
    /// Changes wait to go out.
    Items,
}

/// What a process tells all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayMessage {
    /// Where to look.
    Signal(Signal),
    /// What happened, as JSON, for people and programs that watch.
    Event(String),
    /// Messages were missed here, and nobody knows which.
    Gap,
}

/// A message, as every process receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its number, `milliseconds-count`; no two messages that one process receives have the same.
    pub id: String,
    /// Was it told by another process?
    pub is_foreign: bool,
    pub message: RelayMessage,
}

/// A throttle window that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWindow {
    /// The job that opened it.
    pub job: JobId,
    /// The digest of its payload.
    pub digest: Option<String>,
    /// When it closes.
    pub until: Timestamp,
}

/// May one more be done, under a limit that all processes share?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Yes; it has been counted.
    Granted,
    /// Not before this much time has passed.
    Wait(Duration),
}

/// How coordination is, for readiness and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `memory` or `redis`.
    pub kind: &'static str,
    /// What is wrong; `None` if nothing is. Meanwhile the process goes on alone: messages reach nobody else,
    /// windows are asked of the database, limits count in each process by itself.
    pub trouble: Option<String>,
    /// Messages that reached no other process.
    pub dropped: u64,
}

/// What processes share besides the database. Implementations never fail a caller: where they cannot answer,
/// they answer as if they knew nothing.
#[async_trait]
pub trait Coordination: Send + Sync + 'static {
    /// Tells all processes, this one's listeners included; returns at once.
    fn publish(&self, message: RelayMessage);
    /// What is told from now on.
    fn listen(&self) -> broadcast::Receiver<Arc<Received>>;
    /// What was told after the message `id`, oldest first (`None` if that message is not remembered, here), and what is
    /// told from now on.
    fn listen_after(&self, id: &str) -> (Option<Vec<Arc<Received>>>, broadcast::Receiver<Arc<Received>>);
    /// Remembers a window that is open at `now`.
    async fn open_window(&self, key: &str, window: KnownWindow, now: Timestamp);
    /// The window of a key that is open at `now`, as far as one is known.
    async fn window(&self, key: &str, now: Timestamp) -> Option<KnownWindow>;
    /// One more of `name`, of which `most` may be done in each `period`?
    async fn permit(&self, name: &str, most: u32, period: Duration) -> Permit;
    /// How it is.
    fn health(&self) -> Health;
}

//! What can be asked of the queue, and what does it answer?

use actix::prelude::*;
use serde::Serialize;

use crate::{
    domain::{Admission, AgentId, JobId, NewJob, Reason, RunId, SyncType},
    store::Slot,
};

/// The queue cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// No sync type has this name.
    #[error("there is no sync type '{0}'")]
    UnknownType(SyncType),
    /// The service shuts down.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The database failed; nothing was admitted.
    #[error("{0}")]
    Storage(String),
}

/// Sync this type for this agent. Timer, API and flows send the same message with another reason.
///
/// Reply: [`Admission`] — accepted, or refused naming the winning job (in-flight dedup by
/// `type:agent`, or the throttle window of `idempotency_key`); a duplicate is no error.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Admission, QueueError>")]
pub struct Enqueue {
    /// What to sync.
    pub sync_type: SyncType,
    /// For whom; shared types run under `service-account` whatever stands here.
    pub agent: AgentId,
    /// Why.
    pub reason: Reason,
    /// Read the report even if its bytes are the same as last time.
    pub force: bool,
    /// Opens a throttle window (`queue.throttle_ms`): the same key is refused within it.
    pub idempotency_key: Option<String>,
    /// A stored document to read instead of fetching: its number, and its SHA-256 for the key.
    pub document: Option<(i64, String)>,
}

impl Enqueue {
    /// A plain sync.
    #[must_use]
    pub fn new(sync_type: impl Into<SyncType>, agent: impl Into<AgentId>, reason: Reason) -> Self {
        Self {
            sync_type: sync_type.into(),
            agent: agent.into(),
            reason,
            force: false,
            idempotency_key: None,
            document: None,
        }
    }
}

/// A type's timer fired: move its slot and enqueue it for these agents, in one transaction.
///
/// Reply: one admission an agent, or `None` if another process had fired this slot already.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Option<Vec<Admission>>, QueueError>")]
pub struct EnqueueTick {
    /// The slot.
    pub slot: Slot,
    /// The active agents.
    pub agents: Vec<AgentId>,
}

/// Apply a held run. Reply: the admission of the job that does it; `None` if the hold is not open
/// (any more).
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Option<Admission>, QueueError>")]
pub struct Approve {
    /// The held run.
    pub run: RunId,
    /// Its type.
    pub sync_type: SyncType,
    /// Its agent.
    pub agent: AgentId,
}

/// Stop one job, all jobs of a type, or all: running ones stop at their next batch, waiting ones are
/// removed. Does not wait for the running ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Message)]
#[rtype(result = "Result<StopReport, QueueError>")]
pub struct StopJobs {
    /// Only this job.
    pub job: Option<JobId>,
    /// Only this type.
    pub sync_type: Option<SyncType>,
}

/// What a stop hit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopReport {
    /// Running jobs that were asked to stop.
    pub stopping: Vec<JobId>,
    /// Waiting jobs that were removed.
    pub removed: Vec<JobId>,
}

/// Claim nothing more, give running jobs back to the queue, and reply when none runs.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// What runs in this process?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "QueueSnapshot")]
pub struct Snapshot;

/// The queue of this process at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, MessageResponse)]
#[serde(rename_all = "camelCase")]
pub struct QueueSnapshot {
    /// Jobs that run here, by number.
    pub running: Vec<JobId>,
    /// How many may run at once.
    pub concurrency: usize,
}

impl Enqueue {
    /// The job that this asks for: `priority` is the type's, `window` the throttle window's length.
    #[must_use]
    pub fn into_job(self, agent: AgentId, priority: u8, window: std::time::Duration) -> NewJob {
        let mut job = NewJob::sync(self.sync_type, agent, priority, self.reason);
        job.force = self.force;
        if let Some((document, sha256)) = self.document {
            // an upload has its own key, so that its bytes are never dropped for a waiting sync
            job.dedup_key = Some(format!("{}:{}:{sha256}", job.sync_type, job.agent));
            job.document = Some(document);
        }
        // keys are scoped: the same key for another type or agent is another key
        job.throttle = self.idempotency_key.map(|key| (format!("{}:{}:{key}", job.sync_type, job.agent), window));
        job
    }
}

//! What can be asked of the queue, and what does it answer?

use std::{collections::BTreeMap, time::Duration};

use actix::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::domain::{
    Admission, AgentId, Cause, Class, DocumentId, JobId, JobType, Mode, Pause, Reason, Retry, RunId, Slot, SyncType,
    Timestamp,
};

/// The queue cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// No sync type or operation has this name.
    #[error("there is no sync type or operation '{0}'")]
    UnknownType(JobType),
    /// An operation's data lacks something.
    #[error("'{operation}' needs the field '{field}' in its data")]
    MissingField {
        /// The operation.
        operation: JobType,
        /// The field.
        field: String,
    },
    /// A text has a NUL character, which not every database can keep.
    #[error("a text has a NUL character at {pointer}")]
    NulInText {
        /// Where, as a JSON pointer into the request.
        pointer: String,
    },
    /// A number, a text or a moment is not what it may be.
    #[error("{expected}")]
    OutOfBounds {
        /// A short name, for programs.
        code: &'static str,
        /// Where, as a JSON pointer into the request.
        pointer: String,
        /// What it may be.
        expected: String,
    },
    /// The service shuts down.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The queue ended before it answered: the job may have been stored.
    #[error("the queue ended before it answered: look whether the job is there before you ask again")]
    Unanswered,
    /// The database failed; nothing was admitted.
    #[error("{0}")]
    Storage(String),
}

/// Do this for this agent: a sync type or an operation. Timer, API and flows send the same message with
/// another reason.
///
/// Reply: [`Admission`] — accepted, replaced, kept, or refused with the reason and the winning job; a refusal
/// is a value and no error.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "Result<Admission, QueueError>")]
pub struct Enqueue {
    /// What to do.
    pub job_type: JobType,
    /// For whom; shared types run under `service-account` whatever stands here.
    pub agent: AgentId,
    pub reason: Reason,
    /// Read the report even if its bytes are the same as last time; passes a plain pause if a person asks.
    pub force: bool,
    /// Opens a throttle window (`queue.throttle_ms`): the same key, of the same type and agent, is refused
    /// within it, naming the first job; with another body it is refused as a mistake.
    pub idempotency_key: Option<String>,
    /// A stored document to read instead of fetching: its number, and its SHA-256 for the key.
    pub document: Option<(DocumentId, String)>,
    /// What an operation is to do.
    pub data: Option<Map<String, Json>>,
    /// What becomes of it if a live job has its key.
    pub mode: Mode,
    /// The earliest start after the acceptance.
    pub delay: Duration,
    /// Who asks, where it is a person or a program: noted in the audit.
    pub by: Option<Cause>,
}

impl Enqueue {
    /// A plain sync.
    #[must_use]
    pub fn new(job_type: impl Into<JobType>, agent: impl Into<AgentId>, reason: Reason) -> Self {
        Self {
            job_type: job_type.into(),
            agent: agent.into(),
            reason,
            force: false,
            idempotency_key: None,
            document: None,
            data: None,
            mode: Mode::Refuse,
            delay: Duration::ZERO,
            by: None,
        }
    }

    /// An operation.
    #[must_use]
    pub fn operation(name: impl Into<JobType>, agent: impl Into<AgentId>, data: Map<String, Json>) -> Self {
        Self { data: Some(data), ..Self::new(name, agent, Reason::Operation) }
    }
}

/// Ask for many at once, in one transaction. Reply: one admission each, in order.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "Result<Vec<Admission>, QueueError>")]
pub struct EnqueueMany(pub Vec<Enqueue>);

/// A type's timer fired: move its slot and enqueue it for these agents, in one transaction.
///
/// Reply: one admission an agent, or `None` if another process had fired this slot already.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Option<Vec<Admission>>, QueueError>")]
pub struct EnqueueTick {
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
    pub sync_type: SyncType,
    pub agent: AgentId,
}

/// Stop one job, all jobs of a type or class, or all: running ones stop at their next batch, those that have
/// not started are removed. Does not wait for the running ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Message)]
#[rtype(result = "Result<StopReport, QueueError>")]
pub struct StopJobs {
    /// Only this job.
    pub job: Option<JobId>,
    /// Only this type.
    pub job_type: Option<JobType>,
    /// Only this class.
    pub class: Option<Class>,
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

/// Take what has not started out of the queue; what runs goes on. Reply: the removed jobs.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<JobId>, QueueError>")]
pub struct PurgeJobs(pub StopJobs);

/// Put a job that is over, and did not succeed, back into the queue. Reply: accepted, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<Retry, QueueError>")]
pub struct RetryJob {
    pub job: JobId,
    /// A person's word that an effect that may have happened is to be brought about even so.
    pub even_if_done: bool,
}

/// Pause the queue (`Some`), or go on (`None`). Reply: the running syncs that were asked to stop; they go
/// back to the queue.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<JobId>, QueueError>")]
pub struct SetPause(pub Option<Pause>);

/// Close a breaker by hand and start what waited for it. Reply: false if there is none of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<bool, QueueError>")]
pub struct ResetBreaker {
    /// Its number.
    pub id: i64,
}

/// Set how many jobs may run at once: of a type in all processes, or under `*` in each process; `None` takes
/// a limit away. Those that run are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), QueueError>")]
pub struct SetLimits(pub BTreeMap<String, Option<usize>>);

/// Look at the database now, as the next heartbeat would: stops, the pause, limits, urgent work that another
/// process was asked for. Looks that come while one is under way are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Look;

/// Look for work now: something changed behind the queue's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Wake;

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
    /// How many may run at once, besides one more write or download.
    pub concurrency: usize,
    /// The limits of types.
    pub limits: BTreeMap<JobType, usize>,
    /// The pause that this process knows of.
    pub pause: Option<Pause>,
    /// When it will look for due jobs at the latest.
    pub next_look: Option<Timestamp>,
    /// Requests wait for the database's word, also those that were refused from memory.
    pub admitting: bool,
    /// The database is asked, or about to be, what may run or what other processes want.
    pub looking: bool,
}

impl QueueSnapshot {
    /// Until somebody asks for something, or a moment comes, nothing more will happen.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.running.is_empty() && !self.admitting && !self.looking
    }
}

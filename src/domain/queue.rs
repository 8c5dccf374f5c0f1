//! What is said between the queue and whoever keeps its jobs?

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::Serialize;

use super::{BreakerPolicy, ClaimedJob, Class, Heartbeat, JobId, JobType, Lease, Pause, SyncType, Timestamp};

/// The name under which the limit of all jobs of a process stands.
pub const ALL: &str = "*";
/// More jobs at once are never allowed, of a type or in a process.
pub const MOST_JOBS: usize = 1_000;

/// The timer slot that a batch of jobs belongs to: moved in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The type whose timer fired.
    pub sync_type: SyncType,
    /// The stored next run that it fired for.
    pub due: Timestamp,
    /// The next run after it.
    pub next: Timestamp,
}

/// What a process can start now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The process.
    pub owner: String,
    /// Jobs of any class that it has room for.
    pub any: usize,
    /// Writes and downloads that it has room for besides.
    pub urgent: usize,
    /// The types that it can run.
    pub known: Vec<JobType>,
    /// The most jobs of a type that run at once, in all processes.
    pub limits: BTreeMap<JobType, usize>,
}

/// What was claimed, and when to look again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claimed {
    /// Jobs that the process holds now, in the order of their start.
    pub jobs: Vec<ClaimedJob>,
    /// When the next delayed job becomes due.
    pub next_due: Option<Timestamp>,
}

/// Which jobs are meant; all conditions together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobSelector {
    /// Only this one.
    pub job: Option<JobId>,
    /// Only of this type.
    pub job_type: Option<JobType>,
    /// Only of this class.
    pub class: Option<Class>,
    /// Only those that have not started: what runs goes on.
    pub only_waiting: bool,
}

/// What a heartbeat tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatReport {
    /// All active jobs of all processes.
    pub active: Vec<Heartbeat<JobId>>,
    /// For how long each of them has been quiet, by the database's clock.
    pub quiet: HashMap<JobId, Duration>,
    /// Of this process's: those that someone asked to stop.
    pub stop: Vec<Lease<JobId>>,
    /// Of this process's: syncs whose agent has a write or download waiting.
    pub preempt: Vec<Lease<JobId>>,
    /// Of those that the process says it runs: those that it does not hold any more.
    pub lost: Vec<Lease<JobId>>,
    /// The pause that holds.
    pub pause: Option<Pause>,
    /// The limits that are set, by type; [`ALL`] is that of all together.
    pub limits: BTreeMap<String, usize>,
}

/// Why a job cannot be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "refused")]
pub enum Retry {
    /// It waits again.
    Accepted,
    /// There is no such job.
    Unknown,
    /// It is not over yet.
    NotOver,
    /// It did what it was to do.
    Succeeded,
    /// Its effect may have happened; say that it is to be done even so.
    Doubtful,
    /// The document that it was to read is gone.
    DocumentGone,
    /// A live job has its key by now.
    AlreadyQueued {
        /// That job.
        job: JobId,
    },
}

/// What a run has learnt of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The source's name.
    pub source: String,
    /// `None` if it answered, whatever it said; otherwise how it failed.
    pub failed: Option<String>,
    /// When its breaker opens.
    pub policy: BreakerPolicy,
}

/// Who has a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyState {
    /// The live job that it is the in-flight key of.
    pub job_id: Option<JobId>,
    /// The job that is kept behind that one.
    pub kept_job_id: Option<JobId>,
    /// The job whose throttle window is open.
    pub window_job_id: Option<JobId>,
    /// When that closes.
    pub window_until: Option<Timestamp>,
}

//! What happened? Typed events on one bus; metrics, history pages and alerts only listen.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::domain::{
    Admission, AgentId, AttentionKind, Class, Counts, ItemId, JobId, JobType, Outcome, Pause, Reason, RunId, Severity,
    Stage, SyncType, Timestamp,
};

mod gauges;
mod journal;
mod liveness;
mod metrics;
mod run_log;

pub use gauges::{Depth, Now, TypeAgent};
pub use journal::journal;
pub use liveness::{Liveness, LoopState};
pub use metrics::Metrics;
pub use run_log::{RUN, lines_of_this_run, run_log};

/// Something that happened, in the past tense.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "event")]
pub enum Event {
    /// The queue answered a request for a job: one shape for what was accepted, replaced, kept or refused,
    /// with the reason and the winner in `admission`.
    Enqueued {
        /// The type asked for.
        #[serde(rename = "type")]
        job_type: JobType,
        /// For whom.
        agent_id: AgentId,
        /// Why.
        reason: Reason,
        /// Accepted, or refused naming the winner.
        admission: Admission,
        /// Was another job named instead of a new one?
        deduplicated: bool,
    },
    /// A run began.
    Started {
        /// The run.
        run: RunId,
        /// Its job.
        job: JobId,
        /// The type.
        #[serde(rename = "type")]
        job_type: JobType,
        /// For whom.
        agent_id: AgentId,
        /// The attempt's number.
        attempt: u32,
        class: Class,
        /// Milliseconds from the request to here.
        waited_ms: u64,
    },
    /// A run got on.
    Progressed {
        /// The run.
        run: RunId,
        /// Its job.
        job: JobId,
        /// The type.
        #[serde(rename = "type")]
        job_type: JobType,
        /// For whom.
        agent_id: AgentId,
        /// Where it is.
        stage: Stage,
        /// Records written so far (in `apply`), or pages read (in `read`).
        done: usize,
        /// Records to write, or pages of the report.
        total: usize,
        /// Rows of the report, once they are known.
        rows: u64,
    },
    /// A report has other columns, or the same ones elsewhere, than the last one of its type and agent.
    LayoutChanged {
        /// The run.
        run: RunId,
        /// Its job.
        job: JobId,
        /// The type.
        #[serde(rename = "type")]
        job_type: JobType,
        /// For whom.
        agent_id: AgentId,
        /// Headers that are not printed any more.
        gone: Vec<String>,
        /// Headers that were not printed before.
        added: Vec<String>,
        /// Do the others stand in another order?
        reordered: bool,
        /// Pages in a cycle now.
        cycle: usize,
    },
    /// A run ended.
    Finished {
        /// The run.
        run: RunId,
        /// Its job.
        job: JobId,
        /// The type.
        #[serde(rename = "type")]
        job_type: JobType,
        /// For whom.
        agent_id: AgentId,
        /// How.
        outcome: Outcome,
        /// What became of the rows.
        counts: Counts,
        /// Why it did not succeed: for programs, and for people.
        error_code: Option<String>,
        error: Option<String>,
        duration_ms: u64,
        /// Milliseconds from the word to stop to here, where there was one.
        stop_ms: Option<u64>,
        /// Milliseconds in each stage that it came to.
        stages: Vec<(Stage, u64)>,
    },
    /// A type's timer fired.
    Ticked {
        /// The type.
        #[serde(rename = "type")]
        sync_type: SyncType,
        /// The slot it fired for.
        slot: Timestamp,
        /// Its next run.
        next_run: Timestamp,
    },
    /// A type's timer was set anew.
    Rescheduled {
        /// The type.
        #[serde(rename = "type")]
        sync_type: SyncType,
        /// Minutes between two runs.
        interval_minutes: u32,
        /// Its next run, if its timer is on.
        next_run: Option<Timestamp>,
        /// Who asked.
        by: String,
    },
    /// A job whose process died was taken over.
    Rescued {
        /// The job.
        job: JobId,
        /// `lost`, or `doubtful` if it is not to be repeated.
        outcome: Outcome,
    },
    /// An actor that had ended was started anew.
    ActorRestarted {
        /// The actor.
        actor: String,
        /// How often it was since the process began.
        restarts: u64,
    },
    /// A running sync was asked to make room for a write or download of its agent.
    Preempted {
        /// The sync.
        job: JobId,
        /// For whom.
        agent_id: AgentId,
    },
    /// Someone asked jobs to stop.
    StopAsked {
        /// Running jobs, which come to their next batch.
        stopping: Vec<JobId>,
        /// Jobs that had not started, which are out of the queue.
        removed: Vec<JobId>,
        /// Who asked.
        by: String,
    },
    /// A job that was over waits again, by a person's word.
    Retried {
        /// The job.
        job: JobId,
        /// Who asked.
        by: String,
    },
    /// Changes were added to the write-back queue.
    ItemsQueued {
        /// Of these models.
        models: Vec<String>,
        /// How many.
        items: usize,
    },
    /// Changes have arrived at the other side.
    ItemsDelivered {
        /// The sink.
        sink: String,
        /// The items.
        items: Vec<ItemId>,
    },
    /// The delivery of a change failed.
    DeliveryFailed {
        /// The sink.
        sink: String,
        /// The item.
        item: ItemId,
        /// Why, as a short name.
        code: &'static str,
        /// There will be no other attempt.
        is_over: bool,
        /// It may have arrived; a person looks.
        is_doubtful: bool,
    },
    /// A sink cannot be used; what waits for it waits on.
    SinkUnavailable {
        /// The sink.
        sink: String,
        /// Why.
        error: String,
    },
    /// Items were taken over from a process that died.
    ItemsRescued {
        /// The items.
        items: Vec<ItemId>,
    },
    /// Items were redriven, discarded or taken back, by a person's word.
    ItemsSteered {
        /// How many.
        items: u64,
        /// Who asked.
        by: String,
    },
    /// Other numbers of jobs may run at once.
    LimitsChanged {
        /// All that are set.
        limits: BTreeMap<String, usize>,
        /// Who asked.
        by: String,
    },
    /// A breaker was closed by a person's word.
    BreakerReset {
        /// Its number.
        id: i64,
        /// Who asked.
        by: String,
    },
    /// All timers were turned on or off.
    AutoSyncChanged {
        /// On or off.
        on: bool,
        /// Who asked.
        by: String,
    },
    /// Something needs a person, or is to be known.
    AlertBegan {
        #[serde(flatten)]
        subject: Subject,
        /// What, in a sentence.
        text: String,
    },
    /// It does no longer.
    AlertEnded {
        #[serde(flatten)]
        subject: Subject,
        /// Seconds from its beginning to here.
        lasted_seconds: u64,
    },
    /// Someone paused the queue, or the pause ended by a person's word.
    PauseChanged {
        /// The pause that holds now.
        pause: Option<Pause>,
        /// Who asked.
        by: String,
    },
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Its number.
    pub alert: i64,
    pub kind: AttentionKind,
    pub severity: Severity,
    #[serde(rename = "type")]
    pub sync_type: Option<SyncType>,
    /// For whom; null where it is of no agent, or of all.
    pub agent_id: Option<AgentId>,
    /// The outbox's model.
    pub model: Option<String>,
}

impl Event {
    /// The queue's answer to a request for a job.
    #[must_use]
    pub fn enqueued(job_type: JobType, agent_id: AgentId, reason: Reason, admission: Admission) -> Self {
        Event::Enqueued { job_type, agent_id, reason, admission, deduplicated: admission.is_duplicate() }
    }
}

/// Called with every event, at once.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Hands every event to every listener; a listener that lags loses events, never delays a run.
#[derive(Clone)]
pub struct Bus {
    sender: broadcast::Sender<Event>,
    observers: Arc<[Observer]>,
}

impl Bus {
    /// A bus; each of `observers` is called at once, on the publisher's thread.
    #[must_use]
    pub fn new(observers: Vec<Observer>) -> Self {
        Self { sender: broadcast::channel(4_096).0, observers: observers.into() }
    }

    /// Tells everyone.
    pub fn publish(&self, event: Event) {
        for observer in self.observers.iter() {
            observer(&event);
        }
        // no listener is no error
        drop(self.sender.send(event));
    }

    /// All events from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("observers", &self.observers.len()).finish_non_exhaustive()
    }
}

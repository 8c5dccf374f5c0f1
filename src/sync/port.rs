//! What does a `SyncActor` need to carry a job out? A runner, which tests replace.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::{ClaimedJob, Counts, JobId, NextStep, Outcome, RunId, Stage};

/// Carries one attempt of a job out, to its recorded end.
#[async_trait]
pub trait RunJob: Send + Sync + 'static {
    /// Runs the job until it ends or `stop` is set; panics and time-outs are outcomes.
    async fn run(&self, job: ClaimedJob, stop: StopHandle, watch: Watch) -> RunEnd;
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    pub job: JobId,
    pub run: RunId,
    /// How it ended.
    pub outcome: Outcome,
    /// Where it was when it did not succeed.
    pub stage: Option<Stage>,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// What became of the rows.
    pub counts: Counts,
    /// What becomes of the job.
    pub next: NextStep,
    /// Why the end could not be stored: the job is then taken over when its lease runs out.
    pub not_recorded: Option<String>,
}

impl RunEnd {
    /// The recorded end of an attempt that counted nothing.
    #[must_use]
    pub fn new(job: &ClaimedJob, outcome: Outcome, next: NextStep) -> Self {
        Self {
            job: job.id,
            run: job.run,
            outcome,
            stage: None,
            error: None,
            counts: Counts::default(),
            next,
            not_recorded: None,
        }
    }
}

/// Why a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Someone asked: the job is over.
    Asked,
    /// The process shuts down or the queue is paused: the job goes back to the queue, with its attempt.
    Shutdown,
    /// A write or download of its agent comes first: the job goes back to the queue, with its attempt and
    /// the report that it has fetched.
    Preempted,
}

/// The stop signal of one run; polled between batches.
#[derive(Debug, Clone, Default)]
pub struct StopHandle {
    token: CancellationToken,
    reason: Arc<OnceLock<(StopReason, Instant)>>,
}

impl StopHandle {
    /// Asks the run to stop. The first reason counts.
    pub fn stop(&self, reason: StopReason) {
        if self.reason.set((reason, Instant::now())).is_ok() {
            self.token.cancel();
        }
    }

    /// Why it is to stop, if it is.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().map(|(reason, _)| *reason)
    }

    /// How long ago it was asked to stop, if it was.
    #[must_use]
    pub fn asked_ago(&self) -> Option<Duration> {
        self.reason.get().map(|(_, at)| at.elapsed())
    }

    /// A handle that is set when this one is, and can be set alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), reason: self.reason.clone() }
    }

    /// The signal itself.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Has a stop been asked for?
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Does the job go back to the queue?
    #[must_use]
    pub fn gives_back(&self) -> bool {
        match self.reason() {
            Some(StopReason::Shutdown | StopReason::Preempted) => true,
            Some(StopReason::Asked) | None => false,
        }
    }
}

/// Where a run is; written by the run, read by whoever asks for its status.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Progress>>);

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The stage; `None` before the fetch.
    pub stage: Option<Stage>,
    /// Bytes fetched (in `fetch`), pages read (in `read`), or records written (in `apply`).
    pub done: usize,
    /// Bytes of the report (0 if the source does not say), its pages, or records to write.
    pub total: usize,
    /// Rows of the report, once they are known.
    pub rows: u64,
}

impl Watch {
    /// How far it is now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.0.lock()
    }

    /// Notes how far it is.
    pub fn set(&self, progress: Progress) {
        *self.0.lock() = progress;
    }
}

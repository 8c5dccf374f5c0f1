//! How do runs go in an actor test? Each waits until the test lets it end.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::{End, TestBoard as _};
use crate::{
    domain::{ClaimedJob, Clock, JobId, NextStep, Outcome},
    sync::{RunEnd, RunJob, StopHandle, Watch},
};

/// A runner whose runs are held open until the test ends them, or until they are stopped.
#[derive(Debug)]
pub struct ScriptedRunner {
    open: Mutex<HashMap<JobId, (ClaimedJob, oneshot::Sender<Outcome>)>>,
    /// Every job that was started, in order.
    started: watch::Sender<Vec<ClaimedJob>>,
    /// What the runner tells the board when a run ends.
    board: super::MemoryBoard,
    clock: super::PausedClock,
}

impl ScriptedRunner {
    /// A runner that records its ends on `board`.
    #[must_use]
    pub fn new(board: super::MemoryBoard, clock: super::PausedClock) -> Self {
        Self { open: Mutex::default(), started: watch::Sender::default(), board, clock }
    }

    /// Lets a run end so.
    pub fn end(&self, job: JobId, outcome: Outcome) {
        let (_, run) = self.open.lock().unwrap().remove(&job).unwrap();
        run.send(outcome).unwrap();
    }

    /// The jobs that run now, by number.
    #[must_use]
    pub fn running(&self) -> Vec<JobId> {
        let mut running: Vec<_> = self.open.lock().unwrap().keys().copied().collect();
        running.sort_unstable();
        running
    }

    /// Every job that was started so far, in order.
    #[must_use]
    pub fn started(&self) -> Vec<ClaimedJob> {
        self.started.borrow().clone()
    }

    /// Waits until `count` runs have been started.
    pub async fn wait_for(&self, count: usize) {
        self.started.subscribe().wait_for(|started| started.len() >= count).await.unwrap();
    }
}

#[async_trait]
impl RunJob for ScriptedRunner {
    async fn run(&self, job: ClaimedJob, stop: StopHandle, _: Watch) -> RunEnd {
        let (sender, end) = oneshot::channel();
        self.open.lock().unwrap().insert(job.id, (job.clone(), sender));
        self.started.send_modify(|started| started.push(job.clone()));
        let outcome = tokio::select! {
            () = stop.token().cancelled() => Outcome::Stopped,
            outcome = end => outcome.unwrap(),
        };
        self.open.lock().unwrap().remove(&job.id);
        let next = if stop.gives_back() { NextStep::GiveBack } else { NextStep::Done };
        // what is not recorded is taken over when its lease runs out
        let end = End { outcome, next, source: None };
        let not_recorded = self.board.end(&job, end, self.clock.now()).await.err().map(|error| error.to_string());
        RunEnd { not_recorded, ..RunEnd::new(&job, outcome, next) }
    }
}

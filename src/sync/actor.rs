//! Who carries jobs out? A `WorkerActor` for each sync type, and one for the operations of a class: several agents at
//! once, each stoppable.

use std::{collections::BTreeMap, sync::Arc};

use actix::prelude::*;
use serde::Serialize;
use tokio::sync::watch::{Receiver, Sender};

use super::port::{Progress, RunEnd, RunJob, StopHandle, StopReason, Watch};
use crate::domain::{AgentId, ClaimedJob, JobId, JobType, RunId};

/// Carry this job out. The reply comes when its end is recorded; panics and time-outs are outcomes
/// in it, and the actor lives on.
#[derive(Debug, Clone, Message)]
#[rtype(result = "RunEnd")]
pub struct Run {
    /// A job that this process holds.
    pub job: ClaimedJob,
}

/// Stop one job, or all that run here. Polled by the run between batches of at most 10 records; the
/// reply, the jobs that were asked to stop, does not wait for them.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<JobId>")]
pub struct Stop {
    /// The job; `None` for all.
    pub job: Option<JobId>,
    /// What becomes of it.
    pub reason: StopReason,
}

/// What runs here, and how far is it? Reply: one entry a running job, by job.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Running>")]
pub struct Snapshot;

/// One running job.
#[derive(Debug, Clone, PartialEq, Serialize, MessageResponse)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    pub job_id: JobId,
    pub run_id: RunId,
    #[serde(rename = "type")]
    pub job_type: JobType,
    pub agent_id: AgentId,
    /// How far.
    #[serde(flatten)]
    pub progress: Progress,
    /// Was it asked to stop?
    pub stopping: bool,
}

/// What runs here, and how will it end? For a queue that was started anew. Reply: one entry a running job.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Attached>")]
pub struct Attach;

/// One running job, and its end to come.
#[derive(Debug, Clone)]
pub struct Attached {
    pub job: ClaimedJob,
    /// Its end, once it has come; closed without one if its actor ends.
    pub end: Receiver<Option<RunEnd>>,
}

struct Entry {
    job: ClaimedJob,
    stop: StopHandle,
    watch: Watch,
    end: Sender<Option<RunEnd>>,
}

/// The worker of one sync type.
pub type SyncActor = WorkerActor;

/// Runs the jobs of one sync type, or the operations of one class; the work happens in tasks below it.
pub struct WorkerActor {
    runner: Arc<dyn RunJob>,
    running: BTreeMap<JobId, Entry>,
}

impl WorkerActor {
    /// An actor over a runner.
    #[must_use]
    pub fn new(runner: Arc<dyn RunJob>) -> Self {
        Self { runner, running: BTreeMap::new() }
    }
}

impl Actor for WorkerActor {
    type Context = Context<Self>;
}

impl Handler<Run> for WorkerActor {
    type Result = ResponseActFuture<Self, RunEnd>;

    fn handle(&mut self, Run { job }: Run, _: &mut Self::Context) -> Self::Result {
        let (id, run) = (job.id, job.run);
        let entry = Entry { job, stop: StopHandle::default(), watch: Watch::default(), end: Sender::new(None) };
        let (runner, job) = (self.runner.clone(), entry.job.clone());
        let (stop, watch) = (entry.stop.clone(), entry.watch.clone());
        self.running.insert(id, entry);
        let work = async move { runner.run(job, stop, watch).await };
        Box::pin(work.into_actor(self).map(move |end, actor, _| {
            // the job may run here again already, if another process had taken it over in between
            if actor.running.get(&id).is_some_and(|entry| entry.job.run == run)
                && let Some(entry) = actor.running.remove(&id)
            {
                entry.end.send_replace(Some(end.clone()));
            }
            end
        }))
    }
}

impl Handler<Stop> for WorkerActor {
    type Result = Vec<JobId>;

    fn handle(&mut self, Stop { job, reason }: Stop, _: &mut Self::Context) -> Self::Result {
        let meant = self.running.iter().filter(|(id, _)| job.is_none_or(|job| job == **id));
        meant
            .map(|(id, entry)| {
                entry.stop.stop(reason);
                *id
            })
            .collect()
    }
}

impl Handler<Attach> for WorkerActor {
    type Result = MessageResult<Attach>;

    fn handle(&mut self, _: Attach, _: &mut Self::Context) -> Self::Result {
        let attached = |entry: &Entry| Attached { job: entry.job.clone(), end: entry.end.subscribe() };
        MessageResult(self.running.values().map(attached).collect())
    }
}

impl Handler<Snapshot> for WorkerActor {
    type Result = Vec<Running>;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        let entry = |entry: &Entry| Running {
            job_id: entry.job.id,
            run_id: entry.job.run,
            job_type: entry.job.job_type.clone(),
            agent_id: entry.job.agent.clone(),
            progress: entry.watch.progress(),
            stopping: entry.stop.is_set(),
        };
        self.running.values().map(entry).collect()
    }
}

crate::supervisor::supervised!(WorkerActor);

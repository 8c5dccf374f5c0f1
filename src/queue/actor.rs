//! Who admits and dispatches jobs? `QueueActor`: asks the rules, has the database carry them out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::prelude::*;
use tokio::{sync::oneshot, time::Instant};

use super::{
    board::{Board, wake_at},
    lease_watch::LeaseWatch,
    message::{Approve, Drain, Enqueue, EnqueueTick, QueueError, QueueSnapshot, Snapshot, StopJobs, StopReport},
    port::JobBoard,
};
use crate::{
    domain::{Admission, ClaimedJob, Clock, JobId, NewJob, Reason, SyncType, Timestamp},
    event::{Bus, Event},
    store::{Heartbeat, StoreError},
    sync::{Run, RunEnd, Stop, StopReason},
    sync_type::SyncTypes,
};

/// The queue's own settings.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Jobs that run at once in this process.
    pub concurrency: usize,
    /// The throttle window of an idempotency key.
    pub throttle: Duration,
    /// How often running jobs are marked alive.
    pub heartbeat: Duration,
    /// How long a heartbeat may stand still before its job is taken over.
    pub lease: Duration,
    /// This process's name, different from every other's.
    pub owner: String,
}

/// How a sync type's actor is reached.
#[derive(Clone)]
pub struct Worker {
    /// Carries jobs out.
    pub run: Recipient<Run>,
    /// Stops them.
    pub stop: Recipient<Stop>,
}

type Waiting = (NewJob, oneshot::Sender<Result<Admission, QueueError>>);

/// The queue of this process; the database is the truth.
pub struct QueueActor {
    jobs: Arc<dyn JobBoard>,
    workers: HashMap<SyncType, Worker>,
    types: Arc<SyncTypes>,
    bus: Bus,
    clock: Arc<dyn Clock>,
    settings: QueueSettings,
    board: Board,
    leases: LeaseWatch,
    started: Instant,
    /// Requests that arrive while a transaction is under way share the next one.
    waiting: Vec<Waiting>,
    storing: bool,
    wake: Option<SpawnHandle>,
    drained: Vec<oneshot::Sender<()>>,
}

impl QueueActor {
    /// A queue over `jobs` whose work is done by `workers`.
    #[must_use]
    pub fn new(
        jobs: Arc<dyn JobBoard>,
        workers: HashMap<SyncType, Worker>,
        types: Arc<SyncTypes>,
        bus: Bus,
        clock: Arc<dyn Clock>,
        settings: QueueSettings,
    ) -> Self {
        Self {
            jobs,
            workers,
            types,
            bus,
            clock,
            board: Board::new(settings.concurrency),
            settings,
            leases: LeaseWatch::default(),
            started: Instant::now(),
            waiting: Vec::new(),
            storing: false,
            wake: None,
            drained: Vec::new(),
        }
    }

    fn job(&self, ask: Enqueue) -> Result<NewJob, QueueError> {
        if self.board.is_draining() {
            return Err(QueueError::ShuttingDown);
        }
        let spec = self.types.get(ask.sync_type.as_str()).ok_or(QueueError::UnknownType(ask.sync_type.clone()))?;
        let agent = spec.agent_for(&ask.agent);
        Ok(ask.into_job(agent, spec.priority, self.settings.throttle))
    }

    /// Stores what waits to be admitted in one transaction, and again until nothing waits.
    fn store_waiting(&mut self, ctx: &mut Context<Self>) {
        if self.storing || self.waiting.is_empty() {
            return;
        }
        self.storing = true;
        let (jobs, replies): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().unzip();
        let (board, now, asked) = (self.jobs.clone(), self.clock.now(), jobs.clone());
        let stored = async move { board.enqueue(asked, now).await }.into_actor(self);
        ctx.spawn(stored.map(move |answers, actor, ctx| {
            actor.storing = false;
            match answers {
                Ok(answers) => {
                    actor.announce(&jobs, &answers);
                    for (reply, answer) in replies.into_iter().zip(answers) {
                        drop(reply.send(Ok(answer)));
                    }
                    actor.claim(ctx);
                }
                Err(error) => {
                    tracing::error!(%error, jobs = jobs.len(), "jobs could not be admitted");
                    for reply in replies {
                        drop(reply.send(Err(storage(&error))));
                    }
                }
            }
            actor.store_waiting(ctx);
        }));
    }

    fn announce(&self, jobs: &[NewJob], answers: &[Admission]) {
        for (job, admission) in jobs.iter().zip(answers) {
            self.bus.publish(Event::Enqueued {
                sync_type: job.sync_type.clone(),
                agent_id: job.agent.clone(),
                reason: job.reason,
                admission: *admission,
            });
        }
    }

    /// Claims what may run now, and starts it.
    fn claim(&mut self, ctx: &mut Context<Self>) {
        let Some(slots) = self.board.begin_claim() else { return };
        let (jobs, owner, now) = (self.jobs.clone(), self.settings.owner.clone(), self.clock.now());
        let claim = async move {
            let claimed = jobs.claim(slots, owner, now).await;
            let next_due = jobs.next_due(now).await.unwrap_or(None);
            (claimed, wake_at(now, next_due))
        };
        ctx.spawn(claim.into_actor(self).map(move |(claimed, wake), actor, ctx| {
            let claimed = claimed.unwrap_or_else(|error| {
                tracing::error!(%error, "no job could be claimed");
                Vec::new()
            });
            let again = actor.board.end_claim(slots, &claimed);
            for job in claimed {
                actor.start(job, ctx);
            }
            actor.wake_at(wake, ctx);
            if again {
                actor.claim(ctx);
            }
            actor.tell_if_drained();
        }));
    }

    fn wake_at(&mut self, moment: Timestamp, ctx: &mut Context<Self>) {
        if let Some(handle) = self.wake.take() {
            ctx.cancel_future(handle);
        }
        let sleep = self.clock.sleep_until(moment).into_actor(self);
        self.wake = Some(ctx.spawn(sleep.map(|(), actor, ctx| {
            actor.wake = None;
            actor.claim(ctx);
        })));
    }

    fn start(&mut self, job: ClaimedJob, ctx: &mut Context<Self>) {
        self.bus.publish(Event::Started {
            run: job.run,
            job: job.id,
            sync_type: job.sync_type.clone(),
            agent_id: job.agent.clone(),
            attempt: job.attempt,
        });
        let id = job.id;
        let Some(worker) = self.workers.get(&job.sync_type) else {
            tracing::error!(job = id, r#type = %job.sync_type, "no actor runs this type");
            self.board.finished(id);
            return;
        };
        let late_stop = match (self.board.is_draining(), self.board.take_stopped(id)) {
            (_, true) => Some(StopReason::Asked),
            (true, false) => Some(StopReason::Shutdown),
            (false, false) => None,
        };
        let run = worker.run.send(Run { job }).into_actor(self);
        if let Some(reason) = late_stop {
            // asked for while the claim was under way: the message comes after Run in the mailbox
            let stop = worker.stop.clone();
            ctx.run_later(Duration::ZERO, move |_, _| stop.do_send(Stop { job: Some(id), reason }));
        }
        ctx.spawn(run.map(move |end, actor, ctx| actor.ended(id, end, ctx)));
    }

    fn ended(&mut self, job: JobId, end: Result<RunEnd, MailboxError>, ctx: &mut Context<Self>) {
        self.board.finished(job);
        match end {
            Ok(end) => {
                for admission in end.follow_ups {
                    tracing::debug!(job, follow_up = admission.job(), "follow-up enqueued");
                }
            }
            // without a heartbeat the job is taken over when its lease runs out
            Err(error) => tracing::error!(job, %error, "the actor of this job's type is gone"),
        }
        self.claim(ctx);
        self.tell_if_drained();
    }

    fn tell_if_drained(&mut self) {
        if self.board.is_draining() && self.board.is_idle() {
            for waiting in self.drained.drain(..) {
                // whoever asked may have stopped waiting
                waiting.send(()).ok();
            }
        }
    }

    /// Tells the running jobs that are meant to stop, and answers which.
    fn stop_here(&self, job: Option<JobId>, sync_type: Option<&SyncType>, reason: StopReason) -> Vec<JobId> {
        let meant = self.board.meant(job, sync_type);
        meant
            .filter_map(|(id, name)| {
                self.workers.get(name)?.stop.do_send(Stop { job: Some(id), reason });
                Some(id)
            })
            .collect()
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        let (jobs, owner, running) = (self.jobs.clone(), self.settings.owner.clone(), self.board.running());
        let beat = async move { jobs.heartbeat(owner, running).await }.into_actor(self);
        ctx.spawn(beat.map(|heard, actor, ctx| {
            match heard {
                Ok(heard) => actor.heard(heard, ctx),
                Err(error) => tracing::error!(%error, "no heartbeat could be sent"),
            }
            // re-armed after the work, so that a stall is followed by one beat and not by many
            ctx.run_later(actor.settings.heartbeat, Self::beat);
        }));
    }

    fn heard(&mut self, heard: Heartbeat, ctx: &mut Context<Self>) {
        for job in heard.stop {
            self.stop_here(Some(job), None, StopReason::Asked);
        }
        let dead = self.leases.observe(self.started.elapsed(), self.settings.lease, &heard.active);
        for beat in dead {
            let (jobs, now) = (self.jobs.clone(), self.clock.now());
            let rescue = async move { jobs.rescue(beat.job, beat.lease, now).await }.into_actor(self);
            ctx.spawn(rescue.map(move |rescued, actor, ctx| match rescued {
                Ok(true) => {
                    tracing::warn!(job = beat.job, owner = beat.owner, "took over a job whose process died");
                    actor.bus.publish(Event::Rescued { job: beat.job });
                    actor.claim(ctx);
                }
                Ok(false) => {}
                Err(error) => tracing::error!(job = beat.job, %error, "a job could not be taken over"),
            }));
        }
    }
}

fn storage(error: &StoreError) -> QueueError {
    QueueError::Storage(error.to_string())
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.beat(ctx);
        self.claim(ctx);
    }
}

impl Handler<Enqueue> for QueueActor {
    type Result = ResponseFuture<Result<Admission, QueueError>>;

    fn handle(&mut self, ask: Enqueue, ctx: &mut Self::Context) -> Self::Result {
        let job = match self.job(ask) {
            Ok(job) => job,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let (reply, answer) = oneshot::channel();
        self.waiting.push((job, reply));
        self.store_waiting(ctx);
        Box::pin(async { answer.await.unwrap_or(Err(QueueError::ShuttingDown)) })
    }
}

impl Handler<EnqueueTick> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Option<Vec<Admission>>, QueueError>>;

    fn handle(&mut self, EnqueueTick { slot, agents }: EnqueueTick, _: &mut Self::Context) -> Self::Result {
        let ask = |agent| self.job(Enqueue::new(slot.sync_type.clone(), agent, Reason::Timer));
        let jobs = match agents.into_iter().map(ask).collect::<Result<Vec<_>, _>>() {
            Ok(jobs) => jobs,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let (board, now, asked) = (self.jobs.clone(), self.clock.now(), jobs.clone());
        let stored = async move { board.enqueue_slot(slot, asked, now).await }.into_actor(self);
        Box::pin(stored.map(move |answers, actor, ctx| {
            let answers = answers.map_err(|error| storage(&error))?;
            actor.announce(&jobs, answers.as_deref().unwrap_or_default());
            actor.claim(ctx);
            Ok(answers)
        }))
    }
}

impl Handler<Approve> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Option<Admission>, QueueError>>;

    fn handle(&mut self, Approve { run, sync_type, agent }: Approve, _: &mut Self::Context) -> Self::Result {
        let job = match self.job(Enqueue::new(sync_type, agent, Reason::Approval)) {
            Ok(job) => job,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let (board, now, asked) = (self.jobs.clone(), self.clock.now(), job.clone());
        let stored = async move { board.approve(run, asked, now).await }.into_actor(self);
        Box::pin(stored.map(move |answer, actor, ctx| {
            let answer = answer.map_err(|error| storage(&error))?;
            actor.announce(&[job], answer.as_slice());
            actor.claim(ctx);
            Ok(answer)
        }))
    }
}

impl Handler<StopJobs> for QueueActor {
    type Result = ResponseActFuture<Self, Result<StopReport, QueueError>>;

    fn handle(&mut self, StopJobs { job, sync_type }: StopJobs, _: &mut Self::Context) -> Self::Result {
        // what runs here is told at once; the row tells the other processes, and whoever asks later
        let mut stopping = self.stop_here(job, sync_type.as_ref(), StopReason::Asked);
        let (jobs, now) = (self.jobs.clone(), self.clock.now());
        let stop = async move { jobs.request_stop(job, sync_type, now).await }.into_actor(self);
        Box::pin(stop.map(move |stopped, actor, _| {
            let (active, removed) = stopped.map_err(|error| storage(&error))?;
            for id in &active {
                actor.stop_here(Some(*id), None, StopReason::Asked);
            }
            actor.board.stop_when_started(&active);
            stopping.extend(active);
            stopping.sort_unstable();
            stopping.dedup();
            Ok(StopReport { stopping, removed })
        }))
    }
}

impl Handler<Drain> for QueueActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.board.drain();
        self.stop_here(None, None, StopReason::Shutdown);
        let (reply, drained) = oneshot::channel();
        self.drained.push(reply);
        self.tell_if_drained();
        Box::pin(async { drop(drained.await) })
    }
}

impl Handler<Snapshot> for QueueActor {
    type Result = QueueSnapshot;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        QueueSnapshot { running: self.board.running(), concurrency: self.board.concurrency() }
    }
}

//! Who dispatches jobs? `QueueActor`: asks the rules, has the database carry them out, starts what it claimed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::{sync::oneshot, time::Instant};

use super::{
    board::{Board, Room, wake_at},
    intake::Intake,
    lease_keeper::{Begun, LeaseKeeper},
    message::QueueError,
    port::{BoardError, JobBoard},
    preemption::Preemption,
};
use crate::{
    coordination::Coordination,
    domain::{Claim, Claimed, ClaimedJob, Clock, JobId, JobType, Lease, Pause, Timestamp, clock::Every},
    event::{Bus, Event, Liveness},
    operation::Operations,
    supervisor::{CallError, Handle},
    sync::{Attach, Attached, Run, RunEnd, Stop, StopReason, WorkerActor},
    sync_type::SyncTypes,
};

/// A claim loop that has not turned for so long is late; it looks at the latest every 30 s.
const CLAIM_LATE: Duration = Duration::from_secs(90);

/// What is old enough is forgotten so often.
const SWEEP: Duration = Duration::from_hours(1);

/// Ends that come within so short a time are followed by one claim.
const TOGETHER: Duration = Duration::from_millis(5);

/// For how long what is over stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub jobs: Duration,
    /// Runs, but never those that say how things stand.
    pub runs: Duration,
    /// Fetched documents, but never the report that was applied last.
    pub documents: Duration,
    /// What became of records, and what needed a person.
    pub changes: Duration,
    pub audit: Duration,
}

impl Keep {
    /// Everything for the same time.
    #[must_use]
    pub fn all_for(time: Duration) -> Self {
        Self { jobs: time, runs: time, documents: time, changes: time, audit: time }
    }
}

/// The queue's own settings.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Jobs that run at once in this process, besides one more write or download.
    pub concurrency: usize,
    /// The throttle window of an idempotency key.
    pub throttle: Duration,
    /// How often running jobs are marked alive.
    pub heartbeat: Duration,
    /// How long a heartbeat may stand still before its job is taken over.
    pub lease: Duration,
    /// For how long what is over stays.
    pub keep: Keep,
    /// This process's name, different from every other's.
    pub owner: String,
}

/// What the queue works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub jobs: Arc<dyn JobBoard>,
    /// Who carries out each type of jobs.
    pub workers: HashMap<JobType, Handle<WorkerActor>>,
    /// All sync types.
    pub types: Arc<SyncTypes>,
    /// All operations.
    pub operations: Arc<Operations>,
    /// Where events go.
    pub bus: Bus,
    /// Where the loops tell that they turn.
    pub liveness: Liveness,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Which throttle windows are open, as far as the processes have told each other.
    pub coordination: Arc<dyn Coordination>,
}

/// The queue of this process; the database is the truth.
pub struct QueueActor {
    pub(super) parts: Parts,
    pub(super) settings: QueueSettings,
    pub(super) board: Board,
    pub(super) leases: LeaseKeeper,
    /// Requests that arrive while a transaction is under way share the next one.
    pub(super) intake: Intake,
    pub(super) preemption: Preemption,
    pub(super) pause: Option<Pause>,
    /// Have the pause and the limits been read?
    pub(super) knows_limits: bool,
    pub(super) sweep: Every,
    wake: Option<(Timestamp, SpawnHandle)>,
    pub(super) drained: Vec<oneshot::Sender<()>>,
    /// Is a look at the database under way, and is another to follow?
    pub(super) looking: (bool, bool),
    /// How often the pause or the limits were set here: what a look has read before is old then.
    pub(super) steered: u64,
    /// Is a claim to follow the ends that have come?
    ends_told: bool,
    /// Jobs that are being taken over or given back.
    pub(super) recovering: usize,
}

impl QueueActor {
    /// A queue over these parts.
    #[must_use]
    pub fn new(parts: Parts, settings: QueueSettings) -> Self {
        Self {
            parts,
            board: Board::new(settings.concurrency),
            settings,
            leases: LeaseKeeper::new(Begun::default(), Instant::now()),
            intake: Intake::default(),
            preemption: Preemption::default(),
            pause: None,
            knows_limits: false,
            sweep: Every::new(SWEEP),
            wake: None,
            drained: Vec::new(),
            looking: (false, false),
            steered: 0,
            ends_told: false,
            recovering: 0,
        }
    }

    /// One of several lives in this process, which share what they have begun.
    #[must_use]
    pub fn sharing(mut self, begun: Begun) -> Self {
        self.leases = LeaseKeeper::new(begun, Instant::now());
        self
    }

    /// Room for a claim; none before the first heartbeat has brought the pause and the limits.
    pub(super) fn begin_claim(&mut self) -> Option<Room> {
        if self.knows_limits { self.board.begin_claim() } else { None }
    }

    /// What a claim asks of the database.
    pub(super) fn claim_for(&self, room: Room) -> Claim {
        Claim {
            owner: self.settings.owner.clone(),
            any: room.any,
            urgent: room.urgent,
            known: self.parts.workers.keys().cloned().collect(),
            limits: self.board.type_limits(),
        }
    }

    /// Claims what may run now, and starts it.
    pub(super) fn claim(&mut self, ctx: &mut Context<Self>) {
        let Some(room) = self.begin_claim() else {
            if self.knows_limits && !self.board.is_claiming() {
                // all slots are taken: the loop turns, there is just nothing to claim
                self.parts.liveness.beat("claim", CLAIM_LATE);
            }
            return;
        };
        let (jobs, claim, now) = (self.parts.jobs.clone(), self.claim_for(room), self.parts.clock.now());
        let claim = async move { jobs.claim(claim, now).await };
        ctx.spawn(claim.into_actor(self).map(move |claimed, actor, ctx| actor.claimed(room, claimed, ctx)));
    }

    /// A claim has come back: start its jobs, and look again when there may be more.
    pub(super) fn claimed(&mut self, room: Room, claimed: Result<Claimed, BoardError>, ctx: &mut Context<Self>) {
        let claimed = match claimed {
            Ok(claimed) => {
                self.parts.liveness.beat("claim", CLAIM_LATE);
                claimed
            }
            Err(error) => {
                tracing::error!(%error, "no job could be claimed");
                Claimed::default()
            }
        };
        let again = self.board.end_claim(room, &claimed.jobs);
        // a write may have been accepted while the claim that brought its agent's sync was under way
        let late = self.preemption.claimed(&claimed.jobs);
        for job in claimed.jobs {
            self.start(job, ctx);
        }
        self.board.forget_stopped();
        if !late.is_empty() {
            // after Run in their mailboxes
            ctx.run_later(Duration::ZERO, move |actor, _| actor.preempt(&late));
        }
        self.wake_at(wake_at(self.parts.clock.now(), claimed.next_due), ctx);
        if again {
            self.claim(ctx);
        }
        self.tell_if_drained();
    }

    fn wake_at(&mut self, moment: Timestamp, ctx: &mut Context<Self>) {
        if let Some((_, handle)) = self.wake.take() {
            ctx.cancel_future(handle);
        }
        let sleep = self.parts.clock.sleep_until(moment).into_actor(self);
        let handle = ctx.spawn(sleep.map(|(), actor, ctx| {
            actor.wake = None;
            actor.claim(ctx);
        }));
        self.wake = Some((moment, handle));
    }

    /// When it will look for due jobs at the latest.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.wake.as_ref().map(|(moment, _)| *moment)
    }

    pub(super) fn is_admitting(&self) -> bool {
        self.intake.is_busy()
    }

    pub(super) fn is_looking(&self) -> bool {
        self.board.is_claiming() || self.ends_told || self.looking.0 || self.recovering > 0
    }

    fn start(&mut self, job: ClaimedJob, ctx: &mut Context<Self>) {
        self.parts.bus.publish(Event::Started {
            run: job.run,
            job: job.id,
            job_type: job.job_type.clone(),
            agent_id: job.agent.clone(),
            attempt: job.attempt,
            class: job.class,
            waited_ms: (job.started_at - job.enqueued_at).num_milliseconds().max(0).unsigned_abs(),
        });
        let held = job.held();
        let Some(worker) = self.parts.workers.get(&job.job_type) else {
            tracing::error!(job = held.id.0, r#type = %job.job_type, "no actor runs this type");
            self.leases.note_unsettled(held, Instant::now());
            self.board.finished(held);
            return;
        };
        let late_stop = match (self.board.is_draining(), self.board.take_stopped(held.id)) {
            (_, true) => Some(StopReason::Asked),
            (true, false) => Some(StopReason::Shutdown),
            (false, false) => None,
        };
        self.leases.begin(held);
        let run = worker.send(Run { job }).into_actor(self);
        if let Some(reason) = late_stop {
            // asked for while the claim was under way: the message comes after Run in the mailbox
            let worker = worker.clone();
            ctx.run_later(Duration::ZERO, move |_, _| worker.do_send(Stop { job: Some(held.id), reason }));
        }
        ctx.spawn(run.map(move |end, actor, ctx| actor.ended(held, &end, ctx)));
    }

    /// Takes on what runs at the workers: nothing, unless this actor was started anew.
    fn attach(&self) -> ResponseActFuture<Self, ()> {
        let attached = join_all(self.parts.workers.values().map(|worker| worker.send(Attach)));
        Box::pin(attached.into_actor(self).map(|answers, actor, ctx: &mut Context<Self>| {
            // a worker that is gone runs nothing
            for Attached { job, mut end } in answers.into_iter().flatten().flatten() {
                let held = job.held();
                // several types may have one worker
                if !actor.board.adopt(job) {
                    continue;
                }
                let end = async move {
                    let end = end.wait_for(Option::is_some).await.map_err(|_| CallError::Unanswered)?;
                    end.clone().ok_or(CallError::Unanswered)
                };
                ctx.spawn(end.into_actor(actor).map(move |end, actor, ctx| actor.ended(held, &end, ctx)));
            }
        }))
    }

    fn ended(&mut self, held: Lease<JobId>, end: &Result<RunEnd, CallError>, ctx: &mut Context<Self>) {
        self.board.finished(held);
        self.preemption.ended(held.id);
        if end.as_ref().is_ok_and(|end| end.not_recorded.is_none()) {
            self.leases.note_recorded(held);
        } else {
            self.leases.note_unsettled(held, Instant::now());
        }
        if let Err(error) = end {
            // without a heartbeat the job is taken over when its lease runs out
            tracing::error!(job = held.id.0, %error, "the actor of this job's type is gone");
        }
        if self.board.has_much_room() {
            self.claim(ctx);
        } else if !std::mem::replace(&mut self.ends_told, true) {
            // where many run, ends come close together: one claim for all of them
            ctx.run_later(TOGETHER, |actor, ctx| {
                actor.ends_told = false;
                actor.claim(ctx);
            });
        }
        self.tell_if_drained();
    }

    pub(super) fn tell_if_drained(&mut self) {
        if self.board.is_draining() && self.board.is_idle() {
            for waiting in self.drained.drain(..) {
                // whoever asked may have stopped waiting
                waiting.send(()).ok();
            }
        }
    }

    /// Tells running jobs to stop; answers those that run here.
    pub(super) fn stop_here(&self, jobs: &[JobId], reason: StopReason) -> Vec<JobId> {
        let told = jobs.iter().filter(|id| {
            let worker = self.board.job(**id).and_then(|job| self.parts.workers.get(&job.job_type));
            worker.inspect(|worker| worker.do_send(Stop { job: Some(**id), reason })).is_some()
        });
        told.copied().collect()
    }

    /// Tells syncs to make room for a write or download of their agent.
    pub(super) fn preempt(&mut self, syncs: &[JobId]) {
        for id in self.stop_here(syncs, StopReason::Preempted) {
            let Some(agent) = self.board.job(id).map(|job| job.agent.clone()) else { continue };
            if self.preemption.is_first(id) {
                self.parts.bus.publish(Event::Preempted { job: id, agent_id: agent });
            }
        }
    }
}

pub(super) fn storage(error: &BoardError) -> QueueError {
    QueueError::Storage(error.to_string())
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.parts.liveness.beat("claim", CLAIM_LATE);
        self.parts.liveness.beat("rescue", CLAIM_LATE);
        // what an earlier life of this actor has started goes on; pause and limits come with the first heartbeat,
        // and claims begin after it
        let attached = self.attach();
        ctx.wait(attached.map(|(), actor, ctx| actor.beat(ctx)));
    }
}

crate::supervisor::supervised!(QueueActor);

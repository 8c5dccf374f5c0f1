//! How are the actors started? Each by its supervisor's rules; what outlives one of their lives is made here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::prelude::*;

use super::{Io, outbox};
use crate::{
    alert::{self, AlertActor},
    domain::{Class, JobType, SyncType},
    event::Liveness,
    operation::{OperationRunner, Operations},
    outbox::OutboxActor,
    queue::{self, Begun, Keep, QueueActor, QueueSettings},
    scheduler::{SchedulerActor, SchedulerSettings},
    settings::Settings,
    sink::Routes,
    supervisor::{self, Escalate, Handle, Policy, Supervised, SupervisorActor},
    sync::{Context, RunJob, Runner, SyncActor, WorkerActor},
};

/// All actors of the service.
pub(super) struct Actors {
    pub scheduler: Handle<SchedulerActor>,
    pub queue: Handle<QueueActor>,
    pub syncs: HashMap<SyncType, Handle<SyncActor>>,
    pub outbox: Handle<OutboxActor>,
    pub alerts: Handle<AlertActor>,
    pub supervisor: Addr<SupervisorActor>,
    /// All that carry jobs out.
    pub workers: Vec<Handle<WorkerActor>>,
    /// The supervisor's thread.
    pub thread: Thread,
}

/// A thread of actors; ends with whoever holds it, also where a start fails half way.
pub(super) struct Thread(Arbiter);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Starts them all.
pub(super) fn start(
    settings: &Settings,
    context: &Arc<Context>,
    io: &Io,
    (operations, routes, liveness): (&Arc<Operations>, Routes, &Liveness),
    (policy, escalate): (Policy, Escalate),
) -> Actors {
    let mut watched: Vec<Arc<dyn Supervised>> = Vec::new();
    let mut worker = |name: String, runner: &Arc<dyn RunJob>| {
        let runner = runner.clone();
        let (handle, child) = supervisor::start(name, move || WorkerActor::new(runner.clone()));
        watched.push(child);
        handle
    };
    let runner: Arc<dyn RunJob> = Arc::new(Runner::new(context.clone(), io.handle()));
    let syncs: HashMap<SyncType, Handle<SyncActor>> =
        context.types.iter().map(|spec| (spec.name.clone(), worker(format!("sync {}", spec.name), &runner))).collect();
    let runner: Arc<dyn RunJob> = Arc::new(Arc::new(OperationRunner {
        context: context.clone(),
        operations: operations.clone(),
        routes: routes.clone(),
        runtime: io.handle(),
    }));
    let (writes, downloads) = (worker("writes".to_owned(), &runner), worker("downloads".to_owned(), &runner));
    let mut workers: HashMap<JobType, Handle<WorkerActor>> =
        syncs.iter().map(|(name, sync)| (name.job_type(), sync.clone())).collect();
    workers.extend(operations.iter().map(|spec| {
        let actor = if spec.class == Class::Write { &writes } else { &downloads };
        (spec.name.clone(), actor.clone())
    }));

    let all = syncs.values().cloned().chain([writes, downloads]).collect();
    let parts = outbox::parts(settings, context, io, liveness, routes);
    let (outbox, child) = supervisor::start("outbox", move || OutboxActor::new(parts.clone()));
    watched.push(child);
    let parts = queue::Parts {
        jobs: Arc::new(context.store.clone()),
        workers,
        types: context.types.clone(),
        operations: operations.clone(),
        bus: context.bus.clone(),
        liveness: liveness.clone(),
        clock: context.clock.clone(),
        coordination: context.coordination.clone(),
    };
    let own = queue_settings(settings, context);
    let begun = Begun::default();
    let (queue, child) =
        supervisor::start("queue", move || QueueActor::new(parts.clone(), own.clone()).sharing(begun.clone()));
    watched.push(child);
    let (scheduler, child) = supervisor::start("scheduler", scheduler(settings, context, &queue, liveness));
    watched.push(child);
    let parts = alert::Parts {
        store: context.store.clone(),
        outbox: outbox.clone(),
        clock: context.clock.clone(),
        bus: context.bus.clone(),
        liveness: liveness.clone(),
        minute: settings.minute(),
        timers: settings.scheduler.enabled,
        pause: Duration::from_secs(settings.alerts.look_seconds),
    };
    let (alerts, child) = supervisor::start("alerts", move || AlertActor::new(parts.clone()));
    watched.push(child);

    let thread = Thread(Arbiter::new());
    let bus = context.bus.clone();
    let supervisor = SupervisorActor::start_in_arbiter(&thread.0.handle(), move |_| {
        SupervisorActor::new(watched, policy, bus, escalate)
    });
    Actors { scheduler, queue, syncs, outbox, alerts, supervisor, workers: all, thread }
}

fn scheduler(
    settings: &Settings,
    context: &Arc<Context>,
    queue: &Handle<QueueActor>,
    liveness: &Liveness,
) -> impl Fn() -> SchedulerActor + Send + Sync + 'static {
    let (context, queue, liveness) = (context.clone(), queue.clone(), liveness.clone());
    let own = SchedulerSettings {
        enabled: settings.scheduler.enabled,
        minute: settings.minute(),
        reload: Duration::from_millis(settings.queue.heartbeat_ms),
    };
    move || {
        SchedulerActor::new(
            Arc::new(context.store.clone()),
            queue.clone(),
            context.types.clone(),
            context.bus.clone(),
            liveness.clone(),
            context.clock.clone(),
            own,
        )
    }
}

fn queue_settings(settings: &Settings, context: &Context) -> QueueSettings {
    QueueSettings {
        concurrency: settings.queue.concurrency,
        throttle: Duration::from_millis(settings.queue.throttle_ms),
        heartbeat: Duration::from_millis(settings.queue.heartbeat_ms),
        lease: Duration::from_millis(settings.queue.lease_ms),
        keep: Keep {
            jobs: Duration::from_secs(settings.queue.keep_jobs_days * 86_400),
            runs: Duration::from_secs(settings.queue.keep_runs_days * 86_400),
            documents: context.keep.age,
            changes: Duration::from_secs(settings.history.keep_days * 86_400),
            audit: Duration::from_secs(settings.audit.keep_days * 86_400),
        },
        owner: context.owner.clone(),
    }
}

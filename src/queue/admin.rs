//! How do people steer the queue? Stop, retry, pause, limits, breakers, drain.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::{
    actor::{QueueActor, storage},
    bounds,
    message::{
        Approve, Drain, Look, PurgeJobs, QueueError, QueueSnapshot, ResetBreaker, RetryJob, SetLimits, SetPause,
        Snapshot, StopJobs, StopReport, Wake,
    },
    port::JobBoard,
};
use crate::{
    domain::{Cause, JobId, JobSelector, Retry, Timestamp},
    event::Event,
    supervisor::{By, also_unsigned},
    sync::StopReason,
};

also_unsigned!(QueueActor: StopJobs, PurgeJobs, RetryJob, SetPause, ResetBreaker, SetLimits, Approve);

impl QueueActor {
    /// The board on which what changes is noted as changed by this cause; the moment, and a name for the log.
    pub(super) fn signed(&self, by: Cause) -> (Arc<dyn JobBoard>, Timestamp, String) {
        let (now, who) = (self.parts.clock.now(), by.who.clone());
        (self.parts.jobs.clone().by(by, now), now, who)
    }
}

impl Handler<By<StopJobs>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<StopReport, QueueError>>;

    fn handle(
        &mut self,
        By(by, StopJobs { job, job_type, class }): By<StopJobs>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let meant = JobSelector { job, job_type, class, only_waiting: false };
        // what runs here is told at once; the row tells the other processes, and whoever asks later
        let mut stopping = self.stop_here(&self.board.meant(&meant), StopReason::Asked);
        let (jobs, now, who) = self.signed(by);
        let stop = async move { jobs.request_stop(meant, now).await }.into_actor(self);
        Box::pin(stop.map(move |stopped, actor, ctx| {
            let (active, removed) = stopped.map_err(|error| storage(&error))?;
            actor.stop_here(&active, StopReason::Asked);
            actor.board.stop_when_started(&active);
            stopping.extend(active);
            stopping.sort_unstable();
            stopping.dedup();
            let (asked, gone) = (stopping.clone(), removed.clone());
            actor.parts.bus.publish(Event::StopAsked { stopping: asked, removed: gone, by: who });
            // a job that was kept behind a removed one waits now
            actor.claim(ctx);
            Ok(StopReport { stopping, removed })
        }))
    }
}

impl Handler<By<PurgeJobs>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Vec<JobId>, QueueError>>;

    fn handle(&mut self, By(by, PurgeJobs(wanted)): By<PurgeJobs>, _: &mut Self::Context) -> Self::Result {
        let StopJobs { job, job_type, class } = wanted;
        let meant = JobSelector { job, job_type, class, only_waiting: true };
        let (jobs, now, who) = self.signed(by);
        let purge = async move { jobs.request_stop(meant, now).await }.into_actor(self);
        Box::pin(purge.map(move |purged, actor, ctx| {
            let (_, removed) = purged.map_err(|error| storage(&error))?;
            actor.parts.bus.publish(Event::StopAsked { stopping: Vec::new(), removed: removed.clone(), by: who });
            actor.claim(ctx);
            Ok(removed)
        }))
    }
}

impl Handler<By<RetryJob>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Retry, QueueError>>;

    fn handle(&mut self, By(by, RetryJob { job, even_if_done }): By<RetryJob>, _: &mut Self::Context) -> Self::Result {
        let (jobs, now, who) = self.signed(by);
        let retry = async move { jobs.retry(job, even_if_done, now).await }.into_actor(self);
        Box::pin(retry.map(move |answer, actor, ctx| {
            if matches!(answer, Ok(Retry::Accepted)) {
                actor.parts.bus.publish(Event::Retried { job, by: who });
            }
            actor.claim(ctx);
            answer.map_err(|error| storage(&error))
        }))
    }
}

impl Handler<By<SetPause>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Vec<JobId>, QueueError>>;

    fn handle(&mut self, By(by, SetPause(pause)): By<SetPause>, _: &mut Self::Context) -> Self::Result {
        if let Some(Err(refused)) = pause.as_ref().map(|pause| bounds::pause(pause, self.parts.clock.now())) {
            return Box::pin(async { Err(refused) }.into_actor(self));
        }
        let (jobs, _, who) = self.signed(by);
        let wanted = pause.clone();
        let set = async move { jobs.set_pause(wanted).await }.into_actor(self);
        Box::pin(set.map(move |set, actor, ctx| {
            set.map_err(|error| storage(&error))?;
            let paused = pause.as_ref().map(|pause| actor.board.paused_by(pause)).unwrap_or_default();
            let stopped = actor.stop_here(&paused, StopReason::Shutdown);
            actor.parts.bus.publish(Event::PauseChanged { pause: pause.clone(), by: who });
            actor.pause = pause;
            actor.steered += 1;
            actor.claim(ctx);
            Ok(stopped)
        }))
    }
}

impl Handler<By<ResetBreaker>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<bool, QueueError>>;

    fn handle(&mut self, By(by, ResetBreaker { id }): By<ResetBreaker>, _: &mut Self::Context) -> Self::Result {
        let (jobs, now, who) = self.signed(by);
        let reset = async move { jobs.reset_breaker(id, now).await }.into_actor(self);
        Box::pin(reset.map(move |reset, actor, ctx| {
            if matches!(reset, Ok(true)) {
                actor.parts.bus.publish(Event::BreakerReset { id, by: who });
            }
            actor.claim(ctx);
            reset.map_err(|error| storage(&error))
        }))
    }
}

impl Handler<By<SetLimits>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<(), QueueError>>;

    fn handle(&mut self, By(by, SetLimits(limits)): By<SetLimits>, _: &mut Self::Context) -> Self::Result {
        let is_known = |name: &str| self.parts.types.get(name).is_some() || self.parts.operations.get(name).is_some();
        if let Err(refused) = bounds::limits(&limits, is_known) {
            return Box::pin(async { Err(refused) }.into_actor(self));
        }
        let (jobs, now, who) = self.signed(by);
        let set = async move { jobs.set_limits(limits, now).await }.into_actor(self);
        Box::pin(set.map(move |limits, actor, ctx| {
            let limits = limits.map_err(|error| storage(&error))?;
            actor.parts.bus.publish(Event::LimitsChanged { limits: limits.clone(), by: who });
            actor.board.set_limits(limits);
            actor.steered += 1;
            actor.claim(ctx);
            Ok(())
        }))
    }
}

impl Handler<Look> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.look_now(ctx);
    }
}

impl Handler<Wake> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.claim(ctx);
    }
}

impl Handler<Drain> for QueueActor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.board.drain();
        self.stop_here(&self.board.running(), StopReason::Shutdown);
        let (reply, drained) = oneshot::channel();
        self.drained.push(reply);
        self.tell_if_drained();
        // of this actor: if that ends, whoever waits has no answer
        Box::pin(async { drop(drained.await) }.into_actor(self))
    }
}

impl Handler<Snapshot> for QueueActor {
    type Result = QueueSnapshot;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        QueueSnapshot {
            running: self.board.running(),
            concurrency: self.board.concurrency(),
            limits: self.board.type_limits(),
            pause: self.pause.clone().filter(|pause| pause.holds(self.parts.clock.now())),
            next_look: self.next_look(),
            admitting: self.is_admitting(),
            looking: self.is_looking(),
        }
    }
}

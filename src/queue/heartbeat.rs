//! Is this process alive, and are the others? Heartbeats, rescues, and what other processes have asked for.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::{actor::QueueActor, port::Before};
use crate::{
    domain::{Heartbeat, HeartbeatReport, JobId},
    event::Event,
    sync::StopReason,
};

/// A document for which no job was asked within this time is no use any more.
const UNCLAIMED: Duration = Duration::from_hours(1);

impl QueueActor {
    /// Looks, and again after a pause.
    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        let look = self.look().map(|(), actor, ctx: &mut Context<Self>| {
            actor.sweep(ctx);
            // re-armed after the work, so that a stall is followed by one beat and not by many
            ctx.run_later(actor.settings.heartbeat, Self::beat);
        });
        ctx.spawn(look);
    }

    /// Looks out of turn; what is asked for meanwhile is one look more.
    pub(super) fn look_now(&mut self, ctx: &mut Context<Self>) {
        if self.looking.0 {
            self.looking.1 = true;
            return;
        }
        self.looking = (true, false);
        let look = self.look().map(|(), actor, ctx: &mut Context<Self>| {
            let (_, again) = std::mem::take(&mut actor.looking);
            if again {
                actor.look_now(ctx);
            }
        });
        ctx.spawn(look);
    }

    /// Marks what runs here alive, sees who else is, and what was asked for.
    fn look(&mut self) -> ResponseActFuture<Self, ()> {
        let (jobs, owner, running) = (self.parts.jobs.clone(), self.settings.owner.clone(), self.board.held());
        let now = self.parts.clock.now();
        let beat = async move { jobs.heartbeat(owner, running, now).await }.into_actor(self);
        let steered = self.steered;
        let is_quiet = !self.board.is_claiming();
        Box::pin(beat.map(move |heard, actor, ctx| match heard {
            Ok(heard) => {
                actor.parts.liveness.beat("rescue", (actor.settings.heartbeat * 4).max(Duration::from_secs(20)));
                if is_quiet && !actor.board.is_claiming() {
                    actor.give_back_unknown(&heard.active, ctx);
                }
                actor.heard(heard, steered == actor.steered, ctx);
            }
            Err(error) => tracing::error!(%error, "no heartbeat could be sent"),
        }))
    }

    /// Jobs that are this process's by the database, and of which it knows nothing: their claim's answer was lost
    /// on the way. They were never begun. A claim that is under way may still bring them, so this is only asked
    /// when none was while the database was read.
    fn give_back_unknown(&mut self, active: &[Heartbeat<JobId>], ctx: &mut Context<Self>) {
        let unknown = self.leases.never_begun(&self.settings.owner, active, &self.board.held(), Instant::now());
        for job in unknown {
            let (jobs, owner, now) = (self.parts.jobs.clone(), self.settings.owner.clone(), self.parts.clock.now());
            let undo = async move { jobs.undo_claim(job, owner, now).await }.into_actor(self);
            self.recovering += 1;
            ctx.spawn(undo.map(move |undone, actor, ctx| {
                actor.recovering -= 1;
                match undone {
                    Ok(true) => {
                        tracing::warn!(job = job.id.0, "gave back a job whose claim was not answered");
                        actor.claim(ctx);
                    }
                    Ok(false) => {}
                    Err(error) => tracing::error!(job = job.id.0, %error, "a job could not be given back"),
                }
            }));
        }
    }

    fn heard(&mut self, heard: HeartbeatReport, is_fresh: bool, ctx: &mut Context<Self>) {
        // since the database was read, a job may have ended and begun here anew: that is another lease
        self.stop_here(&self.board.still(&heard.stop), StopReason::Asked);
        // whoever holds them now does their work; here they are only in the way
        self.stop_here(&self.board.still(&heard.lost), StopReason::Asked);
        self.preempt(&self.board.still(&heard.preempt));
        if self.board.is_draining() {
            // one that was told while its worker was started anew did not hear it
            self.stop_here(&self.board.running(), StopReason::Shutdown);
        }
        if is_fresh {
            if let Some(pause) = &heard.pause {
                let paused = self.board.paused_by(pause);
                self.stop_here(&paused, StopReason::Shutdown);
            }
            self.pause = heard.pause;
            self.board.set_limits(heard.limits);
            self.knows_limits = true;
        }
        for beat in self.leases.dead(&heard.active, self.settings.lease, &heard.quiet, Instant::now()) {
            self.reclaim(beat, ctx);
        }
        self.claim(ctx);
    }

    fn reclaim(&mut self, beat: Heartbeat<JobId>, ctx: &mut Context<Self>) {
        let (jobs, now, dead) = (self.parts.jobs.clone(), self.parts.clock.now(), beat.clone());
        let reclaim = async move { jobs.rescue(dead, now).await }.into_actor(self);
        self.recovering += 1;
        ctx.spawn(reclaim.map(move |reclaimed, actor, ctx| {
            actor.recovering -= 1;
            match reclaimed {
                Ok(Some(outcome)) => {
                    tracing::warn!(job = beat.lease.id.0, owner = beat.owner, "took over a job whose process died");
                    actor.parts.bus.publish(Event::Rescued { job: beat.lease.id, outcome });
                    actor.claim(ctx);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(job = beat.lease.id.0, %error, "a job could not be taken over"),
            }
        }));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        if !self.sweep.is_due(Instant::now().into_std()) {
            return;
        }
        let (jobs, now) = (self.parts.jobs.clone(), self.parts.clock.now());
        let before = |keep| chrono::Duration::from_std(keep).ok().and_then(|keep| now.checked_sub_signed(keep));
        let keep = self.settings.keep;
        let (Some(own), Some(runs), Some(documents), Some(changes), Some(audit)) =
            (before(keep.jobs), before(keep.runs), before(keep.documents), before(keep.changes), before(keep.audit))
        else {
            return;
        };
        let before = Before { jobs: own, runs, documents, changes, audit, unclaimed: now - UNCLAIMED };
        let clean = async move { jobs.clean(before, now).await }.into_actor(self);
        ctx.spawn(clean.map(|cleaned, _, _| match cleaned {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "old jobs forgotten"),
            Err(error) => tracing::error!(%error, "old jobs could not be forgotten"),
        }));
    }
}

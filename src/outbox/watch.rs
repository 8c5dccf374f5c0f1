//! Is what is in hand alive, here and elsewhere? Heartbeats of items, rescues, and the sweep of what is over.

use std::time::{Duration, Instant};

use actix::prelude::*;

use super::actor::{FETCHER, OutboxActor};
use crate::{
    domain::{Beat, LeaseWatch},
    event::Event,
};

/// What was fetched by hand has no heartbeat: it is taken back after so long.
const FETCHED: Duration = Duration::from_secs(600);
/// What is over is swept so often.
const CLEAN_EVERY: Duration = Duration::from_secs(3_600);
/// Dead items that one heartbeat takes over; the next takes more.
const RESCUES: usize = 500;

/// Whose items stand still.
#[derive(Debug)]
pub(super) struct Watch {
    started: Instant,
    processes: LeaseWatch,
    fetchers: LeaseWatch,
}

impl Default for Watch {
    fn default() -> Self {
        Self { started: Instant::now(), processes: LeaseWatch::default(), fetchers: LeaseWatch::default() }
    }
}

impl Watch {
    fn dead(&mut self, lease: Duration, beats: Vec<Beat>) -> Vec<Beat> {
        let now = self.started.elapsed();
        let (fetched, own): (Vec<_>, Vec<_>) = beats.into_iter().partition(|beat| beat.owner == FETCHER);
        let mut dead = self.processes.observe(now, lease, &own);
        dead.extend(self.fetchers.observe(now, FETCHED, &fetched));
        dead.truncate(RESCUES);
        dead
    }
}

impl OutboxActor {
    /// Marks what is in hand alive, sees who else is, and again after a pause.
    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        let (store, owner, in_hand) = (self.store.clone(), self.settings.owner.clone(), self.in_hand.all());
        let beat = async move { store.item_heartbeat(owner, in_hand).await }.into_actor(self);
        ctx.spawn(beat.map(|heard, actor, ctx| {
            match heard {
                Ok(beats) => {
                    actor.pulses.beat("outbox", (actor.settings.heartbeat * 4).max(Duration::from_secs(20)));
                    let dead = actor.watch.dead(actor.settings.lease, beats);
                    actor.rescue(dead, ctx);
                }
                Err(error) => tracing::error!(%error, "no heartbeat of items could be sent"),
            }
            actor.clean(ctx);
            ctx.run_later(actor.settings.heartbeat, Self::beat);
        }));
    }

    fn rescue(&self, dead: Vec<Beat>, ctx: &mut Context<Self>) {
        if dead.is_empty() {
            return;
        }
        let (store, now) = (self.store.clone(), self.clock.now());
        let rescue = async move {
            let mut rescued = Vec::new();
            for beat in dead {
                let (item, owner) = (beat.id, beat.owner.clone());
                match store.rescue_item(beat, fastrand::f64(), now).await {
                    Ok(true) => {
                        tracing::warn!(item, owner, "took over an item whose process died");
                        rescued.push(item);
                    }
                    Ok(false) => {}
                    Err(error) => tracing::error!(item, %error, "an item could not be taken over"),
                }
            }
            rescued
        };
        ctx.spawn(rescue.into_actor(self).map(|items, actor, ctx| {
            if !items.is_empty() {
                actor.bus.publish(Event::ItemsRescued { items });
                actor.look(ctx);
            }
        }));
    }

    fn clean(&mut self, ctx: &mut Context<Self>) {
        if self.cleaned.is_some_and(|last| last.elapsed() < CLEAN_EVERY) {
            return;
        }
        self.cleaned = Some(Instant::now());
        let before = self.clock.now() - chrono::Duration::days(self.settings.keep_days.into());
        let store = self.store.clone();
        let clean = async move { store.cleanup_items(before).await }.into_actor(self);
        ctx.spawn(clean.map(|cleaned, _, _| match cleaned {
            Ok(0) => {}
            Ok(items) => tracing::info!(items, "old items forgotten"),
            Err(error) => tracing::error!(%error, "old items could not be forgotten"),
        }));
    }
}

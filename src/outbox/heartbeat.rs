//! Is what is in hand alive, here and elsewhere? Heartbeats of items, takeovers, and the sweep of what is over.

use std::time::{Duration, Instant};

use actix::prelude::*;

use super::actor::OutboxActor;
use crate::{
    domain::{Heartbeat, ItemId},
    event::Event,
};

impl OutboxActor {
    /// Marks what is in hand alive, sees who else is, and again after a pause.
    pub(super) fn beat(&mut self, ctx: &mut Context<Self>) {
        let (store, owner, in_hand) = (self.store.clone(), self.settings.owner.clone(), self.in_hand.all());
        let beat = async move { store.item_heartbeat(owner, in_hand).await }.into_actor(self);
        ctx.spawn(beat.map(|heard, actor, ctx| {
            match heard {
                Ok(beats) => {
                    actor.liveness.beat("outbox", (actor.settings.heartbeat * 4).max(Duration::from_secs(20)));
                    let dead = actor.leases.dead(beats, actor.settings.lease, Instant::now());
                    actor.reclaim(dead, ctx);
                }
                Err(error) => tracing::error!(%error, "no heartbeat of items could be sent"),
            }
            actor.sweep(ctx);
            ctx.run_later(actor.settings.heartbeat, Self::beat);
        }));
    }

    fn reclaim(&self, dead: Vec<Heartbeat<ItemId>>, ctx: &mut Context<Self>) {
        if dead.is_empty() {
            return;
        }
        let (store, now) = (self.store.clone(), self.clock.now());
        let reclaim = async move {
            let mut reclaimed = Vec::new();
            for beat in dead {
                let (item, owner) = (beat.lease.id, beat.owner.clone());
                match store.rescue_item(beat, fastrand::f64(), now).await {
                    Ok(true) => {
                        tracing::warn!(item = item.0, owner, "took over an item whose process died");
                        reclaimed.push(item);
                    }
                    Ok(false) => {}
                    Err(error) => tracing::error!(item = item.0, %error, "an item could not be taken over"),
                }
            }
            reclaimed
        };
        ctx.spawn(reclaim.into_actor(self).map(|items, actor, ctx| {
            if !items.is_empty() {
                actor.bus.publish(Event::ItemsRescued { items });
                actor.look(ctx);
            }
        }));
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        if !self.sweep.is_due(Instant::now()) {
            return;
        }
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

//! Who looks whether something needs a person? `AlertActor`, every few seconds; what it saw before is in the database, so
//! that a restart or another process begins nothing twice.

use std::{sync::Arc, time::Duration};

use actix::prelude::*;
use serde::Serialize;

use super::follow::changes;
use crate::{
    domain::{Clock, Timestamp},
    event::{Bus, Event, Liveness, Subject},
    outbox::{OutboxActor, OutboxStats},
    overview::{Known, LookError, Overview},
    store::{Alert, Store},
    supervisor::Handle,
};

/// Alerts that are noted in one transaction.
const AT_ONCE: usize = 100;

/// What the actor works with.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub outbox: Handle<OutboxActor>,
    pub clock: Arc<dyn Clock>,
    pub bus: Bus,
    pub liveness: Liveness,
    /// How long a minute lasts.
    pub minute: Duration,
    /// May timers run at all?
    pub timers: bool,
    /// From one look to the next.
    pub pause: Duration,
}

/// Looks again and again.
pub struct AlertActor {
    parts: Parts,
    looked_at: Option<Timestamp>,
    open: usize,
}

/// Look now. Reply: alerts that last, or why that cannot be told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<usize, String>")]
pub struct LookForTrouble;

/// How it stood at the last look.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "AlertSnapshot")]
pub struct Snapshot;

/// The last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, MessageResponse)]
#[serde(rename_all = "camelCase")]
pub struct AlertSnapshot {
    pub looked_at: Option<Timestamp>,
    /// Alerts that lasted then.
    pub open: usize,
}

impl AlertActor {
    /// An actor that looks for the first time after a pause.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts, looked_at: None, open: 0 }
    }

    fn again(&mut self, ctx: &mut Context<Self>) {
        let parts = self.parts.clone();
        ctx.spawn(async move { look(&parts).await }.into_actor(self).map(|looked, actor, ctx| {
            match looked {
                Ok(seen) => actor.saw(seen),
                Err(error) => tracing::error!(%error, "it could not be looked what needs a person; it is tried again"),
            }
            ctx.run_later(actor.parts.pause, Self::again);
        }));
    }

    fn saw(&mut self, (looked_at, open): (Timestamp, usize)) {
        (self.looked_at, self.open) = (Some(looked_at), open);
        self.parts.liveness.beat("alerts", (self.parts.pause * 4).max(Duration::from_secs(60)));
    }
}

/// Looks, notes what changed, and tells it: when, and how many alerts last.
async fn look(parts: &Parts) -> Result<(Timestamp, usize), LookError> {
    let Parts { store, outbox, clock, minute, timers, .. } = parts;
    let now = clock.now();
    let lasting = store.open_alerts().await?;
    let outbox = outbox.send(OutboxStats).await??;
    let known = Known { outbox, ..Known::stored(store, *minute, *timers, now).await? };
    let found = changes(&lasting, &Overview::of(&known).attention);
    let mut open = lasting.len();
    // a part at a time: an ERP that is gone begins thousands, and nobody is to wait for all of them
    for part in found.begun.chunks(AT_ONCE) {
        for alert in store.follow_alerts(part.to_vec(), Vec::new(), now).await?.begun {
            open += 1;
            parts.bus.publish(Event::AlertBegan { subject: subject(&alert), text: alert.text });
        }
    }
    for part in found.over.chunks(AT_ONCE) {
        for alert in store.follow_alerts(Vec::new(), part.to_vec(), now).await?.over {
            open = open.saturating_sub(1);
            let lasted_seconds = (now - alert.begun_at).num_seconds().unsigned_abs();
            parts.bus.publish(Event::AlertEnded { subject: subject(&alert), lasted_seconds });
        }
    }
    Ok((now, open))
}

fn subject(alert: &Alert) -> Subject {
    Subject {
        alert: alert.id,
        kind: alert.kind,
        severity: alert.severity,
        sync_type: alert.sync_type.clone(),
        agent_id: alert.agent_id.clone(),
        model: alert.model.clone(),
    }
}

impl Actor for AlertActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(self.parts.pause, Self::again);
    }
}

impl Handler<LookForTrouble> for AlertActor {
    type Result = ResponseActFuture<Self, Result<usize, String>>;

    fn handle(&mut self, _: LookForTrouble, _: &mut Self::Context) -> Self::Result {
        let parts = self.parts.clone();
        Box::pin(async move { look(&parts).await }.into_actor(self).map(|looked, actor, _| {
            let seen = looked.map_err(|error| error.to_string())?;
            actor.saw(seen);
            Ok(seen.1)
        }))
    }
}

impl Handler<Snapshot> for AlertActor {
    type Result = AlertSnapshot;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        AlertSnapshot { looked_at: self.looked_at, open: self.open }
    }
}

crate::supervisor::supervised!(AlertActor);

//! Who drives the write-back queue? `OutboxActor`: claims for each sink, starts its turns, and looks again.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use super::{
    lease_keeper::LeaseKeeper,
    message::{DrainOutbox, LookForItems, OutboxSnapshot, SinkState, Snapshot},
    turn::{InHand, Post},
};
use crate::{
    domain::{
        Breaker, Clock, Item, Models, Timestamp,
        clock::{Every, after},
    },
    event::{Bus, Liveness},
    sink::Routes,
    store::{ClaimedItems, ItemClaim, Store, StoreError},
};

/// Even with nothing due, look so often: a signal of another process may have been lost.
const SWEEP: Duration = Duration::from_secs(30);
/// What is old enough is forgotten so often.
const FORGET: Duration = Duration::from_hours(1);
/// After a failure of the database, look again so soon.
const RETRY: Duration = Duration::from_secs(1);
/// Items that find out whether a sink is back.
const PROBES: u64 = 3;

/// The outbox's own settings.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// What may be queued.
    pub models: Models,
    /// Items in one batch of a sink, 1 to 100.
    pub batch: u64,
    /// The longest turn of a sink.
    pub time_limit: Duration,
    /// What was completed is kept so many days.
    pub keep_days: u32,
    /// How often what is in hand is marked alive.
    pub heartbeat: Duration,
    /// How long a mark may stand still before an item is taken over.
    pub lease: Duration,
    /// This process's name, different from every other's.
    pub owner: String,
}

/// What the outbox works with, and what of it goes on when its actor is started anew: turns under way, and what they
/// hold.
#[derive(Clone)]
pub struct OutboxParts {
    store: Store,
    bus: Bus,
    liveness: Liveness,
    clock: Arc<dyn Clock>,
    routes: Routes,
    settings: OutboxSettings,
    runtime: Handle,
    in_hand: InHand,
    arrived: Arc<Notify>,
    posts: Vec<(Arc<Post>, Vec<String>)>,
}

impl OutboxParts {
    /// An outbox over these sinks; their work is done on `runtime`.
    #[must_use]
    pub fn new(
        store: Store,
        (bus, liveness, clock): (Bus, Liveness, Arc<dyn Clock>),
        routes: Routes,
        settings: OutboxSettings,
        runtime: Handle,
    ) -> Self {
        let (in_hand, arrived) = (InHand::default(), Arc::new(Notify::new()));
        let post = |(named, models): (&crate::sink::Named, Vec<String>)| {
            let post = Post {
                store: store.clone(),
                bus: bus.clone(),
                clock: clock.clone(),
                name: named.name.clone(),
                sink: named.sink.clone(),
                in_hand: in_hand.clone(),
                arrived: arrived.clone(),
                time_limit: settings.time_limit,
                under_way: AtomicUsize::default(),
                breaker: Mutex::new(Breaker::Closed { failures: 0 }),
            };
            (Arc::new(post), models)
        };
        let posts = routes.iter().filter(|(_, models)| !models.is_empty()).map(post).collect();
        Self { store, bus, liveness, clock, routes, settings, runtime, in_hand, arrived, posts }
    }
}

/// One sink, as this process drives it.
struct SinkDesk {
    post: Arc<Post>,
    models: Vec<String>,
    claiming: bool,
    again: bool,
    releasing: usize,
    timer: Option<SpawnHandle>,
}

/// The write-back queue of this process; the database is the truth.
pub struct OutboxActor {
    pub(super) store: Store,
    pub(super) bus: Bus,
    pub(super) liveness: Liveness,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: OutboxSettings,
    pub(super) in_hand: InHand,
    arrived: Arc<Notify>,
    pub(super) leases: LeaseKeeper,
    pub(super) routes: Routes,
    runtime: Handle,
    desks: BTreeMap<String, SinkDesk>,
    draining: Vec<oneshot::Sender<()>>,
    is_draining: bool,
    /// Offered, and not stored yet.
    pub(super) offers: usize,
    pub(super) sweep: Every,
}

impl OutboxActor {
    /// An outbox over these parts.
    #[must_use]
    pub fn new(parts: OutboxParts) -> Self {
        let desk = |(post, models): (Arc<Post>, Vec<String>)| {
            let name = post.name.clone();
            let desk = SinkDesk { post, models, claiming: false, again: false, releasing: 0, timer: None };
            (name, desk)
        };
        Self {
            store: parts.store,
            bus: parts.bus,
            liveness: parts.liveness,
            clock: parts.clock,
            settings: parts.settings,
            in_hand: parts.in_hand,
            arrived: parts.arrived,
            leases: LeaseKeeper::new(Instant::now()),
            routes: parts.routes,
            runtime: parts.runtime,
            desks: parts.posts.into_iter().map(desk).collect(),
            draining: Vec::new(),
            is_draining: false,
            offers: 0,
            sweep: Every::new(FORGET),
        }
    }

    /// Looks whenever items of a turn have arrived before its end.
    fn follow(&self, ctx: &mut Context<Self>) {
        let arrived = self.arrived.clone();
        let next = async move { arrived.notified().await }.into_actor(self);
        ctx.spawn(next.map(|(), actor, ctx| {
            actor.look(ctx);
            // it may have been the last turn of an earlier life of this actor
            actor.tell_if_drained();
            actor.follow(ctx);
        }));
    }

    /// Looks for items of every sink.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        for name in self.desks.keys().cloned().collect::<Vec<_>>() {
            self.claim(&name, ctx);
        }
    }

    /// Claims items of a sink, if it can be used and has room.
    pub(super) fn claim(&mut self, name: &str, ctx: &mut Context<Self>) {
        let (now, batch, owner) = (self.clock.now(), self.settings.batch, self.settings.owner.clone());
        let Some(desk) = self.desks.get_mut(name).filter(|_| !self.is_draining) else { return };
        if desk.claiming {
            desk.again = true;
            return;
        }
        // after a failure, a few items are enough to find out whether the sink is back, or which of them it was
        let breaker = *desk.post.breaker.lock();
        let (most, room) = match breaker {
            Breaker::Closed { .. } => (batch, desk.post.sink.parallel()),
            Breaker::Open { until, .. } if until > now => return self.look_at(name, until, ctx),
            Breaker::Open { .. } => (PROBES.min(batch), 1),
        };
        if desk.post.under_way() >= room {
            desk.again = true;
            return;
        }
        (desk.claiming, desk.again) = (true, false);
        let claim = ItemClaim { owner, models: desk.models.clone(), most };
        let (store, name) = (self.store.clone(), name.to_owned());
        let claimed = async move { store.dequeue_items(claim, now).await }.into_actor(self);
        ctx.spawn(claimed.map(move |claimed, actor, ctx| actor.claimed(&name, most, claimed, ctx)));
    }

    fn claimed(&mut self, name: &str, most: u64, claimed: Result<ClaimedItems, StoreError>, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let Some(desk) = self.desks.get_mut(name) else { return };
        desk.claiming = false;
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(%error, sink = name, "no item could be claimed");
                let again = after(now, RETRY);
                self.look_at(name, again, ctx);
                return self.tell_if_drained();
            }
        };
        let (count, post, sink) = (claimed.items.len() as u64, desk.post.clone(), name.to_owned());
        if self.is_draining {
            let held = claimed.items.iter().map(Item::held).collect();
            let (store, sink) = (self.store.clone(), name.to_owned());
            desk.releasing += 1;
            let back = async move { store.release_items(held, None, now).await }.into_actor(self);
            ctx.spawn(back.map(move |_, actor, _| {
                if let Some(desk) = actor.desks.get_mut(&sink) {
                    desk.releasing -= 1;
                }
                actor.tell_if_drained();
            }));
            return;
        }
        if count > 0 {
            let under_way = post.begin();
            let turn = async move { under_way.end(post.turn(claimed.items).await) };
            let turn = self.runtime.spawn(turn).into_actor(self);
            ctx.spawn(turn.map(move |_, actor, ctx| {
                actor.claim(&sink, ctx);
                actor.tell_if_drained();
            }));
        }
        let net = after(now, SWEEP);
        self.look_at(name, claimed.next_due.map_or(net, |due| due.min(net)), ctx);
        let is_more = self.desks.get(name).is_some_and(|desk| desk.again) || count == most;
        if is_more {
            self.claim(name, ctx);
        }
        self.tell_if_drained();
    }

    fn look_at(&mut self, name: &str, moment: Timestamp, ctx: &mut Context<Self>) {
        let (sleep, own) = (self.clock.sleep_until(moment), name.to_owned());
        let handle = ctx.spawn(sleep.into_actor(self).map(move |(), actor, ctx| actor.claim(&own, ctx)));
        if let Some(old) = self.desks.get_mut(name).and_then(|desk| desk.timer.replace(handle)) {
            ctx.cancel_future(old);
        }
    }

    fn is_idle(&self) -> bool {
        self.desks.values().all(|desk| desk.post.under_way() == 0 && desk.releasing == 0 && !desk.claiming)
    }

    fn tell_if_drained(&mut self) {
        if self.is_draining && self.is_idle() {
            for waiting in self.draining.drain(..) {
                // whoever asked may have stopped waiting
                waiting.send(()).ok();
            }
        }
    }

    pub(super) fn states(&self) -> Vec<SinkState> {
        let now = self.clock.now();
        let state = |(name, desk): (&String, &SinkDesk)| SinkState {
            name: name.clone(),
            models: desk.models.clone(),
            under_way: desk.post.under_way(),
            closed_until: desk.post.breaker.lock().open_until().filter(|until| *until > now),
        };
        self.desks.iter().map(state).collect()
    }
}

impl Actor for OutboxActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.beat(ctx);
        self.look(ctx);
        self.follow(ctx);
    }
}

impl Handler<LookForItems> for OutboxActor {
    type Result = ();

    fn handle(&mut self, _: LookForItems, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Snapshot> for OutboxActor {
    type Result = OutboxSnapshot;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        OutboxSnapshot {
            in_hand: self.in_hand.all(),
            sinks: self.states(),
            at_rest: self.is_idle() && self.offers == 0,
        }
    }
}

impl Handler<DrainOutbox> for OutboxActor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: DrainOutbox, _: &mut Self::Context) -> Self::Result {
        self.is_draining = true;
        let (reply, drained) = oneshot::channel();
        self.draining.push(reply);
        self.tell_if_drained();
        // of this actor: if that ends, whoever waits has no answer
        Box::pin(async { drop(drained.await) }.into_actor(self))
    }
}

crate::supervisor::supervised!(OutboxActor);

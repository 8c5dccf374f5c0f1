//! Who watches the actors? `SupervisorActor`, on a thread of its own, so that one that is frozen is noticed.

use std::{sync::Arc, time::Instant};

use actix::prelude::*;

use super::{
    Supervised,
    policy::{ChildEvent, ChildState, Decision, GaveUp, Policy, Restarts},
};
use crate::event::{Bus, Event};

/// What is done when the process cannot go on; called on the supervisor's thread, with the actor's name.
pub type Escalate = Arc<dyn Fn(&str, GaveUp) + Send + Sync>;

/// How often was each actor started anew? Reply: one entry an actor, in the order of their start.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Restarts>")]
pub struct Snapshot;

/// Watch nobody any more: the service ends.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Retire;

struct Child {
    actor: Arc<dyn Supervised>,
    state: ChildState,
    /// Is it being asked whether its thread turns?
    is_asked: bool,
}

/// Restarts actors, one for one.
pub struct SupervisorActor {
    children: Vec<Child>,
    policy: Policy,
    bus: Bus,
    escalate: Escalate,
}

impl SupervisorActor {
    /// A supervisor of these actors, which have been started.
    #[must_use]
    pub fn new(actors: Vec<Arc<dyn Supervised>>, policy: Policy, bus: Bus, escalate: Escalate) -> Self {
        let child = |actor| Child { actor, state: ChildState::up(Instant::now()), is_asked: false };
        Self { children: actors.into_iter().map(child).collect(), policy, bus, escalate }
    }

    fn on(&mut self, place: usize, event: ChildEvent, ctx: &mut Context<Self>) {
        let Child { actor, state, .. } = &mut self.children[place];
        match state.on(event, &self.policy, Instant::now()) {
            Decision::Nothing => {}
            Decision::Pause(pause) => {
                tracing::error!(
                    actor = actor.name(),
                    pause_ms = pause.as_millis(),
                    "an actor ended; it is started anew"
                );
                ctx.run_later(pause, move |supervisor, ctx| supervisor.on(place, ChildEvent::PauseOver, ctx));
            }
            Decision::Start => {
                actor.start();
                let (name, restarts) = (actor.name().to_owned(), state.restarts());
                tracing::warn!(actor = name, restarts, "an actor was started anew");
                self.bus.publish(Event::ActorRestarted { actor: name, restarts });
                self.follow(place, ctx);
            }
            Decision::GiveUp(why) => (self.escalate)(actor.name(), why),
        }
    }

    /// Learns of the end of its present life.
    fn follow(&self, place: usize, ctx: &mut Context<Self>) {
        let end = self.children[place].actor.until_end().into_actor(self);
        ctx.spawn(end.map(move |(), supervisor, ctx| supervisor.on(place, ChildEvent::Ended, ctx)));
    }

    fn ping(&mut self, ctx: &mut Context<Self>) {
        for place in 0..self.children.len() {
            self.on(place, ChildEvent::Tick, ctx);
            let child = &mut self.children[place];
            if !std::mem::replace(&mut child.is_asked, true) {
                let turn = child.actor.turn().into_actor(self);
                ctx.spawn(turn.map(move |(), supervisor, ctx| {
                    supervisor.children[place].is_asked = false;
                    supervisor.on(place, ChildEvent::Turned, ctx);
                }));
            }
        }
        ctx.run_later(self.policy.ping, Self::ping);
    }
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for place in 0..self.children.len() {
            self.follow(place, ctx);
        }
        self.ping(ctx);
    }
}

impl Handler<Snapshot> for SupervisorActor {
    type Result = MessageResult<Snapshot>;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        let restarts = |child: &Child| Restarts {
            name: child.actor.name().to_owned(),
            is_up: child.state.is_up(),
            restarts: child.state.restarts(),
        };
        MessageResult(self.children.iter().map(restarts).collect())
    }
}

impl Handler<Retire> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

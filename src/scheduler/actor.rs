//! Who owns the timers? `SchedulerActor`: one per sync type, each re-armed and restarted alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::prelude::*;

use super::{
    cadence,
    message::{Halt, Reload, SchedulerSnapshot, Snapshot, TypeSchedule},
    port::SettingsBoard,
};
use crate::{
    domain::{AgentId, Clock, Slot, SyncType, Timestamp},
    event::{Bus, Event, Liveness},
    queue::{EnqueueTick, QueueActor},
    store::{Setting, StoreError},
    supervisor::Handle,
    sync_type::{Scope, SyncTypes},
};

/// After a failure of the database or the queue, try the same slot again so soon.
const RETRY: Duration = Duration::from_secs(5);
/// The timers tell so often that they live, and are late after so long.
const WATCH: Duration = Duration::from_secs(10);
const TIMERS_LATE: Duration = Duration::from_secs(60);
/// Ticks so close together share one look at the agents.
const AGENTS_CACHED: Duration = Duration::from_secs(5);

/// The scheduler's own settings.
#[derive(Debug, Clone, Copy)]
pub struct SchedulerSettings {
    /// `scheduler.enabled`: wins over the stored switch.
    pub enabled: bool,
    /// How long a minute lasts (`scheduler.minute_ms`).
    pub minute: Duration,
    /// The stored schedule is read again so often: another process's change may not have been heard of.
    pub reload: Duration,
}

/// Owns the timers; the database is the truth of what they wait for.
pub struct SchedulerActor {
    pub(super) board: Arc<dyn SettingsBoard>,
    queue: Handle<QueueActor>,
    types: Arc<SyncTypes>,
    pub(super) bus: Bus,
    liveness: Liveness,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: SchedulerSettings,
    pub(super) running: bool,
    pub(super) halted: bool,
    pub(super) schedules: BTreeMap<SyncType, Setting>,
    timers: BTreeMap<SyncType, SpawnHandle>,
    agents: Option<(Timestamp, Vec<AgentId>)>,
}

impl SchedulerActor {
    /// A scheduler that sends its ticks to `queue`.
    #[must_use]
    pub fn new(
        board: Arc<dyn SettingsBoard>,
        queue: Handle<QueueActor>,
        types: Arc<SyncTypes>,
        bus: Bus,
        liveness: Liveness,
        clock: Arc<dyn Clock>,
        settings: SchedulerSettings,
    ) -> Self {
        Self {
            board,
            queue,
            types,
            bus,
            liveness,
            clock,
            settings,
            running: false,
            halted: false,
            schedules: BTreeMap::new(),
            timers: BTreeMap::new(),
            agents: None,
        }
    }

    /// Tells that the timers live, and that none is long overdue: a tick that cannot be enqueued is late too.
    fn watch(&self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let overdue = |next: Timestamp| (now - next).to_std().is_ok_and(|late| late > TIMERS_LATE);
        let armed = self.schedules.values().filter(|schedule| self.running && schedule.enabled);
        let is_loaded = !self.schedules.is_empty();
        if is_loaded && !armed.filter_map(|schedule| schedule.next_run).any(overdue) {
            self.liveness.beat("timers", TIMERS_LATE);
        }
        ctx.run_later(WATCH, |actor, ctx| actor.watch(ctx));
    }

    fn interval(&self, minutes: u32) -> Duration {
        self.settings.minute * minutes
    }

    /// Clears the type's timer, and starts a new one if it is to run.
    pub(super) fn arm(&mut self, name: &SyncType, ctx: &mut Context<Self>) {
        let Some(next_run) = self.schedules.get(name).filter(|schedule| schedule.enabled).and_then(|s| s.next_run)
        else {
            self.disarm(name, ctx);
            return;
        };
        self.arm_at(name, next_run, ctx);
    }

    fn arm_at(&mut self, name: &SyncType, moment: Timestamp, ctx: &mut Context<Self>) {
        self.disarm(name, ctx);
        if self.running {
            let own = name.clone();
            let sleep = self.clock.sleep_until(moment).into_actor(self);
            let timer = ctx.spawn(sleep.map(move |(), actor, ctx| actor.wake(&own, ctx)));
            self.timers.insert(name.clone(), timer);
        }
    }

    fn disarm(&mut self, name: &SyncType, ctx: &mut Context<Self>) {
        if let Some(old) = self.timers.remove(name) {
            ctx.cancel_future(old);
        }
    }

    pub(super) fn arm_all(&mut self, ctx: &mut Context<Self>) {
        for name in self.schedules.keys().cloned().collect::<Vec<_>>() {
            self.arm(&name, ctx);
        }
    }

    /// A timer has come to its end: its slot is due, or a failed tick is to be tried again.
    fn wake(&mut self, name: &SyncType, ctx: &mut Context<Self>) {
        self.timers.remove(name);
        match self.schedules.get(name).and_then(|schedule| schedule.next_run) {
            Some(due) if due <= self.clock.now() => self.tick(name.clone(), due, ctx),
            _ => self.arm(name, ctx),
        }
    }

    fn tick(&mut self, name: SyncType, due: Timestamp, ctx: &mut Context<Self>) {
        let Some(minutes) = self.schedules.get(&name).map(|schedule| schedule.interval_minutes) else { return };
        let slot = Slot {
            sync_type: name.clone(),
            due,
            next: cadence::next_slot(due, self.interval(minutes), self.clock.now()),
        };
        let shared = self.types.get(name.as_str()).is_some_and(|spec| spec.scope == Scope::Shared);
        let now = self.clock.now();
        let is_fresh = |at: Timestamp| (now - at).to_std().is_ok_and(|age| age < AGENTS_CACHED);
        let cached = self.agents.as_ref().filter(|(at, _)| is_fresh(*at)).map(|(_, agents)| agents.clone());
        let (board, queue, asked) = (self.board.clone(), self.queue.clone(), slot.clone());
        let work = async move {
            let (meant, looked_up) = match cached {
                _ if shared => (vec![AgentId::service_account()], None),
                Some(agents) => (agents, None),
                None => {
                    let agents = board.active_agents().await.map_err(|error| error.to_string())?;
                    (agents.clone(), Some(agents))
                }
            };
            let fired = queue.send(EnqueueTick { slot: asked, agents: meant }).await;
            let fired = fired.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            Ok::<_, String>((looked_up, fired.is_some()))
        };
        // no change of the schedule may come between the slot's move in the database and here
        ctx.wait(work.into_actor(self).map(move |done, actor, ctx| match done {
            Ok((looked_up, fired)) => {
                if let Some(agents) = looked_up {
                    actor.agents = Some((now, agents));
                }
                if fired {
                    actor.fired(&slot, ctx);
                } else {
                    // another process moved this slot on: follow what it stored
                    actor.reload(ctx);
                }
            }
            Err(error) => {
                tracing::error!(r#type = %name, %error, "a tick could not be enqueued; it is tried again");
                let again = actor.clock.now() + RETRY;
                actor.arm_at(&name, again, ctx);
            }
        }));
    }

    fn fired(&mut self, slot: &Slot, ctx: &mut Context<Self>) {
        if let Some(schedule) = self.schedules.get_mut(&slot.sync_type) {
            // an interval that was changed meanwhile has moved the next run already
            if schedule.next_run == Some(slot.due) {
                schedule.next_run = Some(slot.next);
            }
            schedule.last_tick = Some(slot.due);
        }
        let (sync_type, next_run) = (slot.sync_type.clone(), slot.next);
        self.bus.publish(Event::Ticked { sync_type, slot: slot.due, next_run });
        self.arm(&slot.sync_type, ctx);
    }

    /// Takes over what is stored; a timer whose moment stays the same goes on. Without settings so far, it is
    /// tried until they are known.
    fn reload(&self, ctx: &mut Context<Self>) {
        if self.halted {
            return;
        }
        let board = self.board.clone();
        let load = async move { Ok::<_, StoreError>((board.settings().await?, board.auto_sync().await?)) };
        // no message is answered before the schedule is known, and no change of it may come in between
        ctx.wait(load.into_actor(self).map(|loaded, actor, ctx| match loaded {
            Ok((settings, on)) => actor.take_over(settings, on, ctx),
            Err(error) if actor.schedules.is_empty() => {
                tracing::error!(%error, "the schedule could not be loaded; it is tried again");
                ctx.run_later(RETRY, |actor, ctx| actor.reload(ctx));
            }
            Err(error) => tracing::warn!(%error, "the schedule could not be read again"),
        }));
    }

    fn take_over(&mut self, settings: Vec<Setting>, on: bool, ctx: &mut Context<Self>) {
        let is_running = on && self.settings.enabled;
        let is_switched = std::mem::replace(&mut self.running, is_running) != is_running;
        for setting in settings {
            let name = setting.sync_type.clone();
            if self.types.get(name.as_str()).is_none() {
                continue;
            }
            let old = self.schedules.insert(name.clone(), setting);
            if is_switched || old.as_ref() != self.schedules.get(&name) {
                self.arm(&name, ctx);
            }
        }
    }

    fn keep_reloading(&self, ctx: &mut Context<Self>) {
        ctx.run_later(self.settings.reload, |actor, ctx| {
            actor.reload(ctx);
            actor.keep_reloading(ctx);
        });
    }

    pub(super) fn snapshot(&self) -> SchedulerSnapshot {
        SchedulerSnapshot { running: self.running, types: self.schedules.values().map(type_schedule).collect() }
    }
}

pub(super) fn type_schedule(setting: &Setting) -> TypeSchedule {
    TypeSchedule {
        sync_type: setting.sync_type.clone(),
        interval_minutes: setting.interval_minutes,
        enabled: setting.enabled,
        last_tick: setting.last_tick,
        next_run: setting.next_run,
    }
}

impl Actor for SchedulerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.liveness.beat("timers", TIMERS_LATE);
        self.watch(ctx);
        self.keep_reloading(ctx);
        self.reload(ctx);
    }
}

impl Handler<Reload> for SchedulerActor {
    type Result = ();

    fn handle(&mut self, _: Reload, ctx: &mut Self::Context) {
        self.reload(ctx);
    }
}

impl Handler<Halt> for SchedulerActor {
    type Result = ();

    fn handle(&mut self, _: Halt, ctx: &mut Self::Context) {
        self.running = false;
        self.halted = true;
        self.arm_all(ctx);
    }
}

impl Handler<Snapshot> for SchedulerActor {
    type Result = SchedulerSnapshot;

    fn handle(&mut self, _: Snapshot, _: &mut Self::Context) -> Self::Result {
        self.snapshot()
    }
}

crate::supervisor::supervised!(SchedulerActor);

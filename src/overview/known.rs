//! What is known at one moment? One query each for all types and agents, and what the actors say.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    domain::{Caller, Clock, Pause, SyncState, SyncType, Timestamp},
    outbox::{OutboxActor, OutboxError, OutboxStats, Stats},
    scheduler::{self, SchedulerActor, SchedulerSnapshot, SettingsBoard, TypeSchedule},
    store::{Agent, OpenHold, Run, Setting, Store, StoreError, StoredBreaker},
    supervisor::{CallError, Handle},
    sync::{self, Running, SyncActor},
    sync_type::SyncTypes,
};

/// Whom to ask.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub clock: &'a Arc<dyn Clock>,
    /// How long a minute lasts.
    pub minute: Duration,
    pub scheduler: &'a Handle<SchedulerActor>,
    pub outbox: &'a Handle<OutboxActor>,
    pub syncs: &'a HashMap<SyncType, Handle<SyncActor>>,
}

/// What keeps from telling how things stand.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

/// What is known at `now`.
pub struct Known {
    pub now: Timestamp,
    /// How long a minute lasts.
    pub minute: Duration,
    pub types: Arc<SyncTypes>,
    /// All of them, inactive ones too.
    pub agents: Vec<Agent>,
    pub states: Vec<SyncState>,
    pub holds: Vec<OpenHold>,
    pub breakers: Vec<StoredBreaker>,
    pub schedule: SchedulerSnapshot,
    /// The pause that holds now.
    pub pause: Option<Pause>,
    /// What runs, in whichever process ...
    pub runs: Vec<Run>,
    /// ... and how far those syncs are that run here.
    pub running: Vec<Running>,
    pub outbox: Stats,
    /// Items that may have been delivered, and nobody knows.
    pub doubtful: u64,
}

impl Known {
    /// What this caller may see of it. The write-back queue is of no agent: whoever is for some sees nothing of it.
    #[must_use]
    pub fn seen_by(mut self, caller: &Caller) -> Self {
        if caller.is_for_all() {
            return self;
        }
        self.agents.retain(|agent| caller.sees(&agent.id));
        self.states.retain(|state| caller.sees(&state.agent));
        self.holds.retain(|hold| caller.sees(&hold.agent));
        self.breakers.retain(|breaker| caller.sees(&breaker.agent_id));
        self.runs.retain(|run| caller.sees(&run.agent_id));
        self.running.retain(|run| caller.sees(&run.agent_id));
        (self.outbox, self.doubtful) = (Stats::default(), 0);
        self
    }

    /// What the database alone says; `timers` is whether they may run at all here.
    ///
    /// # Errors
    /// [`StoreError`] if a query fails.
    pub async fn stored(store: &Store, minute: Duration, timers: bool, now: Timestamp) -> Result<Self, StoreError> {
        let timer = |setting: Setting| TypeSchedule {
            sync_type: setting.sync_type,
            interval_minutes: setting.interval_minutes,
            enabled: setting.enabled,
            last_tick: setting.last_tick,
            next_run: setting.next_run,
        };
        Ok(Self {
            now,
            minute,
            types: store.taught().await?.types,
            agents: store.agents().await?,
            states: store.sync_states().await?,
            holds: store.open_holds().await?,
            breakers: store.breakers(now).await?,
            schedule: SchedulerSnapshot {
                running: timers && SettingsBoard::auto_sync(store).await?,
                types: store.settings().await?.into_iter().map(timer).collect(),
            },
            pause: store.pause().await?.filter(|pause| pause.holds(now)),
            runs: store.running().await?,
            running: Vec::new(),
            outbox: Stats::default(),
            doubtful: store.doubtful_items().await?,
        })
    }
}

/// Looks at everything, and asks the actors how far they are.
///
/// # Errors
/// [`LookError`] if the database or an actor cannot be asked.
pub async fn look(sources: &Sources<'_>) -> Result<Known, LookError> {
    let Sources { store, clock, minute, scheduler, outbox, syncs } = sources;
    // first what runs here, then what the database says: a run that ends in between is in neither, as it is
    let mut running = Vec::new();
    for spec in store.types().iter() {
        if let Some(sync) = syncs.get(&spec.name) {
            running.extend(sync.send(sync::Snapshot).await?);
        }
    }
    let schedule = scheduler.send(scheduler::Snapshot).await?;
    let outbox = outbox.send(OutboxStats).await??;
    Ok(Known { schedule, running, outbox, ..Known::stored(store, *minute, true, clock.now()).await? })
}

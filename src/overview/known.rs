//! What is known at one moment? One query each for all types and agents, and what the actors say.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    domain::{Clock, Pause, SyncState, SyncType, Timestamp},
    outbox::{OutboxActor, OutboxError, OutboxStats, Stats},
    queue::{self, QueueActor, QueueSnapshot},
    scheduler::{self, SchedulerActor, SchedulerSnapshot},
    store::{Agent, OpenHold, Run, Store, StoreError, StoredBreaker},
    supervisor::{CallError, Handle},
    sync::{self, Running, SyncActor},
    sync_type::SyncTypes,
};

/// Whom to ask.
pub struct Sources<'a> {
    pub store: &'a Store,
    pub types: &'a Arc<SyncTypes>,
    pub clock: &'a Arc<dyn Clock>,
    /// How long a minute lasts.
    pub minute: Duration,
    pub scheduler: &'a Handle<SchedulerActor>,
    pub queue: &'a Handle<QueueActor>,
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
    pub queue: QueueSnapshot,
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

/// Looks at everything.
///
/// # Errors
/// [`LookError`] if the database or an actor cannot be asked.
pub async fn look(sources: &Sources<'_>) -> Result<Known, LookError> {
    let Sources { store, types, clock, minute, scheduler, queue, outbox, syncs } = sources;
    let now = clock.now();
    // first what runs here, then what the database says: a run that ends in between is in neither, as it is
    let mut running = Vec::new();
    for spec in types.iter() {
        if let Some(sync) = syncs.get(&spec.name) {
            running.extend(sync.send(sync::Snapshot).await?);
        }
    }
    let queue = queue.send(queue::Snapshot).await?;
    Ok(Known {
        now,
        minute: *minute,
        types: (*types).clone(),
        agents: store.agents().await?,
        states: store.sync_states().await?,
        holds: store.open_holds().await?,
        breakers: store.breakers(now).await?,
        schedule: scheduler.send(scheduler::Snapshot).await?,
        pause: store.pause().await?.filter(|pause| pause.holds(now)),
        queue,
        runs: store.running().await?,
        running,
        outbox: outbox.send(OutboxStats).await??,
        doubtful: store.doubtful_items().await?,
    })
}

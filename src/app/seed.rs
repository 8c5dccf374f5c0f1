//! What does a new database begin with, and where do the settings say otherwise than an old one?

use std::sync::Arc;

use crate::{
    domain::queue::ALL,
    settings::Settings,
    store::{Setting, Store, StoreError},
    sync::Context,
    sync_type::SyncTypeSpec,
};

/// Brings the schema up to date, and adds the agents that the settings name.
///
/// # Errors
/// A database that cannot be used.
pub async fn prepare(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    context.store.migrate().await?;
    context.store.seed_agents(settings.agents.clone(), context.clock.now()).await?;
    Ok(())
}

/// Adds the schedule of types that have none yet; only a service does so, because their first runs
/// count from its start.
pub(super) async fn schedule(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let interval = |spec: &SyncTypeSpec| settings.scheduler.intervals.get(spec.name.as_str()).copied();
    let seed = |spec: &Arc<SyncTypeSpec>| Setting {
        sync_type: spec.name.clone(),
        interval_minutes: interval(spec).unwrap_or(spec.interval_minutes),
        enabled: true,
        last_tick: None,
        next_run: chrono::Duration::from_std(settings.minute() * spec.offset_minutes).ok().map(|offset| now + offset),
    };
    context.store.seed_settings(context.types.iter().map(seed).collect(), now).await?;
    Ok(())
}

/// A setting whose stored value is another, and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overruled {
    /// The setting.
    pub key: String,
    /// The value in force.
    pub in_force: String,
    /// Where that was set and can be changed.
    pub by: &'static str,
}

/// The settings that are not in force, because they only begin what people change later through the API.
///
/// # Errors
/// [`StoreError`] if a query fails.
pub async fn overruled(settings: &Settings, store: &Store) -> Result<Vec<Overruled>, StoreError> {
    let mut found = Vec::new();
    let stored = store.settings().await?;
    for (name, minutes) in &settings.scheduler.intervals {
        let in_force = stored.iter().find(|one| one.sync_type.as_str() == name).map(|one| one.interval_minutes);
        if let Some(in_force) = in_force.filter(|in_force| in_force != minutes) {
            let key = format!("scheduler.intervals.{name}");
            found.push(Overruled { key, in_force: in_force.to_string(), by: "POST /api/sync/intervals/{type}" });
        }
    }
    if let Some(limit) = store.limits().await?.get(ALL).filter(|limit| **limit != settings.queue.concurrency) {
        let key = "queue.concurrency".to_owned();
        found.push(Overruled { key, in_force: limit.to_string(), by: "PUT /api/limits" });
    }
    let agents = store.agents().await?;
    for (at, configured) in settings.agents.iter().enumerate() {
        let Some(known) = agents.iter().find(|agent| agent.id == configured.id) else { continue };
        if known.name != configured.name {
            let key = format!("agents[{at}].name");
            found.push(Overruled { key, in_force: format!("{:?}", known.name), by: "PUT /api/agents/{id}" });
        }
        if known.active != configured.active {
            let key = format!("agents[{at}].active");
            found.push(Overruled { key, in_force: known.active.to_string(), by: "PUT /api/agents/{id}" });
        }
    }
    Ok(found)
}

/// Tells, once a start, which settings are not in force.
pub(super) async fn tell_overruled(settings: &Settings, store: &Store) -> Result<(), StoreError> {
    for Overruled { key, in_force, by } in overruled(settings, store).await? {
        tracing::warn!(setting = key, in_force, by, "a setting is not in force: the database holds another value");
    }
    Ok(())
}

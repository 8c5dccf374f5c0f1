//! What does a new database begin with, and where do the settings say otherwise than an old one?

use std::sync::Arc;

use crate::{settings::Settings, store::Setting, sync::Context, sync_type::SyncTypeSpec};

/// Brings the schema up to date, and adds the agents that the settings name.
///
/// # Errors
/// A database that cannot be used.
pub async fn prepare(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    context.store.migrate().await?;
    context.store.seed_agents(settings.agents.clone()).await?;
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

/// Tells, once a start, which settings are not in force because they only seed: the database rules.
pub(super) async fn tell_differences(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    let stored = context.store.settings().await?;
    for (name, minutes) in &settings.scheduler.intervals {
        let in_force = stored.iter().find(|one| one.sync_type.as_str() == name).map(|one| one.interval_minutes);
        if let Some(in_force) = in_force.filter(|in_force| in_force != minutes) {
            tracing::warn!(
                sync_type = name,
                configured = minutes,
                in_force,
                "scheduler.intervals only seeds a new database: the stored interval is in force (POST /api/sync/intervals/{{type}})"
            );
        }
    }
    let agents = context.store.agents().await?;
    for configured in &settings.agents {
        let Some(known) = agents.iter().find(|agent| agent.id == configured.id) else { continue };
        if known.name != configured.name || known.active != configured.active {
            tracing::warn!(
                agent = %known.id,
                name = known.name,
                active = known.active,
                "[[agents]] only adds agents: this one's stored name and switch are in force (PUT /api/agents/{{id}})"
            );
        }
    }
    Ok(())
}

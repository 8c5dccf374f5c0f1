//! Can these settings be used? Everything that can be told without a database.

use anyhow::bail;
use secrecy::ExposeSecret as _;

use super::{outbox, sandbox, source};
use crate::{operation::Operations, settings::Settings, sync_type::SyncTypes};

/// Judges everything of the settings that can be judged without a database, before anything is touched.
///
/// # Errors
/// The first thing that cannot be used, with its key or file.
pub fn check(settings: &Settings) -> anyhow::Result<SyncTypes> {
    let types = SyncTypes::load(&settings.sync.types_dir)?;
    if let Some(unknown) = settings.scheduler.intervals.keys().find(|name| types.get(name).is_none()) {
        bail!("configuration: scheduler.intervals: there is no sync type '{unknown}'; known are {}", types.names());
    }
    let operations = Operations::load(&settings.queue.operations_dir)?;
    if let Some(both) = operations.job_types().find(|name| types.get(name.as_str()).is_some()) {
        bail!("'{both}' is the name of a sync type and of an operation");
    }
    let scheme = settings.database.url.expose_secret().split(':').next().unwrap_or_default();
    if !matches!(scheme, "sqlite" | "postgres" | "postgresql") {
        bail!("configuration: database.url: it begins with neither sqlite:// nor postgres://");
    }
    source::check(settings)?;
    outbox::routes(&settings.sink)?;
    sandbox(settings)?;
    Ok(types)
}

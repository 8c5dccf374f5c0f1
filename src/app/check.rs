//! Can these settings be used? Everything that can be told without a database.

use std::path::Path;

use anyhow::bail;
use secrecy::ExposeSecret as _;

use super::{outbox, sandbox, source};
use crate::{
    operation::Operations,
    settings::{Settings, SourceKind},
    sync_type::SyncTypes,
};

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
    let url = settings.database.url.expose_secret();
    match url.split(':').next().unwrap_or_default() {
        "sqlite" => {}
        "postgres" | "postgresql" => check_url("database.url", url)?,
        _ => bail!("configuration: database.url: it begins with neither sqlite:// nor postgres://"),
    }
    if let Some(url) = &settings.coordination.redis_url {
        check_url("coordination.redis_url", url.expose_secret())?;
    }
    source::check(settings)?;
    outbox::routes(&settings.sink)?;
    sandbox(settings)?;
    Ok(types)
}

/// Are the folders there that the settings name? Asked by a person who checks them: a service starts without, since what
/// is mounted may come later.
///
/// # Errors
/// The first that is not there, with its key.
pub fn check_places(settings: &Settings) -> anyhow::Result<()> {
    let local = settings.source.folder.url.as_deref().filter(|url| !url.contains("://"));
    match local.filter(|folder| settings.source.kind == SourceKind::Folder && !Path::new(folder).is_dir()) {
        Some(missing) => bail!("configuration: source.folder.url: there is no folder {missing}"),
        None => Ok(()),
    }
}

/// Can a URL of a server be read as it was meant? Said here, without it: what others say of it may hold its password.
fn check_url(key: &str, url: &str) -> anyhow::Result<()> {
    let behind = url.split_once("://").map(|(_, behind)| behind).unwrap_or_default();
    let user = behind.rfind('@').map(|at| &behind[..at]).unwrap_or_default();
    if user.contains(['/', '#', '?']) {
        bail!("configuration: {key}: in a name or password, / is written %2F, # is %23, ? is %3F and @ is %40");
    }
    let is_url = reqwest::Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
    if !is_url {
        bail!("configuration: {key}: it is no URL such as postgres://USER:PASSWORD@HOST:PORT/NAME");
    }
    Ok(())
}

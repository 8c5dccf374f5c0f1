//! Which database does a command work on? That of the settings, as it is: only `serve`, `sync`, `replay`, `migrate` and
//! `demo` make or migrate one.

use std::sync::Arc;

use anyhow::bail;
use secrecy::ExposeSecret as _;

use crate::{
    app::{self, Io, Parts},
    domain::AgentId,
    settings::Settings,
    store::{Agent, FEWEST_CONNECTIONS, Store, StoreError, sqlite_file},
    sync::Context,
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// Does something with the database alone, where there is one of this version: without the server, the source and the
/// queue.
///
/// # Errors
/// Types or a database that cannot be used, and what `work` says.
pub(super) fn with_store<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
    must_exist(settings)?;
    let io = Io::start()?;
    io.handle().block_on(async {
        let store = open_store(settings, &io, types).await?;
        let done = match store.check_schema().await {
            Ok(()) => work(&store).await,
            Err(error) => Err(error.into()),
        };
        store.close().await;
        done
    })
}

/// The database, for one question: with as few connections as there can be, for the service beside needs the others.
pub(super) async fn open_store(settings: &Settings, io: &Io, types: Arc<SyncTypes>) -> Result<Store, StoreError> {
    let url = settings.database.url.expose_secret();
    Store::open_with(url, FEWEST_CONNECTIONS, io.handle(), types).await
}

/// Refuses to make a database where a command only looks: the wrong folder would show an empty one.
///
/// # Errors
/// There is none; with its path.
pub(super) fn must_exist(settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = sqlite_file(settings.database.url.expose_secret()) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    bail!("database.url: there is no database at {}: name the service's configuration with --config", place.display())
}

/// The agent of this name.
///
/// # Errors
/// None is named or known; then those that are.
pub(super) async fn known_agent(store: &Store, asked: Option<&str>) -> anyhow::Result<AgentId> {
    let agents = store.agents().await?;
    let Some(asked) = asked else { bail!("say for whom with --agent; known are: {}", Agent::names(&agents)) };
    Ok(Agent::find(&agents, asked)?)
}

/// What a run needs. One that only looks makes and migrates no database; what a type's file that was changed needs in its
/// table is made, for a plan compares with that.
///
/// # Errors
/// Settings or a database that cannot be used.
pub(super) async fn open_context(settings: &Settings, io: &Io, only_looks: bool) -> anyhow::Result<Arc<Context>> {
    if only_looks {
        must_exist(settings)?;
    }
    let context = Arc::new(app::context(settings, io, &mut Parts::default()).await?);
    if only_looks {
        context.store.check_schema().await?;
        context.store.migrate().await?;
    } else {
        app::prepare(settings, &context).await?;
    }
    Ok(context)
}

/// The sync type of this name; where there is none, those that there are have been named.
pub(super) fn known_type(context: &Context, name: &str) -> Option<Arc<SyncTypeSpec>> {
    let spec = context.types.get(name).cloned();
    if spec.is_none() {
        eprintln!("there is no sync type '{name}'; known are {}", context.types.names());
    }
    spec
}

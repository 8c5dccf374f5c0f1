//! `lockstep serve`: the service, until someone ends it.

use std::{io::IsTerminal as _, path::PathBuf};

use clap::Args;
use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, variables};
use crate::{
    api::LogLevel,
    app::{App, Parts},
    settings::Settings,
};

/// Runs the service.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep serve --config config/sample.toml
  lockstep serve --port 9000

Exit: 0 ended by a signal, 1 it could not start, 2 wrong usage, 70 its parts ended again and again: start it anew")]
pub(crate) struct Serve {
    /// Listen on this port, whatever the settings say; 0 is any that is free.
    #[arg(long)]
    port: Option<u16>,
}

impl Serve {
    /// The settings, with what the command line says.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub(crate) fn settings(&self, files: &[PathBuf]) -> anyhow::Result<Settings> {
        let mut environment = variables();
        if let Some(port) = self.port {
            environment.insert("LOCKSTEP__SERVER__PORT".to_owned(), port.to_string());
        }
        Ok(Settings::load(files.iter().map(PathBuf::as_path), environment)?)
    }
}

/// As many open files as this process may have: each connection takes two.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the number of open files cannot be raised");
    }
}

/// Runs until SIGTERM or Ctrl-C, then ends in order. SIGHUP calls `reload`.
///
/// # Errors
/// A service that cannot start.
pub(crate) fn run(
    settings: Settings,
    log: LogLevel,
    reload: impl Fn() -> anyhow::Result<String>,
) -> anyhow::Result<Exit> {
    raise_open_files();
    // its memory and environment hold secrets: neither another process of this user nor a core file gets at them
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the memory of this process can be read by others of its user");
    }
    actix_rt::System::new().block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // a terminal that goes away, or somebody who means "read your settings again"
        let mut hangup = signal(SignalKind::hangup())?;
        let (database, source) = (settings.database.place(), settings.source.kind.as_str());
        let app = App::start(settings, Parts { log: Some(log), ..Parts::default() }).await?;
        if let Some(file) = &app.new_token {
            tracing::warn!(file = %file.display(), "the admin's token was made; read it there, and delete the file");
            if std::io::stderr().is_terminal() {
                eprintln!("The admin's token:\n\n    {}\n", std::fs::read_to_string(file)?.trim());
            }
        }
        let agents = app.store.agents().await?.iter().filter(|agent| agent.active).count();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            address = %app.addr,
            database,
            source,
            types = app.store.types().names(),
            agents,
            "lockstep serves"
        );
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => match reload() {
                    Ok(level) => tracing::info!(level, "the log level was read again; other settings need a restart"),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the settings cannot be read again"),
                },
            }
        }
        tracing::info!("lockstep shuts down; a second signal ends it at once");
        tokio::select! {
            in_time = app.stop() => tracing::info!(in_time, "lockstep has ended"),
            _ = terminate.recv() => tracing::warn!("a second signal: what still runs is left to its leases"),
            _ = interrupt.recv() => tracing::warn!("a second signal: what still runs is left to its leases"),
        }
        Ok(Exit::Done)
    })
}

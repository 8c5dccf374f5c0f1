//! `lockstep serve`: the service, until someone ends it.

use std::{io::IsTerminal as _, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::{
    app::{App, Parts},
    settings::Settings,
};

/// How often the actors are looked at.
const WATCH: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or Ctrl-C, then ends in order. SIGHUP calls `reload`.
///
/// # Errors
/// A service that cannot start.
pub fn run(settings: Settings, reload: impl Fn() -> anyhow::Result<String>) -> anyhow::Result<Exit> {
    actix_rt::System::new().block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // a terminal that goes away, or somebody who means "read your settings again"
        let mut hangup = signal(SignalKind::hangup())?;
        let app = App::start(settings, Parts::default()).await?;
        if let Some(file) = &app.new_token {
            tracing::warn!(file = %file.display(), "the admin's token was made; read it there, and delete the file");
            if std::io::stderr().is_terminal() {
                eprintln!("The admin's token:\n\n    {}\n", std::fs::read_to_string(file)?.trim());
            }
        }
        tracing::info!(address = %app.addr, "lockstep serves");
        let mut watch = tokio::time::interval(WATCH);
        let exit = loop {
            tokio::select! {
                _ = terminate.recv() => break Exit::Done,
                _ = interrupt.recv() => break Exit::Done,
                _ = hangup.recv() => match reload() {
                    Ok(level) => tracing::info!(level, "the log level was read again; other settings need a restart"),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "the settings cannot be read again"),
                },
                _ = watch.tick() => if !app.is_alive() {
                    tracing::error!("an actor has ended: the process ends, and its jobs are taken over");
                    break Exit::ActorGone;
                },
            }
        };
        tracing::info!("lockstep shuts down; a second signal ends it at once");
        tokio::select! {
            _ = app.stop() => {}
            _ = terminate.recv() => tracing::warn!("a second signal: what still runs is left to its leases"),
            _ = interrupt.recv() => tracing::warn!("a second signal: what still runs is left to its leases"),
        }
        Ok(exit)
    })
}

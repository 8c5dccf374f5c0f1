//! `lockstep serve`: the service, until someone ends it.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::Exit;
use crate::{
    app::{App, Parts},
    settings::Settings,
};

/// How often the actors are looked at.
const WATCH: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or Ctrl-C, then ends in order.
///
/// # Errors
/// A service that cannot start.
pub fn run(settings: Settings) -> anyhow::Result<Exit> {
    actix_rt::System::new().block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let app = App::start(settings, Parts::default()).await?;
        if let Some(token) = &app.new_token {
            eprintln!("The admin's token, shown this once:\n\n    {token}\n");
        }
        tracing::info!(address = %app.addr, "lockstep serves");
        let mut watch = tokio::time::interval(WATCH);
        let exit = loop {
            tokio::select! {
                _ = terminate.recv() => break Exit::Done,
                _ = interrupt.recv() => break Exit::Done,
                _ = watch.tick() => if !app.is_alive() {
                    tracing::error!("an actor has ended: the process ends, and its jobs are taken over");
                    break Exit::ActorGone;
                },
            }
        };
        tracing::info!("lockstep shuts down");
        app.stop().await;
        Ok(exit)
    })
}

//! `lockstep migrate`: the schema up, down, or as it is.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use secrecy::ExposeSecret as _;

use super::Exit;
use crate::{app::Io, settings::Settings, store::Store, sync_type::SyncTypes};

/// Looks after the schema.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep migrate
  lockstep migrate status
  lockstep migrate down      # takes lockstep's own tables away; records stay")]
pub struct Migrate {
    /// What to do.
    #[arg(value_enum, default_value_t = Direction::Up)]
    direction: Direction,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Direction {
    /// Bring the schema up to date.
    Up,
    /// Take lockstep's own tables away: jobs, runs, settings, quarantine. Record tables stay.
    Down,
    /// Print each migration and whether it is applied.
    Status,
}

impl Migrate {
    /// Runs the command.
    ///
    /// # Errors
    /// A database that cannot be used.
    pub fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
        let io = Io::start()?;
        io.handle().block_on(async {
            let store = Store::open(settings.database.url.expose_secret(), io.handle(), types).await?;
            match self.direction {
                Direction::Up => store.migrate().await?,
                Direction::Down => store.migrate_down().await?,
                Direction::Status => {}
            }
            for (name, applied) in store.migration_status().await? {
                println!("{name} {}", if applied { "applied" } else { "pending" });
            }
            store.close().await;
            Ok(Exit::Done)
        })
    }
}

//! `lockstep migrate`: the schema up, down, or as it is.

use std::{io::IsTerminal as _, sync::Arc};

use clap::{Args, ValueEnum};

use super::{
    Exit,
    database::{must_exist, open_store},
    output::say,
};
use crate::{app::Io, settings::Settings, store::Store, sync_type::SyncTypes};

/// Looks after the schema.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep migrate
  lockstep migrate status
  lockstep migrate down --yes

Down takes lockstep's own tables away and with them what is only there: changes that have not gone out yet, the
credentials of agents, kept reports, the history of runs. Records stay.")]
pub(crate) struct Migrate {
    /// What to do.
    #[arg(value_enum, default_value_t = Direction::Up)]
    direction: Direction,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Direction {
    /// Bring the schema up to date.
    Up,
    /// Take lockstep's own tables away: jobs, runs, settings, unsent changes, credentials. Record tables stay.
    Down,
    /// Print each migration and whether it is applied.
    Status,
}

impl Migrate {
    /// Runs the command.
    ///
    /// # Errors
    /// A database that cannot be used.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
        match self.direction {
            Direction::Down => must_exist(settings)?,
            Direction::Status if must_exist(settings).is_err() => {
                for name in Store::known_migrations() {
                    say!("{name} pending");
                }
                return Ok(Exit::Done);
            }
            Direction::Up | Direction::Status => {}
        }
        if matches!(self.direction, Direction::Down) && !self.yes && !agreed()? {
            eprintln!("nothing was changed");
            return Ok(Exit::Usage);
        }
        let io = Io::start()?;
        io.handle().block_on(async {
            let store = open_store(settings, &io, types).await?;
            match self.direction {
                Direction::Up => store.migrate().await?,
                Direction::Down => store.migrate_down().await?,
                Direction::Status => {}
            }
            for (name, applied) in store.migration_status().await? {
                say!("{name} {}", if applied { "applied" } else { "pending" });
            }
            store.close().await;
            Ok(Exit::Done)
        })
    }
}

/// Does the person at the terminal agree? Nobody is asked where none sits there.
fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("down takes unsent changes, credentials and the history away: say --yes if that is meant");
    }
    eprint!("This takes unsent changes, credentials, kept reports and the history away. Go on? (yes/no) ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

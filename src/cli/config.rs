//! `lockstep config`: which settings are in force?

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{
    Exit,
    database::{must_exist, open_store},
    output::say,
    variables,
};
use crate::{
    app::{self, Io, Overruled},
    settings::Settings,
    sync_type::SyncTypes,
};

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Checks or shows the settings in force.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep config check --config lockstep.toml
  LOCKSTEP__SERVER__PORT=9000 lockstep config show
  lockstep config defaults > lockstep.toml")]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Say whether settings and sync types can be used.
    Check,
    /// Print the settings that are compiled in, with what each of them means: a file to begin with.
    Defaults,
    /// Print every setting, its value and where it comes from; secrets are masked.
    Show,
}

impl Config {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings or sync types that cannot be used.
    pub(crate) fn run(&self, files: &[PathBuf]) -> anyhow::Result<Exit> {
        let files = files.iter().map(PathBuf::as_path);
        match self.action {
            Action::Check => {
                let settings = Settings::load(files, variables())?;
                let types = app::check(&settings)?;
                app::check_places(&settings)?;
                for note in &settings.notes {
                    eprintln!("note: {note}");
                }
                say!("the configuration can be used; sync types: {}", types.names());
            }
            Action::Defaults => say!("{}", Settings::defaults().trim_end()),
            Action::Show => {
                for setting in Settings::show(files.clone(), variables())? {
                    say!("{} = {}  # {}", setting.key, setting.value, setting.origin);
                }
                show_overruled(&Settings::load(files, variables())?);
            }
        }
        Ok(Exit::Done)
    }
}

/// Settings that the service's database rules otherwise, if there is one already.
fn show_overruled(settings: &Settings) {
    if must_exist(settings).is_err() {
        return;
    }
    match ask(settings) {
        Ok(found) => {
            for Overruled { key, in_force, by } in found {
                say!("# in force is {key} = {in_force}: the database holds it, set by {by}");
            }
        }
        Err(error) => eprintln!("note: the database was not asked what it holds otherwise: {error:#}"),
    }
}

fn ask(settings: &Settings) -> anyhow::Result<Vec<Overruled>> {
    let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
    let io = Io::start()?;
    let look = async {
        let store = open_store(settings, &io, types).await?;
        let found = app::overruled(settings, &store).await;
        store.close().await;
        Ok(found?)
    };
    let late = |_| anyhow!("it does not answer within {} s", PATIENCE.as_secs());
    io.handle().block_on(async { tokio::time::timeout(PATIENCE, look).await.map_err(late)? })
}

//! `lockstep config`: which settings are in force?

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, output::say, variables};
use crate::{app, settings::Settings};

/// Checks or shows the settings in force.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep config check --config lockstep.toml
  LOCKSTEP__SERVER__PORT=9000 lockstep config show")]
pub struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Say whether settings and sync types can be used.
    Check,
    /// Print every setting, its value and where it comes from; secrets are masked.
    Show,
}

impl Config {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings or sync types that cannot be used.
    pub fn run(&self, files: &[PathBuf]) -> anyhow::Result<Exit> {
        let files = files.iter().map(PathBuf::as_path);
        match self.action {
            Action::Check => {
                let settings = Settings::load(files, variables())?;
                let types = app::check(&settings)?;
                for note in &settings.notes {
                    eprintln!("note: {note}");
                }
                say!("the configuration can be used; sync types: {}", types.names());
            }
            Action::Show => {
                for setting in Settings::show(files, variables())? {
                    say!("{} = {}  # {}", setting.key, setting.value, setting.origin);
                }
            }
        }
        Ok(Exit::Done)
    }
}

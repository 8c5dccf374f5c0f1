//! How does one learn the commands? Their help says how each of them ends; completions for shells, pages for `man`.

use std::{io::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};

use super::{Exit, output::say};

/// How a command ends whose help says nothing else.
const ENDS: &str = "Exit: 0 done, 1 something broke (the error is on stderr), 2 wrong usage";

/// The commands, each with how it ends in its help.
pub(super) fn telling_ends(command: Command) -> Command {
    let command = command.mut_subcommands(telling_ends);
    if command.has_subcommands() && command.get_name() == "lockstep" {
        return command;
    }
    let said = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if said.contains("Exit:") {
        return command;
    }
    let gap = if said.is_empty() { "" } else { "\n\n" };
    command.after_help(format!("{said}{gap}{ENDS}"))
}

/// Prints what completes commands and options in a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep completions bash > /etc/bash_completion.d/lockstep
  lockstep completions fish > ~/.config/fish/completions/lockstep.fish")]
pub(crate) struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(&self, mut command: Command) -> Exit {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "lockstep", &mut text);
        say!("{}", String::from_utf8_lossy(&text).trim_end());
        Exit::Done
    }
}

/// Writes pages for `man`: one a command.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  lockstep man --dir /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Where to; it is made if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    /// Runs the command.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub(crate) fn run(&self, command: Command) -> anyhow::Result<Exit> {
        let failed = || format!("cannot write to {}", self.dir.display());
        std::fs::create_dir_all(&self.dir).with_context(failed)?;
        clap_mangen::generate_to(command, &self.dir).with_context(failed)?;
        writeln!(std::io::stderr(), "man -l {}/lockstep.1 shows the first of them", self.dir.display()).ok();
        Ok(Exit::Done)
    }
}

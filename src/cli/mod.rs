//! Which commands are there? Parses the command line and hands over; stdout is data, stderr is talk.

mod extract;

use std::process::{ExitCode, Termination};

use clap::{Parser, Subcommand};

use crate::sync_type::SyncTypes;

/// Keeps a database in step with an ERP whose only export is PDF reports.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read one report and print its records.
    Extract(extract::Extract),
}

/// How a command ended; the numbers are part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything worked.
    Done = 0,
    /// Something broke; the error is on stderr.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Done, with rows in quarantine.
    Quarantined = 3,
    /// The report was refused.
    Refused = 4,
    /// A guard holds the run.
    Held = 5,
    /// The run was stopped.
    Stopped = 6,
    /// The agent is busy with another job.
    Busy = 7,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Runs the command that the process was started with.
///
/// # Errors
/// Whatever kept the command from doing its work.
pub fn run() -> anyhow::Result<Exit> {
    match Cli::parse().command {
        Command::Extract(extract) => extract.run(&SyncTypes::built_in()?),
    }
}

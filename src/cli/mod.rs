//! Which commands are there? Parses the command line and hands over; stdout is data, stderr is talk.

mod bench_report;
mod config;
mod credentials;
mod database;
mod demo;
mod extract;
mod healthcheck;
mod input;
mod manual;
mod migrate;
mod outbox;
mod output;
mod progress;
mod replay;
mod serve;
mod sync;
mod token;
mod types;
mod why;

use std::{
    io::IsTerminal,
    path::PathBuf,
    process::{ExitCode, Termination},
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tracing_subscriber::{EnvFilter, Registry, fmt, prelude::*, reload};

use crate::{
    api::LogLevel,
    event::run_log,
    report,
    settings::{LogFormat, Settings},
    sync_type::SyncTypes,
};

/// Keeps a database in step with an ERP whose only export is PDF reports.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about)]
struct Cli {
    /// A configuration file, or several, of which the later ones win; without one those that `LOCKSTEP_CONFIG` names, with
    /// `:` between them, or else defaults and environment alone.
    #[arg(long, global = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole product, with an ERP of its own, on this machine alone.
    Demo(demo::Demo),
    /// Run the service: timers, queue, control API.
    Serve(serve::Serve),
    /// Read one report and print its records.
    Extract(extract::Extract),
    /// Make and check the files that describe sync types.
    Types(types::Types),
    /// Run one sync without the server.
    Sync(sync::Sync),
    /// Look after the schema.
    Migrate(migrate::Migrate),
    /// Read kept reports again, after a change of a sync type's file.
    Replay(replay::Replay),
    /// Set, list and forget the credentials of agents.
    Credentials(credentials::Credentials),
    /// Make, list and revoke the tokens of the API.
    Token(token::Tokens),
    /// Show and redrive what waits to go out.
    Outbox(outbox::Outbox),
    /// Say why a record is as it is, or not there.
    Why(why::Why),
    /// Print the description of the API, as `OpenAPI` 3.1.
    Openapi,
    /// Check or show the settings in force.
    Config(config::Config),
    /// Exit 0 if the service of this configuration is ready; for containers.
    #[command(after_help = "Example:\n  lockstep healthcheck --config config/sample.toml")]
    Healthcheck,
    /// Print what completes commands and options in a shell.
    Completions(manual::Completions),
    /// Write pages for `man`.
    Man(manual::Man),
    /// Read the report on standard input: the child process of the service and of `extract`.
    #[command(name = report::sandbox::WORKER_COMMAND, hide = true)]
    ParseWorker,
    /// Print a report of invented rows, as the ERP's grid does.
    BenchReport(bench_report::BenchReport),
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
    // databases, keys and copies of reports are nobody else's
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut cli = Cli::from_arg_matches(&commands().get_matches()).unwrap_or_else(|error| error.exit());
    if let Command::ParseWorker = cli.command {
        report::sandbox::run_worker()?;
        return Ok(Exit::Done);
    }
    if cli.config.is_empty()
        && let Some(files) = std::env::var_os("LOCKSTEP_CONFIG")
    {
        cli.config = std::env::split_paths(&files).filter(|file| !file.as_os_str().is_empty()).collect();
    }
    let file: &[PathBuf] = &cli.config;
    match cli.command {
        Command::ParseWorker => Ok(Exit::Done),
        Command::Extract(extract) => extract.run(&load(file)?),
        Command::Types(types) => types.run(&load(file)?),
        Command::BenchReport(bench_report) => bench_report.run(&types(file)?),
        Command::Openapi => {
            output::say!("{}", crate::api::document().trim_end());
            Ok(Exit::Done)
        }
        Command::Config(config) => config.run(file),
        Command::Demo(demo) => demo.run(),
        Command::Completions(completions) => Ok(completions.run(commands())),
        Command::Man(man) => man.run(commands()),
        Command::Serve(serve) => {
            let settings = serve.settings(file)?;
            let level = start_log(&settings)?;
            tell_notes(&settings);
            let log = log_level(cli.config.clone(), level.clone());
            serve::run(settings, log, move || {
                let again = load(file)?;
                level.modify(|filter| *filter = parsed(&again))?;
                tell_notes(&again);
                Ok(again.log.level)
            })
        }
        Command::Sync(sync) => sync.run(&settings(file)?),
        Command::Migrate(migrate) => migrate.run(&settings(file)?),
        Command::Replay(replay) => replay.run(&settings(file)?),
        Command::Credentials(credentials) => credentials.run(|| settings(file)),
        Command::Token(tokens) => tokens.run(&settings(file)?),
        Command::Outbox(outbox) => outbox.run(&settings(file)?),
        Command::Why(why) => why.run(&settings(file)?),
        Command::Healthcheck => healthcheck::run(&settings(file)?),
    }
}

/// All commands, as their help shows them.
fn commands() -> clap::Command {
    manual::telling_ends(Cli::command())
}

fn load(files: &[PathBuf]) -> anyhow::Result<Settings> {
    Ok(Settings::load(files.iter().map(PathBuf::as_path), variables())?)
}

/// The settings, with the log set up as they say.
fn settings(files: &[PathBuf]) -> anyhow::Result<Settings> {
    let settings = load(files)?;
    start_log(&settings)?;
    tell_notes(&settings);
    Ok(settings)
}

/// The sync types of the settings; commands that need no other setting stay quiet.
fn types(file: &[PathBuf]) -> anyhow::Result<SyncTypes> {
    Ok(SyncTypes::load(&load(file)?.sync.types_dir)?)
}

/// The variables of the process that can be texts.
fn variables() -> std::collections::HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn tell_notes(settings: &Settings) {
    for note in &settings.notes {
        tracing::warn!("configuration: {note}");
    }
}

/// The filter that the settings, which were checked, ask for.
fn parsed(settings: &Settings) -> EnvFilter {
    settings.log.filter().map(EnvFilter::new).unwrap_or_default()
}

/// The level as the API sets it: for a while another one, then that of the settings.
fn log_level(files: Vec<PathBuf>, handle: reload::Handle<EnvFilter, Registry>) -> LogLevel {
    LogLevel::new(move |asked| {
        let mut log = load(&files).map_err(|error| format!("{error:#}"))?.log;
        if let Some(level) = asked {
            level.clone_into(&mut log.level);
        }
        let filter = log.filter().map_err(|error| error.to_string())?;
        handle.modify(|now| *now = EnvFilter::new(filter)).map_err(|error| error.to_string())
    })
}

/// Starts the log; answers the handle of its level.
fn start_log(settings: &Settings) -> anyhow::Result<reload::Handle<EnvFilter, Registry>> {
    settings.log.filter()?;
    let filter = parsed(settings);
    let most =
        filter.max_level_hint().and_then(|most| most.to_string().parse().ok()).unwrap_or(log::LevelFilter::Trace);
    let (filter, level) = reload::Layer::new(filter);
    let is_terminal = std::io::stderr().is_terminal();
    let printed = match settings.log.format {
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
        LogFormat::Pretty => fmt::layer().with_ansi(is_terminal).with_writer(std::io::stderr).boxed(),
    };
    // a run keeps more of its own log than is printed
    tracing_subscriber::registry().with(printed.with_filter(filter)).with(run_log()).init();
    // what others say below that level is not kept with runs: it need not be put together
    log::set_max_level(most);
    Ok(level)
}

//! Which commands are there? Parses the command line and hands over; stdout is data, stderr is talk.

mod bench_report;
mod config;
mod credentials;
mod demo;
mod extract;
mod healthcheck;
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
    sync::Arc,
};

use anyhow::bail;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, prelude::*, reload};

use crate::{
    api::LogLevel,
    app::{self, Io, Parts},
    domain::AgentId,
    event::run_log,
    report,
    settings::{LogFormat, Settings},
    store::{Agent, FEWEST_CONNECTIONS, Store, StoreError, sqlite_file},
    sync::Context,
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// Keeps a database in step with an ERP whose only export is PDF reports.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about)]
struct Cli {
    /// A configuration file, or several, of which the later ones win; without one, defaults and environment alone.
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
    #[command(after_help = "Example:\n  lockstep serve --config config/sample.toml")]
    Serve,
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
    let cli = Cli::parse();
    if let Command::ParseWorker = cli.command {
        report::sandbox::run_worker()?;
        return Ok(Exit::Done);
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
        Command::Serve => {
            let settings = load(file)?;
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

/// What a run of the sync type called `name` needs; says so where there is none.
async fn open(settings: &Settings, io: &Io, name: &str) -> anyhow::Result<Option<(Arc<Context>, Arc<SyncTypeSpec>)>> {
    let context = open_context(settings, io).await?;
    let spec = known_type(&context, name);
    Ok(spec.map(|spec| (context, spec)))
}

async fn open_context(settings: &Settings, io: &Io) -> anyhow::Result<Arc<Context>> {
    let context = Arc::new(app::context(settings, io, &mut Parts::default()).await?);
    app::prepare(settings, &context).await?;
    Ok(context)
}

/// The sync type of this name; where there is none, those that there are have been named.
fn known_type(context: &Context, name: &str) -> Option<Arc<SyncTypeSpec>> {
    let spec = context.types.get(name).cloned();
    if spec.is_none() {
        eprintln!("there is no sync type '{name}'; known are {}", context.types.names());
    }
    spec
}

/// Does something with the database alone, where there is one: without the server, the source and the queue.
///
/// # Errors
/// Types or a database that cannot be used, and what `work` says.
fn with_store<T>(settings: &Settings, work: impl AsyncFnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
    must_exist(settings)?;
    let io = Io::start()?;
    io.handle().block_on(async {
        let store = open_store(settings, &io, types).await?;
        store.migrate().await?;
        let done = work(&store).await;
        store.close().await;
        done
    })
}

/// The database, for one question: with as few connections as there can be, for the service beside needs the others.
async fn open_store(settings: &Settings, io: &Io, types: Arc<SyncTypes>) -> Result<Store, StoreError> {
    let url = settings.database.url.expose_secret();
    Store::open_with(url, FEWEST_CONNECTIONS, io.handle(), types).await
}

/// Refuses to make a database where a command only looks: the wrong folder would show an empty one.
///
/// # Errors
/// There is none; with its path.
fn must_exist(settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = sqlite_file(settings.database.url.expose_secret()) else { return Ok(()) };
    if path.exists() {
        return Ok(());
    }
    let place = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    bail!("database.url: there is no database at {}: name the service's configuration with --config", place.display())
}

/// The agent of this name.
///
/// # Errors
/// None is named or known; then those that are.
async fn known_agent(store: &Store, asked: Option<&str>) -> anyhow::Result<AgentId> {
    let agents = store.agents().await?;
    let Some(asked) = asked else { bail!("say for whom with --agent; known are: {}", Agent::names(&agents)) };
    Ok(Agent::find(&agents, asked)?)
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

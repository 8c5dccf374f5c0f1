//! `lockstep types`: which file describes a report's type?

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{Exit, extract, input, output::say};
use crate::{
    app,
    report::{
        Budget, ReadLimits, guess,
        sandbox::{Job, Reply},
        survey,
    },
    settings::Settings,
    sync_type::SyncTypes,
};

/// Makes and checks the files that describe sync types.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep types guess deliveries.pdf --name deliveries > types/deliveries.toml
  lockstep types check types/deliveries.toml deliveries.pdf
  lockstep types new --name returns > types/returns.toml
  lockstep types show orders

Exit: 0 done, 3 read with quarantined rows, 4 the report is refused or the file is wrong")]
pub(crate) struct Types {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a type's file from a printed report: a draft, whose lines marked LOOK need a person.
    Guess {
        /// The report, a PDF; `-` is standard input.
        file: PathBuf,
        /// The type's name.
        #[arg(long, default_value = "new_type")]
        name: String,
    },
    /// Write an empty file with comments.
    New {
        /// The type's name.
        #[arg(long, default_value = "new_type")]
        name: String,
    },
    /// Print the file of a type in force, of which another can be made.
    Show {
        /// The type's name.
        name: String,
    },
    /// Check a type's file; read a report by it.
    Check {
        /// The type's file.
        file: PathBuf,
        /// A report of that type; `-` is standard input.
        report: Option<PathBuf>,
    },
}

impl Types {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that cannot be read; a wrong file or a refused report is an exit code, not an error.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        match &self.command {
            Command::New { name } => {
                say!("{}", guess::template(name).trim_end());
                Ok(Exit::Done)
            }
            Command::Guess { file, name } => {
                let bytes = input::report(file, settings.limits.report_bytes)?;
                let columns = match survey::survey(&bytes, &Budget::new(ReadLimits::default())) {
                    Ok(columns) => columns,
                    Err(refusal) => {
                        eprintln!("refused: {}: {}", refusal.code.as_str(), refusal.text);
                        return Ok(Exit::Refused);
                    }
                };
                let draft = guess::draft(&columns);
                say!("{}", draft.file(name).trim_end());
                let rows = columns.first().map_or(0, |column| column.texts.len());
                let doubts = draft.columns.iter().filter(|column| column.doubt.is_some()).count();
                let key = draft.key.map_or("none", |key| draft.columns[key].header.as_str());
                eprintln!(
                    "{} columns of {rows} rows; the key seems to be: {key}; {doubts} columns to look at, and whether \
                     the names of the fields suit",
                    columns.len()
                );
                Ok(Exit::Done)
            }
            Command::Show { name } => show(settings, name),
            Command::Check { file, report } => check(settings, file, report.as_ref()),
        }
    }
}

fn show(settings: &Settings, name: &str) -> anyhow::Result<Exit> {
    let types = SyncTypes::load(&settings.sync.types_dir)?;
    let Some((_, text)) = types.file_of(name) else {
        eprintln!("there is no sync type '{name}'; known are {}", types.names());
        return Ok(Exit::Usage);
    };
    say!("{}", text.trim_end());
    Ok(Exit::Done)
}

fn check(settings: &Settings, file: &PathBuf, report: Option<&PathBuf>) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let known = SyncTypes::load(&settings.sync.types_dir)?;
    let own = (file.display().to_string(), text);
    // it may name types that are known
    let types = match SyncTypes::from_files(known.files().iter().cloned().chain([own.clone()])) {
        Ok(types) => Arc::new(types),
        Err(error) => {
            eprintln!("{error}");
            return Ok(Exit::Refused);
        }
    };
    let before: Vec<&str> = known.iter().map(|spec| spec.name.as_str()).collect();
    let name =
        toml::from_str::<toml::Table>(&own.1).ok().and_then(|table| Some(table.get("name")?.as_str()?.to_owned()));
    let spec = name.and_then(|name| types.get(&name).cloned()).context("the file names no type")?;
    let replaces = if before.contains(&spec.name.as_str()) { "; it replaces the type of that name" } else { "" };
    eprintln!(
        "{}: {} columns, {} fields, key {}{replaces}",
        spec.name,
        spec.columns.len(),
        spec.fields.len(),
        spec.key_name()
    );
    let Some(report) = report else { return Ok(Exit::Done) };
    let bytes = input::report(report, settings.limits.report_bytes)?;
    let started = Instant::now();
    let job = Job { bytes: Arc::new(bytes), spec, types, progress: Arc::new(|_, _| {}) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sandbox = app::sandbox(settings)?;
    match runtime.block_on(sandbox.run(&job, Reply::Records, &mut |_| {})) {
        Ok(read) => {
            extract::talk(&read, started.elapsed().as_millis());
            Ok(if read.quarantined.is_empty() { Exit::Done } else { Exit::Quarantined })
        }
        Err(refusal) => {
            eprintln!("refused: {}: {}", refusal.code.as_str(), refusal.text);
            Ok(Exit::Refused)
        }
    }
}

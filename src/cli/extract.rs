//! `lockstep extract`: what does this report say?

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::Exit;
use crate::{
    report::{self, Budget, Limits, Report, Request, explain},
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// Reads one report and prints its records.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep extract orders.pdf --type orders
  lockstep extract orders.pdf --type orders --format csv > orders.csv

Exit: 0 read whole, 3 read with quarantined rows, 4 refused (reason on stderr), 2 usage")]
pub struct Extract {
    /// The report, a PDF.
    file: PathBuf,
    /// Its sync type.
    #[arg(long = "type", value_name = "TYPE")]
    sync_type: String,
    /// How to print the records.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Print what was recognised on each page, instead of the records: why a report was refused.
    #[arg(long)]
    explain: bool,
    /// Draw each page with the recognised cells over its text into this folder.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Also write the summary as JSON to this file.
    #[arg(long, value_name = "PATH")]
    report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
    /// Columns for reading.
    Table,
}

impl Extract {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that cannot be read or written; a refused report is an exit code, not an error.
    pub fn run(&self, types: &SyncTypes) -> anyhow::Result<Exit> {
        let Some(spec) = types.get(&self.sync_type) else {
            eprintln!("there is no sync type '{}'; known are {}", self.sync_type, types.names());
            return Ok(Exit::Usage);
        };
        let bytes = std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        if self.explain || self.svg.is_some() {
            return self.show_pages(&bytes, spec, types);
        }
        let started = Instant::now();
        let outcome = report::read(&bytes, spec, types);
        let millis = started.elapsed().as_millis();
        let summary = match &outcome {
            Ok(report) => summary(report, millis),
            Err(refusal) => json!({ "refused": refusal }),
        };
        if let Some(path) = &self.report {
            std::fs::write(path, format!("{summary:#}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let report = match outcome {
            Ok(report) => report,
            Err(refusal) => {
                eprintln!("refused: {}: {}", refusal.code.as_str(), refusal.text);
                return Ok(Exit::Refused);
            }
        };
        print(self.format, spec, &report).context("cannot print the records")?;
        talk(&report, millis);
        Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::Quarantined })
    }
}

impl Extract {
    fn show_pages(&self, bytes: &[u8], spec: &SyncTypeSpec, types: &SyncTypes) -> anyhow::Result<Exit> {
        if let Some(folder) = &self.svg {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let budget = Budget::new(Limits::default());
        let request = Request { bytes, spec, types, budget: &budget, progress: &|_, _| {} };
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut written: io::Result<()> = Ok(());
        let explained = request.explain(|page, found| {
            let mut show = || -> io::Result<()> {
                if self.explain {
                    out.write_all(explain::text(page, found).as_bytes())?;
                }
                if let Some(folder) = &self.svg {
                    std::fs::write(folder.join(format!("page-{:04}.svg", page.number)), explain::svg(page, found))?;
                }
                Ok(())
            };
            written = std::mem::replace(&mut written, Ok(())).and_then(|()| show());
        });
        out.flush().and(written).context("cannot write what was recognised")?;
        let outcome = explained.and_then(|()| request.read());
        match outcome {
            Err(refusal) => {
                eprintln!("refused: {}: {}", refusal.code.as_str(), refusal.text);
                Ok(Exit::Refused)
            }
            Ok(report) if report.quarantined.is_empty() => Ok(Exit::Done),
            Ok(_) => Ok(Exit::Quarantined),
        }
    }
}

fn summary(report: &Report, millis: u128) -> Json {
    json!({
        "rows": report.rows(),
        "records": report.records.len(),
        "pages": report.pages,
        "cycle": report.cycle,
        "skipped": report.skipped,
        "quarantined": report.quarantined,
        "drift": report.drift,
        "counted": report.counted,
        "millis": millis,
    })
}

fn talk(report: &Report, millis: u128) {
    eprintln!(
        "{} rows on {} pages (cycle of {}): {} read, {} skipped, {} quarantined; {millis} ms",
        report.rows(),
        report.pages,
        report.cycle,
        report.records.len(),
        report.skipped,
        report.quarantined.len(),
    );
    for row in &report.quarantined {
        eprintln!("quarantined: page {}, row {}, {}: '{}': {}", row.page, row.row, row.column, row.text, row.why);
    }
    if !report.drift.absent.is_empty() {
        eprintln!("drift: not in this export: {}", report.drift.absent.join(", "));
    }
    if !report.drift.unknown.is_empty() {
        eprintln!("drift: unknown columns: {}", report.drift.unknown.join(" | "));
    }
}

fn print(format: Format, spec: &SyncTypeSpec, report: &Report) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let object = |record| Json::Object(spec.to_json(record, |field| report.present[field]));
    let names = || {
        spec.fields.iter().enumerate().filter(|(field, _)| report.present[*field]).map(|(_, field)| field.name.as_str())
    };
    let texts = |record: &crate::domain::Record| {
        let values = record.values.iter().enumerate().filter(|(field, _)| report.present[*field]);
        values.map(|(_, value)| value.canonical().into_owned()).collect::<Vec<_>>()
    };
    match format {
        Format::Json => {
            writeln!(out, "[")?;
            for (number, record) in report.records.iter().enumerate() {
                let comma = if number + 1 < report.records.len() { "," } else { "" };
                writeln!(out, "{}{comma}", object(record))?;
            }
            writeln!(out, "]")?;
        }
        Format::Jsonl => {
            for record in &report.records {
                writeln!(out, "{}", object(record))?;
            }
        }
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(&mut out);
            csv.write_record(names())?;
            for record in &report.records {
                csv.write_record(texts(record))?;
            }
            csv.flush()?;
        }
        Format::Table => {
            let rows: Vec<Vec<String>> =
                std::iter::once(names().map(str::to_owned).collect()).chain(report.records.iter().map(texts)).collect();
            let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let widths: Vec<_> = (0..names().count()).map(width).collect();
            for row in &rows {
                for (text, width) in row.iter().zip(&widths) {
                    write!(out, "{text:width$}  ")?;
                }
                writeln!(out)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

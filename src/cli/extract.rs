//! `lockstep extract`: what does this report say?

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value as Json, json};

use super::{Exit, input, progress::Bar};
use crate::{
    app,
    domain::{Record, Value},
    report::{
        Refusal, Report,
        sandbox::{ExplainedPage, Job, Reply, Sandbox},
    },
    settings::Settings,
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// Blanks that may be none are told one by one up to so many.
const LISTED_BREAKS: usize = 20;

/// Reads one report and prints its records.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep extract orders.pdf --type orders
  lockstep extract orders.pdf --type orders --format csv > orders.csv
  lockstep extract orders.pdf --type orders --explain
  lockstep extract orders.pdf --type orders --svg pages
  curl https://erp.example/orders.pdf | lockstep extract - --type orders

Exit: 0 read whole, 3 read with quarantined rows, 4 refused (reason on stderr), 2 usage")]
pub(crate) struct Extract {
    /// The report, a PDF; `-` is standard input.
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
    /// Runs the command. The file is read in a child process, as in the service.
    ///
    /// # Errors
    /// Files that cannot be read or written; a refused report is an exit code, not an error.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let types = Arc::new(SyncTypes::load(&settings.sync.types_dir)?);
        let Some(spec) = types.get(&self.sync_type).cloned() else {
            eprintln!("there is no sync type '{}'; known are {}", self.sync_type, types.names());
            return Ok(Exit::Usage);
        };
        if let Some(folder) = &self.svg {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let bytes = input::report(&self.file, settings.limits.report_bytes)?;
        let started = Instant::now();
        let outcome = self.read(&app::sandbox(settings)?, bytes, &spec, types)?;
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
        if !self.explains() {
            print(self.format, &spec, &report).context("cannot print the records")?;
        }
        talk(&report, millis);
        Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::Quarantined })
    }

    fn explains(&self) -> bool {
        self.explain || self.svg.is_some()
    }

    fn read(
        &self,
        sandbox: &Sandbox,
        bytes: Vec<u8>,
        spec: &Arc<SyncTypeSpec>,
        types: Arc<SyncTypes>,
    ) -> anyhow::Result<Result<Report, Refusal>> {
        let bar = Bar::new();
        let shown = bar.clone();
        let progress = Arc::new(move |done, total| shown.show("page", done, total));
        let job = Job { bytes: Arc::new(bytes), spec: spec.clone(), types, progress };
        let answer = if self.explains() {
            Reply::Explanation { text: self.explain, svg: self.svg.is_some() }
        } else {
            Reply::Records
        };
        let mut out = io::stdout();
        let mut written = Ok(());
        let mut show = |page: ExplainedPage| {
            let write = || -> io::Result<()> {
                out.write_all(page.text.as_bytes())?;
                match &self.svg {
                    Some(folder) => std::fs::write(folder.join(format!("page-{:04}.svg", page.page)), page.svg),
                    None => Ok(()),
                }
            };
            if written.is_ok() {
                written = write();
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(sandbox.run(&job, answer, &mut show));
        bar.clear();
        written.context("cannot write what was recognised")?;
        Ok(outcome)
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
        "uncertainBreaks": report.uncertain,
        "layout": { "fingerprint": report.layout.fingerprint(), "pages": report.layout.pages },
        "unclean": { "pages": report.unclean, "first": report.unclean_pages },
        "millis": millis,
    })
}

/// Says on stderr what was read and what was not.
pub(crate) fn talk(report: &Report, millis: u128) {
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
    for place in report.uncertain.iter().take(LISTED_BREAKS) {
        eprintln!(
            "uncertain: record {}, {}: the blank after {} characters (page {}, row {}) may be none",
            place.key, place.field, place.at, place.page, place.row
        );
    }
    if report.uncertain.len() > LISTED_BREAKS {
        eprintln!("uncertain: {} blanks more; --report lists them all", report.uncertain.len() - LISTED_BREAKS);
    }
    if !report.drift.absent.is_empty() {
        eprintln!("drift: not in this export: {}", report.drift.absent.join(", "));
    }
    if !report.drift.moved.is_empty() {
        eprintln!("drift: in another order: {}", report.drift.moved.join(" | "));
    }
    for renamed in &report.drift.renamed {
        eprintln!("drift: '{}' stands where '{}' is expected", renamed.to, renamed.from);
    }
    if report.unclean > 0 {
        eprintln!(
            "{} pages were not understood to the last token: nothing is deleted because of this report",
            report.unclean
        );
    }
    if !report.drift.unknown.is_empty() {
        eprintln!("drift: unknown columns: {}", report.drift.unknown.join(" | "));
    }
}

/// A record as a JSON object of the fields that the report has, without building one in memory.
struct AsJson<'a> {
    spec: &'a SyncTypeSpec,
    record: &'a Record,
    present: &'a [bool],
}

impl Serialize for AsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let fields = self.spec.fields.iter().zip(&self.record.values).zip(self.present);
        for ((field, value), _) in fields.filter(|(_, present)| **present) {
            match value {
                Value::Null => object.serialize_entry(&field.name, &())?,
                Value::Int(number) => object.serialize_entry(&field.name, number)?,
                Value::Bool(flag) => object.serialize_entry(&field.name, flag)?,
                other => object.serialize_entry(&field.name, &other.canonical())?,
            }
        }
        object.end()
    }
}

fn print(format: Format, spec: &SyncTypeSpec, report: &Report) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let object = |record| AsJson { spec, record, present: &report.present };
    let names = || {
        spec.fields.iter().enumerate().filter(|(field, _)| report.present[*field]).map(|(_, field)| field.name.as_str())
    };
    let texts = |record: &Record| {
        let values = record.values.iter().enumerate().filter(|(field, _)| report.present[*field]);
        values.map(|(_, value)| value.canonical().into_owned()).collect::<Vec<_>>()
    };
    match format {
        Format::Json => {
            writeln!(out, "[")?;
            for (number, record) in report.records.iter().enumerate() {
                let comma = if number + 1 < report.records.len() { "," } else { "" };
                serde_json::to_writer(&mut out, &object(record)).map_err(io::Error::from)?;
                writeln!(out, "{comma}")?;
            }
            writeln!(out, "]")?;
        }
        Format::Jsonl => {
            for record in &report.records {
                serde_json::to_writer(&mut out, &object(record)).map_err(io::Error::from)?;
                writeln!(out)?;
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

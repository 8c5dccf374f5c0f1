//! `lockstep bench-report`: a report of invented rows, for tests and benchmarks.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Exit;
use crate::{pretend_erp, sync_type::SyncTypes};

/// Prints a report of invented rows, as the ERP's grid does.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  lockstep bench-report orders --rows 1000 --out orders.pdf")]
pub(crate) struct BenchReport {
    /// The sync type.
    sync_type: String,
    /// How many rows.
    #[arg(long)]
    rows: usize,
    /// Where to write the PDF.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Other seeds invent other rows, under other keys: one a seed for each agent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the records, as `extract` prints them.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

/// Keys of two seeds are so far apart.
const APART: usize = 20_000;

impl BenchReport {
    /// Runs the command.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn run(&self, types: &SyncTypes) -> anyhow::Result<Exit> {
        let Some(spec) = types.get(&self.sync_type) else {
            eprintln!("there is no sync type '{}'; known are {}", self.sync_type, types.names());
            return Ok(Exit::Usage);
        };
        // seeds of one agent's types go together: links fit
        let first = usize::try_from(self.seed.wrapping_sub(1) % 1_000).unwrap_or(0) * APART;
        let row = |row| pretend_erp::invent_row(types, spec, (first, row), self.seed);
        let records: Vec<_> = (0..self.rows).map(row).collect();
        let pdf = pretend_erp::print(spec, &records, &pretend_erp::Layout::default())?;
        std::fs::write(&self.out, &pdf).with_context(|| format!("cannot write {}", self.out.display()))?;
        if let Some(path) = &self.truth {
            let objects: Vec<_> = records.iter().map(|record| spec.to_json(record, |_| true)).collect();
            std::fs::write(path, serde_json::to_string(&objects)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        eprintln!("{} rows, {} bytes", records.len(), pdf.len());
        Ok(Exit::Done)
    }
}

//! `lockstep why`: why is a record as it is, or not there? Without the server.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;

use super::{Exit, database::with_store, output::say};
use crate::{
    domain::AgentId,
    overview::{self, Known},
    settings::Settings,
    sync_type::{Scope, SyncTypes},
};

/// Says why a record is as it is, or not there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep why orders anna ORD/26000002
  lockstep why products service-account A-100 | jq .because

Sentences on a terminal, one JSON object in a pipe: what GET /api/why answers.")]
pub(crate) struct Why {
    /// The sync type.
    #[arg(value_name = "TYPE")]
    name: String,
    /// The agent; of shared types, whatever stands here.
    agent: String,
    /// The record's key, as it is printed.
    key: String,
}

impl Why {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings or a database that cannot be used.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let types = SyncTypes::load(&settings.sync.types_dir)?;
        let Some(spec) = types.get(&self.name) else {
            eprintln!("there is no sync type '{}'; known are {}", self.name, types.names());
            return Ok(Exit::Usage);
        };
        let agent = match spec.scope {
            Scope::Agent => AgentId::from(self.agent.as_str()),
            Scope::Shared => AgentId::service_account(),
        };
        let answer = with_store(settings, async |store| {
            let timers = settings.scheduler.enabled;
            let known = Known::stored(store, settings.minute(), timers, chrono::Utc::now()).await?;
            Ok(overview::why(store, &known, spec, &agent, &self.key).await?)
        })?;
        if std::io::stdout().is_terminal() {
            for because in &answer.because {
                say!("{}", because.text);
            }
        } else {
            say!("{}", json!(answer));
        }
        Ok(Exit::Done)
    }
}

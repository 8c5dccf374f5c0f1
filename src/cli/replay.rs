//! `lockstep replay`: how would kept reports be read now, and what would the last of them change?

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value as Json, json};

use super::{
    Exit,
    database::{known_agent, known_type, must_exist, open_context},
    output::say,
    progress::Bar,
    sync::{plan_json, sync},
};
use crate::{
    app::Io,
    delta::Plan,
    domain::{AgentId, Reason, RunId},
    settings::Settings,
    store::{KeptReport, Run},
    sync::{Context, preview},
    sync_type::{SyncTypeSpec, spec::Scope},
};

/// Reads the kept reports of a type again, after a change of its file.
///
/// Every kept report is read, and shown beside how it was read then. The one that was applied last is also
/// planned against the stored records; without --dry-run it is applied like an upload, guards and all, but what it
/// misses is not missed a second time because of that. Others are not applied, for they would undo newer ones, unless
/// one is named by its run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep replay --type orders --dry-run
  lockstep replay --type orders --agent anna
  lockstep replay --run 4711 --dry-run

Prints one JSON object a kept report, oldest first, then one for what is (or would be) applied.
Exit: 0 done, 3 with quarantined rows, 4 the last report is refused, 5 held, 6 stopped, 7 the agent is busy")]
pub(crate) struct Replay {
    /// The sync type.
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "run", conflicts_with = "run")]
    name: Option<String>,
    /// Only this agent; all agents otherwise.
    #[arg(long, conflicts_with = "run")]
    agent: Option<String>,
    /// The report of this run alone, however old it is.
    #[arg(long, value_name = "ID")]
    run: Option<i64>,
    /// Write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Replay {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings or a database that cannot be used.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        must_exist(settings)?;
        let io = Io::start()?;
        io.handle().block_on(async {
            let context = open_context(settings, &io, self.dry_run).await?;
            let exit = match self.run {
                Some(run) => self.of_run(settings, &context, &io, RunId(run)).await,
                None => self.of_agents(settings, &context, &io).await,
            };
            context.store.close().await;
            exit
        })
    }

    async fn of_agents(&self, settings: &Settings, context: &Arc<Context>, io: &Io) -> anyhow::Result<Exit> {
        let name = self.name.as_deref().unwrap_or_default();
        let Some(spec) = known_type(context, name) else { return Ok(Exit::Usage) };
        let mut exit = Exit::Done;
        for agent in self.agents(context, &spec).await? {
            let one = self.agent(settings, context, io, &spec, &agent).await?;
            exit = if exit == Exit::Done { one } else { exit };
        }
        Ok(exit)
    }

    async fn of_run(&self, settings: &Settings, context: &Arc<Context>, io: &Io, run: RunId) -> anyhow::Result<Exit> {
        let run = context.store.run(run).await?.with_context(|| format!("there is no run {run}"))?;
        let Some(spec) = known_type(context, run.sync_type.as_str()) else { return Ok(Exit::Usage) };
        let bytes = match context.store.report_of(&run).await? {
            Ok(bytes) => bytes,
            Err(gone) => {
                eprintln!("{gone}");
                return Ok(Exit::Refused);
            }
        };
        self.apply(settings, (context, io), (&spec, &run.agent_id), ("wouldApplyRun", run.id.0), bytes).await
    }

    async fn agents(&self, context: &Context, spec: &SyncTypeSpec) -> anyhow::Result<Vec<AgentId>> {
        if spec.scope == Scope::Shared {
            return Ok(vec![AgentId::service_account()]);
        }
        match &self.agent {
            Some(asked) => Ok(vec![known_agent(&context.store, Some(asked)).await?]),
            None => Ok(context.store.agents().await?.into_iter().map(|agent| agent.id).collect()),
        }
    }

    async fn agent(
        &self,
        settings: &Settings,
        context: &Arc<Context>,
        io: &Io,
        spec: &Arc<SyncTypeSpec>,
        agent: &AgentId,
    ) -> anyhow::Result<Exit> {
        let kept = context.store.kept_reports(&spec.name, agent).await?;
        if kept.is_empty() {
            eprintln!("no {} report of agent {agent} is kept", spec.name);
            return Ok(Exit::Done);
        }
        let bar = Bar::new();
        for (place, report) in kept.iter().enumerate() {
            bar.show("report", place, kept.len());
            let then = match report.run {
                Some(run) => context.store.run(run).await?,
                None => None,
            };
            let bytes = context.store.kept_bytes(report.id).await?;
            let read = preview(context, spec, agent, bytes, true).await;
            bar.clear();
            say!("{}", line(spec, agent, report, then.as_ref(), &read));
        }
        // asked for only now: a service may have applied another meanwhile
        let Some(last) = context.store.last_applied(&spec.name, agent).await? else {
            eprintln!("no {} report of agent {agent} was ever applied: there is nothing to apply again", spec.name);
            return Ok(Exit::Done);
        };
        let kept = context.store.kept_reports(&spec.name, agent).await?;
        let Some(report) = kept.iter().rfind(|report| Some(&report.sha256) == last.document_sha256.as_ref()) else {
            eprintln!(
                "the {} report of agent {agent} that was applied last (run {}) is not kept: sync instead",
                spec.name, last.id
            );
            return Ok(Exit::Refused);
        };
        let bytes = context.store.kept_bytes(report.id).await?;
        self.apply(settings, (context, io), (spec, agent), ("wouldApply", report.id), bytes).await
    }

    /// Applies a report like an upload, or shows what that would do; `name` tells in the answer which report it is.
    async fn apply(
        &self,
        settings: &Settings,
        (context, io): (&Arc<Context>, &Io),
        (spec, agent): (&Arc<SyncTypeSpec>, &AgentId),
        name: (&str, i64),
        bytes: Vec<u8>,
    ) -> anyhow::Result<Exit> {
        if !self.dry_run {
            let again = Some((bytes, Reason::Replay));
            return sync(settings, context, io, spec, agent, again).await.context("the report");
        }
        let (read, plan, verdicts) = match preview(context, spec, agent, bytes, true).await {
            Ok(read) => read,
            Err(problem) => {
                eprintln!("refused: {}: {problem}", problem.code());
                return Ok(Exit::Refused);
            }
        };
        let mut shown = plan_json(&read, &plan, &verdicts);
        shown[name.0] = name.1.into();
        shown["agentId"] = json!(agent);
        say!("{shown}");
        Ok(match (verdicts.is_empty(), read.quarantined.is_empty()) {
            (false, _) => Exit::Held,
            (true, false) => Exit::Quarantined,
            (true, true) => Exit::Done,
        })
    }
}

type Read = Result<(crate::report::Report, Plan, Vec<crate::delta::Verdict>), crate::sync::RunError>;

/// One kept report: how it was read then, and how it is read now.
fn line(spec: &SyncTypeSpec, agent: &AgentId, report: &KeptReport, then: Option<&Run>, read: &Read) -> Json {
    let then = then.map(|run| {
        let counts = &run.counts;
        json!({ "runId": run.id, "outcome": run.outcome, "error": run.error, "read": counts.read,
                "quarantined": counts.quarantined, "skipped": counts.skipped })
    });
    let now = match read {
        Ok((read, _, _)) => json!({ "read": read.rows(), "quarantined": read.quarantined.len(),
                                    "skipped": read.skipped, "drift": read.drift }),
        Err(problem) => json!({ "refused": problem.code(), "error": problem.to_string() }),
    };
    json!({ "report": report.id, "type": spec.name, "agentId": agent, "fetchedAt": report.fetched_at,
            "bytes": report.size, "then": then, "now": now })
}

//! `lockstep sync`: one run without the server, under the same job row and the same exclusion.

use std::{
    io::IsTerminal as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    Exit,
    database::{known_agent, known_type, open_context},
    input,
    output::say,
    progress::Bar,
};
use crate::{
    app::Io,
    delta::{ChangeKind, Line, Plan, Verdict},
    domain::{AgentId, ClaimedJob, Class, Heartbeat, JobId, LeaseWatch, NewJob, Outcome, Reason, Stage},
    report::Report,
    settings::Settings,
    source::{Ask, Fetched, SourceError},
    store::StoreError,
    sync::{Context, RunEnd, RunError, RunJob, Runner, StopHandle, StopReason, Watch, preview},
    sync_type::{SyncTypeSpec, spec::Scope},
};

/// Runs one sync: fetches (or reads the file), plans, applies; prints the counts as JSON.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep sync orders --agent anna
  lockstep sync orders --agent anna --file orders.pdf --dry-run
  lockstep sync orders --agent anna --dry-run --plan | jq .items

Exit: 0 done, 3 with quarantined rows, 4 refused, 5 held, 6 stopped, 7 the agent is busy")]
pub(crate) struct Sync {
    /// The sync type.
    #[arg(value_name = "TYPE")]
    name: String,
    /// For whom; needed for per-agent types.
    #[arg(long)]
    agent: Option<String>,
    /// Read this report instead of fetching one; `-` is standard input.
    #[arg(long, value_name = "PDF")]
    file: Option<PathBuf>,
    /// Print the plan and write nothing: on a terminal for people, in a pipe the keys as JSON.
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: print it as JSON with each record and field, old and new, as GET /api/runs/{id}/plan does.
    #[arg(long, requires = "dry_run")]
    plan: bool,
}

impl Sync {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings, a file or a database that cannot be used.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let io = Io::start()?;
        io.handle().block_on(async {
            let context = open_context(settings, &io, self.dry_run).await?;
            let Some(spec) = known_type(&context, &self.name) else { return Ok(Exit::Usage) };
            let agent = self.agent(settings, &context, &spec).await?;
            let file = match &self.file {
                Some(path) => Some(input::report(path, settings.limits.report_bytes)?),
                None => None,
            };
            let exit = if self.dry_run {
                dry_run(&context, &spec, &agent, file, self.plan).await
            } else {
                sync(settings, &context, &io, &spec, &agent, file.map(|bytes| (bytes, Reason::Upload))).await
            };
            context.store.close().await;
            exit
        })
    }

    async fn agent(&self, settings: &Settings, context: &Context, spec: &SyncTypeSpec) -> anyhow::Result<AgentId> {
        if spec.scope == Scope::Shared {
            return Ok(AgentId::service_account());
        }
        // a dry run has added nobody, but may ask what the first sync would do
        let of_settings = settings.agents.iter().find(|agent| Some(agent.id.as_str()) == self.agent.as_deref());
        if let Some(agent) = of_settings.filter(|_| self.dry_run) {
            return Ok(agent.id.clone());
        }
        known_agent(&context.store, self.agent.as_deref()).await
    }
}

async fn fetch(context: &Context, spec: &SyncTypeSpec, agent: &AgentId) -> Result<Vec<u8>, SourceError> {
    match context.source.fetch(&Ask::report(&spec.name, agent)).await? {
        Fetched::New { bytes, .. } => Ok(bytes),
        Fetched::Unchanged => Err(SourceError::NotAReport("unchanged, which nobody asked".to_owned())),
    }
}

async fn dry_run(
    context: &Context,
    spec: &Arc<SyncTypeSpec>,
    agent: &AgentId,
    file: Option<Vec<u8>>,
    whole: bool,
) -> anyhow::Result<Exit> {
    let bytes = match file {
        Some(bytes) => Ok(bytes),
        None => fetch(context, spec, agent).await.map_err(RunError::from),
    };
    let previewed = match bytes {
        Ok(bytes) => preview(context, spec, agent, bytes, false).await,
        Err(problem) => Err(problem),
    };
    match previewed {
        Ok((report, plan, verdicts)) => {
            let mut told = plan_json(&report, &plan, &verdicts);
            if whole {
                told["items"] = json!(lines(context, spec, agent, &plan).await?);
                say!("{told:#}");
            } else if std::io::stdout().is_terminal() {
                show(&lines(context, spec, agent, &plan).await?, &plan, &verdicts);
            } else {
                say!("{told:#}");
            }
            Ok(match (verdicts.is_empty(), report.quarantined.is_empty()) {
                (false, _) => Exit::Held,
                (true, false) => Exit::Quarantined,
                (true, true) => Exit::Done,
            })
        }
        Err(problem) => {
            eprintln!("refused: {}: {problem}", problem.code());
            Ok(Exit::Refused)
        }
    }
}

/// What a plan does to each record.
async fn lines(context: &Context, spec: &SyncTypeSpec, agent: &AgentId, plan: &Plan) -> Result<Vec<Line>, StoreError> {
    let all = (0, plan.size());
    let stored = context.store.replaced(spec, agent, plan.replaced_at(all.0, all.1)).await?;
    Ok(plan.lines(spec, all, |key| stored.get(key)))
}

/// A plan as a person reads it: what is new, what changes from what to what, what is gone.
fn show(lines: &[Line], plan: &Plan, verdicts: &[Verdict]) {
    let shown = |value: &Json| value.as_str().map_or_else(|| value.to_string(), |text| format!("'{text}'"));
    for line in lines {
        let sign = match line.action {
            "insert" | "restore" => '+',
            "missing" | "delete" => '-',
            _ => '~',
        };
        say!("{sign} {} {}", line.key, line.action);
        for field in &line.fields {
            let old = if field.old.is_null() { String::new() } else { format!("{} -> ", shown(&field.old)) };
            say!("    {}: {old}{}", field.field, shown(&field.new));
        }
    }
    say!("{} records would be written, {} stay as they are", plan.size(), plan.unchanged);
    for verdict in verdicts {
        say!("held: {}", verdict.text);
    }
}

/// What a run would do, by key.
pub(super) fn plan_json(report: &Report, plan: &Plan, verdicts: &[Verdict]) -> Json {
    let keys =
        |kind| plan.changes.iter().filter(|change| change.kind == kind).map(|c| c.key.as_str()).collect::<Vec<_>>();
    json!({
        "read": report.rows(),
        "insert": keys(ChangeKind::Insert),
        "update": keys(ChangeKind::Update),
        "refresh": keys(ChangeKind::Refresh),
        "restore": keys(ChangeKind::Restore),
        "unchanged": plan.unchanged,
        "missing": plan.missing,
        "delete": plan.deleted,
        "quarantined": report.quarantined,
        "skipped": report.skipped,
        "drift": report.drift,
        "held": verdicts,
        "digest": plan.digest(),
    })
}

pub(super) async fn sync(
    settings: &Settings,
    context: &Arc<Context>,
    io: &Io,
    spec: &Arc<SyncTypeSpec>,
    agent: &AgentId,
    file: Option<(Vec<u8>, Reason)>,
) -> anyhow::Result<Exit> {
    let owner = context.owner.clone();
    let mut job = spec.job(agent, Reason::Manual);
    job.by = Some(super::token::cause());
    if let Some((bytes, reason)) = file {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        job.dedup_key = Some(format!("{}:{agent}:{sha256}", spec.name));
        job.reason = reason;
        job.document = Some(context.store.keep_document(bytes, context.clock.now()).await?);
    }
    let document = job.document;
    let claimed = claim(settings, context, &job, &owner).await?;
    if let Some(unused) = document.filter(|_| claimed.as_ref().and_then(|claimed| claimed.document) != document) {
        context.store.drop_document(unused).await?;
    }
    let Some(claimed) = claimed else {
        let shut_out = shut_out(context, agent).await?;
        eprintln!("{}", shut_out.unwrap_or_else(|| format!("agent {agent} is busy with another job")));
        return Ok(Exit::Busy);
    };
    let end = run_alive(settings, context, io, claimed, owner).await;
    if let Some(trouble) = &end.not_recorded {
        bail!("the end of the run could not be stored: {trouble}");
    }
    say!(
        "{:#}",
        json!({ "runId": end.run, "outcome": end.outcome, "stage": end.stage, "error": end.error, "counts": end.counts })
    );
    if let Some(error) = &end.error {
        eprintln!("{}: {error}", end.outcome.as_str());
    }
    Ok(match end.outcome {
        Outcome::Succeeded | Outcome::Unchanged => Exit::Done,
        Outcome::SucceededWithQuarantine => Exit::Quarantined,
        Outcome::Held => Exit::Held,
        Outcome::Stopped => Exit::Stopped,
        Outcome::Failed { .. } => Exit::Refused,
        Outcome::TimedOut
        | Outcome::Panicked
        | Outcome::Lost
        | Outcome::Removed
        | Outcome::Skipped
        | Outcome::Doubtful => Exit::Failed,
    })
}

/// What keeps every job of this agent from starting, in words.
async fn shut_out(context: &Context, agent: &AgentId) -> anyhow::Result<Option<String>> {
    let now = context.clock.now();
    if let Some(pause) = context.store.pause().await?.filter(|pause| pause.holds(now)) {
        return Ok(Some(format!("{} paused the service: {}", pause.by, pause.reason)));
    }
    let open = context.store.breakers(now).await?.into_iter().filter(|one| one.agent_id == *agent);
    let until = open.filter_map(|one| one.breaker.open_until()).find(|until| *until > now);
    let text = |until| format!("the source failed for agent {agent} again and again; it is tried again at {until}");
    Ok(until.map(text))
}

/// Claims the job. Where the agent is busy, looks whether the process that holds it still lives, and
/// takes its job over if its heartbeat stands still for a whole lease.
async fn claim(
    settings: &Settings,
    context: &Context,
    job: &NewJob,
    owner: &str,
) -> anyhow::Result<Option<ClaimedJob>> {
    let lease = Duration::from_millis(settings.queue.lease_ms);
    let started = Instant::now();
    let mut watch = LeaseWatch::default();
    let mut first: Option<Vec<Heartbeat<JobId>>> = None;
    loop {
        if let Some(claimed) = context.store.enqueue_claimed(job.clone(), owner.to_owned(), context.clock.now()).await?
        {
            return Ok(Some(claimed));
        }
        if shut_out(context, &job.agent).await?.is_some() {
            return Ok(None);
        }
        let active = context.store.heartbeat(owner.to_owned(), Vec::new(), context.clock.now()).await?.active;
        for dead in watch.observe(started.elapsed(), lease, &active) {
            context.store.rescue(dead, context.clock.now()).await?;
        }
        let seen = first.get_or_insert_with(|| active.clone());
        if !active.is_empty() && active.iter().all(|beat| !seen.contains(beat)) {
            // every job that was running then is alive, or over and followed by another
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(settings.queue.heartbeat_ms.min(500))).await;
    }
}

/// Runs the job, with heartbeats, and stops it on Ctrl-C and when its row says so.
async fn run_alive(settings: &Settings, context: &Arc<Context>, io: &Io, job: ClaimedJob, owner: String) -> RunEnd {
    let stop = StopHandle::default();
    let (held, reason, force) = (job.held(), job.reason, job.force);
    let runner = Runner::new(context.clone(), io.handle()).once();
    let watch = Watch::default();
    let run = runner.run(job, stop.clone(), watch.clone());
    tokio::pin!(run);
    let bar = Bar::new();
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut beat = tokio::time::interval(Duration::from_millis(settings.queue.heartbeat_ms));
    loop {
        tokio::select! {
            end = &mut run => {
                bar.clear();
                return end;
            }
            _ = look.tick() => {
                let progress = watch.progress();
                let what = if progress.stage == Some(Stage::Read) { "page" } else { "record" };
                bar.show(what, progress.done, progress.total);
            }
            _ = tokio::signal::ctrl_c() => stop.stop(StopReason::Asked),
            _ = beat.tick() => match context.store.heartbeat(owner.clone(), vec![held], context.clock.now()).await {
                Ok(heard) => {
                    let is_paused = heard.pause.is_some_and(|pause| !pause.drain && pause.stops(Class::Sync, reason, force));
                    if heard.stop.contains(&held) || heard.lost.contains(&held) {
                        stop.stop(StopReason::Asked);
                    } else if heard.preempt.contains(&held) {
                        // the service carries it on once the write is done
                        stop.stop(StopReason::Preempted);
                    } else if is_paused {
                        stop.stop(StopReason::Shutdown);
                    }
                }
                Err(error) => tracing::error!(%error, "no heartbeat could be sent"),
            },
        }
    }
}

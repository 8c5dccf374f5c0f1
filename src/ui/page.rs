//! What is on the page? What runs, what changed, what waits for a person and why.

use maud::{DOCTYPE, Markup, html};

use super::session::Visitor;
use crate::{
    api::{Api, Problem},
    domain::{AgentId, Class, JobState, Outcome, RunId, SyncType, Timestamp},
    overview::{self, Item, Kind, Severity},
    report::Quarantined,
    scheduler::Snapshot as ScheduleState,
    store::{Job, JobQuery, Run, RunQuery},
    sync::{self, Running},
};

/// Runs that are looked through for what is new.
const RUNS: u64 = 60;
/// Agents that are shown.
const AGENTS: usize = 50;
/// Lines of a list.
const LINES: usize = 12;

/// Everything on the overview.
pub(crate) struct Overview {
    now: Timestamp,
    agents: Vec<AgentId>,
    more_agents: usize,
    types: Vec<Row>,
    holds: Vec<Run>,
    /// What else needs a person, and how many problems there are with the held reports.
    attention: Vec<Item>,
    problems: usize,
    quarantine: Vec<(Run, Quarantined)>,
    operations: Vec<Job>,
    changes: Vec<Run>,
    waiting: i64,
    auto_sync: bool,
    pause: Option<String>,
}

/// One sync type, and its last run for each agent.
struct Row {
    sync_type: SyncType,
    cells: Vec<Cell>,
}

struct Cell {
    agent: AgentId,
    last: Option<Run>,
    /// Rows that are in quarantine, and the run whose report has them.
    quarantined: u64,
    records_run: Option<RunId>,
    running: Option<Running>,
}

impl Overview {
    /// Looks at everything, as it is now.
    ///
    /// # Errors
    /// [`Problem`] if the database or an actor cannot be asked.
    pub(crate) async fn look(api: &Api) -> Result<Self, Problem> {
        let store = &api.context.store;
        let active = store.agents().await?.into_iter().filter(|agent| agent.active);
        let mut agents: Vec<AgentId> = active.map(|agent| agent.id).collect();
        let more_agents = agents.len().saturating_sub(AGENTS);
        agents.truncate(AGENTS);
        let mut types = Vec::new();
        for spec in api.context.types.iter() {
            let running = match api.syncs.get(&spec.name) {
                Some(sync) => sync.send(sync::Snapshot).await?,
                None => Vec::new(),
            };
            let mut cells = Vec::new();
            for agent in api.agents_for(spec, None).await?.into_iter().take(AGENTS) {
                let last = store.last_run(&spec.name, &agent).await?;
                let running = running.iter().find(|one| one.agent_id == agent).cloned();
                let state = store.sync_state(&spec.name, &agent).await?;
                let quarantined = state.as_ref().map_or(0, |state| state.quarantined);
                let records_run = state.and_then(|state| state.records_run);
                cells.push(Cell { agent, last, quarantined, records_run, running });
            }
            types.push(Row { sync_type: spec.name.clone(), cells });
        }
        let mut holds = Vec::new();
        for hold in store.open_holds().await? {
            holds.extend(store.run(hold.run).await?);
        }
        let told = overview::Overview::of(&api.look().await?).attention;
        let recent = store.runs(RunQuery { ended: true, limit: RUNS, ..RunQuery::default() }).await?;
        let mut operations = Vec::new();
        for class in [Class::Write, Class::Download] {
            let wanted = JobQuery { class: Some(class), limit: LINES as u64, ..JobQuery::default() };
            operations.extend(store.jobs(wanted).await?);
        }
        operations.sort_by_key(|job| std::cmp::Reverse(job.id));
        operations.truncate(LINES);
        let waiting =
            store.job_counts().await?.iter().filter(|(_, state, _)| *state != JobState::Active).map(|(.., n)| n).sum();
        let pause = store
            .pause()
            .await?
            .filter(|pause| pause.holds(api.context.clock.now()))
            .map(|pause| format!("{} paused everything: {}", pause.by, pause.reason));
        Ok(Self {
            now: api.context.clock.now(),
            quarantine: quarantine(api, &types).await?,
            agents,
            more_agents,
            types,
            holds,
            problems: told.iter().filter(|item| item.severity == Severity::Problem).count(),
            // those have places of their own
            attention: told.into_iter().filter(|item| !matches!(item.kind, Kind::Held | Kind::Quarantine)).collect(),
            operations,
            changes: recent.into_iter().filter(changed).take(LINES).collect(),
            waiting,
            auto_sync: api.scheduler.send(ScheduleState).await?.running,
            pause,
        })
    }

    /// The page, for this visitor.
    #[must_use]
    pub(crate) fn render(&self, visitor: &Visitor) -> Markup {
        let running = self.types.iter().flat_map(|row| &row.cells).filter(|cell| cell.running.is_some()).count();
        let button = |what: &str, text: &str, run: Option<RunId>| {
            html! {
                form method="post" action={ "/act/" (what) } {
                    input type="hidden" name="form_key" value=(visitor.form_key);
                    @if let Some(run) = run { input type="hidden" name="run" value=(run); }
                    button type="submit" { (text) }
                }
            }
        };
        let body = html! {
            header {
                h1 { "lockstep" }
                p role="status" {
                    @match &self.pause {
                        Some(pause) => strong.wait { (pause) },
                        None if self.problems == 1 => strong.bad { "1 thing needs you" },
                        None if self.problems > 1 => strong.bad { (self.problems) " things need you" },
                        None if running > 0 => strong { (running) " syncs running" },
                        None if self.auto_sync => strong { "Waiting for the next sync" },
                        None => strong.wait { "Automatic syncs are off" },
                    }
                    ", " (self.waiting) " jobs wait. " (self.now.format("%H:%M:%S")) " UTC"
                }
                (button("sync", "Sync all now", None))
                (button("stop", "Stop syncs", None))
                form method="post" action="/logout" {
                    input type="hidden" name="form_key" value=(visitor.form_key);
                    button type="submit" { "Log out" }
                }
            }
            @if !self.attention.is_empty() { h2 { "Look at this" } (self.attention()) }
            @if !self.holds.is_empty() {
                h2 { "Held: nothing was changed, please decide" }
                @for run in &self.holds { (held(run, self.now, &button)) }
            }
            h2 { "Sync types by agent" }
            div.scroll { (self.table()) }
            @if self.more_agents > 0 { p { "And " (self.more_agents) " agents more: GET /api/sync/status." } }
            h2 { "What changed last" }
            (self.changed())
            h2 { "Sent to the ERP, and fetched from it" }
            (self.operated())
            h2 { "Quarantine: rows that did not fit, and are not stored" }
            (self.quarantined())
        };
        page("lockstep", true, &body)
    }

    fn table(&self) -> Markup {
        html! {
            table {
                thead { tr {
                    th scope="col" { "Type" }
                    @for agent in &self.agents { th scope="col" { (agent) } }
                } }
                tbody {
                    @for row in &self.types {
                        tr {
                            th scope="row" { (row.sync_type) }
                            @if row.cells.len() == 1 && row.cells[0].agent == AgentId::service_account() {
                                td colspan=(self.agents.len().max(1)) { (cell(&row.cells[0], self.now)) small { "shared by all agents" } }
                            } @else {
                                @for one in &row.cells { td { (cell(one, self.now)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn attention(&self) -> Markup {
        html! {
            table { tbody {
                @for item in self.attention.iter().take(LINES) {
                    tr {
                        td {
                            @if let Some(name) = &item.sync_type { (name) }
                            @if let Some(agent) = &item.agent { " of " (agent) }
                            @if let Some(model) = &item.model { (model) }
                        }
                        td { (item.text) }
                        td { (item.since.map(|since| ago(Some(since), self.now)).unwrap_or_default()) }
                    }
                }
            } }
            @if self.attention.len() > LINES { p { "And " (self.attention.len() - LINES) " more: GET /api/attention." } }
        }
    }

    fn changed(&self) -> Markup {
        html! {
            @if self.changes.is_empty() { p { "Nothing yet." } }
            table { tbody {
                @for run in &self.changes {
                    tr {
                        td { (ago(run.finished_at, self.now)) }
                        td { (run.sync_type) " of " (run.agent_id) }
                        td { (counts(run)) }
                        td { "run " (run.id) ", " (run.duration_ms.unwrap_or_default()) " ms" }
                    }
                }
            } }
        }
    }

    fn operated(&self) -> Markup {
        html! {
            @if self.operations.is_empty() { p { "Nothing yet." } }
            table { tbody {
                @for job in &self.operations {
                    tr {
                        td { (ago(Some(job.enqueued_at), self.now)) }
                        td { (job.job_type) " for " (job.agent_id) }
                        td { (badge(job.outcome, job.state.as_str())) @if let Some(error) = &job.error { small { (error) } } }
                        td { "job " (job.id) }
                    }
                }
            } }
        }
    }

    fn quarantined(&self) -> Markup {
        html! {
            @if self.quarantine.is_empty() { p { "Empty." } }
            table { tbody {
                @for (run, row) in &self.quarantine {
                    tr {
                        td { (run.sync_type) " of " (run.agent_id) small { "run " (run.id) } }
                        td { "page " (row.page) ", row " (row.row) @if let Some(key) = &row.key { small { "record " (key) } } }
                        td { (row.column) ": " code { (row.text) } }
                        td { (row.why) }
                    }
                }
            } }
        }
    }
}

/// The quarantined rows of the last report of each type and agent that was applied.
async fn quarantine(api: &Api, types: &[Row]) -> Result<Vec<(Run, Quarantined)>, Problem> {
    let mut found = Vec::new();
    for cell in types.iter().flat_map(|row| &row.cells) {
        let run = match cell.records_run.filter(|_| cell.quarantined > 0) {
            Some(id) => api.context.store.run(id).await?,
            None => None,
        };
        if let Some(run) = run {
            let rows = api.context.store.quarantined(run.id).await?;
            found.extend(rows.into_iter().take(LINES).map(|row| (run.clone(), row)));
        }
    }
    found.sort_by_key(|(run, _)| std::cmp::Reverse(run.id));
    found.truncate(LINES);
    Ok(found)
}

fn changed(run: &Run) -> bool {
    run.counts.wrote() || run.counts.missing > 0 || run.counts.deleted > 0
}

fn held(run: &Run, now: Timestamp, button: &dyn Fn(&str, &str, Option<RunId>) -> Markup) -> Markup {
    html! {
        div.card {
            strong { (run.sync_type) " of " (run.agent_id) }
            p { (run.error.as_deref().unwrap_or("A guard holds it.")) " (run " (run.id) ", " (ago(run.finished_at, now)) ")" }
            (button("approve", "Approve: apply it", Some(run.id)))
            " "
            (button("reject", "Reject: drop it", Some(run.id)))
        }
    }
}

fn cell(cell: &Cell, now: Timestamp) -> Markup {
    html! {
        @if let Some(running) = &cell.running {
            @let progress = &running.progress;
            strong { @match progress.stage { Some(stage) => (stage.as_str()), None => "starting" } }
            @if progress.total > 0 { " " (progress.done) " of " (progress.total) }
        } @else {
            @match &cell.last {
                Some(run) => {
                    (badge(run.outcome, "running"))
                    @if cell.quarantined > 0 && cell.records_run != Some(run.id) {
                        " " span.wait { (cell.quarantined) " in quarantine" }
                    }
                }
                None => { "not yet" }
            }
        }
        @if let Some(run) = &cell.last {
            small { (ago(run.finished_at, now)) @if run.counts.read > 0 { ": " (counts(run)) } }
            @if let Some(error) = run.error.as_ref().filter(|_| run.outcome != Some(Outcome::Held)) { small { (error) } }
        }
    }
}

fn counts(run: &Run) -> Markup {
    let counts = &run.counts;
    let parts: Vec<String> = [
        (counts.inserted, "new"),
        (counts.updated, "changed"),
        (counts.refreshed, "refreshed"),
        (counts.restored, "back"),
        (counts.missing, "missing"),
        (counts.deleted, "deleted"),
        (counts.quarantined, "in quarantine"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    html! { (counts.read) " rows" @if !parts.is_empty() { ", " (parts.join(", ")) } }
}

/// How it ended; of what has not, where it is.
fn badge(outcome: Option<Outcome>, otherwise: &'static str) -> Markup {
    let class = match outcome {
        Some(Outcome::Succeeded | Outcome::Unchanged) => "good",
        Some(outcome) if outcome.is_failure() => "bad",
        Some(_) | None => "wait",
    };
    html! { span class=(class) { (outcome.map_or(otherwise, Outcome::as_str).replace('_', " ")) } }
}

fn ago(moment: Option<Timestamp>, now: Timestamp) -> String {
    let Some(moment) = moment else { return "now".to_owned() };
    match (now - moment).num_seconds() {
        ..=0 => "just now".to_owned(),
        seconds @ 1..=119 => format!("{seconds} s ago"),
        seconds @ 120..=7199 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

fn page(title: &str, refresh: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if refresh { meta http-equiv="refresh" content="2"; }
                title { (title) }
                link rel="stylesheet" href="/style.css";
            }
            body { (body) }
        }
    }
}

/// Asks for a token.
pub(crate) fn login(said: Option<&str>) -> Markup {
    let body = html! {
        main.login {
            h1 { "lockstep" }
            @if let Some(said) = said { p.bad role="alert" { (said) } }
            form method="post" action="/login" {
                label for="token" { "An admin's token" }
                input id="token" name="token" type="password" autocomplete="current-password" required;
                button type="submit" { "Log in" }
            }
        }
    };
    page("lockstep: log in", false, &body)
}

/// Says what was wrong.
pub(crate) fn problem(text: &str) -> Markup {
    page(
        "lockstep: not done",
        false,
        &html! { main.login { h1 { "Not done" } p.bad role="alert" { (text) } p { a href="/" { "Back" } } } },
    )
}

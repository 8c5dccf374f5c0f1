//! What did one run do, when, and with what? Its times, its counts, its changes, and its plan while it is held.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    change::change_line,
    columns::changed,
    counts::{counts, did},
    crumbs::crumbs,
    here::Here,
    plan::plan,
    quarantined::rows,
    runs::of_run,
    shell::Frame,
    taught::unread,
    timeline::timeline,
    words::{clock, icon, link, name, outcome, sentence, type_name, whose},
};
use crate::{
    api::{Api, Problem},
    domain::{Hold, JobState, LogLine, Outcome, Role, RunId},
    store::{ChangeQuery, Job, JobQuery, Run, RunQuery},
};

const CHANGES: u64 = 100;
/// Pages of its report that are linked one by one.
const PAGES: u64 = 12;
/// Jobs that are shown as what a run started.
const STARTED: u64 = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    from: usize,
}

/// `GET /runs/{id}`
pub(super) async fn one(
    api: web::Data<Api>,
    request: HttpRequest,
    id: web::Path<RunId>,
    query: web::Query<From>,
) -> HttpResponse {
    Frame::answer_titled(&api, &request, Here::Runs, async |frame| body(frame, *id, query.from).await).await
}

async fn body(frame: &Frame, id: RunId, from: usize) -> Result<(String, Markup), Problem> {
    let store = &frame.api.context.store;
    let run = store.run(id).await?.filter(|run| frame.caller.sees(&run.agent_id));
    let Some(run) = run else { return Err(Problem::not_found("unknown_run", format!("there is no run {id}"))) };
    let job = store.job(run.job_id).await?;
    let quarantined = if run.counts.quarantined > 0 { store.quarantined(run.id).await? } else { Vec::new() };
    let of_run_alone = ChangeQuery { run: Some(run.id), limit: CHANGES, ..ChangeQuery::default() };
    let changes = store.changes(of_run_alone).await?;
    let spec = frame.known.types.get(run.sync_type.as_str()).cloned();
    let looked = match (&spec, run.hold) {
        // its script asks again and again: the plan is what was there when somebody opened the page
        (Some(spec), Some(Hold::Open)) if !frame.is_live => Some(frame.api.planned(spec, &run).await),
        _ => None,
    };
    let is_running = run.outcome.is_none();
    let title = format!("{}, run {}", of_run(&run), run.id);
    let has_report = store.has_report(&run).await?;
    let log = store.log_of(run.id).await?;
    let attempts = match &job {
        Some(job) if job.attempt > 1 => {
            let all = store.runs(RunQuery { job: Some(job.id), limit: STARTED, ..RunQuery::default() }).await?;
            all.into_iter().filter(|other| other.id != run.id).collect()
        }
        _ => Vec::new(),
    };
    let started = match &job {
        Some(job) => {
            let root = Some(job.root_job_id.unwrap_or(job.id));
            store.jobs(JobQuery { root, parent: Some(job.id), limit: STARTED, ..JobQuery::default() }).await?
        }
        None => Vec::new(),
    };
    let (own, agent) = (run.sync_type.as_str(), run.agent_id.as_str());
    let way = [
        ("/runs".to_owned(), html! { "Runs" }),
        (link("/runs", &[("type", own)]), html! { (type_name(&run.sync_type)) }),
        (link("/runs", &[("type", own), ("agent", agent)]), name(agent)),
    ];
    let decision = match &looked {
        None => html! {},
        Some(Err(wrong)) => {
            html! {
                section.card.pad {
                    p { (icon("refused")) " The plan cannot be made now: " code { (wrong.code()) } " " (wrong.detail()) }
                }
            }
        }
        Some(Ok(planned)) => plan(frame, &run, planned, from).await?,
    };
    Ok((
        title,
        html! {
            div.head {
                div {
                    (crumbs(frame, &way, &html! { (run.id) }))
                    h1 { (whose(&run.sync_type, &run.agent_id)) }
                    p.lead data-live="lead" {
                        @match &run.error {
                            Some(error) => (sentence(error)),
                            None if is_running => "It is under way.",
                            None => (did(&run)),
                        }
                    }
                }
                div.row data-live="stands" {
                    (outcome(run.outcome))
                    @if is_running {
                        button.b type="button" data-switch="tell" data-runs="" hidden { "Tell me when it ends" }
                    }
                    @if run.hold == Some(Hold::Open) {
                        a.b href=(frame.path(&format!("/runs/{}?from={from}#plan", run.id))) { "See the plan" }
                    }
                    @if frame.may(Role::Operator) && frame.caller.touches(&run.agent_id) {
                        @if is_running {
                            ({
                                frame
                                    .sure(
                                        "stop-job",
                                        &[("job", &run.job_id.to_string())],
                                        "Stop it",
                                        &html! {
                                            "It stops before its next ten rows. What is stored stays; the rest comes with the next sync."
                                        },
                                    )
                            })
                        } @else {
                            (again(frame, &run, has_report))
                        }
                    }
                }
            }
            (timeline(frame, &run, job.as_ref()))
            (decision)
            @if let Some(Json::Object(notes)) = &run.notes { (changed(spec.as_deref(), notes)) (unread(frame, spec.as_deref(), &run)) }
            div.two {
                div.gap {
                    @if !quarantined.is_empty() {
                        section #quarantine.card aria-labelledby="h-q" {
                            header {
                                h2 #h-q { "Rows that did not fit, and are not stored" }
                                span.cnt { (quarantined.len()) }
                            }
                            (rows(frame, has_report.then_some(run.id), &quarantined))
                        }
                    }
                    section.card data-live="changes" aria-labelledby="h-c" {
                        header {
                            h2 #h-c {
                                @if is_running { "What it has changed so far" } @else { "What it changed" }
                            }
                        }
                        @if changes.is_empty() {
                            p.pad.m {
                                @if run.outcome == Some(Outcome::Held) { "Nothing was written." } @else {
                                    "Nothing that is kept: a first report, or one that says what was stored already."
                                }
                            }
                        } @else {
                            table.stack.mini {
                                tbody {
                                    @for change in &changes { (change_line(frame, change, false)) }
                                }
                            }
                            @if changes.len() as u64 == CHANGES {
                                div.pager {
                                    span { "The newest " (CHANGES) "." }
                                    a.b href=({
                                        frame
                                            .path(&format!("/api/runs/{}/changes?limit=500", run.id))
                                    }) { "As JSON" }
                                }
                            }
                        }
                    }
                    // what is there once it has ended comes without a reload, too
                    div data-live="log" hidden[log.is_empty()] { (log_of(&log)) }
                }
                div.gap {
                    (counts(&run))
                    div.gap data-live="after" hidden[attempts.is_empty() && started.is_empty()] {
                        (others(frame, &attempts))
                        (begun(frame, &started))
                    }
                    section.card.pad.gap data-live="about" aria-labelledby="h-a" {
                        h2 #h-a { "About it" }
                        dl.kv {
                            dt { "Asked for by" }
                            dd {
                                @match job.as_ref().and_then(|job| job.requested_by.as_ref()) {
                                    Some(who) => bdi { (who) },
                                    None => (run.reason.as_str()),
                                }
                            }
                            dt { "Job" }
                            dd {
                                a href=(frame.path(&format!("/api/jobs/{}", run.job_id))) { (run.job_id) }
                                @if let Some(job) = &job {
                                    ", "
                                    (job.state.as_str())
                                    ", attempt "
                                    (job.attempt)
                                    " of "
                                    (job.max_attempts)
                                }
                            }
                            @if let Some(code) = &run.error_code {
                                dt { "Code" }
                                dd {
                                    code { (code) }
                                }
                            }
                            @if let Some(hold) = run.hold {
                                dt { "Hold" }
                                dd { (hold.as_str()) }
                            }
                            @if has_report {
                                dt { "Report" }
                                dd {
                                    a href=(frame.path(&format!("/api/runs/{}/document", run.id))) {
                                        "the PDF"
                                    }
                                    " · "
                                    @for page in 1..=pages_of(&run).min(PAGES) {
                                        @if page > 1 { " " }
                                        a href=(frame.path(&format!("/api/runs/{}/pages/{page}.svg", run.id))) {
                                            @if page == 1 { "page 1 as it was read" } @else { (page) }
                                        }
                                    }
                                    @if pages_of(&run) > PAGES { " …" }
                                }
                            }
                            dt { "As JSON" }
                            dd {
                                a href=(frame.path(&format!("/api/runs/{}", run.id))) { "run " (run.id) }
                            }
                        }
                        @if {
                            job.as_ref()
                                .is_some_and(|job| job.state == JobState::Delayed)
                        } {
                            p.note { "It is tried again by itself." }
                        }
                    }
                    @if let Some(Json::Object(notes)) = &run.notes {
                        @let others: Map<String, Json> =
                            notes.iter().filter(|(name, _)| *name != "layoutChange").map(|(name, note)| (name.clone(), note.clone())).collect();
                        @if !others.is_empty() {
                            section.card.pad.gap {
                                h2 { "Notes of the reader" }
                                pre.log tabindex="0" {
                                    (serde_json::to_string_pretty(&others).unwrap_or_default())
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

/// What whoever looks at a run that is over may ask for.
fn again(frame: &Frame, run: &Run, has_report: bool) -> Markup {
    let of = [("type", run.sync_type.as_str()), ("agent", run.agent_id.as_str())];
    let [of_type, of_agent] = of;
    html! {
        (frame.button("sync", &of, "", &html! { "Sync it now" }))
        @if run.hold == Some(Hold::Open) {
            // its report waits for a decision: that is how it is applied
        } @else if has_report && frame.may(Role::Admin) {
            (frame.sure("reapply", &[("run", &run.id.to_string())], "Apply its report again", &html! {
                "The report of this run is read as its type is now, and applied through all guards. Newer values may become older ones."
            }))
        } @else {
            (frame.button("sync", &[of_type, of_agent, ("force", "true")], "", &html! { "Read it anew" }))
        }
    }
}

/// How many pages its report has, as far as that was noted.
fn pages_of(run: &Run) -> u64 {
    run.notes.as_ref().and_then(|notes| notes["pages"].as_u64()).unwrap_or(1).max(1)
}

/// The other attempts of its job.
fn others(frame: &Frame, attempts: &[Run]) -> Markup {
    html! {
        @if !attempts.is_empty() {
            section.card.pad.gap aria-labelledby="h-att" {
                h2 #h-att { "Other attempts" }
                ul {
                    @for run in attempts {
                        li {
                            a href=(frame.path(&format!("/runs/{}", run.id))) { "attempt " (run.attempt) }
                            ", "
                            (outcome(run.outcome))
                            " "
                            (clock(run.started_at, frame.now()))
                        }
                    }
                }
            }
        }
    }
}

/// What follows from it.
fn begun(frame: &Frame, started: &[Job]) -> Markup {
    html! {
        @if !started.is_empty() {
            section.card.pad.gap aria-labelledby="h-s" {
                h2 #h-s { "What it started" }
                ul {
                    @for job in started {
                        li {
                            a href=(frame.path(&format!("/api/jobs/{}", job.id))) { (type_name(&job.job_type.as_str().into())) }
                            ", "
                            @match job.outcome {
                                Some(end) => (outcome(Some(end))),
                                None => (job.state.as_str()),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What its log says; the end of it is what the whole service's log says of it, too.
fn log_of(lines: &[LogLine]) -> Markup {
    html! {
        @if !lines.is_empty() {
            details #lines.card.rec {
                summary {
                    (icon("chev"))
                    b { "Log lines" }
                    span.m { (lines.len()) }
                }
                pre.log tabindex="0" {
                    @for line in lines {
                        (line.at.format("%H:%M:%S%.3f"))
                        " "
                        (format!("{:<5}", line.level))
                        " "
                        (line.text)
                        "\n"
                    }
                }
            }
        }
    }
}

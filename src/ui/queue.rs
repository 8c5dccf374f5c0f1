//! What waits, what runs, and why? The queue, and what was asked of the ERP.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    here::Here,
    home::running,
    shell::Frame,
    words::{ago, clock, icon, name, of, outcome, type_name, whose, why},
};
use crate::{
    api::{Api, Problem},
    domain::{Class, JobState, Role},
    store::{Job, JobQuery},
};

const JOBS: u64 = 50;

/// `GET /queue`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::Queue, async |frame| body(frame).await).await
}

async fn body(frame: &Frame) -> Result<Markup, Problem> {
    let store = &frame.api.context.store;
    let mut waiting = Vec::new();
    for state in [JobState::Waiting, JobState::Delayed, JobState::Kept] {
        let wanted = JobQuery { state: Some(state), agents: frame.caller.seen(), limit: JOBS, ..JobQuery::default() };
        waiting.extend(store.jobs(wanted).await?);
    }
    waiting.sort_by_key(|job| (job.class as u8, std::cmp::Reverse(job.priority), job.due_at));
    let mut operations = Vec::new();
    for class in [Class::Write, Class::Download] {
        let wanted = JobQuery { class: Some(class), agents: frame.caller.seen(), limit: 20, ..JobQuery::default() };
        operations.extend(store.jobs(wanted).await?);
    }
    operations.sort_by_key(|job| std::cmp::Reverse(job.id));
    let runs = frame.known.runs.len() as u64;
    Ok(html! {
        div.head {
            div data-live="headline" {
                h1 { (of(runs, "job runs", "jobs run")) ", " (frame.waiting.max(0)) " wait" }
                p.lead { "Writes go before downloads, downloads before syncs. Of an agent, one job runs at a time." }
            }
            @if frame.may_all(Role::Operator) {
                div.row {
                    ({
                        frame
                            .sure(
                                "stop",
                                &[],
                                "Stop all syncs",
                                &html! {
                                    "Running syncs stop before their next ten rows; what is stored stays. Waiting syncs are removed, and come back at their next interval."
                                },
                            )
                    })
                }
            }
        }
        (running(frame))
        @if frame.may_all(Role::Operator) && frame.known.pause.is_none() {
            section #pause.card.pad aria-labelledby="h-p" {
                h2 #h-p { "Pause" }
                form.row method="post" action=(frame.path("/act/pause")) {
                    (frame.keys())
                    label {
                        span { "Why" }
                        input name="reason" required maxlength="500" size="28" placeholder="stocktaking";
                    }
                    label {
                        span { "For" }
                        select name="minutes" {
                            option value="30" { "half an hour" }
                            option value="60" { "an hour" }
                            option value="240" { "4 hours" }
                            option value="" { "until somebody resumes" }
                        }
                    }
                    label.opt {
                        input type="checkbox" name="emergency" value="true";
                        "writes too: nothing starts at all"
                    }
                    button.b { "Pause" }
                }
            }
        }
        section.card data-live="waiting" aria-labelledby="h-w" {
            header {
                h2 #h-w { "Waiting" }
                span.cnt { (waiting.len()) }
            }
            @if waiting.is_empty() {
                p.pad.m { "Nothing waits." }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "Job" }
                            th scope="col" { "Why it waits" }
                            th.n scope="col" { "Priority" }
                            th.n scope="col" { "Since" }
                            th scope="col" {
                                span.vh { "Actions" }
                            }
                        }
                    }
                    tbody {
                        @for job in &waiting { (waits(frame, job)) }
                    }
                }
            }
        }
        @if frame.may(Role::Operator) { (ask(frame)) }
        section.card data-live="operations" aria-labelledby="h-o" {
            header {
                h2 #h-o { "Sent to the ERP, and fetched from it" }
            }
            @if operations.is_empty() {
                p.pad.m { "Nothing yet." }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "Operation" }
                            th scope="col" { "Stands" }
                            th.n scope="col" { "Asked for" }
                        }
                    }
                    tbody {
                        @for job in operations.iter().take(20) {
                            tr {
                                th scope="row" {
                                    (name(job.job_type.as_str()))
                                    " "
                                    small.m { "for " (name(job.agent_id.as_str())) ", job " (job.id) }
                                }
                                td data-l="Stands" {
                                    @if job.state == JobState::Done { (outcome(job.outcome)) } @else {
                                        span.st.s-running {
                                            (icon("running"))
                                            span {
                                                (job.state.as_str())
                                                @if let Some(phase) = job.phase { ", " (phase.as_str()) }
                                            }
                                        }
                                    }
                                    @if let Some(error) = &job.error {
                                        " "
                                        small.m { (why(error)) }
                                    }
                                }
                                td.n.m data-l="Asked" { (ago(job.enqueued_at, frame.now())) }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// Asks for something in the ERP.
fn ask(frame: &Frame) -> Markup {
    let specs: Vec<_> = frame.api.operations.iter().collect();
    let agents = frame.known.agents.iter().filter(|agent| agent.active && frame.caller.touches(&agent.id));
    html! {
        @if !specs.is_empty() {
            details #operation.card.pad {
                summary {
                    svg.i.chev aria-hidden="true" {
                        use href="#chev" {}
                    }
                    h2 { "Do something in the ERP" }
                }
                form.gap method="post" action=(frame.path("/act/operation")) {
                    (frame.keys())
                    div.row {
                        label {
                            span { "What" }
                            select name="type" {
                                @for spec in &specs {
                                    option value=(spec.name) { (spec.title) }
                                }
                            }
                        }
                        label {
                            span { "For" }
                            select name="agent" {
                                @for agent in agents {
                                    option translate="no" { (agent.id) }
                                }
                            }
                        }
                    }
                    label {
                        span { "Its data, as JSON" }
                        textarea name="data" rows="5" required maxlength="10000" spellcheck="false" { "{}" }
                    }
                    p.m.s {
                        @for spec in &specs {
                            code { (spec.name) }
                            " needs "
                            code { (spec.record) }
                            @for field in &spec.required {
                                ", "
                                code { (field) }
                            }
                            ". "
                        }
                    }
                    div.row {
                        button.b.pri { "Ask for it" }
                    }
                }
            }
        }
    }
}

fn waits(frame: &Frame, job: &Job) -> Markup {
    let busy = frame.known.runs.iter().find(|run| run.agent_id == job.agent_id);
    html! {
        tr {
            th scope="row" {
                (whose(&job.job_type.as_str().into(), &job.agent_id))
                " "
                small.m { "job " (job.id) ", " (job.reason.as_str()) }
            }
            td data-l="Why" {
                @match job.state {
                    JobState::Delayed => {
                        "tried again at "
                        (clock(job.due_at, frame.now()))
                        @if let Some(error) = &job.error { ": " (why(error)) }
                    }
                    JobState::Kept => "kept until it may start: paused, or its source is left alone",
                    _ => {
                        @match busy {
                            Some(run) => {
                                "its agent is busy with "
                                a href=(frame.path(&format!("/runs/{}", run.id))) { (type_name(&run.sync_type)) }
                            }
                            None => { "others go first" }
                        }
                    }
                }
            }
            td.n data-l="Priority" { (job.priority) }
            td.n.m data-l="Since" { (ago(job.enqueued_at, frame.now())) }
            td.one {
                @if frame.may(Role::Operator) && frame.caller.touches(&job.agent_id) {
                    ({
                        frame
                            .button(
                                "stop-job",
                                &[("job", &job.id.to_string())],
                                "",
                                &html! {
                                    "Remove" span.vh { " job "(job.id) }
                                },
                            )
                    })
                }
            }
        }
    }
}

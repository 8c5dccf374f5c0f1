//! What waits, what runs, and what is on its way out? The queue, and the changes that are to be delivered.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    bare::problem,
    home::running,
    shell::{Frame, Here},
    words::{ago, clock, icon, link, name, of, outcome, type_name, whose, why},
};
use crate::{
    api::{Api, Problem},
    domain::{Class, Item, ItemId, ItemStatus, JobState, Role},
    store::{ItemQuery, Job, JobQuery},
};

const JOBS: u64 = 50;
const ITEMS: u64 = 50;

/// `GET /queue`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    let frame = match Frame::of(&api, &request).await {
        Ok(frame) => frame,
        Err(answer) => return answer,
    };
    match body(&frame).await {
        Ok(body) => frame.page(Here::Queue, "Queue", &body),
        Err(wrong) => problem(&api, &wrong),
    }
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
            div data-live="headline" { h1 { (of(runs, "job runs", "jobs run")) ", " (frame.waiting.max(0)) " wait" }
                p.lead { "Writes go before downloads, downloads before syncs. Of an agent, one job runs at a time." } }
            @if frame.may_all(Role::Operator) {
                div.row { (frame.sure("stop", &[], "Stop all syncs", &html! { "Running syncs stop before their next ten rows; what is stored stays. Waiting syncs are removed, and come back at their next interval." })) }
            }
        }
        (running(frame))
        @if frame.may_all(Role::Operator) && frame.known.pause.is_none() {
            section.card.pad #pause aria-labelledby="h-p" { h2 #h-p { "Pause" }
                form.row method="post" action=(frame.path("/act/pause")) { (frame.keys())
                    label { span { "Why" } input name="reason" required maxlength="500" size="28" placeholder="stocktaking"; }
                    label { span { "For" } select name="minutes" { option value="30" { "half an hour" } option value="60" { "an hour" } option value="240" { "4 hours" } option value="" { "until somebody resumes" } } }
                    label.opt { input type="checkbox" name="emergency" value="true"; "writes too: nothing starts at all" }
                    button.b { "Pause" } } }
        }
        section.card data-live="waiting" aria-labelledby="h-w" { header { h2 #h-w { "Waiting" } span.cnt { (waiting.len()) } }
            @if waiting.is_empty() { p.pad.m { "Nothing waits." } }
            @else { table.stack { thead { tr { th scope="col" { "Job" } th scope="col" { "Why it waits" } th.n scope="col" { "Priority" } th.n scope="col" { "Since" } th scope="col" { span.vh { "Actions" } } } }
                tbody { @for job in &waiting { (waits(frame, job)) } } } } }
        @if frame.may(Role::Operator) { (ask(frame)) }
        section.card data-live="operations" aria-labelledby="h-o" { header { h2 #h-o { "Sent to the ERP, and fetched from it" } }
            @if operations.is_empty() { p.pad.m { "Nothing yet." } }
            @else { table.stack { thead { tr { th scope="col" { "Operation" } th scope="col" { "Stands" } th.n scope="col" { "Asked for" } } }
                tbody { @for job in operations.iter().take(20) { tr {
                    th scope="row" { (name(job.job_type.as_str())) " " small.m { "for " (name(job.agent_id.as_str())) ", job " (job.id) } }
                    td data-l="Stands" { @if job.state == JobState::Done { (outcome(job.outcome)) } @else { span.st.s-running { (icon("running")) span { (job.state.as_str()) @if let Some(phase) = job.phase { ", " (phase.as_str()) } } } } @if let Some(error) = &job.error { " " small.m { (why(error)) } } }
                    td.n.m data-l="Asked" { (ago(job.enqueued_at, frame.now())) } } } } } } }
    })
}

/// Asks for something in the ERP.
fn ask(frame: &Frame) -> Markup {
    let specs: Vec<_> = frame.api.operations.iter().collect();
    let agents = frame.known.agents.iter().filter(|agent| agent.active && frame.caller.touches(&agent.id));
    html! {
        @if !specs.is_empty() {
            details.card.pad #operation {
                summary { svg.i.chev aria-hidden="true" { use href="#chev" {} } h2 { "Do something in the ERP" } }
                form.gap method="post" action=(frame.path("/act/operation")) {
                    (frame.keys())
                    div.row {
                        label { span { "What" } select name="type" { @for spec in &specs { option value=(spec.name) { (spec.title) } } } }
                        label { span { "For" } select name="agent" { @for agent in agents { option translate="no" { (agent.id) } } } }
                    }
                    label { span { "Its data, as JSON" } textarea name="data" rows="5" required maxlength="10000" spellcheck="false" { "{}" } }
                    p.m.s { @for spec in &specs { code { (spec.name) } " needs " code { (spec.record) } @for field in &spec.required { ", " code { (field) } } ". " } }
                    div.row { button.b.pri { "Ask for it" } }
                }
            }
        }
    }
}

fn waits(frame: &Frame, job: &Job) -> Markup {
    let busy = frame.known.runs.iter().find(|run| run.agent_id == job.agent_id);
    html! {
        tr {
            th scope="row" { (whose(&job.job_type.as_str().into(), &job.agent_id)) " " small.m { "job " (job.id) ", " (job.reason.as_str()) } }
            td data-l="Why" {
                @match job.state {
                    JobState::Delayed => { "tried again at " (clock(job.due_at, frame.now())) @if let Some(error) = &job.error { ": " (why(error)) } },
                    JobState::Kept => "kept until it may start: paused, or its source is left alone",
                    _ => @match busy { Some(run) => { "its agent is busy with " a href=(frame.path(&format!("/runs/{}", run.id))) { (type_name(&run.sync_type)) } }, None => "others go first" },
                }
            }
            td.n data-l="Priority" { (job.priority) }
            td.n.m data-l="Since" { (ago(job.enqueued_at, frame.now())) }
            td.one { @if frame.may(Role::Operator) && frame.caller.touches(&job.agent_id) { (frame.button("stop-job", &[("job", &job.id.to_string())], "", &html! { "Remove" span.vh { " job " (job.id) } })) } }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    status: String,
    #[serde(default)]
    model: String,
    before: Option<i64>,
}

/// `GET /write-back`
pub(super) async fn write_back(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    let frame = match Frame::of(&api, &request).await {
        Ok(frame) => frame,
        Err(answer) => return answer,
    };
    if !frame.caller.is_for_all() {
        let wrong = Problem::new(
            actix_web::http::StatusCode::FORBIDDEN,
            "for_all_agents",
            "the write-back queue is of no agent",
        );
        return problem(&api, &wrong);
    }
    match items(&frame, &query).await {
        Ok(body) => frame.page(Here::WriteBack, "Write-back", &body),
        Err(wrong) => problem(&api, &wrong),
    }
}

async fn items(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    let store = &frame.api.context.store;
    let wanted = ItemQuery {
        status: ItemStatus::ALL.into_iter().find(|status| status.as_str() == query.status),
        model: (!query.model.is_empty()).then(|| query.model.clone()),
        doubtful: query.status == "doubtful",
        before: query.before.map(ItemId),
        limit: ITEMS + 1,
        ..ItemQuery::default()
    };
    let mut items = store.items(wanted).await?;
    let is_more = items.len() as u64 > ITEMS;
    items.truncate(ITEMS as usize);
    let outbox = &frame.known.outbox;
    let chips: [(&str, &str, &str, u64); 6] = [
        ("", "all", "fresh", outbox.pending + outbox.processing + outbox.failed + outbox.completed),
        ("doubtful", "doubtful", "doubt", frame.known.doubtful),
        ("FAILED", "not delivered", "dead", outbox.failed),
        ("PROCESSING", "under way", "running", outbox.processing),
        ("PENDING", "waiting", "wait", outbox.pending),
        ("COMPLETED", "delivered", "done", outbox.completed),
    ];
    let next = items.last().map(|item| item.id.to_string()).unwrap_or_default();
    Ok(html! {
        div.head { div data-live="headline" { h1 { @if frame.undelivered == 0 { "Every change was delivered" } @else { (of(frame.undelivered, "change is", "changes are")) " not delivered" } }
                p.lead { "Changes made here, on their way to where they belong. Of a record, one goes after the other." } }
            @if frame.may_all(Role::Operator) && outbox.failed > 0 { div.row { (frame.sure("retry-items", &[], "Try all failed again", &html! { "The " (of(outbox.failed, "change", "changes")) " that were given up are tried anew. Doubtful ones are left to you." })) } } }
        div.card data-live="sinks" { table.stack { thead { tr { th scope="col" { "Model" } th scope="col" { "State" } th.n scope="col" { "Changes" } th.n scope="col" { "Oldest" } } }
            tbody { @for depth in outbox.models.iter().filter(|depth| depth.items > 0) { tr { th scope="row" { (name(&depth.model)) @if !depth.is_configured { " " span.st.s-wait { (icon("doubt")) "no sink takes it" } } }
                td data-l="State" { (depth.status.as_str().to_lowercase()) } td.n data-l="Changes" { (depth.items) } td.n.m data-l="Oldest" { @if let Some(oldest) = depth.oldest { (ago(oldest, frame.now())) } } } } } } }
        ul.chips data-live="chips" aria-label="Filter by state" { @for (status, text, symbol, count) in chips { li { a href=(frame.path(&link("/write-back", &[("status", status)]))) aria-current=[(status == query.status).then_some("true")] { (icon(symbol)) (text) " " b { (count) } } } } }
        div.card data-live="items" {
            @if items.is_empty() { p.pad.m { "There are none like that." } }
            @else { table.stack { thead { tr { th scope="col" { "Record" } th scope="col" { "Stands" } th.n scope="col" { "Since" } th scope="col" { span.vh { "Actions" } } } }
                tbody { @for item in &items { (change(frame, item)) } } } }
            @if is_more { div.pager { a.b href=(frame.path(&link("/write-back", &[("status", &query.status), ("model", &query.model), ("before", &next)]))) { "Older" } } }
        }
    })
}

fn change(frame: &Frame, item: &Item) -> Markup {
    let (class, symbol, word) = match item.status {
        _ if item.doubtful => ("s-wait", "doubt", "doubtful: it may have arrived"),
        ItemStatus::Pending => ("s-never", "wait", "waits"),
        ItemStatus::Processing => ("s-running", "running", "under way"),
        ItemStatus::Completed => ("s-fresh", "done", "delivered"),
        ItemStatus::Failed => ("s-bad", "dead", "not delivered"),
    };
    let id = item.id.to_string();
    html! {
        tr {
            th scope="row" { span.k { (name(&item.record_id)) } " " small.m { (name(&item.model)) ", " (item.action.as_str()) } }
            td data-l="Stands" { span.st.(class) { (icon(symbol)) span { (word) @if item.status == ItemStatus::Pending && item.retries > 0 { ", try " (item.retries + 1) " of " (item.max_retries) " at " (clock(item.due_at, frame.now())) } } } @if let Some(error) = &item.last_error { " " small.m { (why(error)) } } }
            td.n.m data-l="Since" { (ago(item.created_at, frame.now())) }
            td { @if frame.may_all(Role::Operator) { div.row.acts {
                @if item.status == ItemStatus::Failed { (frame.sure("retry-item", &[("item", &id)], "Send again", &html! { @if item.doubtful { "It may have arrived before: whoever receives it must drop repeats. " } "It is sent once more." })) }
                @if matches!(item.status, ItemStatus::Failed | ItemStatus::Pending) { (frame.sure("discard-item", &[("item", &id)], "Discard", &html! { "It is never sent. Later changes of the same record go on." })) }
            } } }
        }
    }
}

//! What happened, run by run? A list, with its filters in its address.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    counts::did,
    here::Here,
    shell::Frame,
    words::{ago, count, link, outcome, type_name, whose, why},
};
use crate::{
    api::{Api, Problem},
    domain::{Outcome, RunId, SERVICE_ACCOUNT},
    store::{Run, RunQuery},
};

const RUNS: u64 = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    outcome: String,
    before: Option<i64>,
}

/// `GET /runs`
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    Frame::answer(&api, &request, Here::Runs, async |frame| all(frame, &query).await).await
}

/// Choices of a filter.
fn choice(id: &str, label: &str, now: &str, choices: &[(String, String)]) -> Markup {
    html! {
        label.vh for=(id) { (label) }
        select #(id) name=(id) {
            @for (value, text) in choices {
                option value=(value) selected[value == now] { (text) }
            }
        }
    }
}

pub(super) fn of_run(run: &Run) -> String {
    let what = type_name(&run.sync_type);
    if run.agent_id.as_str() == SERVICE_ACCOUNT { what } else { format!("{what} of {}", run.agent_id) }
}

async fn all(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let known = Outcome::ALL.into_iter().find(|one| one.as_str() == query.outcome);
    let wanted = RunQuery {
        sync_type: some(&query.r#type),
        agent: some(&query.agent),
        agents: frame.caller.seen(),
        outcome: known,
        before: query.before.map(RunId),
        limit: RUNS + 1,
        ..RunQuery::default()
    };
    let mut runs = frame.api.context.store.runs(wanted).await?;
    let is_more = runs.len() as u64 > RUNS;
    runs.truncate(RUNS as usize);
    let types = [(String::new(), "all types".to_owned())].into_iter();
    let types: Vec<_> =
        types.chain(frame.known.types.iter().map(|spec| (spec.name.to_string(), type_name(&spec.name)))).collect();
    let ends = [(String::new(), "however they ended".to_owned())].into_iter();
    let ends: Vec<_> =
        ends.chain(Outcome::ALL.iter().map(|one| (one.as_str().to_owned(), one.as_str().replace('_', " ")))).collect();
    let next = runs.last().map(|run| run.id.to_string()).unwrap_or_default();
    let page = |before: &str| {
        let filter =
            [("type", &*query.r#type), ("agent", &*query.agent), ("outcome", &*query.outcome), ("before", before)];
        frame.path(&link("/runs", &filter))
    };
    Ok(html! {
        div.head {
            div {
                h1 { "Runs" }
                p.lead {
                    "Newest first. A run is one attempt to bring a type of an agent in step with its report."
                }
            }
        }
        form.row method="get" action=(frame.path("/runs")) {
            (choice("type", "Type", &query.r#type, &types))
            label.vh for="agent" { "Agent" }
            input #agent name="agent" value=(query.agent) placeholder="Agent" size="14" maxlength="100";
            (choice("outcome", "Outcome", &query.outcome, &ends))
            button.b { "Filter" }
        }
        div.card data-live="runs" {
            @if runs.is_empty() {
                p.pad.m { "There are none like that." }
            } @else {
                table.stack role="table" {
                    thead {
                        tr {
                            th scope="col" { "Run" }
                            th scope="col" { "Stands" }
                            th scope="col" { "Rows" }
                            th.no scope="col" { "What it did" }
                            th.n scope="col" { "Took" }
                            th.n scope="col" { "Ago" }
                        }
                    }
                    tbody {
                        @for run in &runs { (line(frame, run)) }
                    }
                }
            }
            @if is_more || query.before.is_some() {
                div.pager {
                    @if query.before.is_some() { a.b href=(page("")) { "Newest" } }
                    @if is_more { a.b href=(page(&next)) { "Older" } }
                }
            }
        }
    })
}

fn line(frame: &Frame, run: &Run) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(frame.path(&format!("/runs/{}", run.id))) { (whose(&run.sync_type, &run.agent_id)) }
                " "
                small.m { (run.id) ", " (run.reason.as_str()) }
            }
            td data-l="Stands" {
                (outcome(run.outcome))
                @if let Some(error) = &run.error {
                    " "
                    small.m { (why(error)) }
                }
            }
            td.sh data-l="Rows" { (count(run.counts.read)) }
            td.no data-l="Did" { (did(run)) }
            td.n data-l="Took" {
                @match run.duration_ms {
                    Some(ms) => { (ms) " ms" }
                    None => { "runs" }
                }
            }
            td.n.m data-l="Ago" { (ago(run.finished_at.unwrap_or(run.started_at), frame.now())) }
        }
    }
}

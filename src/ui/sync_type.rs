//! How does one type do? Its runs over time, how it stands for each agent, and what its file says.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    chart,
    crumbs::crumbs,
    here::Here,
    shell::Frame,
    taught::taught,
    words::{clock, count, icon, link, name, span, standing, type_name},
};
use crate::{
    api::{Api, Problem},
    domain::{AgentId, Role, Standing},
    overview::{Cell, Over, Part},
    store::RunTotals,
    sync_type::{Scope, SyncTypeSpec, ValueType},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    over: Over,
}

/// `GET /types/{type}`
pub(super) async fn show(
    api: web::Data<Api>,
    request: HttpRequest,
    path: web::Path<String>,
    query: web::Query<Asked>,
) -> HttpResponse {
    Frame::answer_titled(&api, &request, Here::Types, async |frame| body(frame, &path, query.over).await).await
}

async fn body(frame: &Frame, asked: &str, over: Over) -> Result<(String, Markup), Problem> {
    let spec = frame.api.sync_type(asked)?;
    let taught_headers = frame.api.context.store.taught().await?;
    let spec = taught_headers.types.get(spec.name.as_str()).cloned().unwrap_or(spec);
    let parts = frame.api.history_of(&frame.caller, &spec, over).await?;
    let title = type_name(&spec.name);
    let own = spec.name.as_str();
    let cells: Vec<&Cell> = frame.overview.cells.iter().filter(|cell| cell.sync_type == spec.name).collect();
    let timer = frame.known.schedule.types.iter().find(|timer| timer.sync_type == spec.name);
    let body = html! {
        div.head {
            div {
                (crumbs(frame, &[("/types".to_owned(), html! { "Types" })], &html! { (title) }))
                h1 { (title) }
                p.lead data-live="lead" {
                    @if spec.scope == Scope::Shared { "One report for all agents" } @else { "One report for each agent" }
                    @match timer {
                        Some(timer) if !timer.enabled => ", turned off.",
                        Some(timer) => {
                            ", every " (timer.interval_minutes) " minutes"
                            @match timer.next_run.filter(|_| frame.known.schedule.running) {
                                Some(next) => { ", next at " (clock(next, frame.now())) "." }
                                None => ", but automatic syncs are off.",
                            }
                        }
                        None => ", without a timer.",
                    }
                }
            }
            div.row {
                a.b href=(frame.path(&link("/runs", &[("type", own)]))) { "Its runs" }
                a.b href=(frame.path(&link("/records", &[("type", own)]))) { "Its records" }
                @if frame.may(Role::Operator) {
                    (frame.button("sync", &[("type", own)], "pri", &html! { "Sync it now" }))
                }
            }
        }
        (over_time(frame, own, over, &parts))
        (agents(frame, &spec, &cells))
        (taught(frame, &spec, &taught_headers))
        (about(frame, &spec))
    };
    Ok((title, body))
}

fn over_time(frame: &Frame, own: &str, over: Over, parts: &[Part]) -> Markup {
    let all = parts.iter().fold(RunTotals::default(), |sum, part| sum.plus(&part.totals));
    let failed: Vec<bool> = parts.iter().map(|part| part.totals.failed > 0).collect();
    let bad = failed.iter().filter(|failed| **failed).count();
    let values = |of: fn(&RunTotals) -> u64| parts.iter().map(|part| of(&part.totals) as f64).collect::<Vec<_>>();
    let times: Vec<Option<f64>> = parts.iter().map(|part| part.totals.average_ms().map(|ms| ms as f64)).collect();
    let usual = all.average_ms().map_or("not known".to_owned(), |ms| format!("{ms} ms"));
    let at = |over: Over| frame.path(&format!("/types/{own}?over={}", over.as_str()));
    html! {
        section.card data-live="over" aria-labelledby="h-o" {
            header {
                h2 #h-o { "Its runs over a " (over.as_str()) }
                ul.chips aria-label="Over" {
                    @for one in Over::ALL {
                        li { a href=(at(one)) aria-current=[(one == over).then_some("true")] { (one.as_str()) } }
                    }
                }
            }
            div.charts {
                figure {
                    figcaption {
                        b { (count(all.runs)) " runs" }
                        " "
                        @match all.success_rate() {
                            Some(rate) => { ((rate * 1000.0).round() / 10.0) " % applied" }
                            None => "nothing to judge",
                        }
                        @if all.failed > 0 { ", " (count(all.failed)) " failed" }
                    }
                    (chart::bars(&format!("Runs; some failed in {bad} of {} parts", parts.len()), &values(|one| one.runs), &failed))
                }
                figure {
                    figcaption { b { (count(all.rows)) " rows read" } }
                    (chart::bars("Rows that were read", &values(|one| one.rows), &[]))
                }
                figure {
                    figcaption { b { (usual) } " a run, where it applied its report" }
                    (chart::line(&format!("Time of a run, {usual} on average"), &times))
                }
            }
        }
    }
}

fn agents(frame: &Frame, spec: &SyncTypeSpec, cells: &[&Cell]) -> Markup {
    let mut cells = cells.to_vec();
    cells.sort_by_key(|cell| cell.standing.rank());
    let service = AgentId::service_account();
    html! {
        section.card data-live="agents" aria-labelledby="h-g" {
            header {
                h2 #h-g { "How it stands" }
                span.cnt { (cells.len()) }
            }
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Agent" }
                        th scope="col" { "Stands" }
                        th.n scope="col" { "Age" }
                        th.n scope="col" { "Next" }
                        th scope="col" { span.vh { "Actions" } }
                    }
                }
                tbody {
                    @for cell in &cells {
                        @let (class, symbol, word) = standing(&cell.standing);
                        tr {
                            th scope="row" {
                                @if cell.agent == service { "all agents" } @else { (name(cell.agent.as_str())) }
                            }
                            td data-l="Stands" {
                                span.st.(class) { (icon(symbol)) span { (word) } }
                                @if cell.standing != Standing::Fresh {
                                    " "
                                    small.m { (cell.reason) }
                                }
                            }
                            td.n data-l="Age" {
                                @match cell.age_seconds { Some(age) => (span(age)), None => span.m { "no data" } }
                            }
                            td.n data-l="Next" {
                                @match cell.next_run { Some(next) => (clock(next, frame.now())), None => span.m { "none" } }
                            }
                            td.one {
                                @if frame.may(Role::Operator) && frame.caller.touches(&cell.agent) {
                                    @let fields = [("type", spec.name.as_str()), ("agent", cell.agent.as_str())];
                                    (frame.button("sync", if cell.agent == service { &fields[..1] } else { &fields }, "", &html! {
                                        "Sync now" span.vh { ": " (name(cell.agent.as_str())) }
                                    }))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn about(frame: &Frame, spec: &SyncTypeSpec) -> Markup {
    let target = frame.overview.cells.iter().find(|cell| cell.sync_type == spec.name).map(|cell| cell.target_seconds);
    html! {
        section.card aria-labelledby="h-a" {
            header {
                h2 #h-a { "What its file says" }
                a href=(frame.path(&format!("/api/types/{}", spec.name))) { "As JSON" }
            }
            dl.kv.pad {
                dt { "Key" }
                dd {
                    code { (spec.key_name()) }
                }
                @if let Some(target) = target {
                    dt { "Fresh up to" }
                    dd { (span(i64::try_from(target).unwrap_or_default())) }
                }
                dt { "Must have" }
                dd {
                    @for field in &spec.required {
                        code { (spec.fields[*field].name) }
                        " "
                    }
                }
                @if !spec.triggers.is_empty() {
                    dt { "Then" }
                    dd {
                        @for next in &spec.triggers { span { (type_name(next)) } " " }
                    }
                }
                @if let Some(guards) = spec.guards {
                    dt { "Guards" }
                    dd {
                        "at least "
                        (guards.min_rows_percent)
                        " % of the rows, at most "
                        (guards.max_missing_percent)
                        " % missing, at most "
                        (guards.max_quarantined_percent)
                        " % in quarantine"
                    }
                }
                dt { "Fingerprint" }
                dd {
                    code { (spec.fingerprint.chars().take(12).collect::<String>()) }
                }
            }
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Field" }
                        th scope="col" { "Is" }
                        th scope="col" { "Printed as" }
                    }
                }
                tbody {
                    @for field in &spec.fields {
                        tr {
                            th.fld scope="row" translate="no" { (field.name) }
                            td.m data-l="Is" { (kind(field.value_type)) }
                            td data-l="Printed as" { bdi { (spec.columns[field.column].headers.join(" · ")) } }
                        }
                    }
                }
            }
        }
    }
}

fn kind(value: ValueType) -> &'static str {
    match value {
        ValueType::Text => "text",
        ValueType::Id => "number of a record",
        ValueType::Int => "whole number",
        ValueType::Money => "amount",
        ValueType::Number => "number",
        ValueType::Percent => "percent",
        ValueType::Date => "date",
        ValueType::Datetime => "date and time",
        ValueType::Bool => "yes or no",
        ValueType::Tracking => "courier and number",
        ValueType::Skip => "not stored",
    }
}

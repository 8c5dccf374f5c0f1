//! What is known of one record? Its fields, what became of it, what belongs to it, and why it is as it is.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::{
    change::change_line,
    crumbs::crumbs,
    here::Here,
    printed::{line, page_of},
    records::{FOUND, field_text},
    shell::Frame,
    values::shown,
    watched::watched,
    words::{clock, link, name, part, text, type_name},
};
use crate::{
    api::{Api, Problem},
    domain::{AgentId, RunId},
    overview,
    store::{ChangeQuery, DataQuery, RecordChange},
    sync_type::Scope,
};

const HISTORY: u64 = 100;
/// Records that belong to it whose values are shown over time.
const WATCHED: usize = 4;

/// `GET /records/{type}/{agent}/{key}`
pub(super) async fn one(
    api: web::Data<Api>,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> HttpResponse {
    let (sync_type, agent, key) = path.into_inner();
    let title = key.chars().take(40).collect();
    let page = async |frame: &Frame| Ok((title, body(frame, &sync_type, &agent, &key).await?));
    Frame::answer_titled(&api, &request, Here::Records, page).await
}

async fn body(frame: &Frame, sync_type: &str, agent: &str, key: &str) -> Result<Markup, Problem> {
    let Some(spec) = frame.known.types.get(sync_type).cloned() else {
        return Err(Problem::not_found("unknown_type", format!("there is no sync type '{sync_type}'")));
    };
    let agent = AgentId::from(agent);
    if !frame.caller.sees(&agent) {
        return Err(Problem::not_found("unknown_agent", format!("there is no agent '{agent}'")));
    }
    let store = &frame.api.context.store;
    let of = || DataQuery { agent: Some(agent.to_string()), deleted: true, limit: 1, ..DataQuery::default() };
    let record = store.data(&spec, DataQuery { key: Some(key.to_owned()), ..of() }).await?.items.pop();
    let wanted = ChangeQuery {
        sync_type: Some(spec.name.to_string()),
        agent: Some(agent.to_string()),
        key: Some(key.to_owned()),
        limit: HISTORY,
        ..ChangeQuery::default()
    };
    let changes = store.changes(wanted).await?;
    let printed = printed(frame, &changes).await?;
    let why = overview::why(store, &frame.known, &spec, &agent, key).await?;
    let mut related = Vec::new();
    for child in frame
        .known
        .types
        .iter()
        .filter(|child| child.parent.as_ref().is_some_and(|parent| parent.sync_type == spec.name))
    {
        let wanted = DataQuery { parent: Some(key.to_owned()), limit: FOUND, ..of() };
        let items = store.data(child, DataQuery { limit: FOUND, ..wanted }).await?.items;
        related.push((child.clone(), items));
    }
    let mut over_time = vec![(spec.clone(), key.to_owned(), store.history(&spec, &agent, key).await?)];
    for (child, items) in related.iter().filter(|(child, _)| child.history.is_some()) {
        for item in items.iter().take(WATCHED) {
            let (own, whose) = (field_text(item, child.key_name()), field_text(item, "agent_id"));
            over_time.push((child.clone(), own.clone(), store.history(child, &whose.as_str().into(), &own).await?));
        }
    }
    let whose = if spec.scope == Scope::Agent { agent.as_str() } else { "" };
    let way = [
        ("/records".to_owned(), html! { "Records" }),
        (link("/records", &[("type", sync_type)]), html! { (type_name(&spec.name)) }),
        (link("/records", &[("type", sync_type), ("agent", whose)]), name(agent.as_str())),
    ];
    Ok(html! {
        div.head {
            div {
                (crumbs(frame, &way, &name(key)))
                h1 { (name(key)) }
                p.lead {
                    @match &record {
                        None => "It is not stored.",
                        Some(record) if !record["deleted_at"].is_null() => "It was deleted: two reports in a row did not have it.",
                        Some(record) if !record["missing_since"].is_null() => "The last report did not have it. If the next one lacks it too, it is deleted.",
                        Some(_) => "As the last report that had it prints it.",
                    }
                }
            }
        }
        div.two {
            div.gap {
                @if let Some((run, page, row)) = printed {
                    figure.card.pad {
                        (line(frame, run, page, row))
                        figcaption {
                            "Printed on "
                            a href=(page_of(frame, run, page, row)) { "page " (page) ", row " (row) }
                            " of the report of "
                            a href=(frame.path(&format!("/runs/{run}"))) { "run " (run) }
                            ", as it was read."
                        }
                    }
                }
                @if let Some(record) = &record {
                    section.card.pad aria-labelledby="h-f" {
                        h2 #h-f.vh { "Fields" }
                        dl.kv {
                            @for field in &spec.fields {
                                dt.fld translate="no" { (field.name) }
                                dd {
                                    @if record[&field.name].is_null() {
                                        span.m { "empty" }
                                    } @else {
                                        bdi { (shown(Some(&spec), &field.name, &record[&field.name])) }
                                    }
                                }
                            }
                        }
                    }
                }
                @for (of, key, changes) in &over_time { (watched(frame, of, key, changes)) }
                section.card data-live="history" aria-labelledby="h-h" {
                    header {
                        h2 #h-h { "What became of it" }
                    }
                    @if changes.is_empty() {
                        p.pad.m { "Nothing is kept of it but that it is there." }
                    } @else {
                        table.stack.mini {
                            tbody {
                                @for change in &changes { (change_line(frame, change, false)) }
                            }
                        }
                    }
                }
            }
            div.gap {
                section.card.pad.gap aria-labelledby="h-y" {
                    h2 #h-y {
                        @if record.is_some() { "Why is it so?" } @else { "Why is it not here?" }
                    }
                    @for because in &why.because {
                        p {
                            (because.text)
                            @if let Some(run) = because.run_id {
                                " "
                                a href=(frame.path(&format!("/runs/{run}"))) { "run " (run) }
                            }
                            " "
                            code.m { (because.code) }
                        }
                    }
                }
                @for (child, items) in &related {
                    section.card {
                        header {
                            h2 { (type_name(&child.name)) }
                            span.cnt { (items.len()) }
                        }
                        @if items.is_empty() {
                            p.pad.m { "None belong to it." }
                        }
                        ul.now {
                            @for item in items {
                                @let own = field_text(item, child.key_name());
                                li {
                                    div {
                                        a   .k
                                            href=({
                                                frame
                                                    .path(
                                                        &format!(
                                                            "/records/{}/{}/{}",
                                                            child.name,
                                                            part(agent.as_str()),
                                                            part(&own),
                                                        ),
                                                    )
                                            })
                                        { (name(&own)) }
                                    }
                                }
                            }
                        }
                    }
                }
                @if let Some(record) = &record {
                    section.card.pad {
                        dl.kv {
                            dt { "First seen" }
                            dd { (moment(record, "first_seen_at", frame)) }
                            dt { "Written" }
                            dd { (moment(record, "updated_at", frame)) }
                            dt { "By run" }
                            dd {
                                a href=(frame.path(&format!("/runs/{}", text(&record["run_id"])))) {
                                    (text(&record["run_id"]))
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// Where the newest report that changed it prints it: run, page and row; `None` where no such report is kept.
async fn printed(frame: &Frame, changes: &[RecordChange]) -> Result<Option<(RunId, usize, usize)>, Problem> {
    let store = &frame.api.context.store;
    let places = changes.iter().filter_map(|change| Some((change.run_id, change.page?, change.row?)));
    let Some((run, page, row)) = places.max_by_key(|(run, ..)| *run) else { return Ok(None) };
    let Some(run) = store.run(run).await? else { return Ok(None) };
    let place = |page: u32, row: u32| (run.id, page as usize, row as usize);
    Ok(store.has_report(&run).await?.then(|| place(page, row)))
}

fn moment(record: &Map<String, Json>, field: &str, frame: &Frame) -> Markup {
    let at = record.get(field).and_then(Json::as_str).and_then(|text| text.parse().ok());
    html! {
        @if let Some(at) = at { (clock(at, frame.now())) } @else {
            span.m { "not known" }
        }
    }
}

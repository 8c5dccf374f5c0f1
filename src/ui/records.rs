//! Which records are stored? Found by their key, or by a part of a name, over all types.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    here::Here,
    shell::Frame,
    words::{icon, link, name, part, text, type_name},
};
use crate::{
    api::{Api, Problem},
    store::DataQuery,
    sync_type::{Scope, SyncTypeSpec},
};

/// Records of each type that a search shows.
pub(super) const FOUND: u64 = 20;
/// Fields beside the key in a list.
const SHOWN: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    agent: String,
}

/// `GET /records`
pub(super) async fn search(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    Frame::answer(&api, &request, Here::Records, async |frame| found(frame, &query).await).await
}

async fn found(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    let asked: String = query.q.trim().chars().take(200).collect();
    let mut all = Vec::new();
    let specs = frame.known.types.iter().filter(|spec| query.r#type.is_empty() || spec.name.as_str() == query.r#type);
    for spec in specs {
        let wanted = |key: Option<String>, text: Option<String>| DataQuery {
            agent: (!query.agent.is_empty() && spec.scope == Scope::Agent).then(|| query.agent.clone()),
            agents: frame.caller.seen(),
            key,
            text,
            deleted: true,
            limit: FOUND,
            ..DataQuery::default()
        };
        if asked.is_empty() && query.r#type.is_empty() {
            continue;
        }
        let store = &frame.api.context.store;
        // the very key first: that is quick
        let mut items = if asked.is_empty() {
            Vec::new()
        } else {
            store.data(spec, wanted(Some(asked.clone()), None)).await?.items
        };
        if items.is_empty() {
            items = store.data(spec, wanted(None, (!asked.is_empty()).then(|| asked.clone()))).await?.items;
        }
        if !items.is_empty() {
            all.push((spec, items));
        }
    }
    Ok(html! {
        div.head {
            div {
                h1 { "Records" }
                p.lead {
                    "What is stored, as the reports print it. Find one by its key or by a part of a name."
                }
            }
        }
        form.row method="get" action=(frame.path("/records")) role="search" {
            label.vh for="find" { "Key or name" }
            input #find name="q" value=(asked) placeholder="Key or name" size="24" maxlength="200";
            label.vh for="type" { "Type" }
            select #type name="type" {
                option value="" { "all types" }
                @for spec in frame.known.types.iter() {
                    option value=(spec.name) selected[spec.name.as_str() == query.r#type] {
                        (type_name(&spec.name))
                    }
                }
            }
            label.vh for="agent" { "Agent" }
            input #agent name="agent" value=(query.agent) placeholder="Agent" size="14" maxlength="100";
            button.b { "Find" }
        }
        @if all.is_empty() && asked.is_empty() && query.r#type.is_empty() {
            ul.chips {
                @for spec in frame.known.types.iter() {
                    li {
                        a href=({
                            frame
                                .path(&link("/records", &[("type", spec.name.as_str())]))
                        }) { (type_name(&spec.name)) }
                    }
                }
            }
        } @else if all.is_empty() {
            section.card.calm {
                (icon("seek"))
                h2 { "No record is like that" }
                p.lead {
                    "Is it of another agent, or not in a report yet? Its own page says why a key is not here."
                }
                @if !asked.is_empty() && !query.agent.is_empty() {
                    @for spec in {
                        frame
                            .known
                            .types
                            .iter()
                            .filter(|spec| {
                                query.r#type.is_empty()
                                    || spec.name.as_str() == query.r#type
                            })
                    } {
                        a   .b
                            href=({
                                frame
                                    .path(
                                        &format!(
                                            "/records/{}/{}/{}",
                                            spec.name,
                                            part(&query.agent),
                                            part(&asked),
                                        ),
                                    )
                            })
                        { "Why is it not among the " (type_name(&spec.name)) "?" }
                    }
                }
            }
        }
        @for (spec, items) in &all { (list(frame, query, spec, items)) }
    })
}

/// A field as text; nothing for an empty one.
pub(super) fn field_text(record: &Map<String, Json>, field: &str) -> String {
    record.get(field).filter(|value| !value.is_null()).map(text).unwrap_or_default()
}

fn list(frame: &Frame, query: &Query, spec: &SyncTypeSpec, items: &[Map<String, Json>]) -> Markup {
    let key = spec.key_name();
    let fields: Vec<&str> =
        spec.fields.iter().map(|field| field.name.as_str()).filter(|field| *field != key).take(SHOWN).collect();
    html! {
        section.card {
            header {
                h2 { (type_name(&spec.name)) }
                span.cnt {
                    (items.len())
                    @if items.len() as u64 == FOUND { ", the first" }
                }
                @let wanted = [("agent", query.agent.as_str()), ("q", query.q.trim()), ("format", "csv")];
                a href=(frame.path(&link(&format!("/api/data/{}", spec.name), &wanted))) { "All as CSV" }
            }
            table.stack {
                thead {
                    tr {
                        th scope="col" translate="no" { (key) }
                        th scope="col" { "Agent" }
                        @for field in &fields {
                            th scope="col" translate="no" { (field) }
                        }
                    }
                }
                tbody {
                    @for record in items {
                        @let agent = field_text(record, "agent_id");
                        tr {
                            th scope="row" {
                                a   .k
                                    href=({
                                        frame
                                            .path(
                                                &format!(
                                                    "/records/{}/{}/{}",
                                                    spec.name,
                                                    part(&agent),
                                                    part(&field_text(record, key)),
                                                ),
                                            )
                                    })
                                { (name(&field_text(record, key))) }
                                @if !record["deleted_at"].is_null() {
                                    " "
                                    span.st.s-bad { (icon("gone")) "deleted" }
                                } @else if !record["missing_since"].is_null() {
                                    " "
                                    span.st.s-wait { (icon("gone")) "missing" }
                                }
                            }
                            td.sh data-l="Agent" { (name(&agent)) }
                            @for field in &fields {
                                td data-l=(field) translate="no" { (name(&field_text(record, field))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

//! Who changed what, or tried to?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    bare::for_admins,
    here::Here,
    shell::Frame,
    words::{clock, link, name},
};
use crate::{
    api::{Api, Problem},
    domain::Role,
    store::AuditQuery,
};

const ENTRIES: u64 = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    who: String,
    #[serde(default)]
    action: String,
    before: Option<i64>,
}

/// `GET /audit`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    Frame::answer(&api, &request, Here::Audit, async |frame| body(frame, &query).await).await
}

async fn body(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    if !frame.may_all(Role::Admin) {
        return Err(for_admins("the audit’s entries"));
    }
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let wanted = AuditQuery {
        who: some(&query.who),
        action: some(&query.action),
        before: query.before,
        limit: ENTRIES,
        ..AuditQuery::default()
    };
    let entries = frame.api.context.store.audit(wanted).await?;
    let last = entries.last().filter(|_| entries.len() as u64 == ENTRIES).map(|entry| entry.id.to_string());
    Ok(html! {
        div.head {
            div {
                h1 { "Audit" }
                p.lead { "Who changed what, or tried to." }
            }
            div.row {
                a.b href=(frame.path("/api/audit?format=csv")) { "As CSV" }
            }
        }
        form.row method="get" action=(frame.path("/audit")) {
            label.vh for="who" { "Who" }
            input #who name="who" value=(query.who) placeholder="Who" maxlength="200";
            label.vh for="action" { "What" }
            input #action name="action" value=(query.action) placeholder="run.approve" maxlength="100";
            button.b { "Filter" }
        }
        div.card {
            @if entries.is_empty() {
                p.pad.m { "There are none like that." }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "When" }
                            th scope="col" { "Who" }
                            th scope="col" { "What" }
                            th.no scope="col" { "Before → after" }
                        }
                    }
                    tbody {
                        @for entry in &entries {
                            tr {
                                td.sh data-l="When" { (clock(entry.at, frame.now())) }
                                td data-l="Who" {
                                    (name(&entry.who))
                                    @if let Some(from) = &entry.from {
                                        " "
                                        small.m { (from) }
                                    }
                                }
                                td data-l="What" {
                                    code { (entry.action) }
                                    " "
                                    (name(&entry.target))
                                }
                                td.no {
                                    @if let Some(before) = &entry.before {
                                        del { (name(&before.to_string())) }
                                        span.to { "→" }
                                    }
                                    @if let Some(after) = &entry.after {
                                        ins { (name(&after.to_string())) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(last) = last {
                div.pager {
                    a   .b
                        href=({
                            frame
                                .path(
                                    &link(
                                        "/audit",
                                        &[
                                            ("who", &query.who),
                                            ("action", &query.action),
                                            ("before", &last),
                                        ],
                                    ),
                                )
                        })
                    { "Older" }
                }
            }
        }
    })
}

//! What needed somebody, from when to when, and who saw to it?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    asks::{headline, look_of, place_of},
    here::Here,
    shell::Frame,
    words::{ago, clock, icon, link, name, span},
};
use crate::{
    api::{Api, Problem},
    domain::Role,
    store::{Alert, AlertQuery},
};

/// Alerts that are over, on a page.
const OVER: u64 = 50;
/// Alerts that last: more are told by their number.
const LASTING: u64 = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    before: Option<i64>,
}

/// `GET /alerts`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    Frame::answer(&api, &request, Here::Alerts, async |frame| body(frame, &query).await).await
}

async fn body(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    let store = &frame.api.context.store;
    let of = |open, before, limit| AlertQuery {
        open: Some(open),
        agents: frame.caller.seen(),
        before,
        limit,
        ..AlertQuery::default()
    };
    let lasting = store.alerts(of(true, None, LASTING)).await?;
    let over = store.alerts(of(false, query.before, OVER)).await?;
    let last = over.last().filter(|_| over.len() as u64 == OVER).map(|alert| alert.id.to_string());
    Ok(html! {
        div.head {
            div {
                h1 { "Alerts" }
                p.lead {
                    "What needed somebody, from when to when. Its beginning and its end are told once, in the log. What can be done is on "
                    a href=(frame.path("/needs-you")) { "Needs you" }
                    "."
                }
            }
        }
        section.card data-live="lasting" aria-labelledby="h-lasting" {
            header {
                h2 #h-lasting { "Now" }
            }
            @if lasting.is_empty() {
                p.pad.m { "There are none. It is looked every few seconds." }
            } @else {
                (table(frame, &lasting))
            }
            @if lasting.len() as u64 == LASTING {
                p.pad.m { "Only the newest of them are shown." }
            }
        }
        section.card data-live="over" aria-labelledby="h-over" {
            header {
                h2 #h-over { "Ended" }
            }
            @if over.is_empty() {
                p.pad.m { "There are none like that." }
            } @else {
                (table(frame, &over))
            }
            @if let Some(last) = last {
                div.pager {
                    a.b href=(frame.path(&link("/alerts", &[("before", &last)]))) { "Older" }
                }
            }
        }
    })
}

fn table(frame: &Frame, alerts: &[Alert]) -> Markup {
    let is_over = alerts.iter().all(|alert| alert.over_at.is_some());
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "What" }
                    th scope="col" { "Since" }
                    th scope="col" {
                        @if is_over { "Lasted" } @else { "For" }
                    }
                    th scope="col" {
                        @if is_over { "Who saw to it" } @else { "Who sees to it" }
                    }
                }
            }
            tbody {
                @for alert in alerts { (row(frame, alert)) }
            }
        }
    }
}

fn row(frame: &Frame, alert: &Alert) -> Markup {
    let (class, symbol) = look_of(alert);
    html! {
        tr {
            td data-l="What" {
                span.st.(class) { (icon(symbol)) }
                " "
                a href=(frame.path(&place_of(alert))) { (headline(alert)) }
                div.m.s { (alert.text) }
            }
            td data-l="Since" { (clock(alert.begun_at, frame.now())) }
            @match alert.over_at {
                Some(over) => td data-l="Lasted" { (span((over - alert.begun_at).num_seconds())) },
                None => td data-l="For" { (ago(alert.begun_at, frame.now())) },
            }
            td data-l=(if alert.over_at.is_some() { "Who saw to it" } else { "Who sees to it" }) { (seen_to(frame, alert)) }
        }
    }
}

fn may_touch(frame: &Frame, alert: &Alert) -> bool {
    alert.agent_id.as_ref().is_none_or(|agent| frame.caller.touches(agent))
}

fn seen_to(frame: &Frame, alert: &Alert) -> Markup {
    let is_known = alert.over_at.is_some() || alert.is_seen_to(frame.now());
    html! {
        @match &alert.acknowledged_by {
            Some(by) if is_known => {
                (name(by))
                @if let Some(until) = alert.acknowledged_until.filter(|_| alert.over_at.is_none()) {
                    " "
                    small.m { "until " (clock(until, frame.now())) }
                }
            }
            _ if alert.over_at.is_none() && frame.may(Role::Operator) && may_touch(frame, alert) => {
                ({
                    frame
                        .button(
                            "acknowledge",
                            &[("id", &alert.id.to_string())],
                            "",
                            &html! {
                                "I see to it"
                                span.vh { ": " (headline(alert)) }
                            },
                        )
                })
            }
            _ => span.m { "nobody" },
        }
    }
}

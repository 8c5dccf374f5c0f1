//! What is on its way out, and what could not be delivered?

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    here::Here,
    shell::Frame,
    words::{ago, clock, icon, link, name, of, why},
};
use crate::{
    api::{Api, Problem},
    domain::{Item, ItemId, ItemStatus, Role},
    store::ItemQuery,
};

const ITEMS: u64 = 50;

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
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest, query: web::Query<Query>) -> HttpResponse {
    Frame::answer(&api, &request, Here::WriteBack, async |frame| items(frame, &query).await).await
}

async fn items(frame: &Frame, query: &Query) -> Result<Markup, Problem> {
    if !frame.caller.is_for_all() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", "the write-back queue is of no agent"));
    }
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
        div.head {
            div data-live="headline" {
                h1 {
                    @if frame.undelivered == 0 { "Every change was delivered" } @else {
                        (of(frame.undelivered, "change is", "changes are"))
                        " not delivered"
                    }
                }
                p.lead {
                    "Changes made here, on their way to where they belong. Of a record, one goes after the other."
                }
            }
            @if frame.may_all(Role::Operator) && outbox.failed > 0 {
                div.row {
                    ({
                        frame
                            .sure(
                                "retry-items",
                                &[],
                                "Try all failed again",
                                &html! {
                                    "The "(of(outbox.failed, "change", "changes"))
                                    " that were given up are tried anew. Doubtful ones are left to you."
                                },
                            )
                    })
                }
            }
        }
        div.card data-live="sinks" hidden[outbox.models.iter().all(|depth| depth.items == 0)] {
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Model" }
                        th scope="col" { "State" }
                        th.n scope="col" { "Changes" }
                        th.n scope="col" { "Oldest" }
                    }
                }
                tbody {
                    @for depth in outbox.models.iter().filter(|depth| depth.items > 0) {
                        tr {
                            th scope="row" {
                                (name(&depth.model))
                                @if !depth.is_configured {
                                    " "
                                    span.st.s-wait { (icon("doubt")) "no sink takes it" }
                                }
                            }
                            td data-l="State" { (depth.status.as_str().to_lowercase()) }
                            td.n data-l="Changes" { (depth.items) }
                            td.n.m data-l="Oldest" {
                                @if let Some(oldest) = depth.oldest { (ago(oldest, frame.now())) }
                            }
                        }
                    }
                }
            }
        }
        ul.chips data-live="chips" aria-label="Filter by state" {
            @for (status, text, symbol, count) in chips {
                li {
                    a   href=(frame.path(&link("/write-back", &[("status", status)])))
                        aria-current=[(status == query.status).then_some("true")]
                    {
                        (icon(symbol))
                        (text)
                        " "
                        b { (count) }
                    }
                }
            }
        }
        div.card data-live="items" {
            @if items.is_empty() {
                p.pad.m { "There are none like that." }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "Record" }
                            th scope="col" { "Stands" }
                            th.n scope="col" { "Since" }
                            th scope="col" {
                                span.vh { "Actions" }
                            }
                        }
                    }
                    tbody {
                        @for item in &items { (change(frame, item)) }
                    }
                }
            }
            @if is_more {
                div.pager {
                    a   .b
                        href=({
                            frame
                                .path(
                                    &link(
                                        "/write-back",
                                        &[
                                            ("status", &query.status),
                                            ("model", &query.model),
                                            ("before", &next),
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
            th scope="row" {
                span.k { (name(&item.record_id)) }
                " "
                small.m { (name(&item.model)) ", " (item.action.as_str()) }
            }
            td data-l="Stands" {
                span.st.(class) {
                    (icon(symbol))
                    span {
                        (word)
                        @if item.status == ItemStatus::Pending && item.retries > 0 {
                            ", try "
                            (item.retries + 1)
                            " of "
                            (item.max_retries)
                            " at "
                            (clock(item.due_at, frame.now()))
                        }
                    }
                }
                @if let Some(error) = &item.last_error {
                    " "
                    small.m { (why(error)) }
                }
            }
            td.n.m data-l="Since" { (ago(item.created_at, frame.now())) }
            td {
                @if frame.may_all(Role::Operator) {
                    div.row.acts {
                        @if item.status == ItemStatus::Failed {
                            ({
                                frame
                                    .sure(
                                        "retry-item",
                                        &[("item", &id)],
                                        "Send again",
                                        &html! {
                                            @ if item.doubtful {
                                            "It may have arrived before: whoever receives it must drop repeats. "
                                            } "It is sent once more."
                                        },
                                    )
                            })
                        }
                        @if {
                            matches!(
                                item.status,
                                ItemStatus::Failed | ItemStatus::Pending
                            )
                        } {
                            ({
                                frame
                                    .sure(
                                        "discard-item",
                                        &[("item", &id)],
                                        "Discard",
                                        &html! {
                                            "It is never sent. Later changes of the same record go on."
                                        },
                                    )
                            })
                        }
                    }
                }
            }
        }
    }
}

//! What runs here, on what, and does it turn?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    bare::for_admins,
    here::Here,
    shell::Frame,
    words::{clock, count, icon, span, why},
};
use crate::{
    api::{Api, Problem},
    store::Store,
};

/// `GET /system`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::System, async |frame| body(frame).await).await
}

async fn body(frame: &Frame) -> Result<Markup, Problem> {
    if !frame.caller.is_for_all() {
        return Err(for_admins("details of the service"));
    }
    let api = &frame.api;
    let store: &Store = &api.context.store;
    let (bytes, trouble) = (store.bytes().await?, store.cannot_write(frame.now()).await);
    let coordination = api.context.coordination.health();
    let confinement = api.confinement.as_ref();
    Ok(html! {
        div.head {
            div {
                h1 {
                    @if trouble.is_some() { "Nothing can be written to the database" } @else {
                        "The service, and what it runs on"
                    }
                }
            }
            a.b href=(frame.path("/api/system")) { "As JSON" }
        }
        section.card.pad data-live="system" {
            dl.kv {
                dt { "Version" }
                dd { (env!("CARGO_PKG_VERSION")) }
                dt { "Serves for" }
                dd { (span((frame.now() - api.started_at).num_seconds())) }
                dt { "Database" }
                dd {
                    (store.kind())
                    ", "
                    (count(bytes >> 20))
                    " MiB"
                    @if let Some(trouble) = &trouble {
                        " "
                        span.st.s-bad {
                            (icon("dead"))
                            span {
                                "cannot be written to since "
                                (clock(trouble.since, frame.now()))
                                ": "
                                (trouble.why)
                            }
                        }
                    }
                }
                dt { "Coordination" }
                dd {
                    (coordination.kind)
                    @if let Some(trouble) = &coordination.trouble {
                        " "
                        span.st.s-bad {
                            (icon("dead"))
                            span { (why(trouble)) }
                        }
                    }
                }
                dt { "Connections" }
                dd { (api.connections.open()) " of " (api.connections.most()) }
                dt { "Readers of reports" }
                dd {
                    @match confinement {
                        None => "read in this process",
                        Some(found) if found.is_whole() => "no files, no sockets, no programs",
                        Some(found) => {
                            span.st.s-wait {
                                (icon("held"))
                                span {
                                    "confined less than they could be: landlock "
                                    (found.landlock)
                                    ", seccomp "
                                    (found.seccomp)
                                    @if !found.open.is_empty() { ", may " (found.open.join(", ")) }
                                }
                            }
                        }
                    }
                }
            }
        }
        section.card data-live="loops" {
            header {
                h2 { "Loops of this process" }
            }
            table.stack {
                tbody {
                    @for pulse in api.liveness.all() {
                        tr {
                            th scope="row" { (pulse.name) }
                            td {
                                @if pulse.is_late {
                                    span.st.s-bad {
                                        (icon("failing"))
                                        span { "late: " (pulse.since_ms) " ms" }
                                    }
                                } @else {
                                    span.st.s-fresh {
                                        (icon("fresh"))
                                        span { "turns" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

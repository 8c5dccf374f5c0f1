//! What runs here, on what, and does it turn?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    bare::{problem, refused},
    shell::{Frame, Here},
    words::{clock, count, icon, span, why},
};
use crate::{api::Api, store::Store};

/// `GET /system`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    let frame = match Frame::of(&api, &request).await {
        Ok(frame) => frame,
        Err(answer) => return answer,
    };
    if !frame.caller.is_for_all() {
        return refused(&api, "details of the service");
    }
    let store: &Store = &api.context.store;
    let (bytes, trouble) = match store.bytes().await {
        Ok(bytes) => (bytes, store.cannot_write(frame.now()).await),
        Err(error) => return problem(&api, &error.into()),
    };
    let coordination = api.context.coordination.health();
    let confinement = api.confinement.as_ref();
    let body: Markup = html! {
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
    };
    frame.page(Here::System, "System", &body)
}

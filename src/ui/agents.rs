//! Whose reports are fetched?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    here::Here,
    shell::Frame,
    words::{icon, link, name, standing},
};
use crate::{
    api::Api,
    domain::{AgentId, Role},
};

/// `GET /agents`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::Agents, async |frame| Ok(body(frame))).await
}

fn body(frame: &Frame) -> Markup {
    let worst = frame.overview.worst_by_agent();
    let is_admin = frame.may_all(Role::Admin);
    let service = AgentId::service_account();
    html! {
        div.head {
            div {
                h1 { "Agents" }
                p.lead {
                    "Whose reports are fetched. What an agent’s records say stays when they are deactivated."
                }
            }
        }
        div.card data-live="agents" {
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Agent" }
                        th scope="col" { "Name" }
                        th scope="col" { "Stands" }
                        th scope="col" {
                            span.vh { "Actions" }
                        }
                    }
                }
                tbody {
                    @for agent in frame.known.agents.iter().filter(|agent| agent.id != service) {
                        tr {
                            th scope="row" {
                                a href=(frame.path(&link("/", &[("agent", agent.id.as_str())]))) {
                                    (name(agent.id.as_str()))
                                }
                            }
                            td data-l="Name" { (name(&agent.name)) }
                            td data-l="Stands" {
                                @if !agent.active {
                                    span.st.s-off {
                                        (icon("off"))
                                        span { "not active" }
                                    }
                                } @else {
                                    @match worst.get(&agent.id).map(|worst| standing(worst)) {
                                        Some((class, symbol, word)) => span.st.(class) {
                                            (icon(symbol))
                                            span { (word) }
                                        },
                                        None => span.m { "no type" },
                                    }
                                }
                            }
                            td {
                                @if is_admin {
                                    @if agent.active {
                                        ({
                                            frame
                                                .sure(
                                                    "agent-off",
                                                    &[("agent", agent.id.as_str())],
                                                    "Deactivate",
                                                    &html! {
                                                        "Nothing is fetched for "(name(agent.id.as_str()))
                                                        " any more. The records stay."
                                                    },
                                                )
                                        })
                                    } @else {
                                        ({
                                            frame
                                                .button(
                                                    "agent",
                                                    &[("agent", agent.id.as_str()), ("name", &agent.name)],
                                                    "",
                                                    &html! {
                                                        "Activate"
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
        }
        @if is_admin {
            section.card.pad {
                h2 { "Add an agent, or rename one" }
                form.row method="post" action=(frame.path("/act/agent")) {
                    (frame.keys())
                    label {
                        span { "Id, as the source knows it" }
                        input name="agent" required maxlength="100";
                    }
                    label {
                        span { "Name" }
                        input name="name" required maxlength="100";
                    }
                    button.b.pri { "Save" }
                }
            }
        }
        @if is_admin {
            p.note {
                "Whose credentials are set is on "
                a href=(frame.path("/sources")) { "Sources" }
                "."
            }
        }
    }
}

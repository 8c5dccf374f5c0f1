//! Where do reports come from, is it asked at all, and with whose credentials?

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use maud::{Markup, html};

use super::{
    here::Here,
    shell::Frame,
    words::{ago, clock, icon, name, why},
};
use crate::{
    api::{Api, Problem},
    domain::{AgentId, Breaker, Role},
    store::{SealedCredential, StoredBreaker},
};

/// `GET /sources`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::Sources, async |frame| body(frame).await).await
}

async fn body(frame: &Frame) -> Result<Markup, Problem> {
    if !frame.caller.is_for_all() {
        let text = "sources are for those who see all agents";
        return Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text));
    }
    let breakers = &frame.known.breakers;
    let open = breakers.iter().filter(|one| matches!(one.breaker, Breaker::Open { .. })).count();
    let is_admin = frame.may_all(Role::Admin);
    // who has credentials is for admins, as in the API
    let sealed = if is_admin { frame.api.context.store.credentials().await? } else { Vec::new() };
    Ok(html! {
        div.head {
            div data-live="headline" {
                h1 {
                    @match open {
                        0 => "Every source is asked",
                        1 => "1 source is left alone",
                        open => { (open) " sources are left alone" }
                    }
                }
                p.lead {
                    "Reports come from: " (frame.api.context.breaker.source) ". A source that fails again and again for an agent is left alone for a while, so that it can recover."
                }
            }
        }
        section.card data-live="breakers" aria-labelledby="h-b" {
            header { h2 #h-b { "Sources that have failed" } span.cnt { (breakers.len()) } }
            @if breakers.is_empty() {
                p.pad.m { "None has failed of late." }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "Source" }
                            th scope="col" { "Stands" }
                            th.n scope="col" { "Since" }
                            th scope="col" { span.vh { "Actions" } }
                        }
                    }
                    tbody { @for one in breakers { (breaker(frame, one)) } }
                }
            }
        }
        @if is_admin { (credentials(frame, &sealed)) } @else { p.note { "Admins of all agents see who has credentials." } }
    })
}

fn breaker(frame: &Frame, one: &StoredBreaker) -> Markup {
    let id = one.id.to_string();
    html! {
        tr {
            th scope="row" { (name(&one.source)) " " small.m { "for " (name(one.agent_id.as_str())) } }
            td data-l="Stands" {
                @match one.breaker {
                    Breaker::Open { until, .. } => {
                        span.st.s-bad {
                            (icon("failing"))
                            span {
                                @if one.half_open { "is tried once, now" } @else { "left alone until " (clock(until, frame.now())) }
                            }
                        }
                    }
                    Breaker::Closed { .. } => span.st.s-fresh { (icon("fresh")) span { "is asked" } },
                }
                @if let Some(error) = &one.last_error { " " small.m { (why(error)) } }
            }
            td.n.m data-l="Since" { (ago(one.updated_at, frame.now())) }
            td.one {
                @if frame.may_all(Role::Operator) && matches!(one.breaker, Breaker::Open { .. }) {
                    (frame.button("reset-breaker", &[("id", &id)], "", &html! { "Ask it now" span.vh { ": " (name(&one.source)) } }))
                }
            }
        }
    }
}

fn credentials(frame: &Frame, sealed: &[SealedCredential]) -> Markup {
    let service = AgentId::service_account();
    let agents = frame.known.agents.iter().map(|agent| &agent.id).chain([&service]);
    let mut agents: Vec<&AgentId> = agents.collect();
    agents.dedup();
    html! {
        section.card data-live="credentials" aria-labelledby="h-c" {
            header { h2 #h-c { "Credentials" } span.m.s { "never shown" } }
            @if frame.api.vault.is_none() {
                p.pad.m {
                    "No key seals them: make one with " code { "lockstep credentials new-key" } " and name its file in "
                    code { "source.credentials_key_file" } "."
                }
            } @else {
                table.stack {
                    thead {
                        tr {
                            th scope="col" { "Agent" }
                            th scope="col" { "Credentials" }
                            th scope="col" { span.vh { "Actions" } }
                        }
                    }
                    tbody {
                        @for agent in agents {
                            @let known = sealed.iter().find(|one| one.agent == *agent);
                            tr {
                                th scope="row" { @if *agent == service { "all agents (shared reports)" } @else { (name(agent.as_str())) } }
                                td data-l="Credentials" {
                                    @match known {
                                        Some(known) => { "set " (ago(known.updated_at, frame.now())) " ago" }
                                        None => span.m { "none" },
                                    }
                                }
                                td.one { (change(frame, agent, known.is_some())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn change(frame: &Frame, agent: &AgentId, is_set: bool) -> Markup {
    let fields = [("agent", agent.as_str())];
    html! {
        div.row.acts {
            details.sure {
                summary.b { @if is_set { "Replace…" } @else { "Set…" } span.vh { " those of " (agent.as_str()) } }
                form.card.pad.gap method="post" action=(frame.path("/act/credential")) {
                    (frame.keys())
                    input type="hidden" name="agent" value=(agent.as_str());
                    label { span { "User name; empty for a token" } input name="username" autocomplete="off" maxlength="200"; }
                    label {
                        span { "Password, or the token" }
                        input name="password" type="password" required autocomplete="new-password" maxlength="500";
                    }
                    div.row { button.b.pri { "Set them" } }
                }
            }
            @if is_set {
                (frame.sure("credential-forget", &fields, "Forget", &html! { "The source is asked without them from the next run on." }))
            }
        }
    }
}

//! Who has a token, and for what?

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    bare::for_admins,
    here::Here,
    shell::Frame,
    words::{ago, clock, icon, name},
};
use crate::{
    api::{Api, Problem},
    domain::Role,
};

/// `GET /tokens`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    token_page(&api, &request, None).await
}

/// The tokens, and the one that was just made: shown this once.
pub(super) async fn token_page(
    api: &web::Data<Api>,
    request: &HttpRequest,
    made: Option<(&str, &str)>,
) -> HttpResponse {
    Frame::answer(api, request, Here::Tokens, async |frame| body(frame, made).await).await
}

async fn body(frame: &Frame, made: Option<(&str, &str)>) -> Result<Markup, Problem> {
    if !frame.may_all(Role::Admin) {
        return Err(for_admins("tokens"));
    }
    let tokens = frame.api.context.store.tokens().await?;
    Ok(html! {
        div.head {
            div {
                h1 { "Tokens" }
                p.lead {
                    "Who may use the API and these pages, and for what. A token is shown once; only its hash is stored."
                }
            }
        }
        @if let Some((title, secret)) = made {
            div.banner.s-fresh role="status" {
                p {
                    (icon("done"))
                    " The token "
                    b { (name(title)) }
                    ", shown this once: "
                    code { (secret) }
                }
            }
        }
        div.card {
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Role" }
                        th scope="col" { "For" }
                        th.n scope="col" { "Last used" }
                        th.n scope="col" { "Ends" }
                        th scope="col" {
                            span.vh { "Actions" }
                        }
                    }
                }
                tbody {
                    @for token in &tokens {
                        tr {
                            th scope="row" {
                                (name(&token.name))
                                @if token.revoked_at.is_some() {
                                    " "
                                    span.st.s-off { (icon("off")) "revoked" }
                                }
                            }
                            td.sh data-l="Role" { (token.role) }
                            td data-l="For" {
                                @match &token.agents {
                                    None => "all agents",
                                    Some(agents) => {
                                        @for agent in agents { (name(agent.as_str())) " " }
                                    },
                                }
                            }
                            td.n.m data-l="Last used" {
                                @match token.last_used_at {
                                    Some(at) => (ago(at, frame.now())),
                                    None => "never",
                                }
                            }
                            td.n.m data-l="Ends" {
                                @match token.expires_at {
                                    Some(at) => (clock(at, frame.now())),
                                    None => "never",
                                }
                            }
                            td {
                                @if token.revoked_at.is_none() {
                                    ({
                                        frame
                                            .sure(
                                                "token-revoke",
                                                &[("token", &token.id.to_string())],
                                                "Revoke",
                                                &html! {
                                                    "It opens nothing from now on, and pages that were opened with it are closed."
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
        section.card.pad {
            h2 { "Make a token" }
            form.row method="post" action=(frame.path("/act/token")) {
                (frame.keys())
                label {
                    span { "What it is for" }
                    input name="name" required maxlength="100";
                }
                label {
                    span { "Role" }
                    select name="role" {
                        @for role in Role::ALL {
                            option value=(role) selected[role == Role::Viewer] { (role) }
                        }
                    }
                }
                label {
                    span { "Only for these agents" }
                    input name="agents" placeholder="all" maxlength="1000";
                }
                button.b.pri { "Make it" }
            }
        }
    })
}

//! What is any page made of, also for those who are not in? Its head, its policy, the log-in, a refusal, the way back.

use actix_web::{
    HttpResponse, ResponseError as _,
    cookie::{Cookie, SameSite, time},
    http::{StatusCode, header},
};
use maud::{DOCTYPE, Markup, html};

use super::words::{icon, ours, part, sentence};
use crate::api::{Api, Problem};

const SPRITE: &str = include_str!("sprite.svg");
/// Nothing is loaded but our own style and script, and nobody frames or feeds our forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// What was done is said on the page that one comes back to, once.
pub(super) const SAID: &str = "lockstep_said";
const SAID_LIFE: time::Duration = time::Duration::seconds(30);

/// A page's problem as a page.
pub(super) fn problem(api: &Api, problem: &Problem) -> HttpResponse {
    let body = html! {
        main #main {
            div.card.pad.gap {
                h1 { "Not done" }
                p.lead role="alert" { (sentence(problem.detail())) " " code.m { (problem.code()) } }
                p {
                    a.b href={ (api.site.base_path) "/" } { "Home" }
                }
            }
        }
    };
    send(problem.status_code(), &whole(api, "Not done", "alone", &body))
}

/// Asks for a token.
pub(super) fn login(api: &Api, status: StatusCode, said: Option<&str>) -> HttpResponse {
    let root = &api.site.base_path;
    let body = html! {
        main #main {
            div.card.pad.gap {
                p.brand {
                    svg aria-hidden="true" {
                        use href="#brand" {}
                    }
                    "lockstep"
                }
                div {
                    h1 { "Log in" }
                    p.lead {
                        "With a token. An admin makes you one under Tokens, or with "
                        code { "lockstep token create" }
                        "."
                    }
                }
                form.gap method="post" action={ (root) "/login" } {
                    @if let Some(said) = said {
                        div #err.banner.s-bad role="alert" {
                            p {
                                (icon("dead"))
                                " "
                                b { (said) }
                            }
                        }
                    }
                    label {
                        span { "Token" }
                        input
                            type="password"
                            name="token"
                            autocomplete="current-password"
                            required
                            spellcheck="false"
                            aria-invalid=[said.map(|_| "true")]
                            aria-describedby=[said.map(|_| "err")];
                    }
                    button.b.pri { "Log in" }
                }
                (languages(api, "/"))
                p.s.m {
                    "A link that was sent to you logs you in once, without a token. You stay logged in for 12 hours on this browser; logging out ends it everywhere if you say so."
                }
            }
        }
    };
    send(status, &whole(api, "Log in", "alone", &body))
}

/// The other language of the pages; the one that they are in is not shown.
pub(super) fn languages(api: &Api, back: &str) -> Markup {
    html! {
        form.langs method="post" action={ (api.site.base_path) "/language" } translate="no" {
            input type="hidden" name="back" value=(back);
            button.b name="language" value="en" lang="en" { "English" }
            button.b name="language" value="it" lang="it" { "Italiano" }
        }
    }
}

/// A whole page of this class.
pub(super) fn whole(api: &Api, title: &str, class: &str, body: &Markup) -> Markup {
    let root = &api.site.base_path;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · lockstep" }
                link rel="stylesheet" href={ (root) "/style.css" };
                link
                    rel="icon"
                    href={ (root) "/assets/" (if title.starts_with('(') { "trouble" } else { "calm" }) ".svg" }
                    type="image/svg+xml";
                script src={ (root) "/assets/live.js" } defer data-root=(root) {}
            }
            body class=(class) { (ours(SPRITE)) (body) }
        }
    }
}

/// The page as an answer.
pub(super) fn send(status: StatusCode, page: &Markup) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // with no-referrer, browsers would not say which page sends a form
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(page.0.clone())
}

/// What the next page is to say.
pub(super) fn said_cookie(text: &str, life: time::Duration) -> Cookie<'static> {
    let text = part(text);
    Cookie::build(SAID, text).path("/").http_only(true).same_site(SameSite::Strict).max_age(life).finish()
}

/// Back to a page of ours, which says what was done.
pub(super) fn back_to(place: &str, said: Option<&str>, cookie: Option<Cookie<'_>>) -> HttpResponse {
    // a path of ours, and of nobody else's host: browsers take a tab out, and read what is left
    let is_odd = |letter: char| letter == '\\' || letter.is_control() || letter.is_whitespace();
    let is_ours = place.starts_with('/') && !place.starts_with("//") && !place.contains(is_odd);
    let mut answer = HttpResponse::SeeOther();
    if let Some(said) = said {
        answer.cookie(said_cookie(said, SAID_LIFE));
    }
    if let Some(cookie) = cookie {
        answer.cookie(cookie);
    }
    answer.insert_header((header::LOCATION, if is_ours { place } else { "/" })).finish()
}

/// Who may not see this page is told who may.
pub(super) fn for_admins(what: &str) -> Problem {
    let text = format!("{what} are for admins of all agents");
    Problem::new(StatusCode::FORBIDDEN, "role_needed", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_house() {
        for (place, to) in [
            ("/runs?type=orders", "/runs?type=orders"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("https://evil.example", "/"),
            ("", "/"),
        ] {
            let answer = back_to(place, None, None);
            assert_eq!(answer.headers().get(header::LOCATION).unwrap(), to, "{place:?}");
        }
    }
}

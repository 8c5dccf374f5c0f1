//! Which pages are there, and who is let in?

use actix_web::{
    HttpRequest, HttpResponse, Resource, ResponseError as _, Route, http::StatusCode, middleware::from_fn, web,
};
use serde::Deserialize;

use super::{
    act::{act, sender},
    agents, alerts, audit,
    bare::{back_to, login, problem},
    home,
    language::{choose, in_their_language},
    needs_you, queue, record, records, run, runs, schedule, sources, sync_type, system, tokens, types, write_back,
};
use crate::{
    api::{Api, Origin, Problem},
    domain::Role,
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const CALM: &str = include_str!("calm.svg");
const TROUBLE: &str = include_str!("trouble.svg");

/// The pages.
pub fn routes(config: &mut web::ServiceConfig) {
    let page = |path: &str, routes: Vec<Route>| {
        routes.into_iter().fold(web::resource(path), Resource::route).wrap(from_fn(in_their_language))
    };
    config
        .app_data(web::FormConfig::default().limit(16 << 10))
        .service(page("/", vec![web::get().to(home::show)]))
        .service(page("/needs-you", vec![web::get().to(needs_you::show)]))
        .service(page("/records", vec![web::get().to(records::search)]))
        .service(page("/records/{type}/{agent}/{key:.+}", vec![web::get().to(record::one)]))
        .service(page("/types", vec![web::get().to(types::show)]))
        .service(page("/types/{type}", vec![web::get().to(sync_type::show)]))
        .service(page("/schedule", vec![web::get().to(schedule::show)]))
        .service(page("/runs", vec![web::get().to(runs::list)]))
        .service(page("/runs/{id}", vec![web::get().to(run::one)]))
        .service(page("/queue", vec![web::get().to(queue::show)]))
        .service(page("/write-back", vec![web::get().to(write_back::show)]))
        .service(page("/agents", vec![web::get().to(agents::show)]))
        .service(page("/sources", vec![web::get().to(sources::show)]))
        .service(page("/alerts", vec![web::get().to(alerts::show)]))
        .service(page("/audit", vec![web::get().to(audit::show)]))
        .service(page("/tokens", vec![web::get().to(tokens::show)]))
        .service(page("/system", vec![web::get().to(system::show)]))
        .service(page("/login", vec![web::get().to(follow), web::post().to(log_in)]))
        .service(page("/logout", vec![web::post().to(log_out)]))
        .service(page("/act/{what}", vec![web::post().to(act)]))
        .route("/language", web::post().to(choose))
        .route("/style.css", web::get().to(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/live.js", web::get().to(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/calm.svg", web::get().to(async || asset("image/svg+xml", CALM)))
        .route("/assets/trouble.svg", web::get().to(async || asset("image/svg+xml", TROUBLE)));
}

fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Cache-Control", "no-cache"))
        .body(text)
}

#[derive(Debug, Deserialize)]
struct Link {
    key: Option<String>,
}

/// `GET /login?key=`: a link that lets in once.
async fn follow(api: web::Data<Api>, request: HttpRequest, link: web::Query<Link>) -> HttpResponse {
    let followed = async {
        // used up also by who is in already: nobody else is to find it
        if let Some(key) = &link.key
            && let Some(cookie) = api.follow_link(&request, key).await?
        {
            return Ok(back_to("/", None, Some(cookie)));
        }
        if api.visitor(&request).await?.is_some() {
            return Ok(back_to("/", None, None));
        }
        Ok::<_, Problem>(match &link.key {
            Some(_) => login(&api, StatusCode::UNAUTHORIZED, Some("This link was used before, or is too old.")),
            None => login(&api, StatusCode::OK, None),
        })
    };
    followed.await.unwrap_or_else(|wrong| problem(&api, &wrong))
}

#[derive(Deserialize)]
struct WithToken {
    token: String,
}

/// `POST /login`: with a token.
async fn log_in(api: web::Data<Api>, request: HttpRequest, form: web::Form<WithToken>) -> HttpResponse {
    if api.site.origin(&request) == Origin::Foreign {
        return login(&api, StatusCode::FORBIDDEN, Some("Another page sent this: log in here."));
    }
    let found = match api.bearer_of(form.token.trim()).await {
        Ok(found) => found,
        Err(wrong) => return problem(&api, &wrong),
    };
    let Some((caller, holder)) = found else {
        let refused = api.wrong_tokens.refuse(api.site.client(&request), request.path());
        let said = match refused.status_code() {
            StatusCode::TOO_MANY_REQUESTS => "Too many wrong tokens came from there: wait a minute.",
            _ => "This token is not known. It may be revoked, or cut short.",
        };
        return login(&api, refused.status_code(), Some(said));
    };
    if !caller.role.includes(Role::Viewer) {
        return login(&api, StatusCode::FORBIDDEN, Some("This token is for the metrics alone."));
    }
    match api.let_in(&request, (&caller, holder)).await {
        Ok((cookie, _)) => back_to("/", None, Some(cookie)),
        Err(wrong) => problem(&api, &wrong),
    }
}

#[derive(Deserialize)]
struct LogOut {
    #[serde(default)]
    everywhere: bool,
}

#[derive(Deserialize)]
struct Key {
    form_key: String,
}

/// `POST /logout`: here, or wherever the same token, link or user was let in.
async fn log_out(
    api: web::Data<Api>,
    request: HttpRequest,
    how: web::Query<LogOut>,
    form: web::Form<Key>,
) -> HttpResponse {
    let visitor = match sender(&api, &request, &form.form_key).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    match api.let_out(&request, visitor, how.everywhere).await {
        Ok(cookie) => back_to("/", None, Some(cookie)),
        Err(wrong) => problem(&api, &wrong),
    }
}

//! Which pages are there, and what do their buttons do? Each button is one message, as the API sends it.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    cookie::{Cookie, SameSite, time},
    http::{StatusCode, header},
    web,
};
use serde::Deserialize;

use super::{
    page,
    session::{Sessions, Visitor},
};
use crate::{
    api::{Api, Problem},
    domain::{Admission, Class, Reason, RunId},
    queue::{Enqueue, EnqueueMany, StopJobs},
};

const COOKIE: &str = "lockstep_session";
const STYLE: &str = include_str!("style.css");
/// Nothing is loaded but our own style, and nobody frames or feeds our forms.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The pages, for those whom `sessions` let in.
pub fn routes(sessions: Sessions) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(web::Data::new(sessions.clone()))
            .app_data(web::FormConfig::default().limit(4 << 10))
            .route("/", web::get().to(overview))
            .route("/login", web::get().to(follow))
            .route("/login", web::post().to(log_in))
            .route("/logout", web::post().to(log_out))
            .route("/style.css", web::get().to(style))
            .route("/act/{what}", web::post().to(act));
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(STYLE)
}

fn html(status: StatusCode, page: &maud::Markup) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(page.0.clone())
}

fn problem(problem: &Problem) -> HttpResponse {
    html(problem.status_code(), &page::problem(&problem.to_string()))
}

fn to_overview() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/")).finish()
}

/// The session that a request belongs to.
fn visitor(sessions: &Sessions, request: &HttpRequest) -> Option<Visitor> {
    sessions.of(request.cookie(COOKIE)?.value())
}

fn let_in(sessions: &Sessions) -> HttpResponse {
    let Ok(session) = sessions.begin() else { return HttpResponse::InternalServerError().finish() };
    let life = i64::try_from(Sessions::life().as_secs()).unwrap_or(0);
    let cookie = Cookie::build(COOKIE, session).path("/").http_only(true).same_site(SameSite::Strict);
    HttpResponse::SeeOther()
        .cookie(cookie.max_age(time::Duration::seconds(life)).finish())
        .insert_header((header::LOCATION, "/"))
        .finish()
}

/// `GET /`
async fn overview(api: web::Data<Api>, sessions: web::Data<Sessions>, request: HttpRequest) -> HttpResponse {
    let Some(visitor) = visitor(&sessions, &request) else {
        return html(StatusCode::UNAUTHORIZED, &page::login(None));
    };
    match page::Overview::look(&api).await {
        Ok(overview) => html(StatusCode::OK, &overview.render(&visitor)),
        Err(wrong) => problem(&wrong),
    }
}

#[derive(Debug, Deserialize)]
struct Link {
    key: Option<String>,
}

/// `GET /login?key=`: a link that lets in once.
async fn follow(sessions: web::Data<Sessions>, request: HttpRequest, link: web::Query<Link>) -> HttpResponse {
    match &link.key {
        // used up also by who is in already: nobody else is to find it
        Some(key) if sessions.follow(key) => let_in(&sessions),
        _ if visitor(&sessions, &request).is_some() => to_overview(),
        Some(_) => html(StatusCode::UNAUTHORIZED, &page::login(Some("This link was used before, or is too old."))),
        None => html(StatusCode::OK, &page::login(None)),
    }
}

#[derive(Deserialize)]
struct WithToken {
    token: String,
}

/// `POST /login`: with an admin's token.
async fn log_in(
    api: web::Data<Api>,
    sessions: web::Data<Sessions>,
    request: HttpRequest,
    form: web::Form<WithToken>,
) -> HttpResponse {
    match api.role_of(form.token.trim()).await {
        Ok(Some(role)) if role == "admin" => let_in(&sessions),
        Ok(_) => {
            tracing::warn!(peer = request.connection_info().peer_addr(), "a log-in was refused");
            html(StatusCode::UNAUTHORIZED, &page::login(Some("This token is not known.")))
        }
        Err(wrong) => problem(&wrong),
    }
}

#[derive(Deserialize)]
struct Form {
    form_key: String,
    run: Option<RunId>,
}

async fn log_out(sessions: web::Data<Sessions>, request: HttpRequest, form: web::Form<Form>) -> HttpResponse {
    let Some(cookie) = request.cookie(COOKIE) else { return to_overview() };
    if visitor(&sessions, &request).is_some_and(|visitor| visitor.form_key == form.form_key) {
        sessions.end(cookie.value());
    }
    to_overview()
}

/// `POST /act/{what}`: a button of the overview.
async fn act(
    api: web::Data<Api>,
    sessions: web::Data<Sessions>,
    request: HttpRequest,
    what: web::Path<String>,
    form: web::Form<Form>,
) -> HttpResponse {
    let Some(visitor) = visitor(&sessions, &request) else {
        return html(StatusCode::UNAUTHORIZED, &page::login(Some("The session is over.")));
    };
    if visitor.form_key != form.form_key {
        return html(StatusCode::FORBIDDEN, &page::problem("This form is not from this session: load the page anew."));
    }
    match perform(&api, &what, form.run).await {
        Ok(()) => to_overview(),
        Err(wrong) => problem(&wrong),
    }
}

/// Was any of it taken, or on its way already? Otherwise, why not.
fn taken(answers: &[Admission]) -> Result<(), Problem> {
    match answers.first() {
        Some(first) if answers.iter().all(|answer| answer.job().is_none()) => {
            let why = first.as_str().replace('_', " ");
            Err(Problem::conflict(first.as_str(), format!("nothing was started: {why}")))
        }
        Some(_) | None => Ok(()),
    }
}

async fn perform(api: &Api, what: &str, run: Option<RunId>) -> Result<(), Problem> {
    match (what, run) {
        ("approve", Some(run)) => {
            // the button stands beside this very run
            let shown = api.context.store.run(run).await?.and_then(|run| run.plan_digest);
            taken(&[api.approve(run, &shown.unwrap_or_else(|| "".into())).await?.1])
        }
        ("reject", Some(run)) => api.reject(run).await.map(|_| ()),
        ("sync", None) => {
            let mut asks = Vec::new();
            for spec in api.context.types.iter() {
                let agents = api.agents_for(spec, None).await?;
                asks.extend(agents.into_iter().map(|agent| Enqueue::new(spec.name.job_type(), agent, Reason::Manual)));
            }
            taken(&api.queue.send(EnqueueMany(asks)).await??)
        }
        ("stop", None) => {
            api.queue.send(StopJobs { class: Some(Class::Sync), ..StopJobs::default() }).await??;
            Ok(())
        }
        _ => Err(Problem::not_found("no_route", format!("there is no button '{what}'"))),
    }
}

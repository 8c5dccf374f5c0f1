//! Does it live, and can it work?

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Api, Problem, identity::bearer};
use crate::{
    domain::Role,
    store::Trouble,
    supervisor::{self, CallError, Restarts},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(live).service(ready);
}

/// The process lives; nothing is looked at.
#[utoipa::path(
    operation_id = "health_live",
    tag = "system",
    responses((status = 200, description = "It lives", body = serde_json::Value)),
)]
#[get("/livez")]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// Each check with the milliseconds that it took: `true`, or the name alone.
    #[param(value_type = Option<bool>)]
    verbose: Option<String>,
}

/// What keeps the service from its work, with a short name.
type Wrong = (&'static str, String);

async fn database(api: &Api) -> Result<Json, Wrong> {
    match api.store().cannot_write(api.context.clock.now()).await {
        Some(Trouble { since, why }) => {
            let since = since.to_rfc3339();
            Err(("cannot_write", format!("nothing can be written to the database since {since}: {why}")))
        }
        None => Ok(json!(null)),
    }
}

async fn all_actors(api: &Api) -> Result<Json, Wrong> {
    let actors = actors(api).await.map_err(|problem| ("actor_gone", problem.to_string()))?;
    match actors.iter().find(|actor| !actor.is_up) {
        Some(down) => Err(("actor_gone", format!("the actor '{}' has ended and is started anew", down.name))),
        None => Ok(json!(actors)),
    }
}

fn loops(api: &Api) -> Result<Json, Wrong> {
    let loops = api.liveness.all();
    match loops.iter().find(|pulse| pulse.is_late) {
        Some(late) => Err(("loop_late", format!("the loop '{}' has not got on for {} ms", late.name, late.since_ms))),
        None => Ok(json!(loops)),
    }
}

/// Ready when the database can be written to, all actors live and every loop turns.
///
/// Probes are told that and no more; whoever shows a token is told what was found, and with `verbose` how long each
/// check took.
#[utoipa::path(
    operation_id = "health_ready",
    tag = "system",
    params(Query),
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/readyz")]
pub(super) async fn ready(
    api: web::Data<Api>,
    request: HttpRequest,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let is_verbose = match query.verbose.as_deref() {
        None | Some("false") => false,
        Some("" | "true" | "1") => true,
        Some(_) => {
            let text = "verbose: expected true or false";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_query", text));
        }
    };
    let is_known = match bearer(&request) {
        // a database that is away knows no token: probes are answered all the same
        Some(token) => api.bearer_of(&token).await.is_ok_and(|found| {
            found.is_some_and(|(caller, _)| caller.role.includes(Role::Viewer) && caller.is_for_all())
        }),
        None => false,
    };
    if is_verbose && !is_known {
        let text = "verbose: what was found is for those who show a token for all agents";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", text));
    }
    let mut checks = Vec::new();
    let mut note = |name: &'static str, begun: Instant, found: Result<Json, Wrong>| {
        checks.push((name, begun.elapsed(), found));
    };
    let begun = Instant::now();
    note("database", begun, database(&api).await);
    let begun = Instant::now();
    note("actors", begun, all_actors(&api).await);
    let begun = Instant::now();
    note("loops", begun, loops(&api));
    let coordination = api.context.coordination.health();
    let wrong = checks.iter().find_map(|(.., found)| found.as_ref().err());
    if let Some((code, why)) = wrong.filter(|_| !is_verbose) {
        let text = if is_known { why } else { "it cannot work now; its log, and whoever asks with a token, know why" };
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, *code, text));
    }
    // the service works without it, but a person should know
    let status = match (wrong, &coordination.trouble) {
        (Some(_), _) => "not ready",
        (None, Some(_)) => "degraded",
        (None, None) => "ok",
    };
    let http = if wrong.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    if !is_known {
        return Ok(HttpResponse::build(http).json(json!({ "status": status })));
    }
    let mut answer = json!({ "status": status, "coordination": coordination });
    for (name, _, found) in &checks {
        if let Ok(found) = found.clone() {
            answer[*name] = found;
        }
    }
    if is_verbose {
        answer["checks"] = checks
            .iter()
            .map(|(name, took, found)| {
                let wrong = found.as_ref().err().map(|(code, why)| json!({ "code": code, "detail": why }));
                json!({ "name": name, "ok": wrong.is_none(), "milliseconds": took.as_secs_f64() * 1e3, "wrong": wrong })
            })
            .collect();
    }
    Ok(HttpResponse::build(http).json(answer))
}

/// Every actor, and how often it was started anew.
pub(super) async fn actors(api: &Api) -> Result<Vec<Restarts>, Problem> {
    Ok(api.supervisor.send(supervisor::Snapshot).await.map_err(CallError::from)?)
}

//! Does it live, and can it work?

use actix_web::{HttpResponse, get, http::StatusCode, web};
use serde_json::json;

use super::{Api, Problem};
use crate::{
    store::Trouble,
    supervisor::{self, CallError, Restarts},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(live).service(ready);
}

#[get("/livez")]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Ready when the database can be written to, all actors live and every loop turns.
#[get("/readyz")]
async fn ready(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    if let Some(Trouble { since, why }) = api.store().cannot_write(api.context.clock.now()).await {
        let text = format!("nothing can be written to the database since {}: {why}", since.to_rfc3339());
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "cannot_write", text));
    }
    let actors = actors(&api).await?;
    if let Some(down) = actors.iter().find(|actor| !actor.is_up) {
        let text = format!("the actor '{}' has ended and is started anew", down.name);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "actor_gone", text));
    }
    let loops = api.liveness.all();
    if let Some(late) = loops.iter().find(|pulse| pulse.is_late) {
        let text = format!("the loop '{}' has not got on for {} ms", late.name, late.since_ms);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "loop_late", text));
    }
    let coordination = api.context.coordination.health();
    // the service works without it, but a person should know
    let status = if coordination.trouble.is_some() { "degraded" } else { "ok" };
    Ok(HttpResponse::Ok()
        .json(json!({ "status": status, "actors": actors, "loops": loops, "coordination": coordination })))
}

/// Every actor, and how often it was started anew.
pub(super) async fn actors(api: &Api) -> Result<Vec<Restarts>, Problem> {
    Ok(api.supervisor.send(supervisor::Snapshot).await.map_err(CallError::from)?)
}

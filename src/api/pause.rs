//! Is everything paused, by whom and why?

use actix_web::{HttpResponse, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{Cause, Pause, Timestamp},
    queue::SetPause,
    supervisor::By,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(pause).service(resume);
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = PauseRequest)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    #[serde(default)]
    drain: bool,
    #[serde(default)]
    emergency: bool,
}

/// Pauses: no syncs start (with `emergency`, nothing at all).
///
/// Running ones go back to the queue, or with `drain` finish first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "pause_pause",
    tag = "sync",
    request_body = Asked,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/pause")]
pub(super) async fn pause(api: web::Data<Api>, cause: Cause, body: JsonBody<Asked>) -> Result<HttpResponse, Problem> {
    let Asked { reason, until, drain, emergency } = body.into_inner();
    let now = api.context.clock.now();
    let pause = Pause { reason, by: cause.who.clone(), since: now, until, drain, emergency };
    let stopping = api.queue.send(By(cause, SetPause(Some(pause.clone())))).await??;
    Ok(HttpResponse::Ok().json(json!({ "pause": pause, "stopping": stopping })))
}

/// Ends the pause.
#[utoipa::path(
    context_path = "/api",
    operation_id = "pause_resume",
    tag = "sync",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/resume")]
pub(super) async fn resume(api: web::Data<Api>, cause: Cause) -> Result<HttpResponse, Problem> {
    api.queue.send(By(cause, SetPause(None))).await??;
    Ok(HttpResponse::Ok().json(json!({ "pause": null })))
}

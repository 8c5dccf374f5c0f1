//! Is everything paused, by whom and why?

use actix_web::{HttpResponse, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{Pause, Timestamp},
    queue::SetPause,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(pause).service(resume);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    reason: String,
    until: Option<Timestamp>,
    #[serde(default)]
    drain: bool,
    #[serde(default)]
    emergency: bool,
}

/// `POST /api/sync/pause`: no syncs start (with `emergency`, nothing at all); running ones go back to the
/// queue, or with `drain` finish first.
#[post("/sync/pause")]
async fn pause(api: web::Data<Api>, body: JsonBody<Asked>) -> Result<HttpResponse, Problem> {
    let Asked { reason, until, drain, emergency } = body.into_inner();
    let now = api.context.clock.now();
    let pause = Pause { reason, by: "admin".to_owned(), since: now, until, drain, emergency };
    let stopping = api.queue.send(SetPause(Some(pause.clone()))).await??;
    Ok(HttpResponse::Ok().json(json!({ "pause": pause, "stopping": stopping })))
}

/// `POST /api/sync/resume`
#[post("/sync/resume")]
async fn resume(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    api.queue.send(SetPause(None)).await??;
    Ok(HttpResponse::Ok().json(json!({ "pause": null })))
}

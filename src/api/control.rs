//! How is the queue steered? Pause, limits, breakers, keys.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, delete, get, post, put, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{JobId, Pause, Timestamp, queue::ALL},
    queue::{QueueSnapshot, ResetBreaker, SetLimits, SetPause, Snapshot, Wake},
};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(pause).service(resume).service(limits).service(set_limits);
    config.service(breakers).service(reset).service(look_up).service(remove_key);
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

/// `GET /api/limits`: how many jobs may run at once.
#[get("/limits")]
async fn limits(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    Ok(HttpResponse::Ok().json(json!({ "concurrency": queue.concurrency, "types": queue.limits })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    concurrency: Option<usize>,
    #[serde(default)]
    types: BTreeMap<String, Option<usize>>,
}

/// `PUT /api/limits`: what is absent stays; `null` takes a type's limit away.
#[put("/limits")]
async fn set_limits(api: web::Data<Api>, body: JsonBody<Limits>) -> Result<HttpResponse, Problem> {
    let Limits { concurrency, types } = body.into_inner();
    let global = concurrency.map(|limit| (ALL.to_owned(), Some(limit)));
    api.queue.send(SetLimits(types.into_iter().chain(global).collect())).await??;
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    Ok(HttpResponse::Ok().json(json!({ "concurrency": queue.concurrency, "types": queue.limits })))
}

/// `GET /api/breakers`
#[get("/breakers")]
async fn breakers(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "items": api.store().breakers(api.context.clock.now()).await?, "next": null })))
}

/// `POST /api/breakers/{id}/reset`
#[post("/breakers/{id}/reset")]
async fn reset(api: web::Data<Api>, id: web::Path<i64>) -> Result<HttpResponse, Problem> {
    if !api.queue.send(ResetBreaker { id: *id }).await?? {
        return Err(Problem::not_found("unknown_breaker", format!("there is no breaker {id}")));
    }
    let found = api.store().breakers(api.context.clock.now()).await?.into_iter().find(|breaker| breaker.id == *id);
    Ok(HttpResponse::Ok().json(found))
}

/// `GET /api/keys/{key}`: who has an in-flight key or a throttle window.
#[get("/keys/{key:.+}")]
async fn look_up(api: web::Data<Api>, key: web::Path<String>) -> Result<HttpResponse, Problem> {
    let state = api.store().key(key.clone(), api.context.clock.now()).await?;
    let mut body = json!(state);
    body["key"] = key.into_inner().into();
    Ok(HttpResponse::Ok().json(body))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfJob {
    job: JobId,
}

/// `DELETE /api/keys/{key}?job=`: parts this job from the key; a later owner keeps it.
#[delete("/keys/{key:.+}")]
async fn remove_key(
    api: web::Data<Api>,
    key: web::Path<String>,
    query: web::Query<OfJob>,
) -> Result<HttpResponse, Problem> {
    let (key, job) = (key.into_inner(), query.job);
    if !api.store().remove_key(key.clone(), job, api.context.clock.now()).await? {
        return Err(Problem::not_found("not_its_key", format!("job {job} does not have the key '{key}'")).of_job(job));
    }
    // what was kept behind it may start
    api.queue.send(Wake).await?;
    Ok(HttpResponse::NoContent().finish())
}

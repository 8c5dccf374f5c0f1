//! Which job has a key, in flight or as a throttle window?

use actix_web::{HttpResponse, delete, get, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, Problem};
use crate::{domain::JobId, queue::Wake};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(look_up).service(remove_key);
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

//! Which job has a key, in flight or as a throttle window?

use actix_web::{HttpResponse, delete, get, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, Problem};
use crate::{
    domain::{Cause, JobId},
    queue::Wake,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(look_up).service(remove_key);
}

/// Who has an in-flight key or a throttle window.
#[utoipa::path(
    context_path = "/api",
    operation_id = "keys_look_up",
    tag = "jobs",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/keys/{key:.+}")]
pub(super) async fn look_up(api: web::Data<Api>, key: web::Path<String>) -> Result<HttpResponse, Problem> {
    let state = api.store().key(key.clone(), api.context.clock.now()).await?;
    let mut body = json!(state);
    body["key"] = key.into_inner().into();
    Ok(HttpResponse::Ok().json(body))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OfJob {
    #[param(value_type = i64)]
    job: JobId,
}

/// Parts this job from the key; a later owner keeps it.
#[utoipa::path(
    context_path = "/api",
    operation_id = "keys_remove_key",
    tag = "jobs",
    params(OfJob),
    responses(
        (status = 204, description = "Done"),
    ),
)]
#[delete("/keys/{key:.+}")]
pub(super) async fn remove_key(
    api: web::Data<Api>,
    cause: Cause,
    key: web::Path<String>,
    query: web::Query<OfJob>,
) -> Result<HttpResponse, Problem> {
    let (key, job) = (key.into_inner(), query.job);
    let now = api.context.clock.now();
    if !api.store().by(cause, now).remove_key(key.clone(), job, now).await? {
        return Err(Problem::not_found("not_its_key", format!("job {job} does not have the key '{key}'")).of_job(job));
    }
    // what was kept behind it may start
    api.queue.send(Wake).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! Which sources are left alone because they do not answer?

use actix_web::{HttpResponse, get, post, web};
use serde_json::json;

use super::{Api, Problem};
use crate::{domain::Cause, queue::ResetBreaker, supervisor::By};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(breakers).service(reset);
}

/// Sources that are left alone, and since when.
#[utoipa::path(
    context_path = "/api",
    operation_id = "breakers_breakers",
    tag = "system",
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<serde_json::Value>),
    ),
)]
#[get("/breakers")]
pub(super) async fn breakers(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "items": api.store().breakers(api.context.clock.now()).await?, "next": null })))
}

/// Closes a breaker and starts what waited for it.
#[utoipa::path(
    context_path = "/api",
    operation_id = "breakers_reset",
    tag = "system",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/breakers/{id}/reset")]
pub(super) async fn reset(api: web::Data<Api>, cause: Cause, id: web::Path<i64>) -> Result<HttpResponse, Problem> {
    if !api.queue.send(By(cause, ResetBreaker { id: *id })).await?? {
        return Err(Problem::not_found("unknown_breaker", format!("there is no breaker {id}")));
    }
    let found = api.store().breakers(api.context.clock.now()).await?.into_iter().find(|breaker| breaker.id == *id);
    Ok(HttpResponse::Ok().json(found))
}

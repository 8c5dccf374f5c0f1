//! Which sources are left alone because they do not answer?

use actix_web::{HttpResponse, get, post, web};
use serde_json::json;

use super::{Api, Problem};
use crate::queue::ResetBreaker;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(breakers).service(reset);
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

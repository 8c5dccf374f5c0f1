//! How many jobs may run at once?

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, put, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::queue::ALL,
    queue::{QueueSnapshot, SetLimits, Snapshot},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(limits).service(set_limits);
}

/// `GET /api/limits`: how many jobs may run at once.
#[get("/limits")]
async fn limits(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    Ok(HttpResponse::Ok().json(json!({ "concurrency": queue.concurrency, "types": queue.limits })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    concurrency: Option<usize>,
    #[serde(default)]
    types: BTreeMap<String, Option<usize>>,
}

/// `PUT /api/limits`: what is absent stays; `null` takes a type's limit away.
#[put("/limits")]
async fn set_limits(api: web::Data<Api>, body: JsonBody<Asked>) -> Result<HttpResponse, Problem> {
    let Asked { concurrency, types } = body.into_inner();
    let global = concurrency.map(|limit| (ALL.to_owned(), Some(limit)));
    api.queue.send(SetLimits(types.into_iter().chain(global).collect())).await??;
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    Ok(HttpResponse::Ok().json(json!({ "concurrency": queue.concurrency, "types": queue.limits })))
}

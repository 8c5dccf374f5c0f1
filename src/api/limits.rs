//! How many jobs may run at once?

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, put, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Api, JsonBody, Problem, etag};
use crate::{
    domain::{Cause, queue::ALL},
    queue::{QueueSnapshot, SetLimits, Snapshot},
    supervisor::By,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(limits).service(set_limits);
}

/// How many jobs may run at once.
#[utoipa::path(
    context_path = "/api",
    operation_id = "limits_limits",
    tag = "schedule",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/limits")]
pub(super) async fn limits(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let now = now(&api).await?;
    Ok(etag::answer(&request, &now, &now))
}

async fn now(api: &Api) -> Result<Json, Problem> {
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    Ok(json!({ "concurrency": queue.concurrency, "types": queue.limits }))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Limits)]
#[serde(deny_unknown_fields)]
struct Asked {
    concurrency: Option<usize>,
    #[serde(default)]
    types: BTreeMap<String, Option<usize>>,
}

/// Sets limits: what is absent stays; `null` takes a type's limit away.
#[utoipa::path(
    context_path = "/api",
    operation_id = "limits_set_limits",
    tag = "schedule",
    request_body = Asked,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[put("/limits")]
pub(super) async fn set_limits(
    api: web::Data<Api>,
    cause: Cause,
    request: HttpRequest,
    body: JsonBody<Asked>,
) -> Result<HttpResponse, Problem> {
    let _unchanged = etag::unchanged(&api, &request, async || Ok(Some(now(&api).await?))).await?;
    let Asked { concurrency, types } = body.into_inner();
    let global = concurrency.map(|limit| (ALL.to_owned(), Some(limit)));
    api.queue.send(By(cause, SetLimits(types.into_iter().chain(global).collect()))).await??;
    let now = now(&api).await?;
    Ok(etag::changed(&now))
}

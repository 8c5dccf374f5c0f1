//! What runs here, since when, on what, and how large has it become?

use actix_web::{HttpResponse, get, web};
use serde_json::json;

use super::{Api, Problem, health};
use crate::{
    queue::{QueueSnapshot, Snapshot},
    store::Store,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(show);
}

/// This process, its parts and its database.
///
/// Sizes are in bytes; `uptimeSeconds` counts from when this process began to serve.
#[utoipa::path(
    context_path = "/api",
    operation_id = "system_show",
    tag = "system",
    responses((status = 200, description = "How it is now", body = serde_json::Value)),
)]
#[get("/system")]
pub(super) async fn show(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let queue: QueueSnapshot = api.queue.send(Snapshot).await?;
    let store = api.store();
    let migrations = store.migration_status().await?;
    let pending = migrations.iter().filter(|(_, is_applied)| !is_applied).count();
    let schema = migrations.iter().rev().find(|(_, is_applied)| *is_applied).map(|(name, _)| name);
    let now = api.context.clock.now();
    Ok(HttpResponse::Ok().json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "process": api.context.owner,
        "startedAt": api.started_at,
        "uptimeSeconds": (now - api.started_at).num_seconds().max(0),
        "database": {
            "kind": Store::kind(store),
            "bytes": store.bytes().await?,
            "waitingReportsBytes": store.waiting_bytes().await?,
            "keptReportsBytes": store.kept_reports_bytes().await?,
            "schema": schema,
            "pendingMigrations": pending,
            "trouble": store.cannot_write(now).await.map(|trouble| json!({ "since": trouble.since, "why": trouble.why })),
        },
        "coordination": api.context.coordination.health(),
        "source": api.context.breaker.source,
        "types": api.context.types.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(),
        "operations": api.operations.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>(),
        "connections": { "open": api.connections.open(), "most": api.connections.most() },
        "sandbox": api.confinement,
        "log": api.log.as_ref().map(|log| json!({ "raised": log.raised() })),
        "queue": queue,
        "actors": health::actors(&api).await?,
        "loops": api.liveness.all(),
    })))
}

//! How does a program fetch changes that no sink of ours has, and say how they went?

use actix_web::{HttpResponse, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, OptionalBody, Problem, outbox::found};
use crate::{
    domain::{
        Cause, Item, ItemId, Lease, Timestamp,
        item::{AfterFailure, Failure},
    },
    outbox::{CompleteItems, DequeueItems, FailItem, OutboxError},
    store::StoreError,
    supervisor::By,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(dequeue).service(complete).service(fail);
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = FetchItems)]
#[serde(default, deny_unknown_fields)]
struct Fetch {
    models: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 100)]
    batch: Option<u64>,
}

/// Takes items of models without a sink, oldest first.
///
/// Each is completed or failed under the `lease` that comes with it.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_dequeue",
    tag = "write-back",
    request_body = Option<Fetch>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/dequeue")]
pub(super) async fn dequeue(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(Fetch { models, batch }): OptionalBody<Fetch>,
) -> Result<HttpResponse, Problem> {
    let claimed = api.outbox.send(By(cause, DequeueItems { models, batch })).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": claimed.items, "nextDue": claimed.next_due })))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = CompleteItem)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Done {
    lease: i64,
    sheet_row_index: Option<i64>,
}

/// An item that was fetched has arrived.
///
/// 409 if the lease is not its own any more.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_complete",
    tag = "write-back",
    request_body = Done,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/items/{id}/complete")]
pub(super) async fn complete(
    api: web::Data<Api>,
    cause: Cause,
    id: web::Path<ItemId>,
    body: JsonBody<Done>,
) -> Result<HttpResponse, Problem> {
    let held = Lease { id: *id, number: body.lease };
    let item = found(&api, *id).await?;
    let late = api.outbox.send(By(cause, CompleteItems(vec![(held, body.sheet_row_index)]))).await??;
    if late.is_empty() {
        return Ok(HttpResponse::Ok().json(found(&api, *id).await?));
    }
    Err(not_held(&item, body.lease))
}

fn not_held(item: &Item, lease: i64) -> Problem {
    let status = item.status.as_str();
    Problem::conflict("not_held", format!("item {} is not held under lease {lease}: it is {status}", item.id))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = FailItem)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Failed {
    lease: i64,
    error: String,
    /// `notSent`, `refused`, or `unknown`, as which it counts where nothing is said.
    #[serde(default)]
    effect: Effect,
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Effect)]
#[serde(rename_all = "camelCase")]
enum Effect {
    NotSent,
    Refused,
    #[default]
    Unknown,
}

/// An item that was fetched could not be delivered.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_fail",
    tag = "write-back",
    request_body = Failed,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/items/{id}/fail")]
pub(super) async fn fail(
    api: web::Data<Api>,
    cause: Cause,
    id: web::Path<ItemId>,
    body: JsonBody<Failed>,
) -> Result<HttpResponse, Problem> {
    let Failed { lease, error, effect, not_before } = body.into_inner();
    let failure = match effect {
        Effect::NotSent => Failure::NotSent,
        Effect::Refused => Failure::Refused,
        Effect::Unknown => Failure::Unknown,
    };
    let item = found(&api, *id).await?;
    let fail = FailItem { held: Lease { id: *id, number: lease }, failure, error, not_before };
    match api.outbox.send(By(cause, fail)).await? {
        Ok(AfterFailure::Again(_) | AfterFailure::Failed { .. }) => {
            Ok(HttpResponse::Ok().json(found(&api, *id).await?))
        }
        Err(OutboxError::Store(StoreError::ItemLost { .. })) => Err(not_held(&item, lease)),
        Err(error) => Err(error.into()),
    }
}

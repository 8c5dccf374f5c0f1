//! What waits to go out, and what can be done about it? Routes over the write-back queue.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, OneOrMany, OptionalBody, Problem,
    idempotency::HEADER,
    json_body::fields,
    page::{self, Cursor, PageSize},
};
use crate::{
    domain::{Caller, Cause, Item, ItemId, ItemStatus, NewItem, item::ItemRefusal},
    outbox::{
        CleanupCompleted, DiscardItem, EnqueueItems, EnqueueItemsOnce, OutboxError, OutboxStats, RedriveItem,
        RedriveItems, ResetStuck,
    },
    store::{ItemQuery, StoreError},
    supervisor::By,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(count).service(list).service(add).service(show).service(retry_all);
    config.service(retry).service(discard).service(reset_stuck).service(cleanup);
}

impl From<OutboxError> for Problem {
    fn from(error: OutboxError) -> Self {
        let text = error.to_string();
        match error {
            OutboxError::Refused { refusal: ItemRefusal { code, pointer, .. }, .. } => {
                Problem::unprocessable(code, &pointer, text)
            }
            OutboxError::OutOfRange { what, .. } => Problem::unprocessable("out_of_range", &format!("/{what}"), text),
            OutboxError::HasSink { .. } => Problem::conflict("has_sink", text),
            OutboxError::UnknownModel(_) => Problem::not_found("unknown_model", text),
            OutboxError::Store(error) => error.into(),
        }
    }
}

/// How many items have which status, by model; and the sinks, as this process sees them.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_count",
    tag = "write-back",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/queue/stats")]
pub(super) async fn count(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.outbox.send(OutboxStats).await??))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    #[param(value_type = Option<String>)]
    status: Option<ItemStatus>,
    model: Option<String>,
    record_id: Option<String>,
    #[serde(default)]
    doubtful: bool,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Items of the write-back queue, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_list",
    tag = "write-back",
    params(Wanted),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<Item>),
    ),
)]
#[get("/queue/items")]
pub(super) async fn list(api: web::Data<Api>, query: web::Query<Wanted>) -> Result<HttpResponse, Problem> {
    let Wanted { status, model, record_id, doubtful, cursor, limit } = query.into_inner();
    let size = PageSize::of(limit)?;
    let wanted = ItemQuery {
        status,
        model,
        record_id,
        doubtful,
        before: page::behind(cursor.as_ref(), "items")?,
        limit: size.with_one_more(),
    };
    Ok(size.answer("items", api.store().items(wanted).await?, |item| item.id))
}

pub(super) async fn found(api: &Api, id: ItemId) -> Result<Item, Problem> {
    Ok(api.store().item(id).await?.ok_or_else(|| StoreError::Missing(format!("item {id}")))?)
}

/// One item of the write-back queue.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_show",
    tag = "write-back",
    responses(
        (status = 200, description = "How it is now", body = Item),
    ),
)]
#[get("/queue/items/{id}")]
pub(super) async fn show(api: web::Data<Api>, id: web::Path<ItemId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

/// One change, or an array of them, all or none: 201 with their numbers.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_add",
    tag = "write-back",
    request_body = OneOrMany,
    responses(
        (status = 201, description = "Its number, or the numbers of an array", body = serde_json::Value),
    ),
)]
#[post("/queue/items")]
pub(super) async fn add(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    cause: Cause,
    body: OneOrMany,
) -> Result<HttpResponse, Problem> {
    let (raw, is_many) = match body {
        OneOrMany::Many(many) => (many, true),
        OneOrMany::One(one) => (vec![one], false),
    };
    let at = |place: usize| if is_many { format!("/{place}") } else { String::new() };
    let mut items = Vec::with_capacity(raw.len());
    for (place, one) in raw.into_iter().enumerate() {
        items.push(fields::<NewItem>(one, &at(place), "bad_item")?);
    }
    // a key is remembered with what it queued, in one transaction
    let queued = match request.headers().get(HEADER).and_then(|key| key.to_str().ok()) {
        Some(key) => {
            let key = format!("{}:{}", caller.id, key.trim());
            api.outbox.send(By(cause, EnqueueItemsOnce { key, items })).await?
        }
        None => api.outbox.send(By(cause, EnqueueItems(items))).await?,
    };
    let ids = match queued {
        Err(OutboxError::Refused { place, refusal }) => {
            let pointer = format!("{}{}", at(place), refusal.pointer);
            return Err(Problem::unprocessable(refusal.code, &pointer, refusal.text));
        }
        ids => ids?,
    };
    let Some(id) = ids.first().filter(|_| !is_many) else {
        return Ok(HttpResponse::Created().json(json!({ "ids": ids })));
    };
    let place = format!("/api/queue/items/{id}");
    Ok(HttpResponse::Created().insert_header(("Location", place)).json(json!({ "id": id })))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = RetryItem)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Again {
    even_if_done: bool,
}

/// A FAILED item waits again, with all its attempts.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_retry",
    tag = "write-back",
    request_body = Option<Again>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/items/{id}/retry")]
pub(super) async fn retry(
    api: web::Data<Api>,
    cause: Cause,
    id: web::Path<ItemId>,
    OptionalBody(Again { even_if_done }): OptionalBody<Again>,
) -> Result<HttpResponse, Problem> {
    api.outbox.send(By(cause, RedriveItem { item: *id, even_if_done })).await??;
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = RetryItems)]
#[serde(default, deny_unknown_fields)]
struct Which {
    model: Option<String>,
}

/// All FAILED items wait again, except those that may have been delivered and must not be twice.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_retry_all",
    tag = "write-back",
    request_body = Option<Which>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/retry")]
pub(super) async fn retry_all(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(Which { model }): OptionalBody<Which>,
) -> Result<HttpResponse, Problem> {
    let items = api.outbox.send(By(cause, RedriveItems { model })).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// An item that is FAILED or PENDING is given up for good; later ones of its record go on.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_discard",
    tag = "write-back",
    responses(
        (status = 200, description = "How it is now", body = Item),
    ),
)]
#[post("/queue/items/{id}/discard")]
pub(super) async fn discard(api: web::Data<Api>, cause: Cause, id: web::Path<ItemId>) -> Result<HttpResponse, Problem> {
    let by = cause.who.clone();
    api.outbox.send(By(cause, DiscardItem { item: *id, by })).await??;
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = ResetStuck)]
#[serde(default, deny_unknown_fields)]
struct Stuck {
    #[schema(minimum = 1, maximum = 10_080)]
    minutes: Option<u32>,
}

/// What has been PROCESSING for longer is taken back.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_reset_stuck",
    tag = "write-back",
    request_body = Option<Stuck>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/reset-stuck")]
pub(super) async fn reset_stuck(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(Stuck { minutes }): OptionalBody<Stuck>,
) -> Result<HttpResponse, Problem> {
    let items = api.outbox.send(By(cause, ResetStuck { minutes })).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Cleanup)]
#[serde(default, deny_unknown_fields)]
struct Old {
    #[schema(maximum = 3_650)]
    days: Option<u32>,
}

/// What was completed longer ago is forgotten.
#[utoipa::path(
    context_path = "/api",
    operation_id = "outbox_cleanup",
    tag = "write-back",
    request_body = Option<Old>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/queue/cleanup")]
pub(super) async fn cleanup(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(Old { days }): OptionalBody<Old>,
) -> Result<HttpResponse, Problem> {
    let items = api.outbox.send(By(cause, CleanupCompleted { days })).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

//! What waits to go out, and what can be done about it? Routes over the write-back queue.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    Api, JsonBody, Problem,
    answer::{idempotency_key, optional_json},
    page::PageSize,
    problem,
};
use crate::{
    domain::{
        Item, ItemId, ItemStatus, Lease, NewItem, Timestamp,
        item::{AfterFailure, Failure, ItemRefusal},
    },
    outbox::{
        CleanupCompleted, CompleteItems, DequeueItems, DiscardItem, EnqueueItems, EnqueueItemsOnce, FailItem,
        OutboxError, OutboxStats, RedriveItem, RedriveItems, ResetStuck,
    },
    store::{ItemQuery, StoreError},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(count).service(list).service(add).service(show).service(retry_all).service(dequeue);
    config.service(complete).service(fail).service(retry).service(discard).service(reset_stuck).service(cleanup);
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

/// `GET /api/queue/stats`: how many items have which status, by model; and the sinks, as this process sees them.
#[get("/queue/stats")]
async fn count(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.outbox.send(OutboxStats).await??))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    status: Option<ItemStatus>,
    model: Option<String>,
    record_id: Option<String>,
    #[serde(default)]
    doubtful: bool,
    cursor: Option<ItemId>,
    limit: Option<u64>,
}

/// `GET /api/queue/items?status=&model=&recordId=&doubtful=&cursor=&limit=`, newest first.
#[get("/queue/items")]
async fn list(api: web::Data<Api>, query: web::Query<Wanted>) -> Result<HttpResponse, Problem> {
    let Wanted { status, model, record_id, doubtful, cursor, limit } = query.into_inner();
    let size = PageSize::of(limit);
    let wanted = ItemQuery { status, model, record_id, doubtful, before: cursor, limit: size.with_one_more() };
    Ok(size.answer(api.store().items(wanted).await?, |item| item.id.to_string()))
}

async fn found(api: &Api, id: ItemId) -> Result<Item, Problem> {
    Ok(api.store().item(id).await?.ok_or_else(|| StoreError::Missing(format!("item {id}")))?)
}

/// `GET /api/queue/items/{id}`
#[get("/queue/items/{id}")]
async fn show(api: web::Data<Api>, id: web::Path<ItemId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Json>),
    One(Json),
}

/// `POST /api/queue/items`: one change, or an array of them, all or none: 201 with their numbers. The same
/// `Idempotency-Key` again answers the same numbers.
#[post("/queue/items")]
async fn add(api: web::Data<Api>, request: HttpRequest, body: web::Json<OneOrMany>) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let (raw, is_many) = match body.into_inner() {
        OneOrMany::Many(many) => (many, true),
        OneOrMany::One(one) => (vec![one], false),
    };
    let at = |place: usize| if is_many { format!("/{place}") } else { String::new() };
    let mut items = Vec::with_capacity(raw.len());
    for (place, one) in raw.into_iter().enumerate() {
        let wrong = |error: serde_json::Error| Problem::unprocessable("bad_item", &at(place), error.to_string());
        items.push(serde_json::from_value::<NewItem>(one).map_err(wrong)?);
    }
    let queued = match key {
        Some(key) => api.outbox.send(EnqueueItemsOnce { key, items }).await?,
        None => api.outbox.send(EnqueueItems(items)).await?,
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fetch {
    models: Option<Vec<String>>,
    batch: Option<u64>,
}

/// `POST /api/queue/dequeue` `{ "models"?, "batch"? }`: takes items of models without a sink, oldest first; each is
/// completed or failed under the `lease` that comes with it.
#[post("/queue/dequeue")]
async fn dequeue(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let Fetch { models, batch } = optional_json(&problem::body(body)?)?;
    let claimed = api.outbox.send(DequeueItems { models, batch }).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": claimed.items, "nextDue": claimed.next_due })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Done {
    lease: i64,
    sheet_row_index: Option<i64>,
}

/// `POST /api/queue/items/{id}/complete` `{ "lease", "sheetRowIndex"? }`: 409 if the lease is not its own any more.
#[post("/queue/items/{id}/complete")]
async fn complete(api: web::Data<Api>, id: web::Path<ItemId>, body: JsonBody<Done>) -> Result<HttpResponse, Problem> {
    let held = Lease { id: *id, number: body.lease };
    let item = found(&api, *id).await?;
    let late = api.outbox.send(CompleteItems(vec![(held, body.sheet_row_index)])).await??;
    if late.is_empty() {
        return Ok(HttpResponse::Ok().json(found(&api, *id).await?));
    }
    Err(not_held(&item, body.lease))
}

fn not_held(item: &Item, lease: i64) -> Problem {
    let status = item.status.as_str();
    Problem::conflict("not_held", format!("item {} is not held under lease {lease}: it is {status}", item.id))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Failed {
    lease: i64,
    error: String,
    /// `notSent`, `refused`, or `unknown`, as which it counts where nothing is said.
    #[serde(default)]
    effect: Effect,
    not_before: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Effect {
    NotSent,
    Refused,
    #[default]
    Unknown,
}

/// `POST /api/queue/items/{id}/fail` `{ "lease", "error", "effect"?, "notBefore"? }`
#[post("/queue/items/{id}/fail")]
async fn fail(api: web::Data<Api>, id: web::Path<ItemId>, body: JsonBody<Failed>) -> Result<HttpResponse, Problem> {
    let Failed { lease, error, effect, not_before } = body.into_inner();
    let failure = match effect {
        Effect::NotSent => Failure::NotSent,
        Effect::Refused => Failure::Refused,
        Effect::Unknown => Failure::Unknown,
    };
    let item = found(&api, *id).await?;
    match api.outbox.send(FailItem { held: Lease { id: *id, number: lease }, failure, error, not_before }).await? {
        Ok(AfterFailure::Again(_) | AfterFailure::Failed { .. }) => {
            Ok(HttpResponse::Ok().json(found(&api, *id).await?))
        }
        Err(OutboxError::Store(StoreError::ItemLost { .. })) => Err(not_held(&item, lease)),
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RelayMessage {
    even_if_done: bool,
}

/// `POST /api/queue/items/{id}/retry` `{ "evenIfDone"? }`: a FAILED item waits again, with all its attempts.
#[post("/queue/items/{id}/retry")]
async fn retry(
    api: web::Data<Api>,
    id: web::Path<ItemId>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let RelayMessage { even_if_done } = optional_json(&problem::body(body)?)?;
    api.outbox.send(RedriveItem { item: *id, even_if_done }).await??;
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    model: Option<String>,
}

/// `POST /api/queue/retry` `{ "model"? }`: all FAILED items wait again, except those that may have
/// been delivered and must not be twice.
#[post("/queue/retry")]
async fn retry_all(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let Which { model } = optional_json(&problem::body(body)?)?;
    let items = api.outbox.send(RedriveItems { model }).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// `POST /api/queue/items/{id}/discard`: an item that is FAILED or PENDING is given up for good; later ones of its record go on.
#[post("/queue/items/{id}/discard")]
async fn discard(api: web::Data<Api>, id: web::Path<ItemId>) -> Result<HttpResponse, Problem> {
    let by = "admin".to_owned();
    api.outbox.send(DiscardItem { item: *id, by }).await??;
    Ok(HttpResponse::Ok().json(found(&api, *id).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Stuck {
    minutes: Option<u32>,
}

/// `POST /api/queue/reset-stuck` `{ "minutes"? }`: what has been PROCESSING for longer is taken back.
#[post("/queue/reset-stuck")]
async fn reset_stuck(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let Stuck { minutes } = optional_json(&problem::body(body)?)?;
    let items = api.outbox.send(ResetStuck { minutes }).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Old {
    days: Option<u32>,
}

/// `POST /api/queue/cleanup` `{ "days"? }`: what was completed longer ago is forgotten.
#[post("/queue/cleanup")]
async fn cleanup(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let Old { days } = optional_json(&problem::body(body)?)?;
    let items = api.outbox.send(CleanupCompleted { days }).await??;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

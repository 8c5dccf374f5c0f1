//! How is something done in the ERP? Writes and downloads, asked for once however often they are sent.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Api, Problem,
    answer::{answer_many, answer_one, body_of, idempotency_key},
};
use crate::{
    domain::text::nul_in,
    queue::{Enqueue, EnqueueMany, QueueError},
};

/// Operations in one request.
const MOST: usize = 500;
/// Characters of an idempotency key.
const KEY: usize = 200;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(known).service(ask);
}

/// `GET /api/operations`: what can be asked for.
#[get("/operations")]
async fn known(api: web::Data<Api>) -> HttpResponse {
    let specs: Vec<_> = api.operations.iter().map(AsRef::as_ref).collect();
    HttpResponse::Ok().json(json!({ "items": specs, "next": null }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operation {
    r#type: String,
    agent_id: String,
    data: Map<String, Json>,
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<Json>),
    One(Json),
}

/// `POST /api/operations`: one operation, or an array of them.
#[post("/operations")]
async fn ask(api: web::Data<Api>, request: HttpRequest, body: web::Json<Body>) -> Result<HttpResponse, Problem> {
    let header = idempotency_key(&request)?;
    match body.into_inner() {
        Body::One(one) => {
            let ask = checked(&api, one, header, "").await?;
            let (name, agent) = (ask.job_type.clone(), ask.agent.clone());
            let answer = api.queue.send(ask).await??;
            answer_one(&api, answer, body_of(name.as_str(), &agent, answer)).await
        }
        Body::Many(_) if header.is_some() => {
            let text = "an Idempotency-Key header is for one operation: give each its idempotencyKey";
            Err(Problem::unprocessable("bad_idempotency_key", "", text))
        }
        Body::Many(many) if many.len() > MOST => {
            Err(Problem::unprocessable("too_many", "", format!("at most {MOST} operations in one request")))
        }
        Body::Many(many) => {
            let mut asks = Vec::with_capacity(many.len());
            for (place, one) in many.into_iter().enumerate() {
                asks.push(checked(&api, one, None, &format!("/{place}")).await?);
            }
            let named: Vec<_> = asks.iter().map(|ask| (ask.job_type.clone(), ask.agent.clone())).collect();
            let answers = api.queue.send(EnqueueMany(asks)).await??;
            let told = named.iter().zip(answers);
            let jobs = told.map(|((name, agent), answer)| (answer, body_of(name.as_str(), agent, answer)));
            answer_many(&api, jobs.collect()).await
        }
    }
}

/// The message for one operation, or what is wrong with it, with its place.
async fn checked(api: &Api, body: Json, header: Option<String>, place: &str) -> Result<Enqueue, Problem> {
    if let Some(pointer) = nul_in(&body, place) {
        return Err(QueueError::NulInText { pointer }.into());
    }
    let wrong = |error: serde_json::Error| Problem::unprocessable("bad_operation", place, error.to_string());
    let asked: Operation = serde_json::from_value(body).map_err(wrong)?;
    let Some(spec) = api.operations.get(&asked.r#type) else {
        let text = format!("there is no operation '{}'; known are {}", asked.r#type, api.operations.names());
        return Err(Problem::not_found("unknown_type", text));
    };
    if let Some(field) = spec.missing(&asked.data) {
        let text = format!("'{}' needs the field '{field}' in its data", spec.name);
        return Err(Problem::unprocessable("missing_field", &format!("{place}/data/{field}"), text));
    }
    let agent = api.agent(&asked.agent_id).await?;
    let key = match (asked.idempotency_key, header) {
        (Some(field), Some(header)) if field != header => {
            let text = "the field idempotencyKey and the header Idempotency-Key differ";
            return Err(Problem::unprocessable("bad_idempotency_key", &format!("{place}/idempotencyKey"), text));
        }
        (field, header) => field.or(header),
    };
    if key.as_ref().is_some_and(|key| key.trim().is_empty() || key.len() > KEY) {
        let text = format!("an idempotency key has 1 to {KEY} characters");
        return Err(Problem::unprocessable("bad_idempotency_key", &format!("{place}/idempotencyKey"), text));
    }
    Ok(Enqueue { idempotency_key: key, ..Enqueue::operation(spec.name.clone(), agent, asked.data) })
}

//! How is something done in the ERP? Writes and downloads, asked for once however often they are sent.

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Api, OneOrMany, Problem,
    answer::{answer_many, answer_one, body_of},
    json_body::fields,
};
use crate::{
    domain::{Admission, AgentId, Caller, Cause, JobType},
    queue::{Enqueue, EnqueueMany},
};

/// Operations in one request.
const MOST: usize = 500;
/// Characters of an idempotency key.
const KEY: usize = 200;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(known).service(ask);
}

/// The operations that can be asked for, with the fields that they need.
#[utoipa::path(
    context_path = "/api",
    operation_id = "operations_known",
    tag = "write-back",
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<serde_json::Value>),
    ),
)]
#[get("/operations")]
pub(super) async fn known(api: web::Data<Api>) -> HttpResponse {
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

impl Api {
    /// Asks for one operation, as the route does: what it is and whose, and what the queue said.
    ///
    /// # Errors
    /// [`Problem`] that names what is wrong with it.
    pub async fn ask_operation(
        &self,
        caller: &Caller,
        cause: &Cause,
        body: Json,
    ) -> Result<((JobType, AgentId), Admission), Problem> {
        let asked = checked(self, (caller, cause), body, "").await?;
        let of = (asked.job_type.clone(), asked.agent.clone());
        Ok((of, self.queue.send(asked).await??))
    }
}

/// Asks for one operation in the ERP, or for an array of them.
#[utoipa::path(
    context_path = "/api",
    operation_id = "operations_ask",
    tag = "write-back",
    request_body = OneOrMany,
    responses(
        (status = 202, description = "The job, or the jobs of an array", body = serde_json::Value),
        (status = 200, description = "It was asked for already: the first job", body = serde_json::Value),
    ),
)]
#[post("/operations")]
pub(super) async fn ask(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    body: OneOrMany,
) -> Result<HttpResponse, Problem> {
    match body {
        OneOrMany::One(one) => {
            let ((name, agent), answer) = api.ask_operation(&caller, &cause, one).await?;
            answer_one(&api, answer, body_of(name.as_str(), &agent, answer)).await
        }
        OneOrMany::Many(many) if many.len() > MOST => {
            Err(Problem::unprocessable("too_many", "", format!("at most {MOST} operations in one request")))
        }
        OneOrMany::Many(many) => {
            let mut asks = Vec::with_capacity(many.len());
            for (place, one) in many.into_iter().enumerate() {
                asks.push(checked(&api, (&caller, &cause), one, &format!("/{place}")).await?);
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
async fn checked(api: &Api, (caller, cause): (&Caller, &Cause), body: Json, place: &str) -> Result<Enqueue, Problem> {
    let asked: Operation = fields(body, place, "bad_operation")?;
    let Some(spec) = api.operations.get(&asked.r#type) else {
        let text = format!("there is no operation '{}'; known are {}", asked.r#type, api.operations.names());
        return Err(Problem::not_found("unknown_type", text));
    };
    if let Some(field) = spec.missing(&asked.data) {
        let text = format!("'{}' needs the field '{field}' in its data", spec.name);
        return Err(Problem::unprocessable("missing_field", &format!("{place}/data/{field}"), text));
    }
    let agent = api.agent(caller, &asked.agent_id).await?;
    let key = asked.idempotency_key;
    if key.as_ref().is_some_and(|key| key.trim().is_empty() || key.len() > KEY) {
        let text = format!("an idempotency key has 1 to {KEY} characters");
        return Err(Problem::unprocessable("bad_idempotency_key", &format!("{place}/idempotencyKey"), text));
    }
    Ok(Enqueue {
        idempotency_key: key,
        by: Some(cause.clone()),
        ..Enqueue::operation(spec.name.clone(), agent, asked.data)
    })
}

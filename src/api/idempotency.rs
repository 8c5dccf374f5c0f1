//! Was this very request sent before? Then its first answer is given again, and nothing is done twice.

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{self, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    middleware::Next,
    web,
};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Api, Problem, problem};
use crate::{
    domain::Caller,
    store::{Begun, GivenAnswer, Store},
};

pub(super) const HEADER: &str = "Idempotency-Key";
/// Characters of a key.
const MOST: usize = 200;
/// What an answer keeps of its headers.
const KEPT: [&str; 2] = ["content-type", "location"];

/// The key of a request that may change something.
fn key(request: &ServiceRequest) -> Result<Option<String>, Problem> {
    if request.method() != Method::POST {
        return Ok(None);
    }
    let Some(header) = request.headers().get(HEADER) else { return Ok(None) };
    let key =
        header.to_str().ok().map(str::trim).filter(|key| {
            !key.is_empty() && key.len() <= MOST && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        });
    let text = format!("{HEADER} must be 1 to {MOST} visible characters");
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", text))
}

/// Tells a request from others.
async fn digest(request: &mut ServiceRequest) -> Result<String, Error> {
    if request.path().starts_with("/api/upload/") {
        // its bytes are not kept in memory, and one upload is not to be taken for another
        let text = format!("leave {HEADER} out: an upload's own bytes are its key");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", text).into());
    }
    let body = problem::body(request.extract::<web::Bytes>().await)?;
    let mut hash = Sha256::new();
    hash.update(request.uri().to_string());
    hash.update([0]);
    hash.update(&body);
    request.set_payload(Payload::from(body));
    Ok(hex::encode(hash.finalize()))
}

/// Answers the first request of a key, and gives later ones that answer.
pub(crate) async fn apply(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let caller = request.extensions().get::<Caller>().map(|caller| caller.id.clone());
    let api = request.app_data::<web::Data<Api>>().cloned();
    let (Some(key), Some(caller), Some(api)) = (key(&request)?, caller, api) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let digest = digest(&mut request).await?;
    let begun = api.store().begin_request((caller, key), digest, api.context.clock.now()).await;
    match begun.map_err(Problem::from)? {
        Begun::First(id) => {
            // goes on when the client goes away: whoever asks again gets its answer
            let answered = actix_rt::spawn(first(api, id, request, next)).await;
            answered.unwrap_or_else(|_| {
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panicked", "the request failed").into())
            })
        }
        Begun::Answered(answer) => Ok(request.into_response(again(answer))),
        Begun::UnderWay(since) => {
            let text = format!(
                "a request with this key came at {since}, and its answer is not known: it is under way, or the service \
                 ended in the middle of it; look whether it took effect before you send it with another key"
            );
            Err(Problem::conflict("under_way", text).into())
        }
        Begun::Another => {
            let text = "this key came with another request before: one key stands for one request";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", text).into())
        }
    }
}

/// Did it change nothing, for certain? Then the same key may come with what is right. After an error of the database
/// nobody knows: the commit may have gone through.
fn is_without_effect(status: StatusCode, error: Option<&Error>) -> bool {
    let is_known = error.and_then(|error| error.as_error::<Problem>()).is_some_and(|problem| !problem.is("database"));
    status.is_client_error() || (status == StatusCode::SERVICE_UNAVAILABLE && is_known)
}

async fn first(
    api: web::Data<Api>,
    id: i64,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let store: &Store = api.store();
    let answer = match next.call(request).await {
        Ok(answer) => answer,
        Err(error) => {
            if is_without_effect(error.as_response_error().status_code(), Some(&error)) {
                store.forget_request(id).await.map_err(Problem::from)?;
            }
            return Err(error);
        }
    };
    let (request, answer) = answer.into_parts();
    let (answer, body) = answer.into_parts();
    let body = body::to_bytes(body)
        .await
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no_answer", error.into().to_string()))?;
    let status = answer.status();
    if is_without_effect(status, answer.error()) {
        store.forget_request(id).await.map_err(Problem::from)?;
    } else if status.is_success() {
        let headers = kept(answer.headers());
        let given = GivenAnswer { status: status.as_u16(), headers, body: without_secret(request.path(), &body) };
        store.answer_request(id, given).await.map_err(Problem::from)?;
    }
    Ok(ServiceResponse::new(request, answer.set_body(body).map_into_boxed_body()))
}

/// What is kept of an answer: a new token is shown once, and stored nowhere.
fn without_secret(path: &str, body: &[u8]) -> Vec<u8> {
    if path != "/api/tokens" {
        return body.to_vec();
    }
    let Ok(mut json) = serde_json::from_slice::<Json>(body) else { return Vec::new() };
    json["token"] = Json::Null;
    json.to_string().into_bytes()
}

fn kept(headers: &HeaderMap) -> Json {
    let kept = KEPT.into_iter().filter_map(|name| Some((name, headers.get(name)?.to_str().ok()?)));
    Json::Object(kept.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>())
}

fn again(answer: GivenAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers.as_object().into_iter().flatten() {
        response.insert_header((name.as_str(), value.as_str().unwrap_or_default()));
    }
    response.insert_header(("Idempotency-Replayed", "true")).body(answer.body)
}

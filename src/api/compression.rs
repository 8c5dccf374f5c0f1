//! Which answers are compressed? JSON of some size, for those who accept it; never a stream, which would wait.

use actix_web::{
    Error,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
    },
    middleware::Next,
};

/// Below this the effort is not worth it.
const FROM: u64 = 1_024;
/// What compresses leaves alone what says how it is coded.
const AS_IT_IS: HeaderValue = HeaderValue::from_static("identity");

fn is_worth_it(is_head: bool, answer: &ServiceResponse<BoxBody>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let texts = [
        "application/json",
        "application/openmetrics-text",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
    ];
    let is_text = texts.iter().any(|known| kind.starts_with(known));
    let is_long = matches!(answer.response().body().size(), BodySize::Sized(size) if size > FROM);
    !is_head && is_text && is_long
}

/// Inside of what compresses: marks what is to stay as it is.
pub(crate) async fn mark(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_head = request.method() == Method::HEAD;
    let mut answer = next.call(request).await?.map_into_boxed_body();
    if !is_worth_it(is_head, &answer) {
        answer.headers_mut().insert(CONTENT_ENCODING, AS_IT_IS);
    }
    Ok(answer)
}

/// Outside of it: takes the mark away.
pub(crate) async fn unmark<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut answer = next.call(request).await?;
    if answer.headers().get(CONTENT_ENCODING) == Some(&AS_IT_IS) {
        answer.headers_mut().remove(CONTENT_ENCODING);
    }
    Ok(answer)
}

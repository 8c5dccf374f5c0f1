//! What does every answer carry, whoever gave it? The request's number, problems of one shape, HEAD where GET is.

use actix_web::{
    ResponseError as _,
    body::{BodySize, BoxBody, MessageBody, SizedStream},
    dev::{ServiceRequest, ServiceResponse},
    error::Error,
    http::{
        Method, StatusCode,
        header::{CACHE_CONTROL, HeaderName, HeaderValue, LINK, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    web,
};
use futures_util::stream;

use super::{
    Api, Problem,
    trace::{REQUEST_ID, request_id},
};

/// A problem, whatever the error was.
fn problem_of(error: &Error, id: &str) -> Problem {
    let problem = error.as_error::<Problem>().cloned().unwrap_or_else(|| {
        let status = error.as_response_error().status_code();
        let code = match status {
            StatusCode::REQUEST_TIMEOUT => "too_slow",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            _ => "bad_request",
        };
        Problem::new(status, code, error.to_string())
    });
    problem.of_request(id)
}

/// The answer without its body, but as long as that would be; a stream has no end to wait for.
fn without_body(answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    answer.map_body(|_, body| match body.size() {
        BodySize::Sized(size) => SizedStream::new(size, stream::empty::<Result<_, Error>>()).boxed(),
        BodySize::None | BodySize::Stream => actix_web::body::None::new().boxed(),
    })
}

/// A page's link to the next one gets its path, and all that the request asked for besides.
fn whole_link(answer: &mut ServiceResponse<BoxBody>) {
    let link = answer.headers().get(LINK).and_then(|link| link.to_str().ok());
    let Some(cursor) = link.and_then(|link| link.strip_prefix("<?").map(str::to_owned)) else { return };
    let request = answer.request();
    let base = request.app_data::<web::Data<Api>>().map_or("", |api| api.site.base_path.as_str());
    let asked = request.query_string().split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let query: Vec<&str> = asked.chain([cursor.as_str()]).collect();
    if let Ok(link) = HeaderValue::from_str(&format!("<{base}{}?{}", request.path(), query.join("&"))) {
        answer.headers_mut().insert(LINK, link);
    }
}

/// Wraps all routes.
pub(crate) async fn apply(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = request_id(request.request());
    let is_data = request.path().starts_with("/api/");
    let is_head = request.method() == Method::HEAD;
    if is_head {
        request.head_mut().method = Method::GET;
    }
    let answer = match next.call(request).await {
        Ok(answer) => answer.map_into_boxed_body(),
        // whoever wraps this turns it into an answer, which has the number, too
        Err(error) => return Err(problem_of(&error, &id).into()),
    };
    let mut answer = match answer.response().error().map(|error| problem_of(error, &id)) {
        Some(problem) => answer.into_response(problem.error_response()),
        None => answer,
    };
    whole_link(&mut answer);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    if is_data {
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Ok(if is_head { without_body(answer) } else { answer })
}

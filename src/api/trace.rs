//! What is logged of a request? Its method and path; never its query, which may hold a person's name.

use actix_web::{
    HttpMessage as _, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::HeaderMap,
};
use tracing::{Span, field::Empty};
use tracing_actix_web::{RequestId, RootSpanBuilder};

use crate::domain::Caller;

/// The number of a request: what a proxy before us gave it, or one of our own.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Characters of one that came with the request.
const MOST: usize = 100;

fn given(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/=+".contains(&byte);
    (!id.is_empty() && id.len() <= MOST && id.bytes().all(is_plain)).then_some(id)
}

/// The number of this request.
pub(crate) fn request_id(request: &HttpRequest) -> String {
    let own = || request.extensions().get::<RequestId>().map(ToString::to_string);
    given(request.headers()).map(str::to_owned).or_else(own).unwrap_or_default()
}

/// Builds the span of each request.
pub(crate) struct Requests;

impl RootSpanBuilder for Requests {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request_id(request.request());
        tracing::info_span!("request", method = %request.method(), path = request.path(), request_id = id, status = Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
        // one line for each request that may change something; its method and path are the span's
        let Ok(response) = outcome else { return };
        let request = response.request();
        if request.method().is_safe() {
            return;
        }
        let who = request.extensions().get::<Caller>().map(|caller| caller.name.clone());
        if who.is_some() {
            tracing::info!(parent: &span, status = status.as_u16(), who, "request answered");
        } else {
            // nobody was let in: who knocks is told elsewhere, and not for each time
            tracing::debug!(parent: &span, status = status.as_u16(), "request answered");
        }
    }
}

//! What is logged of a request? Its method and path; never its query, which may hold a person's name.

use actix_web::{
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::{Span, field::Empty};
use tracing_actix_web::RootSpanBuilder;

/// Builds the span of each request.
pub(crate) struct Requests;

impl RootSpanBuilder for Requests {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.headers().get("X-Request-Id").and_then(|id| id.to_str().ok()).filter(|id| id.len() <= 100);
        tracing::info_span!("request", method = %request.method(), path = request.path(), id, status = Empty)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
        // one line for each request that may change something; its method and path are the span's
        if outcome.as_ref().is_ok_and(|response| !response.request().method().is_safe()) {
            tracing::info!(parent: &span, status = status.as_u16(), "request answered");
        }
    }
}

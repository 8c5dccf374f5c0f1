//! What does an error look like? One type, `application/problem+json`, one table of causes.

use std::fmt;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::{PathError, PayloadError, QueryPayloadError},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use serde::Serialize;

use super::{access, trace::REQUEST_ID, wording::plain};
use crate::{
    domain::JobId,
    queue::QueueError,
    report::{Refusal, RefusalCode},
    scheduler::ScheduleError,
    store::{StoreError, UnknownAgent},
    supervisor::CallError,
    sync::RunError,
};

/// An error, as RFC 9457 has it; boxed, because it travels through every `Result` of the routes.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Problem(Box<Body>);

/// The web server's spans log errors this way: the detail may quote a request, and with it names of customers.
impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({} {})", self.0.status, self.0.code)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body {
    #[serde(skip)]
    #[schema(ignore)]
    http: StatusCode,
    /// `about:blank`: the status and the code say it all.
    r#type: &'static str,
    title: String,
    status: u16,
    /// A short name, for programs.
    code: String,
    /// What was wrong with this very request.
    detail: String,
    /// The JSON pointer of the field that was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Every field that was wrong, as far as they were looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The job that stands in the way.
    #[serde(rename = "jobId", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    job: Option<JobId>,
    /// The request's number, as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The methods that the path has.
    #[serde(skip)]
    allow: Option<String>,
    /// Seconds after which the same request may succeed.
    #[serde(skip)]
    retry_after: u64,
}

/// One field that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct FieldError {
    /// Its JSON pointer.
    pointer: String,
    /// What was expected there.
    detail: String,
}

impl Problem {
    /// Its short name, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// A problem of any status.
    #[must_use]
    pub fn new(http: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Body {
            http,
            r#type: "about:blank",
            title: http.canonical_reason().unwrap_or_default().to_owned(),
            status: http.as_u16(),
            code: code.into(),
            detail: detail.into(),
            pointer: None,
            errors: Vec::new(),
            job: None,
            instance: None,
            allow: None,
            retry_after: 1,
        }))
    }

    /// 404.
    #[must_use]
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409.
    #[must_use]
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422 for the field at `pointer`.
    #[must_use]
    pub fn unprocessable(code: &str, pointer: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        problem.0.pointer = Some(pointer.to_owned());
        problem.0.errors = vec![FieldError { pointer: pointer.to_owned(), detail: problem.0.detail.clone() }];
        problem
    }

    /// With what was wrong at other places of the same body.
    #[must_use]
    pub(crate) fn and(mut self, other: Problem) -> Self {
        self.0.errors.extend(other.0.errors);
        self
    }

    /// Says when the same request may succeed.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = seconds.max(1);
        self
    }

    /// Has it this code?
    pub(crate) fn is(&self, code: &str) -> bool {
        self.0.code == code
    }

    /// Names the request.
    #[must_use]
    pub(crate) fn of_request(mut self, id: &str) -> Self {
        self.0.instance = (!id.is_empty()).then(|| id.to_owned());
        self
    }

    /// Names the job that stands in the way.
    #[must_use]
    pub fn of_job(mut self, job: JobId) -> Self {
        self.0.job = Some(job);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.http
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.http);
        if let Some(id) = &self.0.instance {
            response.insert_header((REQUEST_ID, id.as_str()));
        }
        if let Some(allow) = &self.0.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if matches!(self.0.http, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header(("Retry-After", self.0.retry_after.to_string()));
        }
        if self.0.http == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        let body = serde_json::to_string(&self.0).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(what) => Problem::not_found("not_found", format!("there is no {what}")),
            StoreError::IllegalItem(_) => Problem::conflict("not_failed", error.to_string()),
            StoreError::Doubtful { .. } => Problem::conflict("doubtful", error.to_string()),
            StoreError::ItemLost { .. } => Problem::conflict("not_held", error.to_string()),
            StoreError::KeyReused { .. } => Problem::conflict("key_reused", error.to_string()),
            StoreError::Unreadable { .. } => {
                tracing::error!(%error, "a stored row is not understood");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unknown_text", error.to_string())
            }
            error if error.is_about_data() => {
                let text =
                    "a value of this request cannot be kept: a number out of range, or a text with a NUL character";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", text)
            }
            error => {
                tracing::error!(%error, "a request failed");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database", "the database cannot be used right now")
            }
        }
    }
}

impl From<UnknownAgent> for Problem {
    fn from(error: UnknownAgent) -> Self {
        Problem::not_found("unknown_agent", error.to_string())
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let text = error.to_string();
        match error {
            QueueError::UnknownType(_) => Problem::not_found("unknown_type", text),
            QueueError::MissingField { ref field, .. } => {
                Problem::unprocessable("missing_field", &format!("/data/{field}"), text)
            }
            QueueError::NulInText { ref pointer } => Problem::unprocessable("nul_in_text", pointer, text),
            QueueError::OutOfBounds { code, ref pointer, .. } => Problem::unprocessable(code, pointer, text),
            QueueError::Unanswered => CallError::Unanswered.into(),
            QueueError::ShuttingDown => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", text),
            QueueError::Storage(_) => {
                tracing::error!(error = text, "a request failed");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database", "the database cannot be used right now")
            }
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        let text = error.to_string();
        match error {
            ScheduleError::UnknownType(_) => Problem::not_found("unknown_type", text),
            ScheduleError::OutOfRange { .. } => Problem::unprocessable("out_of_range", "/intervalMinutes", text),
            ScheduleError::Disabled => Problem::conflict("scheduler_disabled", text),
            ScheduleError::Storage(_) => Problem::from(QueueError::Storage(text)),
        }
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Refused(refusal) => refusal.into(),
            RunError::Store(error) => error.into(),
            other => Problem::conflict(other.code(), other.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            RefusalCode::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", refusal.text).retry_after(5),
            code => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code.as_str(), refusal.text),
        }
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        match error {
            CallError::Restarting => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "restarting", text).retry_after(1),
            // nothing that invites a program to ask again by itself
            CallError::Unanswered => Problem::new(StatusCode::GATEWAY_TIMEOUT, "unanswered", text),
        }
    }
}

/// A body of bytes, or why there is none.
pub(crate) fn body(body: Result<web::Bytes, actix_web::Error>) -> Result<web::Bytes, Problem> {
    body.map_err(|error| match error.as_error::<PayloadError>() {
        Some(PayloadError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body came too slowly")
        }
        _ => Problem::new(error.as_response_error().status_code(), "bad_body", error.to_string()),
    })
}

/// A query string that does not fit.
pub(crate) fn bad_query(error: &QueryPayloadError) -> actix_web::Error {
    let said = plain(&error.to_string());
    let text = said.strip_prefix("Query deserialize error: ").unwrap_or(&said).to_owned();
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", text).into()
}

/// A path segment that does not fit: `/jobs/purge` is no job, but a place that has other methods.
pub(crate) fn bad_path(error: &PathError, request: &HttpRequest) -> actix_web::Error {
    if !access::methods(request.path()).contains(&request.method().as_str()) {
        return no_such_route(request.method(), request.path()).into();
    }
    Problem::new(StatusCode::NOT_FOUND, "bad_path", error.to_string()).into()
}

/// Refuses a URL with a NUL character: no name has one, and not every database can be asked for it.
pub(crate) async fn without_nul(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if request.uri().to_string().contains("%00") {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "nul_in_url", "the URL has a NUL character").into());
    }
    next.call(request).await
}

/// A path that leads nowhere, or a method that it does not have.
pub(crate) fn no_such_route(method: &Method, path: &str) -> Problem {
    let methods = access::methods(path);
    let text = format!("there is no {method} {path}");
    if methods.is_empty() {
        return Problem::not_found("no_route", text);
    }
    let allow = methods.join(", ");
    let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_method", format!("{text}, but {allow}"));
    problem.0.allow = Some(allow);
    problem
}

/// What no route answers.
pub(crate) async fn no_route(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(no_such_route(request.method(), request.match_info().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_an_error_quotes_no_request() {
        let problem = Problem::unprocessable("too_long", "/reason", "'Anna Rossi, IT01234567890' is too long");
        assert_eq!(format!("{problem:?}"), "Problem(422 too_long)");
    }
}

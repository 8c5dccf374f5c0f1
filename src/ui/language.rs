//! In which language does somebody read the pages? The one that they chose, or that their browser asks for.

use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody, to_bytes},
    cookie::{Cookie, SameSite, time},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{AcceptLanguage, CONTENT_TYPE, Header as _, HeaderValue, VARY},
    middleware::Next,
    web,
};
use serde::Deserialize;

use super::{bare::back_to, italian::italian};

const COOKIE: &str = "lockstep_language";
const KEPT: time::Duration = time::Duration::days(365);

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// English.
    En,
    /// Italian.
    It,
}

impl Language {
    fn of(request: &ServiceRequest) -> Self {
        match request.cookie(COOKIE).as_ref().map(Cookie::value) {
            Some("it") => Language::It,
            Some("en") => Language::En,
            _ => AcceptLanguage::parse(request)
                .ok()
                .and_then(|asked| {
                    asked.ranked().iter().find_map(|tag| match tag.item()?.primary_language() {
                        "it" => Some(Language::It),
                        "en" => Some(Language::En),
                        _ => None,
                    })
                })
                .unwrap_or(Language::En),
        }
    }
}

/// Answers a page in the language of who asks.
pub(super) async fn in_their_language(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let language = Language::of(&request);
    let answer = next.call(request).await?.map_into_boxed_body();
    let is_page = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return Ok(answer);
    }
    let (request, answer) = answer.into_parts();
    let (mut answer, body) = answer.into_parts();
    answer.headers_mut().append(VARY, HeaderValue::from_static("accept-language"));
    let body = match language {
        Language::En => body,
        Language::It => translated(to_bytes(body).await.unwrap_or_default()),
    };
    Ok(ServiceResponse::new(request, answer.set_body(body)))
}

/// A page that cannot be read stays as it is.
fn translated(page: web::Bytes) -> BoxBody {
    let read = std::str::from_utf8(&page).ok().and_then(|text| italian(text).ok());
    match read {
        Some(said) => {
            if !said.unknown.is_empty() {
                tracing::debug!(texts = said.unknown.len(), "texts of a page have no Italian");
            }
            BoxBody::new(said.html)
        }
        None => BoxBody::new(page),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    language: Language,
    #[serde(default)]
    back: String,
}

/// `POST /language`: from now on in this one, for this browser. It asks for no session, and changes nothing else.
pub(super) async fn choose(choice: web::Form<Choice>) -> HttpResponse {
    let language = match choice.language {
        Language::En => "en",
        Language::It => "it",
    };
    let cookie = Cookie::build(COOKIE, language).path("/").http_only(true).same_site(SameSite::Lax).max_age(KEPT);
    back_to(&choice.back, None, Some(cookie.finish()))
}

//! Has a setting changed since somebody looked at it? Its tag says so, and a change may ask for the one it was made from.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH},
    },
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::{Api, Problem};

/// The tag of what a setting looks like.
fn tag(shown: &impl Serialize) -> String {
    let text = serde_json::to_vec(shown).unwrap_or_default();
    format!("\"{}\"", hex::encode(&Sha256::digest(text)[..16]))
}

/// Is one of the tags of this header the one?
fn names(request: &HttpRequest, header: &HeaderName, tag: &str) -> Option<bool> {
    let all = request.headers().get(header)?.to_str().unwrap_or_default();
    let is_it = |one: &str| one == "*" || one.trim_start_matches("W/") == tag;
    Some(all.split(',').map(str::trim).any(is_it))
}

/// The answer `shown` with the tag of `whole`, or a 304 to whoever has it already.
pub(super) fn answer(request: &HttpRequest, whole: &impl Serialize, shown: &impl Serialize) -> HttpResponse {
    let tag = tag(whole);
    if names(request, &IF_NONE_MATCH, &tag) == Some(true) {
        return HttpResponse::NotModified().insert_header((ETAG, tag)).finish();
    }
    HttpResponse::Ok().insert_header((ETAG, tag)).json(shown)
}

/// The answer to a change, with the tag of what there is now.
pub(super) fn changed(now: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, tag(now))).json(now)
}

/// Lets a change go on if what it was made from is still so; no other change of a setting goes on beside it in this
/// process. `now` is what there is, `None` if there is nothing.
///
/// # Errors
/// A 412 if it is stale, or if something is there that was to be made.
pub(super) async fn unchanged<T: Serialize>(
    api: &Api,
    request: &HttpRequest,
    now: impl AsyncFnOnce() -> Result<Option<T>, Problem>,
) -> Result<Option<OwnedMutexGuard<()>>, Problem> {
    let headers = request.headers();
    if !headers.contains_key(IF_MATCH) && !headers.contains_key(IF_NONE_MATCH) {
        return Ok(None);
    }
    let guard = api.changing.clone().lock_owned().await;
    let tag = now().await?.map(|now| tag(&now));
    let stale = |text: &str| Err(Problem::new(StatusCode::PRECONDITION_FAILED, "stale", text));
    let is_wanted =
        tag.as_deref().map_or(headers.contains_key(IF_MATCH).then_some(false), |tag| names(request, &IF_MATCH, tag));
    if is_wanted == Some(false) {
        return stale("it is not what you looked at any more: look at it again, then change it");
    }
    if tag.is_some_and(|tag| names(request, &IF_NONE_MATCH, &tag) == Some(true)) {
        return stale("there is one already");
    }
    Ok(Some(guard))
}

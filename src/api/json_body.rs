//! What does the body of a request say? JSON, read field by field, so that what is wrong has a place and an
//! expectation.

use std::ops::Deref;

use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::StatusCode, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::{Problem, problem, wording::plain};
use crate::domain::text::nul_in;

/// The fields of a JSON object. An array is none, however well its items would fit.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub T);

/// As [`JsonBody`]; a body that is left out says nothing of any field.
#[derive(Debug)]
pub(crate) struct OptionalBody<T>(pub T);

/// One JSON object, or an array of them.
#[derive(Debug, utoipa::ToSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    #[schema(value_type = std::collections::BTreeMap<String, Json>)]
    One(Json),
    #[schema(value_type = Vec<std::collections::BTreeMap<String, Json>>)]
    Many(Vec<Json>),
}

impl<T> JsonBody<T> {
    /// What it says.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for JsonBody<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The fields of `json`, which stands at `place`.
///
/// # Errors
/// A 422 with the place of the field that does not fit, and what was expected there.
pub(crate) fn fields<T: DeserializeOwned>(json: Json, place: &str, code: &str) -> Result<T, Problem> {
    if !json.is_object() {
        let text = "expected a JSON object: {\"field\": value, ...}";
        return Err(Problem::unprocessable(code, place, text));
    }
    serde_path_to_error::deserialize(json).map_err(|error| {
        let mut pointer = place.to_owned();
        let mut go_on = |part: &str| {
            pointer.push('/');
            pointer.push_str(part);
        };
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => go_on(&index.to_string()),
                Segment::Map { key } => go_on(&escaped(key)),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let said = error.inner().to_string();
        // of a field that is missing, the parser has gone no further than its object
        let named = |begin: &str| said.strip_prefix(begin).and_then(|rest| rest.split('`').next());
        let missing = named("missing field `").or(named("unknown field `")).map(escaped);
        if let Some(name) = missing.filter(|name| pointer.rsplit('/').next() != Some(name.as_str())) {
            pointer = format!("{pointer}/{name}");
        }
        Problem::unprocessable(code, &pointer, plain(&said))
    })
}

/// A name in a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The bytes of a body that says it is JSON; none where there is none.
async fn bytes(request: HttpRequest, mut payload: Payload) -> Result<web::Bytes, Problem> {
    let read = problem::body(web::Bytes::from_request(&request, &mut payload).await)?;
    let kind = request.content_type().to_lowercase();
    if !read.is_empty() && kind != "application/json" && !kind.ends_with("+json") {
        let text = format!("send 'Content-Type: application/json', not '{kind}'");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", text));
    }
    Ok(read)
}

fn parsed(bytes: &[u8]) -> Result<Json, Problem> {
    let bad = |error: serde_json::Error| Problem::new(StatusCode::BAD_REQUEST, "bad_json", error.to_string());
    let json = serde_json::from_slice(bytes).map_err(bad)?;
    match nul_in(&json, "") {
        None => Ok(json),
        Some(pointer) => {
            let text = format!("a text has a NUL character at {pointer}");
            Err(Problem::unprocessable("nul_in_text", &pointer, text))
        }
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let json = parsed(&bytes(request, payload).await?)?;
            Ok(Self(fields(json, "", "bad_body")?))
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalBody<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = bytes(request, payload).await?;
            let json = if bytes.iter().all(u8::is_ascii_whitespace) { Json::Null } else { parsed(&bytes)? };
            Ok(Self(if json.is_null() { T::default() } else { fields(json, "", "bad_body")? }))
        })
    }
}

impl FromRequest for OneOrMany {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            Ok(match parsed(&bytes(request, payload).await?)? {
                Json::Array(many) => Self::Many(many),
                one => Self::One(one),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "what is read is not looked at")]
    struct Inner {
        count: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "what is read is not looked at")]
    struct Outer {
        name: String,
        #[serde(default)]
        parts: Vec<Inner>,
        flag: Option<bool>,
    }

    #[test]
    fn what_is_wrong_has_a_place_and_an_expectation_and_no_names_of_ours() {
        for (body, pointer, said) in [
            (json!([]), "", "expected a JSON object"),
            (json!({}), "/name", "missing field `name`"),
            (json!({ "name": 1 }), "/name", "wrong kind of value: integer `1`, expected a text"),
            (json!({ "name": "x", "who/what": 1 }), "/who~1what", "unknown field `who/what`, expected one of `name`"),
            (
                json!({ "name": "x", "parts": [{ "count": 1 }, { "count": -1 }] }),
                "/parts/1/count",
                "expected a whole number",
            ),
            (json!({ "name": "x", "parts": [{}] }), "/parts/0/count", "missing field `count`"),
            (json!({ "name": "x", "parts": [3] }), "/parts/0", "expected an object"),
            (json!({ "name": "x", "parts": 3 }), "/parts", "expected a list"),
            (json!({ "name": "x", "flag": "yes" }), "/flag", "expected true or false"),
        ] {
            let problem = fields::<Outer>(body.clone(), "", "bad_body").unwrap_err();
            let shown = serde_json::to_value(&problem).unwrap();
            assert_eq!(shown["pointer"], pointer, "{body}: {problem}");
            let detail = shown["detail"].as_str().unwrap();
            assert!(detail.contains(said), "{body}: {detail}");
            assert!(!["u32", "Inner", "Outer", "struct", "line"].iter().any(|name| detail.contains(name)), "{detail}");
        }
    }
}

//! What does the body of a request say? One JSON object, whose texts every database can keep.

use std::ops::Deref;

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::StatusCode, web};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::Problem;
use crate::domain::text::nul_in;

/// The fields of a JSON object. An array is none, however well its items would fit.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub T);

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

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Json::<Json>::from_request(request, payload);
        Box::pin(async move {
            let json = body.await?.into_inner();
            let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, "bad_body", text);
            if !json.is_object() {
                return Err(bad("expected is a JSON object: {\"field\": value, ...}".to_owned()).into());
            }
            if let Some(pointer) = nul_in(&json, "") {
                let text = format!("a text has a NUL character at {pointer}");
                return Err(Problem::unprocessable("nul_in_text", &pointer, text).into());
            }
            let fields = serde_json::from_value(json).map_err(|error| bad(error.to_string()))?;
            Ok(Self(fields))
        })
    }
}

//! Who asks? A bearer token, compared by its hash.

use actix_web::{dev::ServiceRequest, http::StatusCode, web};
use actix_web_httpauth::extractors::bearer::BearerAuth;
use sha2::{Digest, Sha256};

use super::{Api, Problem};

/// Hex of SHA-256: how tokens are stored and compared.
#[must_use]
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Lets a request pass whose token is the configured one or a stored admin's.
pub async fn check(
    request: ServiceRequest,
    bearer: Option<BearerAuth>,
) -> Result<ServiceRequest, (actix_web::Error, ServiceRequest)> {
    let refuse = |code: &str, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let Some(bearer) = bearer else {
        return Err((refuse("no_token", "send the header 'Authorization: Bearer <token>'").into(), request));
    };
    // hashes are compared, so the time it takes tells nothing of the token
    let hash = token_hash(bearer.token());
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        return Err((refuse("no_token", "no tokens are known").into(), request));
    };
    if api.admin_token.as_deref() == Some(hash.as_str()) {
        return Ok(request);
    }
    match api.store().role_of(hash).await {
        Ok(Some(role)) if role == "admin" => Ok(request),
        Ok(_) => Err((refuse("bad_token", "this token is not known").into(), request)),
        Err(error) => Err((Problem::from(error).into(), request)),
    }
}

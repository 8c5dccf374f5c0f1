//! Who asks? A bearer token, compared by its hash.

use actix_web::{dev::ServiceRequest, http::StatusCode, web};
use actix_web_httpauth::extractors::bearer::BearerAuth;

use super::{Api, Problem};
use crate::store::token_hash;

impl Api {
    /// The role of whoever shows this token; `None` if it is not known.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked.
    pub async fn role_of(&self, token: &str) -> Result<Option<String>, Problem> {
        // hashes are compared, so the time it takes tells nothing of the token
        let hash = token_hash(token);
        if self.admin_token.as_deref() == Some(hash.as_str()) {
            return Ok(Some("admin".to_owned()));
        }
        Ok(self.store().role_of(hash).await?)
    }
}

/// Lets a request pass whose token is the configured one or a stored admin's.
pub(crate) async fn check(
    request: ServiceRequest,
    bearer: Option<BearerAuth>,
) -> Result<ServiceRequest, (actix_web::Error, ServiceRequest)> {
    let refuse = |code: &str, detail: &str| Problem::new(StatusCode::UNAUTHORIZED, code, detail);
    let Some(bearer) = bearer else {
        return Err((refuse("no_token", "send the header 'Authorization: Bearer <token>'").into(), request));
    };
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        return Err((refuse("no_token", "no tokens are known").into(), request));
    };
    match api.role_of(bearer.token()).await {
        Ok(Some(role)) if role == "admin" => Ok(request),
        Ok(_) => {
            tracing::warn!(path = request.path(), peer = request.connection_info().peer_addr(), "a token was refused");
            Err((refuse("bad_token", "this token is not known").into(), request))
        }
        Err(problem) => Err((problem.into(), request)),
    }
}

//! With which credentials is the source asked for an agent? Set, replaced and forgotten; never given out.

use actix_web::{HttpResponse, delete, get, put, web};
use serde_json::{Map, Value as Json, json};

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{AgentId, Caller, Cause},
    source::Credential,
    store::SealedCredential,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(put).service(forget);
}

/// Who has credentials, since when, and the name of the key that sealed them.
#[utoipa::path(
    context_path = "/api",
    operation_id = "credentials_list",
    tag = "agents",
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<serde_json::Value>),
    ),
)]
#[get("/credentials")]
pub(super) async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let shown =
        |one: SealedCredential| json!({ "agentId": one.agent, "updatedAt": one.updated_at, "key": one.key_name });
    let items: Vec<_> = api.store().credentials().await?.into_iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

/// The agent; `service-account` fetches the shared reports, and has credentials too.
async fn holder(api: &Api, caller: &Caller, id: &str) -> Result<AgentId, Problem> {
    if id == AgentId::service_account().as_str() { Ok(AgentId::service_account()) } else { api.agent(caller, id).await }
}

impl Api {
    /// Sets or replaces credentials, as the route does.
    ///
    /// # Errors
    /// [`Problem`] if they are none, or cannot be sealed or stored.
    pub async fn put_credential(
        &self,
        caller: &Caller,
        cause: Cause,
        id: &str,
        fields: Map<String, Json>,
    ) -> Result<(), Problem> {
        let agent = holder(self, caller, id).await?;
        let Some(vault) = &self.vault else {
            let text = "no key seals credentials: make one with 'lockstep credentials new-key', and name its file in \
                    source.credentials_key_file";
            return Err(Problem::conflict("no_credentials_key", text));
        };
        // what the parser says of a field may quote it
        let credential: Credential = serde_json::from_value(Json::Object(fields)).map_err(|_| {
            let text = "send {\"username\": \"...\", \"password\": \"...\"} or {\"token\": \"...\"}";
            Problem::unprocessable("bad_credentials", "", text)
        })?;
        if let Some(field) = credential.wrong() {
            let text = format!("{field} must not be empty");
            return Err(Problem::unprocessable("bad_credentials", &format!("/{field}"), text));
        }
        let sealed =
            vault.seal(&agent, &credential).map_err(|error| Problem::conflict("not_sealed", error.to_string()))?;
        let key_name = vault.key_name().to_owned();
        let now = self.context.clock.now();
        self.store()
            .by(cause, now)
            .put_credential(SealedCredential { agent, key_name, sealed, updated_at: now })
            .await?;
        Ok(())
    }

    /// Forgets the credentials of an agent.
    ///
    /// # Errors
    /// [`Problem`] if there are none.
    pub async fn forget_credential(&self, cause: Cause, id: &str) -> Result<(), Problem> {
        if !self.store().by(cause, self.context.clock.now()).forget_credential(&AgentId::from(id)).await? {
            return Err(Problem::not_found("no_credentials", format!("agent '{id}' has no credentials")));
        }
        Ok(())
    }
}

/// Sets or replaces credentials: { username, password } or { token }; never given out.
#[utoipa::path(
    context_path = "/api",
    operation_id = "credentials_put",
    tag = "agents",
    request_body = serde_json::Value,
    responses(
        (status = 204, description = "Done"),
    ),
)]
#[put("/agents/{id}/credentials")]
pub(super) async fn put(
    api: web::Data<Api>,
    cause: Cause,
    caller: Caller,
    id: web::Path<String>,
    body: JsonBody<Map<String, Json>>,
) -> Result<HttpResponse, Problem> {
    api.put_credential(&caller, cause, &id, body.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Forgets the credentials of an agent.
#[utoipa::path(
    context_path = "/api",
    operation_id = "credentials_forget",
    tag = "agents",
    responses(
        (status = 204, description = "Done"),
    ),
)]
#[delete("/agents/{id}/credentials")]
pub(super) async fn forget(api: web::Data<Api>, cause: Cause, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    api.forget_credential(cause, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

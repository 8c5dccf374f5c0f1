//! With which credentials is the source asked for an agent? Set, replaced and forgotten; never given out.

use actix_web::{HttpResponse, delete, get, put, web};
use serde_json::json;

use super::{Api, Problem};
use crate::{domain::AgentId, source::Credential, store::SealedCredential};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(put).service(forget);
}

/// `GET /api/credentials`: who has some, since when, and the name of the key that sealed them.
#[get("/credentials")]
async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let shown =
        |one: SealedCredential| json!({ "agentId": one.agent, "updatedAt": one.updated_at, "key": one.key_name });
    let items: Vec<_> = api.store().credentials().await?.into_iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

/// The agent; `service-account` fetches the shared reports, and has credentials too.
async fn holder(api: &Api, id: &str) -> Result<AgentId, Problem> {
    if id == AgentId::service_account().as_str() { Ok(AgentId::service_account()) } else { api.agent(id).await }
}

/// `PUT /api/agents/{id}/credentials`: `{ "username", "password" }` or `{ "token" }`.
#[put("/agents/{id}/credentials")]
async fn put(api: web::Data<Api>, id: web::Path<String>, body: web::Bytes) -> Result<HttpResponse, Problem> {
    let agent = holder(&api, &id).await?;
    let Some(vault) = &api.vault else {
        let text = "no key seals credentials: make one with 'lockstep credentials new-key', and name its file in \
                    source.credentials_key_file";
        return Err(Problem::conflict("no_credentials_key", text));
    };
    // what the parser says of a body may quote it
    let credential: Credential = serde_json::from_slice(&body).map_err(|_| {
        let text = "send {\"username\": \"...\", \"password\": \"...\"} or {\"token\": \"...\"}";
        Problem::unprocessable("bad_credentials", "", text)
    })?;
    if let Some(field) = credential.wrong() {
        let text = format!("{field} must not be empty");
        return Err(Problem::unprocessable("bad_credentials", &format!("/{field}"), text));
    }
    let sealed = vault.seal(&agent, &credential).map_err(|error| Problem::conflict("not_sealed", error.to_string()))?;
    let key_name = vault.key_name().to_owned();
    api.store()
        .put_credential(SealedCredential { agent, key_name, sealed, updated_at: api.context.clock.now() })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /api/agents/{id}/credentials`
#[delete("/agents/{id}/credentials")]
async fn forget(api: web::Data<Api>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    if !api.store().forget_credential(&AgentId::from(id.as_str())).await? {
        return Err(Problem::not_found("no_credentials", format!("agent '{id}' has no credentials")));
    }
    Ok(HttpResponse::NoContent().finish())
}

//! Who has a token, and for what? Made once, shown once, revoked at any time.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, delete, get, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem, identity::no_random};
use crate::{
    domain::{
        AgentId, Caller, Cause, Role, Timestamp,
        caller::new_token,
        text::{NAME, plain_text},
    },
    store::{NewToken, token_hash},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(create).service(revoke);
}

/// All tokens, also those that are revoked; never the tokens themselves.
#[utoipa::path(
    context_path = "/api",
    operation_id = "tokens_list",
    tag = "access",
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<crate::domain::Token>),
    ),
)]
#[get("/tokens")]
pub(super) async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "items": api.store().tokens().await?, "next": null })))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = NewToken)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(pattern = "^(metrics|viewer|operator|admin)$")]
    role: String,
    #[schema(value_type = Option<Vec<String>>)]
    agents: Option<BTreeSet<AgentId>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Makes a token, which is in this answer and nowhere else.
#[utoipa::path(
    context_path = "/api",
    operation_id = "tokens_create",
    tag = "access",
    request_body = Asked,
    responses(
        (status = 201, description = "The token, shown this once", body = serde_json::Value),
    ),
)]
#[post("/tokens")]
pub(super) async fn create(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    body: JsonBody<Asked>,
) -> Result<HttpResponse, Problem> {
    let Asked { name, role, agents, expires_at } = body.into_inner();
    plain_text(&name, NAME).map_err(|wrong| Problem::unprocessable("bad_name", "/name", wrong))?;
    let role: Role =
        role.parse().map_err(|wrong| Problem::unprocessable("unknown_role", "/role", format!("{wrong}")))?;
    let now = api.context.clock.now();
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::unprocessable("over", "/expiresAt", "this moment is over: expected a later one"));
    }
    if agents.as_ref().is_some_and(BTreeSet::is_empty) {
        let text = "expected at least one agent; leave it out for a token for all of them";
        return Err(Problem::unprocessable("no_agents", "/agents", text));
    }
    if role == Role::Metrics && agents.is_some() {
        let text = "the metrics tell of all agents: leave this out";
        return Err(Problem::unprocessable("for_all_agents", "/agents", text));
    }
    if api.store().tokens().await?.iter().any(|one| one.name == name && one.is_valid(now)) {
        let text = format!("there is a token '{name}' already: the log and the audit could not tell them apart");
        return Err(Problem::conflict("name_taken", text));
    }
    for agent in agents.iter().flatten() {
        api.agent(&caller, agent.as_str()).await?;
    }
    let secret = new_token().map_err(no_random)?;
    let new = NewToken { name, role, agents, expires_at, hash: token_hash(&secret) };
    let token = api.store().by(cause, now).add_token(new, now).await?;
    let mut answer = json!(token);
    answer["token"] = secret.into();
    Ok(HttpResponse::Created().insert_header(("Location", format!("/api/tokens/{}", token.id))).json(answer))
}

/// Revokes a token: it opens nothing from now on.
#[utoipa::path(
    context_path = "/api",
    operation_id = "tokens_revoke",
    tag = "access",
    responses(
        (status = 204, description = "Done"),
    ),
)]
#[delete("/tokens/{id}")]
pub(super) async fn revoke(api: web::Data<Api>, cause: Cause, id: web::Path<i64>) -> Result<HttpResponse, Problem> {
    let now = api.context.clock.now();
    if !api.store().by(cause, now).revoke_token(*id, now).await? {
        return Err(Problem::not_found("unknown_token", format!("there is no token {id}, or it is revoked already")));
    }
    api.known_tokens.forget();
    Ok(HttpResponse::NoContent().finish())
}

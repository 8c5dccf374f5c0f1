//! Which agents are there?

use actix_web::{HttpRequest, HttpResponse, delete, get, put, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem, etag};
use crate::{
    domain::{
        AgentId, Caller, Cause,
        text::{NAME, plain_text},
    },
    store::Agent,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(put).service(deactivate);
}

/// All agents that the caller may touch.
#[utoipa::path(
    context_path = "/api",
    operation_id = "agents_list",
    tag = "agents",
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<Agent>),
    ),
)]
#[get("/agents")]
pub(super) async fn list(api: web::Data<Api>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let list = json!({ "items": api.agents(&caller).await?, "next": null });
    Ok(etag::answer(&request, &list, &list))
}

async fn now(api: &Api, id: &str) -> Result<Option<Agent>, Problem> {
    Ok(api.store().agents().await?.into_iter().find(|agent| agent.id.as_str() == id))
}

/// One agent.
#[utoipa::path(
    context_path = "/api",
    operation_id = "agents_one",
    tag = "agents",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "How it is now", body = Agent),
    ),
)]
#[get("/agents/{id}")]
pub(super) async fn one(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = api.agent(&caller, &id).await?;
    let agent = now(&api, id.as_str()).await?;
    Ok(etag::answer(&request, &agent, &agent))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = AgentChange)]
#[serde(deny_unknown_fields)]
struct Body {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[serde(default = "active")]
    active: bool,
}

fn active() -> bool {
    true
}

/// Adds an agent, or changes its name and whether it is active.
#[utoipa::path(
    context_path = "/api",
    operation_id = "agents_put",
    tag = "agents",
    request_body = Body,
    responses(
        (status = 200, description = "How it is now", body = Agent),
    ),
)]
#[put("/agents/{id}")]
pub(super) async fn put(
    api: web::Data<Api>,
    cause: Cause,
    request: HttpRequest,
    id: web::Path<String>,
    body: JsonBody<Body>,
) -> Result<HttpResponse, Problem> {
    let _unchanged = etag::unchanged(&api, &request, async || now(&api, &id).await).await?;
    let id = AgentId::from(id.as_str());
    if !id.is_usable() {
        return Err(Problem::unprocessable("bad_agent_id", "/id", AgentId::RULE));
    }
    let Body { name, active } = body.into_inner();
    plain_text(&name, NAME).map_err(|wrong| Problem::unprocessable("bad_name", "/name", wrong))?;
    let agent = Agent { id, name, active, added_at: None };
    let now = api.context.clock.now();
    api.store().by(cause, now).put_agent(agent.clone(), now).await?;
    Ok(etag::changed(&agent))
}

/// Deactivates an agent; records stay.
#[utoipa::path(
    context_path = "/api",
    operation_id = "agents_deactivate",
    tag = "agents",
    responses(
        (status = 204, description = "Done"),
    ),
)]
#[delete("/agents/{id}")]
pub(super) async fn deactivate(
    api: web::Data<Api>,
    cause: Cause,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let _unchanged = etag::unchanged(&api, &request, async || now(&api, &id).await).await?;
    if !api.store().by(cause, api.context.clock.now()).deactivate_agent(&AgentId::from(id.as_str())).await? {
        return Err(Problem::not_found("unknown_agent", format!("there is no agent '{id}'")));
    }
    Ok(HttpResponse::NoContent().finish())
}

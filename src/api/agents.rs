//! Which agents are there?

use actix_web::{HttpResponse, delete, get, put, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{
        AgentId,
        text::{NAME, plain_text},
    },
    store::Agent,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(put).service(deactivate);
}

/// `GET /api/agents`
#[get("/agents")]
async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let agents = api.store().agents().await?;
    Ok(HttpResponse::Ok().json(json!({ "items": agents, "next": null })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: String,
    #[serde(default = "active")]
    active: bool,
}

fn active() -> bool {
    true
}

/// `PUT /api/agents/{id}`
#[put("/agents/{id}")]
async fn put(api: web::Data<Api>, id: web::Path<String>, body: JsonBody<Body>) -> Result<HttpResponse, Problem> {
    let id = AgentId::from(id.as_str());
    if !id.is_usable() {
        return Err(Problem::unprocessable("bad_agent_id", "/id", AgentId::RULE));
    }
    let Body { name, active } = body.into_inner();
    plain_text(&name, NAME).map_err(|wrong| Problem::unprocessable("bad_name", "/name", wrong))?;
    let agent = Agent { id, name, active, added_at: None };
    api.store().put_agent(agent.clone(), api.context.clock.now()).await?;
    Ok(HttpResponse::Ok().json(agent))
}

/// `DELETE /api/agents/{id}`: deactivates; records stay.
#[delete("/agents/{id}")]
async fn deactivate(api: web::Data<Api>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    if !api.store().deactivate_agent(&AgentId::from(id.as_str())).await? {
        return Err(Problem::not_found("unknown_agent", format!("there is no agent '{id}'")));
    }
    Ok(HttpResponse::NoContent().finish())
}

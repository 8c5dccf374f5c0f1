//! Which agents are there?

use actix_web::{HttpResponse, delete, get, put, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, Problem};
use crate::{
    domain::{AgentId, SERVICE_ACCOUNT},
    store::Agent,
};

pub fn routes(config: &mut web::ServiceConfig) {
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
async fn put(api: web::Data<Api>, id: web::Path<String>, body: web::Json<Body>) -> Result<HttpResponse, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if id.is_empty() || id.len() > 100 || id.starts_with('.') || !id.chars().all(fits) || id.as_str() == SERVICE_ACCOUNT
    {
        let text = "an agent's id has 1 to 100 letters, digits, '-', '_', '.', '@', and is not service-account";
        return Err(Problem::unprocessable("bad_agent_id", "/id", text));
    }
    let Body { name, active } = body.into_inner();
    let agent = Agent { id: AgentId::from(id.as_str()), name, active };
    api.store().put_agent(agent.clone()).await?;
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

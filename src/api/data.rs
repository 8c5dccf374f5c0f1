//! Which records are stored?

use actix_web::{HttpResponse, get, http::StatusCode, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, Problem, page::PageSize};
use crate::{domain::Timestamp, store::DataQuery};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<String>,
    q: Option<String>,
    updated_since: Option<Timestamp>,
    cursor: Option<String>,
    limit: Option<u64>,
    #[serde(default)]
    deleted: bool,
}

/// `GET /api/data/{type}`
#[get("/data/{type}")]
async fn list(api: web::Data<Api>, name: web::Path<String>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let query = query.into_inner();
    let wanted = DataQuery {
        agent: query.agent,
        text: query.q.filter(|text| !text.is_empty()),
        updated_since: query.updated_since,
        after: query.cursor.as_deref().map(decode).transpose()?,
        deleted: query.deleted,
        limit: PageSize::of(query.limit).items(),
    };
    let page = api.store().data(&spec, wanted).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": page.items, "next": page.next.map(encode) })))
}

/// A cursor is the last record's agent and key, in a spelling that survives a URL.
fn encode((agent, key): (String, String)) -> String {
    hex::encode(json!([agent, key]).to_string())
}

fn decode(cursor: &str) -> Result<(String, String), Problem> {
    let place = hex::decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "this cursor is not one that a list gave"))
}

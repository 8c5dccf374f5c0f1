//! Which records are stored, what hangs on each, and what became of it?

use actix_web::{HttpResponse, get, http::StatusCode, web};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use super::{Api, Problem, page::PageSize};
use crate::{
    domain::{AgentId, RunId, Timestamp},
    overview,
    store::{ChangeQuery, DataQuery, RecordChange},
    sync_type::{Scope, SyncTypeSpec},
};

/// Children of one type that are shown with a record.
const CHILDREN: u64 = 200;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    // a key may hold slashes: what ends in /history is the history
    config.service(list).service(history).service(one).service(changes).service(changes_of_run).service(why);
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
        ..DataQuery::default()
    };
    let page = api.store().data(&spec, wanted).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": page.items, "next": page.next.map(encode) })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    agent: Option<String>,
}

impl Api {
    /// The agent under which a record of this type stands, or a 422 that says that one has to be named.
    async fn agent_of(&self, spec: &SyncTypeSpec, asked: Option<&str>) -> Result<AgentId, Problem> {
        match (spec.scope, asked) {
            (Scope::Shared, _) => Ok(AgentId::service_account()),
            (Scope::Agent, Some(asked)) => self.agent(asked).await,
            (Scope::Agent, None) => {
                let text = format!("each agent has {} of their own: say whose with ?agent=", spec.name);
                Err(Problem::unprocessable("agent_needed", "/agent", text))
            }
        }
    }
}

/// `GET /api/data/{type}/{key}?agent=`: a record, also a deleted one, with what it belongs to and what belongs to it.
#[get("/data/{type}/{key:.+}")]
async fn one(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<Whose>,
) -> Result<HttpResponse, Problem> {
    let (name, key) = path.into_inner();
    let spec = api.sync_type(&name)?;
    let agent = api.agent_of(&spec, query.agent.as_deref()).await?;
    let of = |agent: &AgentId| DataQuery { agent: Some(agent.to_string()), deleted: true, ..DataQuery::default() };
    let wanted = DataQuery { key: Some(key.clone()), limit: 1, ..of(&agent) };
    let Some(record) = api.store().data(&spec, wanted).await?.items.pop() else {
        let text = format!("agent {agent} has no record '{key}' of {name}; GET /api/why says more");
        return Err(Problem::not_found("unknown_record", text));
    };
    let mut parent = Json::Null;
    if let (Some((above, whose)), Some(key)) =
        (api.context.types.parent_agent(&spec, &agent), record["parent_key"].as_str())
    {
        let wanted = DataQuery { key: Some(key.to_owned()), limit: 1, ..of(&whose) };
        let found = api.store().data(&above, wanted).await?.items.pop();
        parent = json!({ "type": above.name, "key": key, "record": found });
    }
    let mut children = serde_json::Map::new();
    for child in api.context.types.children_of(&spec.name) {
        // whose parents are shared have records under every agent
        let agent = (spec.scope == Scope::Agent || child.scope == Scope::Shared).then(|| agent.to_string());
        let wanted = DataQuery { agent, parent: Some(key.clone()), limit: CHILDREN, ..DataQuery::default() };
        children.insert(child.name.to_string(), json!(api.store().data(child, wanted).await?.items));
    }
    // of a type whose file names a field whose every value is kept: price_history, say
    let watched = match &spec.history {
        Some(of) => json!({ "field": of.field, "values": api.store().history(&spec, &agent, &key).await? }),
        None => Json::Null,
    };
    Ok(HttpResponse::Ok().json(json!({
        "type": spec.name,
        "agentId": agent,
        "key": key,
        "record": record,
        "watched": watched,
        "parent": parent,
        "children": children,
    })))
}

/// A cursor in a list of changes: the number of the last one that was given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRecord {
    agent: Option<String>,
    cursor: Option<i64>,
    limit: Option<u64>,
}

impl Api {
    async fn list_changes(&self, wanted: ChangeQuery, size: PageSize) -> Result<HttpResponse, Problem> {
        let found = self.store().changes(ChangeQuery { limit: size.with_one_more(), ..wanted }).await?;
        Ok(size.answer(found, |change: &RecordChange| change.id.to_string()))
    }
}

/// `GET /api/data/{type}/{key}/history?agent=&cursor=&limit=`: what became of a record, newest first.
#[get("/data/{type}/{key:.+}/history")]
async fn history(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<OfRecord>,
) -> Result<HttpResponse, Problem> {
    let (name, key) = path.into_inner();
    let spec = api.sync_type(&name)?;
    let agent = api.agent_of(&spec, query.agent.as_deref()).await?;
    let wanted = ChangeQuery {
        sync_type: Some(name),
        agent: Some(agent.to_string()),
        key: Some(key),
        before: query.cursor,
        ..ChangeQuery::default()
    };
    api.list_changes(wanted, PageSize::of(query.limit)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    r#type: Option<String>,
    agent: Option<String>,
    run: Option<RunId>,
    since: Option<Timestamp>,
    cursor: Option<i64>,
    limit: Option<u64>,
}

/// `GET /api/changes?type=&agent=&since=&run=&cursor=&limit=`: what became of records, newest first.
#[get("/changes")]
async fn changes(api: web::Data<Api>, query: web::Query<Changes>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    if let Some(name) = &query.r#type {
        api.sync_type(name)?;
    }
    let wanted = ChangeQuery {
        sync_type: query.r#type,
        agent: query.agent,
        run: query.run,
        since: query.since,
        before: query.cursor,
        ..ChangeQuery::default()
    };
    api.list_changes(wanted, PageSize::of(query.limit)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRun {
    cursor: Option<i64>,
    limit: Option<u64>,
}

/// `GET /api/runs/{id}/changes?cursor=&limit=`: what a run did to which record.
#[get("/runs/{id}/changes")]
async fn changes_of_run(
    api: web::Data<Api>,
    id: web::Path<RunId>,
    query: web::Query<OfRun>,
) -> Result<HttpResponse, Problem> {
    super::runs::find(&api, *id).await?;
    let wanted = ChangeQuery { run: Some(*id), before: query.cursor, ..ChangeQuery::default() };
    api.list_changes(wanted, PageSize::of(query.limit)).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    r#type: String,
    agent: Option<String>,
    key: String,
}

/// `GET /api/why?type=&agent=&key=`: why a record is as it is, or not there, in sentences and codes.
#[get("/why")]
async fn why(api: web::Data<Api>, query: web::Query<Which>) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&query.r#type)?;
    let agent = match (spec.scope, &query.agent) {
        (Scope::Shared, _) => AgentId::service_account(),
        // that nobody knows the agent may be the very answer
        (Scope::Agent, Some(agent)) => AgentId::from(agent.as_str()),
        (Scope::Agent, None) => api.agent_of(&spec, None).await?,
    };
    let known = api.look().await?;
    Ok(HttpResponse::Ok().json(overview::why(api.store(), &known, &spec, &agent, &query.key).await?))
}

/// A cursor is the last record's agent and key, in a spelling that survives a URL.
fn encode((agent, key): (String, String)) -> String {
    hex::encode(json!([agent, key]).to_string())
}

fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    let place = hex::decode(cursor).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "this cursor is not one that a list gave"))
}

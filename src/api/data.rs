//! Which records are stored, what hangs on each, and what became of it?

use std::sync::Arc;

use actix_web::{HttpResponse, get, web};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Api, Problem,
    csv_file::{self, Format},
    page::{self, Cursor, PageSize},
};
use crate::{
    domain::{AgentId, Caller, RunId, Timestamp},
    overview,
    store::{ChangeQuery, DataQuery, RecordChange, Store},
    sync_type::{Scope, SyncTypeSpec},
};

/// Children of one type that are shown with a record.
const CHILDREN: u64 = 200;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    // a key may hold slashes: what ends in /history is the history
    config.service(list).service(history).service(one).service(changes).service(changes_of_run).service(why);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(alias = "agentId")]
    agent: Option<String>,
    q: Option<String>,
    #[param(value_type = Option<String>, format = DateTime)]
    updated_since: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
    #[serde(default)]
    deleted: bool,
    /// `json`, a page; or `csv`, all that fits, as a file.
    #[param(inline)]
    #[serde(default)]
    format: Format,
}

/// All records that fit.
fn whole(store: Store, spec: Arc<SyncTypeSpec>, wanted: DataQuery) -> HttpResponse {
    const OURS: [&str; 5] = ["agent_id", "first_seen_at", "updated_at", "missing_since", "deleted_at"];
    let fields = spec.fields.iter().map(|field| field.name.clone());
    let columns: Vec<String> = fields.chain(OURS.map(str::to_owned)).collect();
    let (name, head) = (spec.name.to_string(), columns.clone());
    csv_file::file(&name, head, wanted, move |wanted: DataQuery| {
        let (store, spec, columns) = (store.clone(), spec.clone(), columns.clone());
        async move {
            let found = store.data(&spec, DataQuery { limit: page::MOST, ..wanted.clone() }).await?;
            let text = |value: Option<&Json>| match value {
                None | Some(Json::Null) => String::new(),
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let row = |record: &Map<String, Json>| columns.iter().map(|name| text(record.get(name))).collect();
            let rows = found.items.iter().map(row).collect();
            Ok((rows, found.next.map(|place| DataQuery { after: Some(place), ..wanted })))
        }
    })
}

/// The records of a type.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_list",
    tag = "data",
    params(Query),
    responses(
        (status = 200, description = "A page of the list, or all of it as a file", content(
            (page::Page<serde_json::Value> = "application/json"),
            (String = "text/csv"),
        )),
    ),
)]
#[get("/data/{type}")]
pub(super) async fn list(
    api: web::Data<Api>,
    caller: Caller,
    name: web::Path<String>,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let query = query.into_inner();
    api.check_filter(&caller, None, query.agent.as_deref()).await?;
    let wanted = DataQuery {
        agent: query.agent,
        agents: caller.seen(),
        text: query.q.filter(|text| !text.is_empty()),
        updated_since: query.updated_since,
        after: page::behind(query.cursor.as_ref(), "data")?,
        deleted: query.deleted,
        limit: PageSize::of(query.limit)?.items(),
        ..DataQuery::default()
    };
    if query.format == Format::Csv {
        return Ok(whole(api.store().clone(), spec, wanted));
    }
    let found = api.store().data(&spec, wanted).await?;
    Ok(page::answer(
        json!({ "items": found.items, "next": found.next.map(|place| Cursor::behind("data", place).text()) }),
    ))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Whose {
    #[serde(alias = "agentId")]
    agent: Option<String>,
}

impl Api {
    /// The agent under which a record of this type stands, or a 422 that says that one has to be named.
    async fn agent_of(&self, caller: &Caller, spec: &SyncTypeSpec, asked: Option<&str>) -> Result<AgentId, Problem> {
        match (spec.scope, asked) {
            (Scope::Shared, _) => Ok(AgentId::service_account()),
            (Scope::Agent, Some(asked)) => self.agent(caller, asked).await,
            (Scope::Agent, None) => {
                let text = format!("each agent has {} of their own: say whose with ?agent=", spec.name);
                Err(Problem::unprocessable("agent_needed", "/agent", text))
            }
        }
    }
}

/// A record, also a deleted one, with what it belongs to and what belongs to it.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_one",
    tag = "data",
    params(Whose),
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/data/{type}/{key:.+}")]
pub(super) async fn one(
    api: web::Data<Api>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<Whose>,
) -> Result<HttpResponse, Problem> {
    let (name, key) = path.into_inner();
    let spec = api.sync_type(&name)?;
    let agent = api.agent_of(&caller, &spec, query.agent.as_deref()).await?;
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
    let mut children = Map::new();
    for child in api.context.types.children_of(&spec.name) {
        // whose parents are shared have records under every agent
        let agent = (spec.scope == Scope::Agent || child.scope == Scope::Shared).then(|| agent.to_string());
        let (parent, agents) = (Some(key.clone()), caller.seen());
        let wanted = DataQuery { agent, agents, parent, limit: CHILDREN, ..DataQuery::default() };
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

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OfRecord {
    #[serde(alias = "agentId")]
    agent: Option<String>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

impl Api {
    async fn list_changes(&self, wanted: ChangeQuery, size: PageSize) -> Result<HttpResponse, Problem> {
        let found = self.store().changes(ChangeQuery { limit: size.with_one_more(), ..wanted }).await?;
        Ok(size.answer("changes", found, |change: &RecordChange| change.id))
    }
}

/// What became of a record, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_history",
    tag = "data",
    params(OfRecord),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<RecordChange>),
    ),
)]
#[get("/data/{type}/{key:.+}/history")]
pub(super) async fn history(
    api: web::Data<Api>,
    caller: Caller,
    path: web::Path<(String, String)>,
    query: web::Query<OfRecord>,
) -> Result<HttpResponse, Problem> {
    let (name, key) = path.into_inner();
    let spec = api.sync_type(&name)?;
    let agent = api.agent_of(&caller, &spec, query.agent.as_deref()).await?;
    let wanted = ChangeQuery {
        sync_type: Some(name),
        agent: Some(agent.to_string()),
        key: Some(key),
        before: page::behind(query.cursor.as_ref(), "changes")?,
        ..ChangeQuery::default()
    };
    api.list_changes(wanted, PageSize::of(query.limit)?).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Changes {
    r#type: Option<String>,
    #[serde(alias = "agentId")]
    agent: Option<String>,
    #[param(value_type = Option<i64>)]
    run: Option<RunId>,
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// What became of records, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_changes",
    tag = "data",
    params(Changes),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<RecordChange>),
    ),
)]
#[get("/changes")]
pub(super) async fn changes(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Changes>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    api.check_filter(&caller, None, query.agent.as_deref()).await?;
    if let Some(name) = &query.r#type {
        api.sync_type(name)?;
    }
    let wanted = ChangeQuery {
        sync_type: query.r#type,
        agent: query.agent,
        agents: caller.seen(),
        run: query.run,
        since: query.since,
        before: page::behind(query.cursor.as_ref(), "changes")?,
        ..ChangeQuery::default()
    };
    api.list_changes(wanted, PageSize::of(query.limit)?).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OfRun {
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// What a run did to which record.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_changes_of_run",
    tag = "data",
    params(OfRun),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<RecordChange>),
    ),
)]
#[get("/runs/{id}/changes")]
pub(super) async fn changes_of_run(
    api: web::Data<Api>,
    caller: Caller,
    id: web::Path<RunId>,
    query: web::Query<OfRun>,
) -> Result<HttpResponse, Problem> {
    super::runs::find(&api, &caller, *id).await?;
    let wanted = ChangeQuery {
        run: Some(*id),
        before: page::behind(query.cursor.as_ref(), "changes")?,
        ..ChangeQuery::default()
    };
    api.list_changes(wanted, PageSize::of(query.limit)?).await
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    r#type: String,
    #[serde(alias = "agentId")]
    agent: Option<String>,
    key: String,
}

/// Why a record is as it is, or not there, in sentences and codes.
#[utoipa::path(
    context_path = "/api",
    operation_id = "data_why",
    tag = "data",
    params(Which),
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/why")]
pub(super) async fn why(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Which>,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&query.r#type)?;
    let agent = match (spec.scope, &query.agent) {
        (Scope::Shared, _) => AgentId::service_account(),
        // that nobody knows the agent may be the very answer
        (Scope::Agent, Some(agent)) if caller.is_for_all() => AgentId::from(agent.as_str()),
        (Scope::Agent, agent) => api.agent_of(&caller, &spec, agent.as_deref()).await?,
    };
    let known = api.look_for(&caller).await?;
    Ok(HttpResponse::Ok().json(overview::why(api.store(), &known, &spec, &agent, &query.key).await?))
}

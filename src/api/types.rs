//! Which sync types are there, and what do their files say?

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Api, Problem, etag, page};
use crate::{
    domain::Caller,
    overview::{Over, Part},
    sync_type::SyncTypeSpec,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(history);
}

fn shown(spec: &SyncTypeSpec) -> Json {
    let fields = spec.fields.iter().map(|field| {
        json!({
            "name": field.name,
            "type": field.value_type,
            "headers": spec.columns[field.column].headers,
            "keepWhenBlank": field.keep_when_blank,
        })
    });
    json!({
        "name": spec.name,
        "scope": spec.scope,
        "priority": spec.priority,
        "intervalMinutes": spec.interval_minutes,
        "freshnessMinutes": spec.freshness_minutes,
        "key": spec.key_name(),
        "required": spec.required.iter().map(|field| &spec.fields[*field].name).collect::<Vec<_>>(),
        "triggers": spec.triggers,
        "parent": spec.parent.as_ref().map(|parent| json!({
            "type": parent.sync_type, "field": parent.field, "matches": parent.matches,
        })),
        "guards": spec.guards,
        "fields": fields.collect::<Vec<_>>(),
        "fingerprint": spec.fingerprint,
    })
}

/// All sync types, as their files have them, with the headers that were taught.
///
/// `intervalMinutes` is what a new database begins with; what is in force is in `/api/sync/schedule`.
#[utoipa::path(
    context_path = "/api",
    operation_id = "types_list",
    tag = "schedule",
    responses((status = 200, description = "A page of the list", body = page::Page<serde_json::Value>)),
)]
#[get("/types")]
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let items: Vec<Json> = api.store().taught().await?.types.iter().map(|spec| shown(spec)).collect();
    let list = json!({ "items": items, "next": null });
    Ok(etag::answer(&request, &list, &list))
}

/// One sync type.
#[utoipa::path(
    context_path = "/api",
    operation_id = "types_one",
    tag = "schedule",
    responses((status = 200, description = "How it is now", body = serde_json::Value)),
)]
#[get("/types/{type}")]
pub(super) async fn one(
    api: web::Data<Api>,
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let taught = api.store().taught().await?.types;
    let shown = shown(taught.get(spec.name.as_str()).unwrap_or(&spec));
    Ok(etag::answer(&request, &shown, &shown))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    over: Over,
}

impl Api {
    /// How the runs of a type went, of the agents that this caller may see.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked.
    pub async fn history_of(&self, caller: &Caller, spec: &SyncTypeSpec, over: Over) -> Result<Vec<Part>, Problem> {
        let now = self.context.clock.now();
        let hours = self.store().run_hours(&spec.name, caller.seen(), over.since(now)).await?;
        Ok(Part::all(&hours, over, now))
    }
}

/// How the runs of a type went over a day (by the hour), a week (by six hours) or a month (by the day), the oldest first.
///
/// Reports that a person gave are left out. `appliedMs` is how long those took together that applied their report.
#[utoipa::path(
    context_path = "/api",
    operation_id = "types_history",
    tag = "schedule",
    params(Asked),
    responses((status = 200, description = "All parts", body = page::Page<Part>)),
)]
#[get("/types/{type}/history")]
pub(super) async fn history(
    api: web::Data<Api>,
    caller: Caller,
    name: web::Path<String>,
    query: web::Query<Asked>,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let items = api.history_of(&caller, &spec, query.over).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

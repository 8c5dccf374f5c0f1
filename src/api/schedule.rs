//! How often does each type run, and do the timers run at all?

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Api, JsonBody, OptionalBody, Problem, etag};
use crate::{
    domain::{AgentId, Caller, Cause, SERVICE_ACCOUNT, SyncType, clock::INTERVAL_MINUTES},
    scheduler::{Reschedule, ScheduleChange, ScheduleError, SchedulerSnapshot, SetAutoSync, Snapshot, UpdateInterval},
    store::RunTotals,
    supervisor::By,
};

/// How far statistics look back, in whole hours.
const DAY: TimeDelta = TimeDelta::days(1);
const WEEK: TimeDelta = TimeDelta::days(7);

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(intervals)
        .service(set_interval)
        .service(show_schedule)
        .service(set_schedule)
        .service(start)
        .service(stop)
        .service(status);
    config.service(statistics);
}

fn intervals_of(snapshot: &SchedulerSnapshot) -> BTreeMap<&str, u32> {
    snapshot.types.iter().map(|timer| (timer.sync_type.as_str(), timer.interval_minutes)).collect()
}

/// Minutes between two runs, by type.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_intervals",
    tag = "schedule",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/sync/intervals")]
pub(super) async fn intervals(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let snapshot = api.scheduler.send(Snapshot).await?;
    Ok(etag::answer(&request, &schedule_of(&snapshot), &intervals_of(&snapshot)))
}

/// What people set of each type.
fn schedule_of(snapshot: &SchedulerSnapshot) -> Json {
    let types = snapshot.types.iter().map(|timer| {
        let set = json!({ "intervalMinutes": timer.interval_minutes, "enabled": timer.enabled });
        (timer.sync_type.to_string(), set)
    });
    Json::Object(types.collect())
}

async fn schedule_now(api: &Api) -> Result<Option<Json>, Problem> {
    Ok(Some(schedule_of(&api.scheduler.send(Snapshot).await?)))
}

/// Minutes between two runs, and whether there are any, by type.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_show",
    tag = "schedule",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/sync/schedule")]
pub(super) async fn show_schedule(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let schedule = schedule_now(&api).await?;
    Ok(etag::answer(&request, &schedule, &schedule))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Interval)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Interval {
    #[schema(value_type = u32, minimum = 5, maximum = 1_440)]
    interval_minutes: Json,
}

/// Sets the interval of one type, from its next cycle on.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_set_interval",
    tag = "schedule",
    request_body = Interval,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/intervals/{type}")]
pub(super) async fn set_interval(
    api: web::Data<Api>,
    cause: Cause,
    request: HttpRequest,
    name: web::Path<String>,
    body: JsonBody<Interval>,
) -> Result<HttpResponse, Problem> {
    let _unchanged = etag::unchanged(&api, &request, async || schedule_now(&api).await).await?;
    let sync_type = api.sync_type(&name)?.name.clone();
    let minutes = minutes(&body.interval_minutes, "/intervalMinutes")?;
    let timer = api.scheduler.send(By(cause.clone(), UpdateInterval { sync_type, minutes })).await??;
    Ok(HttpResponse::Ok().json(timer))
}

fn minutes(value: &Json, pointer: &str) -> Result<u32, Problem> {
    let fits = value.as_u64().and_then(|minutes| u32::try_from(minutes).ok()).filter(|m| INTERVAL_MINUTES.contains(m));
    let wrong = || {
        let (least, most) = INTERVAL_MINUTES.into_inner();
        let text = format!("must be a whole number from {least} to {most}, not {value}");
        Problem::unprocessable("out_of_range", pointer, text)
    };
    fits.ok_or_else(wrong)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = ScheduleChange)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    #[schema(value_type = Option<u32>, minimum = 5, maximum = 1_440)]
    interval_minutes: Option<Json>,
    enabled: Option<bool>,
}

/// Changes several types, all or none.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_set_schedule",
    tag = "schedule",
    request_body = std::collections::BTreeMap<String, Wanted>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/schedule")]
pub(super) async fn set_schedule(
    api: web::Data<Api>,
    cause: Cause,
    request: HttpRequest,
    body: JsonBody<BTreeMap<String, Wanted>>,
) -> Result<HttpResponse, Problem> {
    let _unchanged = etag::unchanged(&api, &request, async || schedule_now(&api).await).await?;
    let (mut changes, mut wrong) = (Vec::new(), None::<Problem>);
    for (name, wanted) in body.into_inner() {
        let sync_type = api.sync_type(&name)?.name.clone();
        let asked = wanted.interval_minutes.as_ref();
        match asked.map(|value| minutes(value, &format!("/{name}/intervalMinutes"))).transpose() {
            Ok(minutes) => changes.push(ScheduleChange { sync_type, minutes, enabled: wanted.enabled }),
            Err(problem) => wrong = Some(wrong.map_or(problem.clone(), |first| first.and(problem))),
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let timers = api.scheduler.send(By(cause.clone(), Reschedule { changes })).await??;
    Ok(HttpResponse::Ok().json(json!({ "types": timers })))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = StartAutoSync)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, u32>)]
    intervals: BTreeMap<String, Json>,
}

/// Turns the timers on, with the given intervals or the saved ones.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_start",
    tag = "schedule",
    request_body = Option<Start>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/auto-sync/start")]
pub(super) async fn start(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(asked): OptionalBody<Start>,
) -> Result<HttpResponse, Problem> {
    let mut changes = Vec::new();
    for (name, value) in &asked.intervals {
        let sync_type: SyncType = api.sync_type(name)?.name.clone();
        let minutes = Some(minutes(value, &format!("/intervals/{name}"))?);
        changes.push(ScheduleChange { sync_type, minutes, enabled: None });
    }
    // the switch first: if the configuration forbids it, nothing is changed
    let mut snapshot = api.scheduler.send(By(cause.clone(), SetAutoSync { on: true })).await??;
    if !changes.is_empty() {
        snapshot.types = api.scheduler.send(By(cause.clone(), Reschedule { changes })).await??;
    }
    Ok(HttpResponse::Ok().json(snapshot))
}

/// Turns the timers off.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_stop",
    tag = "schedule",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/auto-sync/stop")]
pub(super) async fn stop(api: web::Data<Api>, cause: Cause) -> Result<HttpResponse, Problem> {
    let stopped: Result<SchedulerSnapshot, ScheduleError> =
        api.scheduler.send(By(cause.clone(), SetAutoSync { on: false })).await?;
    Ok(HttpResponse::Ok().json(stopped?))
}

/// The timers, and how the runs of each type went in the last week.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_status",
    tag = "schedule",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/sync/auto-sync/status")]
pub(super) async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let snapshot = api.scheduler.send(Snapshot).await?;
    let states = api.store().sync_states().await?;
    let totals = api.store().run_totals(api.context.clock.now() - WEEK).await?;
    let mut types = Map::new();
    let mut next_runs = Map::new();
    for timer in &snapshot.types {
        let of_type = || states.iter().filter(|state| state.sync_type == timer.sync_type);
        let week = totals.iter().filter(|((name, _), _)| *name == timer.sync_type);
        let week = week.fold(RunTotals::default(), |sum, (_, one)| sum.plus(one));
        let next_run = timer.next_run.filter(|_| snapshot.running && timer.enabled);
        types.insert(
            timer.sync_type.to_string(),
            json!({
                "lastSuccess": of_type().filter_map(|state| state.applied).map(|applied| applied.at).max(),
                "averageDurationMs": week.average_ms(),
                // the worst of its agents
                "consecutiveFailures": of_type().map(|state| state.failures).max().unwrap_or_default(),
            }),
        );
        next_runs.insert(timer.sync_type.to_string(), json!(next_run));
    }
    Ok(HttpResponse::Ok().json(json!({
        "running": snapshot.running,
        "intervals": intervals_of(&snapshot),
        "nextRuns": next_runs,
        "types": types,
    })))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Whose {
    r#type: Option<String>,
    #[serde(alias = "agentId")]
    agent: Option<String>,
}

/// How the runs of each type and agent ended within a day and a week.
///
/// Reports that a person gave are left out.
#[utoipa::path(
    context_path = "/api",
    operation_id = "schedule_statistics",
    tag = "schedule",
    params(Whose),
    responses(
        (status = 200, description = "A page of the list", body = super::page::Page<serde_json::Value>),
    ),
)]
#[get("/sync/statistics")]
pub(super) async fn statistics(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Whose>,
) -> Result<HttpResponse, Problem> {
    let sync_type = query.r#type.as_deref().map(|name| api.sync_type(name)).transpose()?.map(|spec| spec.name.clone());
    let agent = match query.agent.as_deref() {
        Some(SERVICE_ACCOUNT) => Some(AgentId::service_account()),
        Some(asked) => Some(api.agent(&caller, asked).await?),
        None => None,
    };
    let now = api.context.clock.now();
    let (day, week) = (api.store().run_totals(now - DAY).await?, api.store().run_totals(now - WEEK).await?);
    let told = |totals: &RunTotals| {
        json!({
            "runs": totals.runs,
            "applied": totals.applied,
            "failed": totals.failed,
            "rows": totals.rows,
            "averageDurationMs": totals.average_ms(),
            "successRate": totals.success_rate(),
        })
    };
    let wanted = week.iter().filter(|((name, whose), _)| {
        caller.sees(whose)
            && sync_type.as_ref().is_none_or(|wanted| wanted == name)
            && agent.as_ref().is_none_or(|wanted| wanted == whose)
    });
    let items: Vec<Json> = wanted
        .map(|(whose, totals)| {
            let today = day.get(whose).cloned().unwrap_or_default();
            json!({ "type": whose.0, "agentId": whose.1, "day": told(&today), "week": told(totals) })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

//! How often does each type run, and do the timers run at all?

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, post, web};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Api, JsonBody, Problem, answer::optional_json, problem};
use crate::{
    domain::{AgentId, SERVICE_ACCOUNT, SyncType, clock::INTERVAL_MINUTES},
    scheduler::{Reschedule, ScheduleChange, ScheduleError, SchedulerSnapshot, SetAutoSync, Snapshot, UpdateInterval},
    store::RunTotals,
};

/// How far statistics look back, in whole hours.
const DAY: TimeDelta = TimeDelta::days(1);
const WEEK: TimeDelta = TimeDelta::days(7);

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(intervals).service(set_interval).service(set_schedule).service(start).service(stop).service(status);
    config.service(statistics);
}

fn intervals_of(snapshot: &SchedulerSnapshot) -> BTreeMap<&str, u32> {
    snapshot.types.iter().map(|timer| (timer.sync_type.as_str(), timer.interval_minutes)).collect()
}

/// `GET /api/sync/intervals`
#[get("/sync/intervals")]
async fn intervals(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let snapshot = api.scheduler.send(Snapshot).await?;
    Ok(HttpResponse::Ok().json(intervals_of(&snapshot)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Interval {
    interval_minutes: Json,
}

/// `POST /api/sync/intervals/{type}`
#[post("/sync/intervals/{type}")]
async fn set_interval(
    api: web::Data<Api>,
    name: web::Path<String>,
    body: JsonBody<Interval>,
) -> Result<HttpResponse, Problem> {
    let sync_type = api.sync_type(&name)?.name.clone();
    let minutes = minutes(&body.interval_minutes, "/intervalMinutes")?;
    let timer = api.scheduler.send(UpdateInterval { sync_type, minutes }).await??;
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    interval_minutes: Option<Json>,
    enabled: Option<bool>,
}

/// `POST /api/sync/schedule`: all or nothing.
#[post("/sync/schedule")]
async fn set_schedule(api: web::Data<Api>, body: JsonBody<BTreeMap<String, Wanted>>) -> Result<HttpResponse, Problem> {
    let mut changes = Vec::new();
    for (name, wanted) in body.into_inner() {
        let asked = wanted.interval_minutes.as_ref();
        changes.push(ScheduleChange {
            sync_type: api.sync_type(&name)?.name.clone(),
            minutes: asked.map(|value| minutes(value, &format!("/{name}/intervalMinutes"))).transpose()?,
            enabled: wanted.enabled,
        });
    }
    let timers = api.scheduler.send(Reschedule { changes }).await??;
    Ok(HttpResponse::Ok().json(json!({ "types": timers })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    intervals: BTreeMap<String, Json>,
}

/// `POST /api/sync/auto-sync/start`: with the given intervals, else the saved ones.
#[post("/sync/auto-sync/start")]
async fn start(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let asked: Start = optional_json(&problem::body(body)?)?;
    let mut changes = Vec::new();
    for (name, value) in &asked.intervals {
        let sync_type: SyncType = api.sync_type(name)?.name.clone();
        let minutes = Some(minutes(value, &format!("/intervals/{name}"))?);
        changes.push(ScheduleChange { sync_type, minutes, enabled: None });
    }
    // the switch first: if the configuration forbids it, nothing is changed
    let mut snapshot = api.scheduler.send(SetAutoSync { on: true }).await??;
    if !changes.is_empty() {
        snapshot.types = api.scheduler.send(Reschedule { changes }).await??;
    }
    Ok(HttpResponse::Ok().json(snapshot))
}

/// `POST /api/sync/auto-sync/stop`
#[post("/sync/auto-sync/stop")]
async fn stop(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let stopped: Result<SchedulerSnapshot, ScheduleError> = api.scheduler.send(SetAutoSync { on: false }).await?;
    Ok(HttpResponse::Ok().json(stopped?))
}

/// `GET /api/sync/auto-sync/status`: the timers, and how the runs of each type went in the last week.
#[get("/sync/auto-sync/status")]
async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    r#type: Option<String>,
    agent: Option<String>,
}

/// `GET /api/sync/statistics?type=&agent=`: how the runs of each type and agent ended within a day and a week. Reports
/// that a person gave are left out.
#[get("/sync/statistics")]
async fn statistics(api: web::Data<Api>, query: web::Query<Whose>) -> Result<HttpResponse, Problem> {
    let sync_type = query.r#type.as_deref().map(|name| api.sync_type(name)).transpose()?.map(|spec| spec.name.clone());
    let agent = match query.agent.as_deref() {
        Some(SERVICE_ACCOUNT) => Some(AgentId::service_account()),
        Some(asked) => Some(api.agent(asked).await?),
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
        sync_type.as_ref().is_none_or(|wanted| wanted == name) && agent.as_ref().is_none_or(|wanted| wanted == whose)
    });
    let items: Vec<Json> = wanted
        .map(|(whose, totals)| {
            let today = day.get(whose).cloned().unwrap_or_default();
            json!({ "type": whose.0, "agentId": whose.1, "day": told(&today), "week": told(totals) })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

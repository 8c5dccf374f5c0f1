//! How often does each type run, and do the timers run at all?

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Api, JsonBody, Problem, answer::optional_json, problem};
use crate::{
    domain::{Outcome, SyncType, clock::INTERVAL_MINUTES},
    scheduler::{Reschedule, ScheduleChange, ScheduleError, SchedulerSnapshot, SetAutoSync, Snapshot, UpdateInterval},
    store::{Run, RunQuery},
};

/// Averages and failures are told from this many runs of a type.
const LOOK_BACK: u64 = 50;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(intervals).service(set_interval).service(set_schedule).service(start).service(stop).service(status);
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

/// `GET /api/sync/auto-sync/status`
#[get("/sync/auto-sync/status")]
async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let snapshot = api.scheduler.send(Snapshot).await?;
    let mut types = Map::new();
    let mut next_runs = Map::new();
    for timer in &snapshot.types {
        let wanted = RunQuery {
            sync_type: Some(timer.sync_type.to_string()),
            ended: true,
            limit: LOOK_BACK,
            ..RunQuery::default()
        };
        let runs = api.store().runs(wanted).await?;
        let next_run = timer.next_run.filter(|_| snapshot.running && timer.enabled);
        types.insert(timer.sync_type.to_string(), summary(&runs));
        next_runs.insert(timer.sync_type.to_string(), json!(next_run));
    }
    Ok(HttpResponse::Ok().json(json!({
        "running": snapshot.running,
        "intervals": intervals_of(&snapshot),
        "nextRuns": next_runs,
        "types": types,
    })))
}

/// Newest first: last success, average duration of the successes, failures since the last success.
/// A stopped or held run is neither.
fn summary(runs: &[Run]) -> Json {
    let is_success = |run: &&Run| run.was_applied();
    let neutral = [Outcome::Stopped, Outcome::Held, Outcome::Removed, Outcome::Skipped];
    let is_neutral = |run: &&Run| run.outcome.is_some_and(|outcome| neutral.contains(&outcome));
    let durations: Vec<i64> = runs.iter().filter(is_success).filter_map(|run| run.duration_ms).collect();
    let average = (!durations.is_empty()).then(|| durations.iter().sum::<i64>() as f64 / durations.len() as f64);
    let failures = runs.iter().take_while(|run| !is_success(run)).filter(|run| !is_neutral(run)).count();
    json!({
        "lastSuccess": runs.iter().find(is_success).and_then(|run| run.finished_at),
        "averageDurationMs": average.map(f64::round),
        "consecutiveFailures": failures,
    })
}

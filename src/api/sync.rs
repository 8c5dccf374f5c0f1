//! What is it doing, and how is it told to sync or to stop?

use actix_web::{HttpRequest, HttpResponse, get, http::StatusCode, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{Api, Problem, problem};
use crate::{
    domain::{Admission, AgentId, Reason, SyncType},
    queue::{Enqueue, QueueSnapshot, Snapshot as QueueState, StopJobs},
    scheduler::Snapshot as ScheduleState,
    store::RunQuery,
    sync::{Running, Status},
    sync_type::SyncTypeSpec,
};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(status).service(trigger_all).service(trigger).service(stop_all).service(stop);
}

/// `GET /api/sync/status`
#[get("/sync/status")]
async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let schedule = api.scheduler.send(ScheduleState).await?;
    let queue: QueueSnapshot = api.queue.send(QueueState).await?;
    let counts = api.store().job_counts().await?;
    let count = |name: Option<&SyncType>, states: &[&str]| -> i64 {
        let meant = counts.iter().filter(|(sync_type, state, _)| {
            name.is_none_or(|name| name == sync_type) && states.contains(&state.as_str())
        });
        meant.map(|(_, _, count)| count).sum()
    };
    let mut types = Vec::new();
    let mut attention = Vec::new();
    for spec in api.context.types.iter() {
        let running: Vec<Running> = match api.syncs.get(&spec.name) {
            Some(sync) => sync.send(Status).await?,
            None => Vec::new(),
        };
        let timer = schedule.types.iter().find(|timer| timer.sync_type == spec.name);
        let last = RunQuery { sync_type: Some(spec.name.to_string()), ended: true, limit: 1, ..RunQuery::default() };
        let last = api.store().runs(last).await?.into_iter().next();
        if let Some(run) = last.as_ref().filter(|run| run.needs_attention()) {
            attention.push(format!("{}: run {} is {}", spec.name, run.id, run.outcome.as_deref().unwrap_or_default()));
        }
        types.push(json!({
            "type": spec.name,
            "scope": spec.scope,
            "running": running,
            "waiting": count(Some(&spec.name), &["waiting", "delayed"]),
            "lastRun": last,
            "intervalMinutes": timer.map(|timer| timer.interval_minutes),
            "enabled": timer.map(|timer| timer.enabled),
            "nextRun": timer.filter(|timer| schedule.running && timer.enabled).and_then(|timer| timer.next_run),
        }));
    }
    let holds = api.store().open_holds().await?;
    Ok(HttpResponse::Ok().json(json!({
        "types": types,
        "queue": {
            "waiting": count(None, &["waiting"]),
            "delayed": count(None, &["delayed"]),
            "active": count(None, &["active"]),
            "runningHere": queue.running.len(),
            "concurrency": queue.concurrency,
        },
        "autoSync": schedule.running,
        "pause": null,
        "openHolds": holds,
        "health": if attention.is_empty() { "ok" } else { "attention" },
        "attention": attention,
    })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trigger {
    agent_id: Option<String>,
    #[serde(default)]
    force: bool,
}

/// `POST /api/sync/trigger/{type}`
#[post("/sync/trigger/{type}")]
async fn trigger(
    api: web::Data<Api>,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let asked: Trigger = optional_json(&problem::body(body)?)?;
    let key = idempotency_key(&request)?;
    let spec = api.sync_type(&name)?;
    let agents = api.agents_for(&spec, asked.agent_id.as_deref()).await?;
    let is_single = asked.agent_id.is_some() || agents == [AgentId::service_account()];
    let jobs = enqueue(&api, &spec, agents, asked.force, key.as_deref()).await?;
    match jobs.first() {
        Some((admission, job)) if is_single => answer_one(&api, *admission, job.clone()).await,
        _ => Ok(HttpResponse::Accepted().json(json!({ "jobs": bodies(jobs) }))),
    }
}

/// `POST /api/sync/trigger-all`
#[post("/sync/trigger-all")]
async fn trigger_all(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let asked: Trigger = optional_json(&problem::body(body)?)?;
    let mut jobs = Vec::new();
    for spec in api.context.types.iter() {
        let agents = api.agents_for(spec, asked.agent_id.as_deref()).await?;
        jobs.extend(enqueue(&api, spec, agents, asked.force, None).await?);
    }
    Ok(HttpResponse::Accepted().json(json!({ "jobs": bodies(jobs) })))
}

/// `POST /api/sync/stop`
#[post("/sync/stop")]
async fn stop_all(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.queue.send(StopJobs::default()).await??))
}

/// `POST /api/sync/stop/{type}`
#[post("/sync/stop/{type}")]
async fn stop(api: web::Data<Api>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let sync_type = Some(api.sync_type(&name)?.name.clone());
    Ok(HttpResponse::Ok().json(api.queue.send(StopJobs { job: None, sync_type }).await??))
}

async fn enqueue(
    api: &Api,
    spec: &SyncTypeSpec,
    agents: Vec<AgentId>,
    force: bool,
    key: Option<&str>,
) -> Result<Vec<(Admission, Json)>, Problem> {
    // sent together, so that they share a transaction
    let asks = agents.iter().map(|agent| {
        let ask = Enqueue {
            force,
            idempotency_key: key.map(str::to_owned),
            ..Enqueue::new(spec.name.clone(), agent.clone(), Reason::Manual)
        };
        api.queue.send(ask)
    });
    let answers = futures_util::future::try_join_all(asks).await?;
    let named = answers.into_iter().zip(agents);
    named
        .map(|(answer, agent)| answer.map(|answer| (answer, admission(spec, &agent, answer))).map_err(Problem::from))
        .collect()
}

fn bodies(jobs: Vec<(Admission, Json)>) -> Vec<Json> {
    jobs.into_iter().map(|(_, body)| body).collect()
}

/// What the queue answered, as JSON.
pub(super) fn admission(spec: &SyncTypeSpec, agent: &AgentId, admission: Admission) -> Json {
    let mut body = json!({
        "jobId": admission.job(),
        "type": spec.name,
        "agentId": agent,
        "deduplicated": admission.is_duplicate(),
    });
    match admission {
        Admission::Accepted { .. } => {}
        Admission::AlreadyQueued { .. } => body["refused"] = "already_queued".into(),
        Admission::Throttled { retry_in, .. } => {
            body["refused"] = "throttled".into();
            body["retryInMs"] = (retry_in.as_millis() as u64).into();
        }
    }
    body
}

/// 202 with the new job's place, or 200 with the winner's.
pub(super) async fn answer_one(api: &Api, admission: Admission, mut body: Json) -> Result<HttpResponse, Problem> {
    body["job"] = json!(api.store().job(admission.job()).await?);
    let code = if admission.is_duplicate() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let place = format!("/api/jobs/{}", admission.job());
    Ok(HttpResponse::build(code).insert_header(("Location", place)).json(body))
}

/// A JSON body that may be left out.
pub(super) fn optional_json<T: Default + for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad_body", error.to_string()))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(header) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = header.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= 200);
    let wrong = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_idempotency_key",
            "Idempotency-Key must be 1 to 200 visible characters",
        )
    };
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

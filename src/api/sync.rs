//! What is it doing, and how is it told to sync or to stop?

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    Api, Problem,
    answer::{answer_many, answer_one, body_of, idempotency_key, optional_json},
    problem,
};
use crate::{
    domain::{Admission, AgentId, Class, Outcome, Reason, SyncType},
    queue::{Enqueue, EnqueueMany, QueueSnapshot, Snapshot as QueueState, StopJobs},
    scheduler::Snapshot as ScheduleState,
    store::RunQuery,
    sync::{self, Running},
    sync_type::SyncTypeSpec,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(status).service(trigger_all).service(trigger).service(stop_all).service(stop);
}

/// `GET /api/sync/status`
#[get("/sync/status")]
async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let schedule = api.scheduler.send(ScheduleState).await?;
    let queue: QueueSnapshot = api.queue.send(QueueState).await?;
    let counts = api.store().job_counts().await?;
    let count = |name: Option<&SyncType>, states: &[&str]| -> i64 {
        let meant = counts.iter().filter(|(job_type, state, _)| {
            name.is_none_or(|name| name.as_str() == job_type.as_str()) && states.contains(&state.as_str())
        });
        meant.map(|(_, _, count)| count).sum()
    };
    let mut types = Vec::new();
    let mut attention = Vec::new();
    for spec in api.context.types.iter() {
        let running: Vec<Running> = match api.syncs.get(&spec.name) {
            Some(sync) => sync.send(sync::Snapshot).await?,
            None => Vec::new(),
        };
        let timer = schedule.types.iter().find(|timer| timer.sync_type == spec.name);
        let last = RunQuery { sync_type: Some(spec.name.to_string()), ended: true, limit: 1, ..RunQuery::default() };
        let last = api.store().runs(last).await?.into_iter().next();
        if let Some(run) = last.as_ref().filter(|run| run.needs_attention()) {
            attention.push(format!("{}: run {} is {}", spec.name, run.id, run.outcome.map_or("", Outcome::as_str)));
        }
        types.push(json!({
            "type": spec.name,
            "scope": spec.scope,
            "running": running,
            "waiting": count(Some(&spec.name), &["waiting", "delayed", "kept"]),
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
            "kept": count(None, &["kept"]),
            "active": count(None, &["active"]),
            "runningHere": queue.running.len(),
            "concurrency": queue.concurrency,
            "limits": queue.limits,
        },
        "autoSync": schedule.running,
        "pause": queue.pause,
        "actors": super::health::actors(&api).await?,
        "loops": api.liveness.all(),
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
        _ => answer_many(&api, jobs).await,
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
    answer_many(&api, jobs).await
}

/// `POST /api/sync/stop`
#[post("/sync/stop")]
async fn stop_all(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.queue.send(StopJobs { class: Some(Class::Sync), ..StopJobs::default() }).await??))
}

/// `POST /api/sync/stop/{type}`
#[post("/sync/stop/{type}")]
async fn stop(api: web::Data<Api>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let job_type = Some(api.sync_type(&name)?.name.job_type());
    Ok(HttpResponse::Ok().json(api.queue.send(StopJobs { job_type, ..StopJobs::default() }).await??))
}

/// Asks for a type for several agents at once.
async fn enqueue(
    api: &Api,
    spec: &SyncTypeSpec,
    agents: Vec<AgentId>,
    force: bool,
    key: Option<&str>,
) -> Result<Vec<(Admission, Json)>, Problem> {
    let asks = agents.iter().map(|agent| Enqueue {
        force,
        idempotency_key: key.map(str::to_owned),
        ..Enqueue::new(spec.name.job_type(), agent.clone(), Reason::Manual)
    });
    let answers = api.queue.send(EnqueueMany(asks.collect())).await??;
    let named = answers.into_iter().zip(agents);
    Ok(named.map(|(answer, agent)| (answer, body_of(spec.name.as_str(), &agent, answer))).collect())
}

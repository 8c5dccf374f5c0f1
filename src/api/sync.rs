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
    domain::{Admission, AgentId, Class, Reason, SyncType},
    overview::{Cell, LookError, Overview},
    queue::{Enqueue, EnqueueMany, QueueSnapshot, Snapshot as QueueState, StopJobs},
    store::RunQuery,
    sync_type::SyncTypeSpec,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(status).service(attention).service(trigger_all).service(trigger).service(stop_all).service(stop);
}

impl From<LookError> for Problem {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(error) => error.into(),
            LookError::Call(error) => error.into(),
            LookError::Outbox(error) => error.into(),
        }
    }
}

/// `GET /api/sync/status`: how everything stands, by type and by agent.
#[get("/sync/status")]
async fn status(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let counts = api.store().job_counts().await?;
    let count = |name: Option<&SyncType>, states: &[&str]| -> i64 {
        let meant = counts.iter().filter(|(job_type, state, _)| {
            name.is_none_or(|name| name.as_str() == job_type.as_str()) && states.contains(&state.as_str())
        });
        meant.map(|(_, _, count)| count).sum()
    };
    let queue: QueueSnapshot = api.queue.send(QueueState).await?;
    let known = api.look().await?;
    let overview = Overview::of(&known);
    let (by_type, by_agent) = (overview.worst_by_type(), overview.worst_by_agent());
    let mut types = Vec::new();
    for spec in api.context.types.iter() {
        let running = known.running.iter().filter(|one| one.job_type.as_str() == spec.name.as_str());
        let timer = known.schedule.types.iter().find(|timer| timer.sync_type == spec.name);
        let last = RunQuery { sync_type: Some(spec.name.to_string()), ended: true, limit: 1, ..RunQuery::default() };
        types.push(json!({
            "type": spec.name,
            "scope": spec.scope,
            "standing": by_type.get(&spec.name).map(|standing| standing.as_str()),
            "running": running.collect::<Vec<_>>(),
            "waiting": count(Some(&spec.name), &["waiting", "delayed", "kept"]),
            "lastRun": api.store().runs(last).await?.into_iter().next(),
            "intervalMinutes": timer.map(|timer| timer.interval_minutes),
            "enabled": timer.map(|timer| timer.enabled),
            "nextRun": timer.filter(|timer| known.schedule.running && timer.enabled).and_then(|timer| timer.next_run),
        }));
    }
    let of_agent = |agent: &AgentId| {
        let cells: Vec<&Cell> = overview.cells.iter().filter(|cell| cell.agent == *agent).collect();
        json!({
            "agentId": agent,
            "name": known.agents.iter().find(|one| one.id == *agent).map(|one| &one.name),
            "standing": by_agent.get(agent).map(|standing| standing.as_str()),
            "types": cells,
        })
    };
    Ok(HttpResponse::Ok().json(json!({
        "types": types,
        "agents": by_agent.keys().map(|agent| of_agent(agent)).collect::<Vec<_>>(),
        "queue": {
            "waiting": count(None, &["waiting"]),
            "delayed": count(None, &["delayed"]),
            "kept": count(None, &["kept"]),
            "active": count(None, &["active"]),
            "runningHere": queue.running.len(),
            "concurrency": queue.concurrency,
            "limits": queue.limits,
        },
        "autoSync": known.schedule.running,
        "pause": known.pause,
        "actors": super::health::actors(&api).await?,
        "loops": api.liveness.all(),
        "openHolds": known.holds.iter().map(|hold| hold.run).collect::<Vec<_>>(),
        "health": overview.health,
        "attention": overview.attention,
    })))
}

/// `GET /api/attention`: what needs a person, problems first.
#[get("/attention")]
async fn attention(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let overview = Overview::of(&api.look().await?);
    Ok(HttpResponse::Ok().json(json!({ "items": overview.attention, "next": null, "health": overview.health })))
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

//! What is it doing, and how is it told to sync or to stop?

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    Api, OptionalBody, Problem,
    answer::{answer_many, answer_one, body_of},
};
use crate::{
    domain::{Admission, AgentId, Caller, Cause, Class, Reason, SyncType},
    overview::{Cell, LookError, Overview},
    queue::{Enqueue, EnqueueMany, QueueSnapshot, Snapshot as QueueState, StopJobs},
    store::RunQuery,
    supervisor::By,
    sync_type::{Scope, SyncTypeSpec},
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

/// How everything stands, by type and by agent.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_status",
    tag = "sync",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/sync/status")]
pub(super) async fn status(api: web::Data<Api>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let asked = ("status", caller.seen());
    api.glances.answer(&request, asked, async || whole_status(&api, &caller).await).await
}

async fn whole_status(api: &Api, caller: &Caller) -> Result<Json, Problem> {
    let counts = api.store().job_counts_of(caller.seen()).await?;
    let count = |name: Option<&SyncType>, states: &[&str]| -> i64 {
        let meant = counts.iter().filter(|(job_type, state, _)| {
            name.is_none_or(|name| name.as_str() == job_type.as_str()) && states.contains(&state.as_str())
        });
        meant.map(|(_, _, count)| count).sum()
    };
    let queue: QueueSnapshot = api.queue.send(QueueState).await?;
    let known = api.look_for(caller).await?;
    let overview = Overview::of(&known);
    let (by_type, by_agent) = (overview.worst_by_type(), overview.worst_by_agent());
    let mut types = Vec::new();
    for spec in api.context.types.iter() {
        let running = known.running.iter().filter(|one| one.job_type.as_str() == spec.name.as_str());
        let timer = known.schedule.types.iter().find(|timer| timer.sync_type == spec.name);
        let last = RunQuery {
            sync_type: Some(spec.name.to_string()),
            agents: caller.seen(),
            ended: true,
            limit: 1,
            ..RunQuery::default()
        };
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
    Ok(json!({
        "types": types,
        "agents": by_agent.keys().map(|agent| of_agent(agent)).collect::<Vec<_>>(),
        "queue": {
            "waiting": count(None, &["waiting"]),
            "delayed": count(None, &["delayed"]),
            "kept": count(None, &["kept"]),
            "active": count(None, &["active"]),
            "runningHere": if caller.is_for_all() { queue.running.len() } else { known.running.len() },
            "concurrency": queue.concurrency,
            "limits": queue.limits,
        },
        "autoSync": known.schedule.running,
        "pause": known.pause,
        "actors": super::health::actors(api).await?,
        "loops": api.liveness.all(),
        "openHolds": known.holds.iter().map(|hold| hold.run).collect::<Vec<_>>(),
        "health": overview.health,
        "attention": overview.attention,
    }))
}

/// What needs a person, problems first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_attention",
    tag = "sync",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/attention")]
pub(super) async fn attention(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let work_out = async || {
        let overview = Overview::of(&api.look_for(&caller).await?);
        Ok(json!({ "items": overview.attention, "next": null, "health": overview.health }))
    };
    api.glances.answer(&request, ("attention", caller.seen()), work_out).await
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Trigger)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trigger {
    agent_id: Option<String>,
    #[serde(default)]
    force: bool,
}

/// Asks for a sync of one type, of one agent or of all.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_trigger",
    tag = "sync",
    request_body = Option<Trigger>,
    responses(
        (status = 202, description = "The job, or the jobs where no agent was named", body = serde_json::Value),
        (status = 200, description = "It was asked for already: the job that does it", body = serde_json::Value),
    ),
)]
#[post("/sync/trigger/{type}")]
pub(super) async fn trigger(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    name: web::Path<String>,
    OptionalBody(asked): OptionalBody<Trigger>,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let agents = api.agents_for(&caller, &spec, asked.agent_id.as_deref()).await?;
    let is_single = asked.agent_id.is_some() || agents == [AgentId::service_account()];
    let jobs = enqueue(&api, &cause, &spec, agents, asked.force).await?;
    match jobs.first() {
        Some((admission, job)) if is_single => answer_one(&api, *admission, job.clone()).await,
        _ => answer_many(&api, jobs).await,
    }
}

/// Asks for a sync of all types.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_trigger_all",
    tag = "sync",
    request_body = Option<Trigger>,
    responses(
        (status = 202, description = "The jobs", body = serde_json::Value),
    ),
)]
#[post("/sync/trigger-all")]
pub(super) async fn trigger_all(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    OptionalBody(asked): OptionalBody<Trigger>,
) -> Result<HttpResponse, Problem> {
    // all agents are known before the first job is asked for
    let mut wanted = Vec::new();
    for spec in api.context.types.iter() {
        if spec.scope == Scope::Shared && !caller.is_for_all() {
            continue;
        }
        wanted.push((spec, api.agents_for(&caller, spec, asked.agent_id.as_deref()).await?));
    }
    let mut jobs = Vec::new();
    for (spec, agents) in wanted {
        jobs.extend(enqueue(&api, &cause, spec, agents, asked.force).await?);
    }
    answer_many(&api, jobs).await
}

/// Stops all syncs: running ones at their next batch; those that wait are removed.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_stop_all",
    tag = "sync",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/stop")]
pub(super) async fn stop_all(api: web::Data<Api>, cause: Cause) -> Result<HttpResponse, Problem> {
    let meant = StopJobs { class: Some(Class::Sync), ..StopJobs::default() };
    Ok(HttpResponse::Ok().json(api.queue.send(By(cause, meant)).await??))
}

/// Stops the syncs of one type.
#[utoipa::path(
    context_path = "/api",
    operation_id = "sync_stop",
    tag = "sync",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/sync/stop/{type}")]
pub(super) async fn stop(api: web::Data<Api>, cause: Cause, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let job_type = Some(api.sync_type(&name)?.name.job_type());
    Ok(HttpResponse::Ok().json(api.queue.send(By(cause, StopJobs { job_type, ..StopJobs::default() })).await??))
}

/// Asks for a type for several agents at once.
async fn enqueue(
    api: &Api,
    cause: &Cause,
    spec: &SyncTypeSpec,
    agents: Vec<AgentId>,
    force: bool,
) -> Result<Vec<(Admission, Json)>, Problem> {
    let asks = agents.iter().map(|agent| Enqueue {
        force,
        by: Some(cause.clone()),
        ..Enqueue::new(spec.name.job_type(), agent.clone(), Reason::Manual)
    });
    let answers = api.queue.send(EnqueueMany(asks.collect())).await??;
    let named = answers.into_iter().zip(agents);
    Ok(named.map(|(answer, agent)| (answer, body_of(spec.name.as_str(), &agent, answer))).collect())
}

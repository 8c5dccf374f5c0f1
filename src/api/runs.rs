//! What happened, what is in quarantine, and what becomes of a held run?

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, OptionalBody, Problem,
    answer::{answer_one, body_of},
    page::{self, Cursor, PageSize},
    turns::Turns,
};
use crate::{
    domain::{Admission, Caller, Cause, Hold, JobId, LogLine, Outcome, PlanDigest, RunId},
    queue::Approve,
    store::{Run, RunQuery},
    supervisor::By,
};

/// Whose turn it is to have a held report read once more: each reading may need much memory.
#[must_use]
pub fn previews() -> Turns {
    Turns::new("held reports", 2, 66)
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(quarantine).service(log).service(approve).service(reject);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    r#type: Option<String>,
    #[serde(alias = "agentId")]
    agent: Option<String>,
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    #[param(value_type = Option<i64>)]
    job: Option<JobId>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Runs, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_list",
    tag = "runs",
    params(Query),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<Run>),
    ),
)]
#[get("/runs")]
pub(super) async fn list(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let size = PageSize::of(query.limit)?;
    api.check_filter(&caller, query.r#type.as_deref(), query.agent.as_deref()).await?;
    let wanted = RunQuery {
        sync_type: query.r#type,
        agent: query.agent,
        agents: caller.seen(),
        outcome: query.outcome,
        job: query.job,
        before: page::behind(query.cursor.as_ref(), "runs")?,
        ended: false,
        limit: size.with_one_more(),
    };
    let runs = api.store().runs(wanted).await?;
    Ok(size.answer("runs", runs, |run| run.id))
}

/// The run of this number, if this caller may see it.
pub(super) async fn find(api: &Api, caller: &Caller, id: RunId) -> Result<Run, Problem> {
    let run = api.store().run(id).await?.filter(|run| caller.sees(&run.agent_id));
    run.ok_or_else(|| Problem::not_found("unknown_run", format!("there is no run {id}")))
}

/// As [`find`], to do something with it.
pub(super) async fn find_to_touch(api: &Api, caller: &Caller, id: RunId) -> Result<Run, Problem> {
    let run = find(api, caller, id).await?;
    if caller.touches(&run.agent_id) {
        return Ok(run);
    }
    let text = format!("run {id} is of what all agents share; {} is for some of them", caller.name);
    Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text))
}

/// One run, also while it is under way.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_one",
    tag = "runs",
    responses(
        (status = 200, description = "How it is now", body = Run),
    ),
)]
#[get("/runs/{id}")]
pub(super) async fn one(api: web::Data<Api>, caller: Caller, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(find(&api, &caller, *id).await?))
}

/// The rows of a run that could not be read, with page, row and reason.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_quarantine",
    tag = "runs",
    responses(
        (status = 200, description = "A page of the list", body = page::Page<serde_json::Value>),
    ),
)]
#[get("/runs/{id}/quarantine")]
pub(super) async fn quarantine(
    api: web::Data<Api>,
    caller: Caller,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    find(&api, &caller, *id).await?;
    let rows = api.store().quarantined(*id).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": rows, "next": null })))
}

/// What the log of a run says, oldest first: at most 200 lines, also those that the service's own log is too coarse
/// for. A run that changed nothing keeps none, and one that is under way has not stored its own yet.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_log",
    tag = "runs",
    responses(
        (status = 200, description = "All of it", body = page::Page<LogLine>),
    ),
)]
#[get("/runs/{id}/log")]
pub(super) async fn log(api: web::Data<Api>, caller: Caller, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    find(&api, &caller, *id).await?;
    let lines = api.store().log_of(*id).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": lines, "next": null })))
}

fn not_open(run: &Run) -> Problem {
    let state = run.hold.map_or("not held", Hold::as_str);
    Problem::conflict("not_held", format!("run {} cannot be decided on any more: it is {state}", run.id))
}

/// Where what a held run would change is shown.
fn plan_of(id: RunId) -> String {
    format!("GET /api/runs/{id}/plan")
}

impl Api {
    /// Applies a held report, if it would still do what was shown: the plan with this digest.
    ///
    /// # Errors
    /// [`Problem`] saying why that cannot be any more.
    pub async fn approve(
        &self,
        caller: &Caller,
        cause: Cause,
        id: RunId,
        digest: &PlanDigest,
    ) -> Result<(Run, Admission), Problem> {
        let run = self.in_place_of(caller, find_to_touch(self, caller, id).await?, digest).await?;
        if run.hold != Some(Hold::Open) || run.document.is_none() {
            return Err(not_open(&run));
        }
        let spec = self.sync_type(run.sync_type.as_str())?;
        let now = self.planned(&spec, &run).await?.plan.digest();
        if Some(&now) != run.plan_digest.as_ref() {
            let text = format!(
                "the stored records have changed since run {} was held: sync again and look at the new run",
                run.id
            );
            return Err(Problem::conflict("hold_changed", text));
        }
        if *digest != now {
            let text = format!("that is not the plan of run {}: look at {} again", run.id, plan_of(run.id));
            return Err(Problem::conflict("another_plan", text));
        }
        let ask = Approve { run: run.id, sync_type: run.sync_type.clone(), agent: run.agent_id.clone() };
        let by = cause.who.clone();
        match self.queue.send(By(cause, ask)).await?? {
            None => Err(not_open(&run)),
            Some(Admission::AlreadyQueued { job }) => {
                let text = format!("job {job} of this type and agent is under way: approve again when it is done");
                Err(Problem::conflict("busy", text).of_job(job))
            }
            Some(answer) => {
                tracing::info!(by, run_id = run.id.0, sync_type = %run.sync_type, agent = %run.agent_id, "a held report was approved");
                Ok((run, answer))
            }
        }
    }

    /// The run that holds the place of this one: a newer one was held instead, and if its plan is the same, what was
    /// looked at is still what will happen.
    async fn in_place_of(&self, caller: &Caller, run: Run, digest: &PlanDigest) -> Result<Run, Problem> {
        if run.hold != Some(Hold::Superseded) {
            return Ok(run);
        }
        let holds = self.store().open_holds().await?;
        let Some(newer) = holds.iter().find(|hold| hold.sync_type == run.sync_type && hold.agent == run.agent_id)
        else {
            return Ok(run);
        };
        let newer = find(self, caller, newer.run).await?;
        if newer.plan_digest.as_ref() == Some(digest) {
            return Ok(newer);
        }
        let (old, new) = (run.counts, newer.counts);
        let text = format!(
            "run {} is held in place of run {}, and its plan is another: its report has {} rows ({} before), of which {} \
             would be written ({} before); look at {}",
            newer.id,
            run.id,
            new.read,
            old.read,
            new.not_applied,
            old.not_applied,
            plan_of(newer.id)
        );
        Err(Problem::conflict("hold_changed", text))
    }

    /// Drops a held report.
    ///
    /// # Errors
    /// [`Problem`] if it is not held any more.
    pub async fn reject(&self, caller: &Caller, cause: Cause, id: RunId) -> Result<Run, Problem> {
        let run = find_to_touch(self, caller, id).await?;
        let by = cause.who.clone();
        if !self.store().by(cause, self.context.clock.now()).reject(run.id).await? {
            return Err(not_open(&run));
        }
        tracing::info!(by, run_id = run.id.0, sync_type = %run.sync_type, agent = %run.agent_id, "a held report was rejected");
        find(self, caller, id).await
    }
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Approval)]
#[serde(deny_unknown_fields)]
struct Approval {
    digest: Option<String>,
}

/// Applies the held report, if it would still do what was shown.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_approve",
    tag = "runs",
    request_body = Option<Approval>,
    responses(
        (status = 202, description = "The job that applies it", body = serde_json::Value),
        (status = 200, description = "It is being applied already", body = serde_json::Value),
    ),
)]
#[post("/runs/{id}/approve")]
pub(super) async fn approve(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<RunId>,
    OptionalBody(asked): OptionalBody<Approval>,
) -> Result<HttpResponse, Problem> {
    find_to_touch(&api, &caller, *id).await?;
    let Some(digest) = asked.digest else {
        let text = format!("say which plan you approve: send the \"digest\" that {} gives", plan_of(*id));
        return Err(Problem::unprocessable("digest_needed", "/digest", text));
    };
    let (run, answer) = api.approve(&caller, cause, *id, &PlanDigest::from(digest)).await?;
    answer_one(&api, answer, body_of(run.sync_type.as_str(), &run.agent_id, answer)).await
}

/// Drops the held report.
#[utoipa::path(
    context_path = "/api",
    operation_id = "runs_reject",
    tag = "runs",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/runs/{id}/reject")]
pub(super) async fn reject(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.reject(&caller, cause, *id).await?))
}

//! What happened, what is in quarantine, and what becomes of a held run?

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, Problem,
    answer::{answer_one, body_of, optional_json},
    page::PageSize,
    problem,
    turns::Turns,
};
use crate::{
    domain::{Admission, Hold, JobId, Outcome, PlanDigest, RunId},
    queue::Approve,
    store::{Run, RunQuery},
};

/// Whose turn it is to have a held report read once more: each reading may need much memory.
#[must_use]
pub fn previews() -> Turns {
    Turns::new("held reports", 2, 66)
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(quarantine).service(approve).service(reject);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    r#type: Option<String>,
    agent: Option<String>,
    outcome: Option<Outcome>,
    job: Option<JobId>,
    cursor: Option<RunId>,
    limit: Option<u64>,
}

/// `GET /api/runs`
#[get("/runs")]
async fn list(api: web::Data<Api>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let size = PageSize::of(query.limit);
    let wanted = RunQuery {
        sync_type: query.r#type,
        agent: query.agent,
        outcome: query.outcome,
        job: query.job,
        before: query.cursor,
        ended: false,
        limit: size.with_one_more(),
    };
    let runs = api.store().runs(wanted).await?;
    Ok(size.answer(runs, |run| run.id.to_string()))
}

pub(super) async fn find(api: &Api, id: RunId) -> Result<Run, Problem> {
    api.store().run(id).await?.ok_or_else(|| Problem::not_found("unknown_run", format!("there is no run {id}")))
}

/// `GET /api/runs/{id}`
#[get("/runs/{id}")]
async fn one(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(find(&api, *id).await?))
}

/// `GET /api/runs/{id}/quarantine`
#[get("/runs/{id}/quarantine")]
async fn quarantine(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    find(&api, *id).await?;
    let rows = api.store().quarantined(*id).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": rows, "next": null })))
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
    pub async fn approve(&self, id: RunId, digest: &PlanDigest) -> Result<(Run, Admission), Problem> {
        let run = self.in_place_of(find(self, id).await?, digest).await?;
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
        match self.queue.send(ask).await?? {
            None => Err(not_open(&run)),
            Some(Admission::AlreadyQueued { job }) => {
                let text = format!("job {job} of this type and agent is under way: approve again when it is done");
                Err(Problem::conflict("busy", text).of_job(job))
            }
            Some(answer) => {
                tracing::info!(run_id = run.id.0, sync_type = %run.sync_type, agent = %run.agent_id, "a held report was approved");
                Ok((run, answer))
            }
        }
    }

    /// The run that holds the place of this one: a newer one was held instead, and if its plan is the same, what was
    /// looked at is still what will happen.
    async fn in_place_of(&self, run: Run, digest: &PlanDigest) -> Result<Run, Problem> {
        if run.hold != Some(Hold::Superseded) {
            return Ok(run);
        }
        let holds = self.store().open_holds().await?;
        let Some(newer) = holds.iter().find(|hold| hold.sync_type == run.sync_type && hold.agent == run.agent_id)
        else {
            return Ok(run);
        };
        let newer = find(self, newer.run).await?;
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
    pub async fn reject(&self, id: RunId) -> Result<Run, Problem> {
        let run = find(self, id).await?;
        if !self.store().reject(run.id).await? {
            return Err(not_open(&run));
        }
        tracing::info!(run_id = run.id.0, sync_type = %run.sync_type, agent = %run.agent_id, "a held report was rejected");
        find(self, id).await
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    digest: Option<String>,
}

/// `POST /api/runs/{id}/approve` `{ "digest" }`: applies the held report, if it would still do what was shown.
#[post("/runs/{id}/approve")]
async fn approve(
    api: web::Data<Api>,
    id: web::Path<RunId>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let asked: Approval = optional_json(&problem::body(body)?)?;
    find(&api, *id).await?;
    let Some(digest) = asked.digest else {
        let text = format!("say which plan you approve: send the \"digest\" that {} gives", plan_of(*id));
        return Err(Problem::unprocessable("digest_needed", "/digest", text));
    };
    let (run, answer) = api.approve(*id, &PlanDigest::from(digest)).await?;
    answer_one(&api, answer, body_of(run.sync_type.as_str(), &run.agent_id, answer)).await
}

/// `POST /api/runs/{id}/reject`: drops the held report.
#[post("/runs/{id}/reject")]
async fn reject(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.reject(*id).await?))
}

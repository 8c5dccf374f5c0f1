//! What happened, what is in quarantine, and what becomes of a held run?

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    page::PageSize,
    turns::Turns,
};
use crate::{
    domain::{Admission, Hold, JobId, Outcome, RunId},
    queue::Approve,
    store::{Run, RunQuery},
    sync::preview,
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

impl Api {
    /// Applies a held report, if it would still do what was shown.
    ///
    /// # Errors
    /// [`Problem`] saying why that cannot be any more.
    pub async fn approve(&self, id: RunId) -> Result<(Run, Admission), Problem> {
        let run = find(self, id).await?;
        let (Some(Hold::Open), Some(document)) = (run.hold, run.document) else { return Err(not_open(&run)) };
        let spec = self.sync_type(run.sync_type.as_str())?;
        let _place = self.previews.enter()?;
        // who waits has no report in memory yet
        let turn = self.previews.turn().await;
        let bytes = self.store().document(document).await?;
        let (_, plan, _) = preview(&self.context, &spec, &run.agent_id, bytes, true).await?;
        drop(turn);
        if Some(plan.digest()) != run.plan_digest {
            let text = format!(
                "the stored records have changed since run {} was held: sync again and look at the new run",
                run.id
            );
            return Err(Problem::conflict("hold_changed", text));
        }
        let ask = Approve { run: run.id, sync_type: run.sync_type.clone(), agent: run.agent_id.clone() };
        match self.queue.send(ask).await?? {
            None => Err(not_open(&run)),
            Some(Admission::AlreadyQueued { job }) => {
                let text = format!("job {job} of this type and agent is under way: approve again when it is done");
                Err(Problem::conflict("busy", text).of_job(job))
            }
            Some(answer) => Ok((run, answer)),
        }
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
        find(self, id).await
    }
}

/// `POST /api/runs/{id}/approve`: applies the held report, if it would still do what was shown.
#[post("/runs/{id}/approve")]
async fn approve(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    let (run, answer) = api.approve(*id).await?;
    answer_one(&api, answer, body_of(run.sync_type.as_str(), &run.agent_id, answer)).await
}

/// `POST /api/runs/{id}/reject`: drops the held report.
#[post("/runs/{id}/reject")]
async fn reject(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.reject(*id).await?))
}

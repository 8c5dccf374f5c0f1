//! Which jobs wait, run and are over, and how is one cancelled?

use actix_web::{HttpResponse, get, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, Problem, limit};
use crate::{
    domain::JobId,
    queue::StopJobs,
    store::{Job, JobQuery},
};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(cancel);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    state: Option<String>,
    r#type: Option<String>,
    agent: Option<String>,
    cursor: Option<JobId>,
    limit: Option<u64>,
}

/// `GET /api/jobs`
#[get("/jobs")]
async fn list(api: web::Data<Api>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = limit(query.limit);
    let wanted =
        JobQuery { state: query.state, sync_type: query.r#type, agent: query.agent, before: query.cursor, limit };
    let jobs = api.store().jobs(wanted).await?;
    let next = jobs.last().filter(|_| jobs.len() as u64 == limit).map(|job| job.id.to_string());
    Ok(HttpResponse::Ok().json(json!({ "items": jobs, "next": next })))
}

async fn find(api: &Api, id: JobId) -> Result<Job, Problem> {
    api.store().job(id).await?.ok_or_else(|| Problem::not_found("unknown_job", format!("there is no job {id}")))
}

/// `GET /api/jobs/{id}`
#[get("/jobs/{id}")]
async fn one(api: web::Data<Api>, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(find(&api, *id).await?))
}

/// `POST /api/jobs/{id}/cancel`: a running job stops at its next batch, a waiting one is removed.
#[post("/jobs/{id}/cancel")]
async fn cancel(api: web::Data<Api>, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    let job = find(&api, *id).await?;
    if job.state == "done" {
        return Err(Problem::conflict("job_done", format!("job {} is over", job.id)).of_job(job.id));
    }
    let report = api.queue.send(StopJobs { job: Some(*id), sync_type: None }).await??;
    Ok(HttpResponse::Ok().json(report))
}

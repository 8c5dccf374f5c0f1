//! Which jobs wait, run and are over, and how is one cancelled?

use actix_web::{HttpResponse, HttpResponseBuilder, body::SizedStream, get, http::StatusCode, post, web};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, OptionalBody, Problem,
    page::{self, Cursor, PageSize},
};
use crate::{
    domain::{Caller, Cause, Class, DocumentId, JobId, JobState, Retry},
    queue::{PurgeJobs, RetryJob, StopJobs},
    store::{Job, JobQuery},
    supervisor::By,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(cancel).service(retry).service(document).service(purge);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    #[param(value_type = Option<String>)]
    state: Option<JobState>,
    r#type: Option<String>,
    #[serde(alias = "agentId")]
    agent: Option<String>,
    #[param(value_type = Option<i64>)]
    root: Option<JobId>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Jobs, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_list",
    tag = "jobs",
    params(Query),
    responses(
        (status = 200, description = "A page of the list", body = page::Page<Job>),
    ),
)]
#[get("/jobs")]
pub(super) async fn list(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let size = PageSize::of(query.limit)?;
    api.check_filter(&caller, query.r#type.as_deref(), query.agent.as_deref()).await?;
    let wanted = JobQuery {
        state: query.state,
        sync_type: query.r#type,
        agent: query.agent,
        agents: caller.seen(),
        class: None,
        root: query.root,
        parent: None,
        before: page::behind(query.cursor.as_ref(), "jobs")?,
        limit: size.with_one_more(),
    };
    let jobs = api.store().jobs(wanted).await?;
    Ok(size.answer("jobs", jobs, |job| job.id))
}

async fn find(api: &Api, caller: &Caller, id: JobId) -> Result<Job, Problem> {
    let job = api.store().job(id).await?.filter(|job| caller.sees(&job.agent_id));
    job.ok_or_else(|| Problem::not_found("unknown_job", format!("there is no job {id}")))
}

/// As [`find`], to do something with it.
async fn find_to_touch(api: &Api, caller: &Caller, id: JobId) -> Result<Job, Problem> {
    let job = find(api, caller, id).await?;
    if caller.touches(&job.agent_id) {
        return Ok(job);
    }
    let text = format!("job {id} is for all agents; {} is for some of them", caller.name);
    Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text))
}

/// A job, and the flow that it began.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_one",
    tag = "jobs",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[get("/jobs/{id}")]
pub(super) async fn one(api: web::Data<Api>, caller: Caller, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    let job = find(&api, &caller, *id).await?;
    let children = api
        .store()
        .jobs(JobQuery { root: Some(job.id), agents: caller.seen(), limit: page::MOST, ..JobQuery::default() })
        .await?;
    let mut body = json!(job);
    if !children.is_empty() {
        body["flow"] = json!({ "outcome": job.flow_outcome, "children": children });
    }
    Ok(HttpResponse::Ok().json(body))
}

/// A running job stops at its next batch, a waiting one is removed.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_cancel",
    tag = "jobs",
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/jobs/{id}/cancel")]
pub(super) async fn cancel(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<JobId>,
) -> Result<HttpResponse, Problem> {
    let job = find_to_touch(&api, &caller, *id).await?;
    if job.state == JobState::Done {
        return Err(Problem::conflict("job_done", format!("job {} is over", job.id)).of_job(job.id));
    }
    let report = api.queue.send(By(cause, StopJobs { job: Some(*id), ..StopJobs::default() })).await??;
    Ok(HttpResponse::Ok().json(report))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = RetryJob)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Again {
    #[serde(default)]
    even_if_done: bool,
}

/// Puts a job that did not succeed back into the queue, under its key.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_retry",
    tag = "jobs",
    request_body = Option<Again>,
    responses(
        (status = 202, description = "The job", body = serde_json::Value),
    ),
)]
#[post("/jobs/{id}/retry")]
pub(super) async fn retry(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<JobId>,
    OptionalBody(Again { even_if_done }): OptionalBody<Again>,
) -> Result<HttpResponse, Problem> {
    find_to_touch(&api, &caller, *id).await?;
    let conflict = |code, text: &str| Err(Problem::conflict(code, format!("job {id} {text}")).of_job(*id));
    match api.queue.send(By(cause, RetryJob { job: *id, even_if_done })).await?? {
        Retry::Accepted => Ok(HttpResponse::Accepted()
            .insert_header(("Location", format!("/api/jobs/{id}")))
            .json(find(&api, &caller, *id).await?)),
        Retry::Unknown => Err(Problem::not_found("unknown_job", format!("there is no job {id}"))),
        Retry::NotOver => conflict("job_not_over", "is not over yet"),
        Retry::Succeeded => conflict("job_succeeded", "did what it was to do: ask for it anew"),
        Retry::Doubtful => {
            conflict("doubtful", "may have had its effect: look there first, then send {\"evenIfDone\": true}")
        }
        Retry::DocumentGone => conflict("document_gone", "read a document that is gone: upload or sync again"),
        Retry::AlreadyQueued { job } => {
            let text = format!("job {job} has the key of job {id} by now");
            Err(Problem::conflict("already_queued", text).of_job(job))
        }
    }
}

/// The PDF that a download brought.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_document",
    tag = "jobs",
    responses(
        (status = 200, description = "The PDF", body = Vec<u8>, content_type = "application/pdf"),
    ),
)]
#[get("/jobs/{id}/document")]
pub(super) async fn document(
    api: web::Data<Api>,
    caller: Caller,
    id: web::Path<JobId>,
) -> Result<HttpResponse, Problem> {
    let job = find(&api, &caller, *id).await?;
    let kept = job.result.as_ref().and_then(|result| result["documentId"].as_i64().map(DocumentId));
    let kept = kept.ok_or_else(|| Problem::not_found("no_document", format!("job {id} brought no document")))?;
    kept_pdf(&api, kept).await
}

/// A PDF, which no browser is to take for anything else.
pub(super) fn pdf(bytes: Vec<u8>) -> HttpResponse {
    pdf_head().body(bytes)
}

/// A kept document, of which no more than a part is in memory.
pub(super) async fn kept_pdf(api: &Api, id: DocumentId) -> Result<HttpResponse, Problem> {
    let (size, parts) = api.store().document_stream(id).await?;
    Ok(pdf_head().body(SizedStream::new(size, Box::pin(parts.map_ok(web::Bytes::from)))))
}

fn pdf_head() -> HttpResponseBuilder {
    let mut head = HttpResponse::Ok();
    head.content_type("application/pdf").insert_header(("X-Content-Type-Options", "nosniff"));
    head
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = PurgeJobs)]
#[serde(deny_unknown_fields)]
struct Purge {
    r#type: Option<String>,
    #[schema(value_type = Option<String>)]
    class: Option<Class>,
}

/// Takes what has not started out of the queue; what runs goes on.
#[utoipa::path(
    context_path = "/api",
    operation_id = "jobs_purge",
    tag = "jobs",
    request_body = Option<Purge>,
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
    ),
)]
#[post("/jobs/purge")]
pub(super) async fn purge(
    api: web::Data<Api>,
    cause: Cause,
    OptionalBody(asked): OptionalBody<Purge>,
) -> Result<HttpResponse, Problem> {
    let meant = StopJobs { job: None, job_type: asked.r#type.map(Into::into), class: asked.class };
    let removed = api.queue.send(By(cause, PurgeJobs(meant))).await??;
    Ok(HttpResponse::Ok().json(json!({ "removed": removed })))
}

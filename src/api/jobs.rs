//! Which jobs wait, run and are over, and how is one cancelled?

use actix_web::{HttpResponse, HttpResponseBuilder, body::SizedStream, get, post, web};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::json;

use super::{
    Api, Problem,
    answer::optional_json,
    page::{self, PageSize},
    problem,
};
use crate::{
    domain::{Class, DocumentId, JobId, JobState, Retry},
    queue::{PurgeJobs, RetryJob, StopJobs},
    store::{Job, JobQuery},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(one).service(cancel).service(retry).service(document).service(purge);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    state: Option<JobState>,
    r#type: Option<String>,
    agent: Option<String>,
    root: Option<JobId>,
    cursor: Option<JobId>,
    limit: Option<u64>,
}

/// `GET /api/jobs`
#[get("/jobs")]
async fn list(api: web::Data<Api>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let size = PageSize::of(query.limit);
    let wanted = JobQuery {
        state: query.state,
        sync_type: query.r#type,
        agent: query.agent,
        class: None,
        root: query.root,
        before: query.cursor,
        limit: size.with_one_more(),
    };
    let jobs = api.store().jobs(wanted).await?;
    Ok(size.answer(jobs, |job| job.id.to_string()))
}

async fn find(api: &Api, id: JobId) -> Result<Job, Problem> {
    api.store().job(id).await?.ok_or_else(|| Problem::not_found("unknown_job", format!("there is no job {id}")))
}

/// `GET /api/jobs/{id}`
#[get("/jobs/{id}")]
async fn one(api: web::Data<Api>, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    let job = find(&api, *id).await?;
    let children = api.store().jobs(JobQuery { root: Some(job.id), limit: page::MOST, ..JobQuery::default() }).await?;
    let mut body = json!(job);
    if !children.is_empty() {
        body["flow"] = json!({ "outcome": job.flow_outcome, "children": children });
    }
    Ok(HttpResponse::Ok().json(body))
}

/// `POST /api/jobs/{id}/cancel`: a running job stops at its next batch, a waiting one is removed.
#[post("/jobs/{id}/cancel")]
async fn cancel(api: web::Data<Api>, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    let job = find(&api, *id).await?;
    if job.state == JobState::Done {
        return Err(Problem::conflict("job_done", format!("job {} is over", job.id)).of_job(job.id));
    }
    let report = api.queue.send(StopJobs { job: Some(*id), ..StopJobs::default() }).await??;
    Ok(HttpResponse::Ok().json(report))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Again {
    #[serde(default)]
    even_if_done: bool,
}

/// `POST /api/jobs/{id}/retry`: puts a job that did not succeed back into the queue, under its key.
#[post("/jobs/{id}/retry")]
async fn retry(
    api: web::Data<Api>,
    id: web::Path<JobId>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let Again { even_if_done } = optional_json(&problem::body(body)?)?;
    let conflict = |code, text: &str| Err(Problem::conflict(code, format!("job {id} {text}")).of_job(*id));
    match api.queue.send(RetryJob { job: *id, even_if_done }).await?? {
        Retry::Accepted => Ok(HttpResponse::Accepted()
            .insert_header(("Location", format!("/api/jobs/{id}")))
            .json(find(&api, *id).await?)),
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

/// `GET /api/jobs/{id}/document`: the PDF that a download brought.
#[get("/jobs/{id}/document")]
async fn document(api: web::Data<Api>, id: web::Path<JobId>) -> Result<HttpResponse, Problem> {
    let job = find(&api, *id).await?;
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    r#type: Option<String>,
    class: Option<Class>,
}

/// `POST /api/jobs/purge`: takes what has not started out of the queue; what runs goes on.
#[post("/jobs/purge")]
async fn purge(api: web::Data<Api>, body: Result<web::Bytes, actix_web::Error>) -> Result<HttpResponse, Problem> {
    let asked: Purge = optional_json(&problem::body(body)?)?;
    let meant = StopJobs { job: None, job_type: asked.r#type.map(Into::into), class: asked.class };
    let removed = api.queue.send(PurgeJobs(meant)).await??;
    Ok(HttpResponse::Ok().json(json!({ "removed": removed })))
}

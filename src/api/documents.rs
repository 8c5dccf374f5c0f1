//! How does one get a single delivery note or invoice? Fetched through the queue like all else, or still kept.

use std::time::Duration;

use actix_web::{HttpResponse, get, http::StatusCode, web};
use serde_json::{Map, json};
use tokio::time::Instant;

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    jobs::{kept_pdf, pdf},
};
use crate::{
    domain::{AgentId, Caller, Cause, Class, DocumentId, JobId, JobState},
    event::Event,
    operation::OperationSpec,
    queue::Enqueue,
    store::{Job, RunQuery},
};

/// How long a request waits for its document before it is told where to look later.
const WAIT: Duration = Duration::from_secs(25);
/// How soon the job is looked at again where no event tells of its end: another process may run it.
const LOOK: Duration = Duration::from_millis(250);
/// Characters of a number.
const NUMBER: usize = 100;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(document);
}

/// The PDF of one delivery note or invoice.
///
/// 202 with the job's place where it takes long.
#[utoipa::path(
    context_path = "/api",
    operation_id = "documents_document",
    tag = "documents",
    responses(
        (status = 200, description = "The PDF", body = Vec<u8>, content_type = "application/pdf"),
        (status = 202, description = "It takes long: where to look for it", body = serde_json::Value),
    ),
)]
#[get("/documents/{folder}/{agent}/{number:.+}")]
pub(super) async fn document(
    api: web::Data<Api>,
    cause: Cause,
    caller: Caller,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (folder, agent, number) = path.into_inner();
    let spec = download_of(&api, &folder)?;
    let agent = api.agent(&caller, &agent).await?;
    if number.trim().is_empty() || number.chars().count() > NUMBER || number.chars().any(char::is_control) {
        let text = format!("a number has 1 to {NUMBER} characters, none of them a control character");
        return Err(Problem::unprocessable("bad_number", "/number", text));
    }
    if let Some(bytes) = kept(&api, &folder, &agent, &number).await? {
        return Ok(pdf(bytes));
    }
    let data = Map::from_iter([(spec.record.clone(), json!(number))]);
    if let Some(field) = spec.missing(&data) {
        let text = format!("'{}' needs the field '{field}' too: ask for it with POST /api/operations", spec.name);
        return Err(Problem::conflict("missing_field", text));
    }
    // whoever asks for the same document at the same time gets the same job
    let key = Some(format!("document:{number}"));
    let ask =
        Enqueue { idempotency_key: key, by: Some(cause), ..Enqueue::operation(spec.name.clone(), agent.clone(), data) };
    let answer = api.queue.send(ask).await??;
    let Some(job) = answer.job() else {
        return answer_one(&api, answer, body_of(spec.name.as_str(), &agent, answer)).await;
    };
    let Some(ended) = end_of(&api, job).await? else {
        let place = format!("/api/jobs/{job}");
        return Ok(HttpResponse::Accepted().insert_header(("Location", place)).json(json!({ "jobId": job })));
    };
    match ended.result.as_ref().and_then(|result| result["documentId"].as_i64().map(DocumentId)) {
        Some(id) => kept_pdf(&api, id).await,
        None => Err(why_not(&api, &ended).await?),
    }
}

/// The operation that fetches documents of this kind, or a 404 that names the kinds.
fn download_of<'a>(api: &'a Api, folder: &str) -> Result<&'a OperationSpec, Problem> {
    let downloads = || api.operations.iter().filter(|spec| spec.class == Class::Download);
    downloads().find(|spec| spec.model == folder).map(AsRef::as_ref).ok_or_else(|| {
        let known = downloads().map(|spec| spec.model.as_str()).collect::<Vec<_>>().join(", ");
        Problem::not_found("unknown_kind", format!("there are no documents '{folder}'; known are {known}"))
    })
}

async fn kept(api: &Api, folder: &str, agent: &AgentId, number: &str) -> Result<Option<Vec<u8>>, Problem> {
    let fresh = chrono::Duration::from_std(api.context.keep.fresh).unwrap_or_default();
    Ok(api.store().kept_single((folder, agent, number), api.context.clock.now() - fresh).await?)
}

/// The job once it is over; `None` if that takes too long.
async fn end_of(api: &Api, job: JobId) -> Result<Option<Job>, Problem> {
    let mut events = api.context.bus.subscribe();
    let until = Instant::now() + WAIT;
    loop {
        let now = api.store().job(job).await?;
        let now = now.ok_or_else(|| Problem::not_found("unknown_job", format!("there is no job {job}")))?;
        if now.state == JobState::Done {
            return Ok(Some(now));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        let end = async {
            loop {
                match events.recv().await {
                    Ok(Event::Finished { job: ended, .. }) if ended == job => return,
                    Ok(_) => {}
                    // what was missed may have been its end
                    Err(_) => return tokio::time::sleep(LOOK).await,
                }
            }
        };
        drop(tokio::time::timeout(LOOK, end).await);
    }
}

/// Why the job brought nothing.
async fn why_not(api: &Api, job: &Job) -> Result<Problem, Problem> {
    let wanted = RunQuery { job: Some(job.id), limit: 1, ..RunQuery::default() };
    let last = api.store().runs(wanted).await?.into_iter().next();
    let code = last.and_then(|run| run.error_code).unwrap_or_else(|| "no_document".to_owned());
    let text = job.error.clone().unwrap_or_else(|| format!("job {} brought no document", job.id));
    let status = if code == "report_not_found" { StatusCode::NOT_FOUND } else { StatusCode::BAD_GATEWAY };
    Ok(Problem::new(status, code, text).of_job(job.id))
}

//! What does a request for a job get as its answer?

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Value as Json, json};

use super::{Api, Problem};
use crate::domain::{Admission, AgentId};

/// What the queue answered, as JSON.
pub(super) fn body_of(job_type: &str, agent: &AgentId, admission: Admission) -> Json {
    let mut body = json!({
        "jobId": admission.job(),
        "type": job_type,
        "agentId": agent,
        "deduplicated": admission.is_duplicate(),
    });
    match admission {
        Admission::Accepted { .. } => {}
        Admission::Replaced { start_in, .. } => {
            body["replaced"] = true.into();
            body["startInMs"] = (start_in.as_millis() as u64).into();
        }
        Admission::Kept { behind, .. } => body["keptBehind"] = json!(behind),
        Admission::AlreadyQueued { .. } | Admission::KeyReused { .. } => body["refused"] = admission.as_str().into(),
        Admission::Throttled { retry_in, .. } => {
            body["refused"] = admission.as_str().into();
            body["retryInMs"] = (retry_in.as_millis() as u64).into();
        }
        Admission::Paused { until } => {
            body["refused"] = admission.as_str().into();
            body["until"] = json!(until);
        }
        Admission::BreakerOpen { until } => {
            body["refused"] = admission.as_str().into();
            body["until"] = json!(until);
        }
    }
    body
}

/// 202 with the new job's place, 200 with the winner's, or why nothing was taken.
pub(super) async fn answer_one(api: &Api, admission: Admission, mut body: Json) -> Result<HttpResponse, Problem> {
    let job = match (admission, admission.job()) {
        (Admission::KeyReused { job }, _) => {
            let text = format!("this idempotency key came with another body before: job {job}");
            return Err(Problem::unprocessable("key_reused", "/idempotencyKey", text).of_job(job));
        }
        (Admission::BreakerOpen { until }, _) => {
            let seconds = (until - api.context.clock.now()).num_seconds() + 1;
            let text = format!("the source failed for this agent again and again; it is tried again at {until}");
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "breaker_open", text);
            return Err(problem.retry_after(seconds.unsigned_abs()));
        }
        (Admission::Paused { .. }, _) | (_, None) => return Err(paused(api).await?),
        (_, Some(job)) => job,
    };
    // it is asked for, whether it can be shown or not
    body["job"] = json!(api.store().job(job).await.ok().flatten());
    let code = if admission.is_duplicate() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(HttpResponse::build(code).insert_header(("Location", format!("/api/jobs/{job}"))).json(body))
}

/// 202 with what became of each; where a pause refused them all, 409 like a single one.
pub(super) async fn answer_many(api: &Api, jobs: Vec<(Admission, Json)>) -> Result<HttpResponse, Problem> {
    if !jobs.is_empty() && jobs.iter().all(|(admission, _)| matches!(admission, Admission::Paused { .. })) {
        return Err(paused(api).await?);
    }
    let bodies: Vec<Json> = jobs.into_iter().map(|(_, body)| body).collect();
    Ok(HttpResponse::Accepted().json(json!({ "jobs": bodies })))
}

/// Who paused it, why and until when.
async fn paused(api: &Api) -> Result<Problem, Problem> {
    let Some(pause) = api.store().pause().await? else {
        return Ok(Problem::conflict("paused", "the service is paused"));
    };
    let end = pause.until.map_or("until someone resumes it".to_owned(), |until| format!("until {until}"));
    let pass = if pause.emergency { "" } else { "; \"force\": true runs a sync even so" };
    let text = format!("{} paused the service {end}: {}{pass}", pause.by, pause.reason);
    Ok(Problem::conflict("paused", text))
}

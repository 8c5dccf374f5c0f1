//! How does a report come in by hand?

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    problem,
};
use crate::{domain::Reason, queue::Enqueue, report};

/// Bodies that are in memory at once.
const AT_ONCE: usize = 2;
/// So many more may wait, unread, until one of them is stored.
const MOST_WAITING: usize = 16;

/// Whose turn it is to upload.
#[derive(Debug)]
pub struct Uploads {
    turns: Semaphore,
    /// Who uploads or waits.
    places: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), places: Semaphore::new(AT_ONCE + MOST_WAITING) }
    }
}

impl Uploads {
    fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.places.try_acquire().map_err(|_| {
            let all = AT_ONCE + MOST_WAITING;
            let text = format!("{all} uploads are under way or wait: send it again in a moment");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).retry_after(5)
        })
    }
}

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/upload/{type}").route(web::post().to(upload)));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<String>,
}

/// `POST /api/upload/{type}?agent=`: stores the PDF, then runs it like any other report. Its bytes
/// are the key, so that neither a waiting sync nor another upload makes it lost.
async fn upload(
    api: web::Data<Api>,
    name: web::Path<String>,
    query: web::Query<Query>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let agents = api.agents_for(&spec, query.agent.as_deref()).await?;
    let [agent] = &agents[..] else {
        let text = format!(
            "say whose report this is: ?agent=..., one of {}",
            agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(Problem::new(StatusCode::BAD_REQUEST, "agent_needed", text));
    };
    let _place = api.uploads.enter()?;
    // what waits is still in the client
    let turn = api.uploads.turns.acquire().await;
    let limit = api.report_bytes;
    let body = payload.to_bytes_limited(limit).await.map_err(|_| {
        let text = format!("the body has more than the {limit} bytes that limits.report_bytes allows");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_body", text)
    })?;
    let body = problem::body(body)?;
    report::check_is_pdf(&body)?;
    let sha256 = hex::encode(Sha256::digest(&body));
    let document = api.store().keep_document(body.into(), api.context.clock.now()).await?;
    drop(turn);
    let ask = Enqueue {
        document: Some((document, sha256)),
        ..Enqueue::new(spec.name.job_type(), agent.clone(), Reason::Upload)
    };
    let answer = api.queue.send(ask).await;
    // only a refusal says that no job will read these bytes: after an error there may be one
    if matches!(&answer, Ok(Ok(answer)) if !answer.is_taken()) {
        api.store().drop_document(document).await?;
    }
    let answer = answer??;
    answer_one(&api, answer, body_of(spec.name.as_str(), agent, answer)).await
}

//! How does a report come in by hand?

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    problem,
};
use crate::{domain::Reason, queue::Enqueue, report};

/// Uploads may have up to `bytes` bytes.
pub fn routes(config: &mut web::ServiceConfig, bytes: usize) {
    let resource = web::resource("/upload/{type}").app_data(web::PayloadConfig::new(bytes));
    config.service(resource.route(web::post().to(upload)));
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
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let body = problem::body(body)?;
    let spec = api.sync_type(&name)?;
    let agents = api.agents_for(&spec, query.agent.as_deref()).await?;
    let [agent] = &agents[..] else {
        let text = format!(
            "say whose report this is: ?agent=..., one of {}",
            agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(Problem::new(StatusCode::BAD_REQUEST, "agent_needed", text));
    };
    report::check_is_pdf(&body)?;
    let sha256 = hex::encode(Sha256::digest(&body));
    let document = api.store().keep_document(body.to_vec(), api.context.clock.now()).await?;
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

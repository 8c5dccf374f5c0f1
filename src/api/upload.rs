//! How does a report come in by hand?

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    spool::Spooled,
};
use crate::{domain::Reason, queue::Enqueue};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/upload/{type}").route(web::post().to(upload)));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<String>,
}

/// `POST /api/upload/{type}?agent=`: stores the PDF, then runs it like any other report. The hash of its bytes is its
/// key, so that neither a waiting sync nor another upload makes it lost.
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
    let _place = api.spool.turns.enter()?;
    let waiting = api.store().waiting_bytes().await?;
    let Spooled { file, size, sha256, share } = api.spool.receive(payload, waiting).await?;
    let turn = api.spool.turns.turn().await;
    let document = api.store().keep_document_from(file, (Some(size), sha256.clone()), api.context.clock.now()).await?;
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
    // counted with the reports that wait from here on
    drop(share);
    let answer = answer??;
    answer_one(&api, answer, body_of(spec.name.as_str(), agent, answer)).await
}

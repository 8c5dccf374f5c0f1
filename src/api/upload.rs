//! How does a report come in by hand?

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    spool::Spooled,
};
use crate::{
    domain::{Caller, Cause, Reason},
    queue::Enqueue,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/upload/{type}").route(web::post().to(upload)));
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(alias = "agentId")]
    agent: Option<String>,
}

/// Stores a report that comes by hand, then runs it like any other.
///
/// The hash of its bytes is its key, so that neither a waiting sync nor another upload makes it lost.
#[utoipa::path(
    post,
    path = "/api/upload/{type}",
    operation_id = "upload_upload",
    tag = "documents",
    params(Query),
    request_body(content = String, content_type = "application/pdf"),
    responses(
        (status = 202, description = "The job that reads it", body = serde_json::Value),
        (status = 200, description = "The same bytes wait already: their job", body = serde_json::Value),
    ),
)]
pub(super) async fn upload(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    name: web::Path<String>,
    query: web::Query<Query>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let agents = api.agents_for(&caller, &spec, query.agent.as_deref()).await?;
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
        by: Some(cause),
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

//! What do the buttons of the pages do? Each is one message, as the API sends it, by whoever presses it.

mod form;
mod headers;
mod house;
mod timers;
mod work;
mod write_back;

use actix_web::{HttpRequest, HttpResponse, web};

use form::{Done, Form, unknown};

use super::{
    bare::{back_to, login, problem},
    tokens::token_page,
};
use crate::{
    api::{Api, Origin, Problem, Visitor},
    domain::Caller,
};

/// Whose form this is; otherwise what is answered.
pub(super) async fn sender(api: &Api, request: &HttpRequest, form_key: &str) -> Result<Visitor, HttpResponse> {
    let visitor = api.visitor(request).await.map_err(|wrong| problem(api, &wrong))?;
    let Some(visitor) = visitor else {
        return Err(login(api, actix_web::http::StatusCode::UNAUTHORIZED, Some("The session is over.")));
    };
    if visitor.form_key != form_key || api.site.origin(request) == Origin::Foreign {
        let text = "this form is not from this session: load the page anew";
        return Err(problem(api, &Problem::new(actix_web::http::StatusCode::FORBIDDEN, "foreign_form", text)));
    }
    Ok(visitor)
}

/// `POST /act/{what}`
pub(super) async fn act(
    api: web::Data<Api>,
    request: HttpRequest,
    what: web::Path<String>,
    form: web::Form<Form>,
) -> HttpResponse {
    let visitor = match sender(&api, &request, &form.key).await {
        Ok(visitor) => visitor,
        Err(answer) => return answer,
    };
    let done = perform(&api, &request, &visitor.caller, (&what, &form)).await;
    // whoever presses a button sees at once what it did
    api.glances.forget();
    match done {
        Ok(Done::Said(said)) => back_to(&form.back, Some(&said), None),
        Ok(Done::Token(name, secret)) => token_page(&api, &request, Some((&name, &secret))).await,
        Err(wrong) => problem(&api, &wrong),
    }
}

/// The route of the API that does the same.
fn route(what: &str) -> Option<(&'static str, &'static str)> {
    Some(match what {
        "approve" => ("POST", "/api/runs/{id}/approve"),
        "reject" => ("POST", "/api/runs/{id}/reject"),
        "sync" => ("POST", "/api/sync/trigger-all"),
        "stop" => ("POST", "/api/sync/stop"),
        "stop-job" => ("POST", "/api/jobs/{id}/cancel"),
        "pause" => ("POST", "/api/sync/pause"),
        "resume" => ("POST", "/api/sync/resume"),
        "acknowledge" => ("POST", "/api/alerts/{id}/acknowledge"),
        "reset-breaker" => ("POST", "/api/breakers/{id}/reset"),
        "interval" => ("POST", "/api/sync/intervals/{type}"),
        "enable" => ("POST", "/api/sync/schedule"),
        "auto-sync" => ("POST", "/api/sync/auto-sync/start"),
        "retry-item" => ("POST", "/api/queue/items/{id}/retry"),
        "retry-items" => ("POST", "/api/queue/retry"),
        "discard-item" => ("POST", "/api/queue/items/{id}/discard"),
        "agent" => ("PUT", "/api/agents/{id}"),
        "agent-off" => ("DELETE", "/api/agents/{id}"),
        "credential" => ("PUT", "/api/agents/{id}/credentials"),
        "credential-forget" => ("DELETE", "/api/agents/{id}/credentials"),
        "operation" => ("POST", "/api/operations"),
        "reapply" => ("POST", "/api/runs/{id}/reapply"),
        "teach" => ("POST", "/api/types/{type}/headers"),
        "unteach" => ("DELETE", "/api/types/{type}/headers/{id}"),
        "token" => ("POST", "/api/tokens"),
        "token-revoke" => ("DELETE", "/api/tokens/{id}"),
        _ => return None,
    })
}

async fn perform(
    api: &Api,
    request: &HttpRequest,
    caller: &Caller,
    (what, form): (&str, &Form),
) -> Result<Done, Problem> {
    let Some(route) = route(what) else {
        return Err(unknown(what));
    };
    api.allow(request, caller, route).await?;
    let cause = api.cause(request, caller);
    match what {
        "approve" | "reject" | "reapply" | "sync" | "stop" | "stop-job" | "pause" | "resume" | "reset-breaker"
        | "acknowledge" => work::ask(api, caller, cause, (what, form)).await,
        "interval" | "enable" | "auto-sync" => timers::change(api, cause, (what, form)).await,
        "retry-item" | "retry-items" | "discard-item" | "operation" => {
            write_back::steer(api, (caller, cause), (what, form)).await
        }
        "teach" | "unteach" => headers::change(api, cause, (what, form)).await,
        _ => house::change(api, caller, cause, (what, form)).await,
    }
}

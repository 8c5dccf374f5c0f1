//! May whoever asks do this? A token, a page's session or a trusted proxy; then the table of routes.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
    web,
};

use super::{
    Api, Problem,
    access::{self, Rule, Scope},
    identity::bearer,
    problem,
    site::Origin,
};
use crate::{
    domain::{Caller, Cause},
    store::AuditedChange,
};

/// Whoever a token, a session or a proxy says it is; nobody if it is not known, or over.
pub(super) async fn known_caller(api: &Api, request: &HttpRequest) -> Result<Option<Caller>, Problem> {
    if let Some(token) = bearer(request) {
        return Ok(api.bearer_of(&token).await?.map(|(caller, _)| caller));
    }
    Ok(match api.visitor(request).await? {
        Some(visitor) => Some(visitor.caller),
        None => api.of_proxy(request)?.map(|(caller, _)| caller),
    })
}

/// Whoever sends this request.
async fn caller(api: &Api, request: &HttpRequest) -> Result<Caller, Problem> {
    let found = known_caller(api, request).await?;
    if bearer(request).is_some() {
        return found.ok_or_else(|| api.wrong_tokens.refuse(api.site.client(request), request.path()));
    }
    let Some(caller) = found else {
        let text = "send the header 'Authorization: Bearer <token>'";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", text));
    };
    // a browser sends what it has been given along with whatever page asks it to
    if !request.method().is_safe() && api.site.origin(request) != Origin::Own {
        let text = "this change was not asked for by a page of this service: its Origin is another";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", text));
    }
    Ok(caller)
}

/// Lets a request pass whose caller may do what it asks for.
pub(crate) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", "no tokens are known").into());
    };
    let caller = caller(&api, request.request()).await?;
    let left = api.rates.count(&caller.id)?;
    let path = request.match_info().as_str();
    let Some(rule) = access::needed(request.method(), path) else {
        return Err(problem::no_such_route(request.method(), path).into());
    };
    request.extensions_mut().insert(caller.clone());
    allow(&api, request.request(), &caller, rule).await?;
    let change = (!request.method().is_safe()).then(|| api.cause(request.request(), &caller));
    let answer = next.call(request).await;
    if let Some(cause) = change {
        api.glances.forget();
        let status =
            answer.as_ref().map_or_else(|error| error.as_response_error().status_code(), ServiceResponse::status);
        // to a token for some agents, those of others are not there
        let is_refused = status == StatusCode::FORBIDDEN || (status == StatusCode::NOT_FOUND && !caller.is_for_all());
        if is_refused {
            note_refused(&api, cause, rule).await?;
        }
    }
    let mut answer = answer?;
    left.tell(answer.headers_mut());
    Ok(answer)
}

/// Lets a caller do what needs `rule`; who tried in vain to change something is noted.
async fn allow(api: &Api, request: &HttpRequest, caller: &Caller, rule: &Rule) -> Result<(), Problem> {
    let Err(refused) = may(caller, rule) else { return Ok(()) };
    if !request.method().is_safe() {
        let cause = api.cause(request, caller);
        tracing::warn!(who = cause.who, path = request.path(), needed = %rule.role, "a request was refused");
        note_refused(api, cause, rule).await?;
    }
    Err(refused)
}

/// Notes an attempt to change what is not theirs to change.
async fn note_refused(api: &Api, cause: Cause, rule: &Rule) -> Result<(), Problem> {
    let change = AuditedChange::new("refused", format!("{} {}", rule.method, rule.path));
    Ok(api.store().note_attempt(cause, change, api.context.clock.now()).await?)
}

impl Api {
    /// Lets a caller do what this route does: for pages, whose buttons do the same.
    ///
    /// # Errors
    /// A 403 that names what is missing.
    pub async fn allow(
        &self,
        request: &HttpRequest,
        caller: &Caller,
        (method, path): (&str, &str),
    ) -> Result<(), Problem> {
        match access::RULES.iter().find(|rule| rule.method == method && rule.path == path) {
            Some(rule) => allow(self, request, caller, rule).await,
            None => Err(Problem::not_found("no_route", format!("there is no route {method} {path}"))),
        }
    }
}

/// May this caller do what needs this?
fn may(caller: &Caller, rule: &Rule) -> Result<(), Problem> {
    if !caller.role.includes(rule.role) {
        let text = format!("this needs the role {}; {} has the role {}", rule.role, caller.name, caller.role);
        return Err(Problem::new(StatusCode::FORBIDDEN, "role_needed", text));
    }
    if rule.scope == Scope::Whole && !caller.is_for_all() {
        let text = format!("this concerns all agents; {} is for some of them", caller.name);
        return Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text));
    }
    Ok(())
}

fn known(request: &HttpRequest) -> Result<Caller, actix_web::Error> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "no_token", "nobody was let in").into())
}

fn cause(request: &HttpRequest) -> Result<Cause, actix_web::Error> {
    let caller = known(request)?;
    let api = request.app_data::<web::Data<Api>>();
    Ok(api.map_or_else(|| Cause::named(caller.name.clone()), |api| api.cause(request, &caller)))
}

impl FromRequest for Caller {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(known(request))
    }
}

impl FromRequest for Cause {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(cause(request))
    }
}

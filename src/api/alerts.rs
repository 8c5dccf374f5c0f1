//! What needed a person, from when to when, and who sees to it?

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    Api, OptionalBody, Problem,
    page::{self, Cursor, PageSize},
};
use crate::{
    domain::{AttentionKind, Caller, Cause},
    store::{Alert, AlertQuery, NotAcknowledged},
};

/// An alert is acknowledged for at most so long; without a time, until it is over.
const LONGEST_MINUTES: u32 = 30 * 24 * 60;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(acknowledge);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    /// `true` for those that last, `false` for those that are over.
    open: Option<bool>,
    #[param(inline)]
    kind: Option<AttentionKind>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// Alerts, newest first: one from when something needs a person, or is to be known, until it does no longer.
#[utoipa::path(
    context_path = "/api",
    operation_id = "alerts_list",
    tag = "sync",
    params(Query),
    responses((status = 200, description = "A page of the list", body = page::Page<Alert>)),
)]
#[get("/alerts")]
pub(super) async fn list(
    api: web::Data<Api>,
    caller: Caller,
    query: web::Query<Query>,
) -> Result<HttpResponse, Problem> {
    let Query { open, kind, cursor, limit } = query.into_inner();
    let size = PageSize::of(limit)?;
    let before = page::behind(cursor.as_ref(), "alerts")?;
    let wanted = AlertQuery { open, kind, agents: caller.seen(), before, limit: size.with_one_more() };
    Ok(size.answer("alerts", api.store().alerts(wanted).await?, |alert: &Alert| alert.id))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = Acknowledgement)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Acknowledgement {
    /// 1 to 43200; without it, until it is over.
    #[schema(minimum = 1, maximum = 43_200)]
    minutes: Option<u32>,
}

impl Api {
    /// Notes that somebody sees to what an alert tells of.
    ///
    /// # Errors
    /// [`Problem`] if there is no such alert, or it is over.
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        cause: Cause,
        id: i64,
        minutes: Option<u32>,
    ) -> Result<Alert, Problem> {
        if minutes.is_some_and(|minutes| !(1..=LONGEST_MINUTES).contains(&minutes)) {
            let text = format!("expected 1 to {LONGEST_MINUTES} minutes");
            return Err(Problem::unprocessable("out_of_range", "/minutes", text));
        }
        let unknown = || Problem::not_found("unknown_alert", format!("there is no alert {id}"));
        let found = self.store().alert(id).await?.ok_or_else(unknown)?;
        let is_seen = match &found.agent_id {
            Some(agent) => caller.sees(agent),
            None => caller.is_for_all(),
        };
        if !is_seen {
            return Err(unknown());
        }
        if found.agent_id.as_ref().is_some_and(|agent| !caller.touches(agent)) {
            let text = format!("alert {id} is of what all agents share; {} is for some of them", caller.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text));
        }
        let (now, who) = (self.context.clock.now(), cause.who.clone());
        let until = minutes.map(|minutes| now + TimeDelta::minutes(minutes.into()));
        self.store().by(cause, now).acknowledge(id, &who, until, now).await?.map_err(|why| match why {
            NotAcknowledged::Unknown => unknown(),
            NotAcknowledged::Over => Problem::conflict("alert_over", format!("alert {id} is over")),
        })
    }
}

/// Somebody sees to it: until it is over, or for some minutes.
#[utoipa::path(
    context_path = "/api",
    operation_id = "alerts_acknowledge",
    tag = "sync",
    request_body = Option<Acknowledgement>,
    responses((status = 200, description = "The alert", body = Alert)),
)]
#[post("/alerts/{id}/acknowledge")]
pub(super) async fn acknowledge(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<i64>,
    OptionalBody(asked): OptionalBody<Acknowledgement>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(api.acknowledge(&caller, cause, *id, asked.minutes).await?))
}

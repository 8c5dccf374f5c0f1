//! Who changed what?

use actix_web::{HttpResponse, get, web};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Api, Problem,
    csv_file::{self, Format},
    page::{self, Cursor, MOST, PageSize},
};
use crate::{
    domain::Timestamp,
    store::{AuditEntry, AuditQuery, Store},
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Query {
    who: Option<String>,
    action: Option<String>,
    target: Option<String>,
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
    /// `json`, a page; or `csv`, all that fits, as a file.
    #[param(inline)]
    #[serde(default)]
    format: Format,
}

/// One row of the file.
fn row(entry: &AuditEntry) -> Vec<String> {
    let text = |json: &Option<Json>| json.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        entry.id.to_string(),
        entry.at.to_rfc3339(),
        entry.who.clone(),
        entry.from.clone().unwrap_or_default(),
        entry.action.clone(),
        entry.target.clone(),
        text(&entry.before),
        text(&entry.after),
        entry.request_id.clone().unwrap_or_default(),
    ]
}

/// All entries that fit.
fn whole(store: Store, wanted: AuditQuery) -> HttpResponse {
    const COLUMNS: [&str; 9] = ["id", "at", "who", "from", "action", "target", "before", "after", "request_id"];
    csv_file::file("audit", COLUMNS.map(str::to_owned).into(), wanted, move |wanted| {
        let store = store.clone();
        async move {
            let page = store.audit(AuditQuery { limit: MOST, ..wanted.clone() }).await?;
            let next = page.last().filter(|_| page.len() as u64 == MOST).map(|last| last.id);
            Ok((page.iter().map(row).collect(), next.map(|id| AuditQuery { before: Some(id), ..wanted })))
        }
    })
}

/// What people and programs changed or tried to, newest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "audit_list",
    tag = "access",
    params(Query),
    responses(
        (status = 200, description = "A page of the list, or all of it as a file", content(
            (page::Page<AuditEntry> = "application/json"),
            (String = "text/csv"),
        )),
    ),
)]
#[get("/audit")]
pub(super) async fn list(api: web::Data<Api>, query: web::Query<Query>) -> Result<HttpResponse, Problem> {
    let Query { who, action, target, since, cursor, limit, format } = query.into_inner();
    let size = PageSize::of(limit)?;
    let wanted = AuditQuery {
        who,
        action,
        target,
        since,
        before: page::behind(cursor.as_ref(), "audit")?,
        limit: size.with_one_more(),
    };
    if format == Format::Csv {
        return Ok(whole(api.store().clone(), wanted));
    }
    Ok(size.answer("audit", api.store().audit(wanted).await?, |entry: &AuditEntry| entry.id))
}

//! Which headers are accepted beside those of a type's file? An admin teaches one, for all processes from their next run.

use actix_web::{HttpResponse, delete, get, http::StatusCode, post, web};
use serde::Deserialize;
use serde_json::json;

use super::{Api, JsonBody, Problem, page};
use crate::{
    domain::{
        Cause,
        text::{NAME, plain_text},
    },
    sync_type::{NotTaught, TaughtHeader},
};

/// Headers that may be taught for a type.
const MOST: usize = 50;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(list).service(teach).service(forget);
}

impl From<NotTaught> for Problem {
    fn from(why: NotTaught) -> Self {
        let (code, pointer) = match why {
            NotTaught::Empty(_) => ("no_header", "/header"),
            NotTaught::NoField { .. } => ("unknown_field_name", "/field"),
            NotTaught::Known { .. } => return Problem::new(StatusCode::CONFLICT, "known_header", why.to_string()),
            NotTaught::Wrong { .. } => ("wrong_header", "/header"),
        };
        Problem::unprocessable(code, pointer, why.to_string())
    }
}

impl Api {
    /// Teaches that a column headed so is read as this field.
    ///
    /// # Errors
    /// [`Problem`] saying why it cannot be.
    pub async fn teach(&self, cause: Cause, name: &str, header: &str, field: &str) -> Result<TaughtHeader, Problem> {
        let (spec, header) = (self.sync_type(name)?, header.trim());
        plain_text(header, NAME).map_err(|wrong| Problem::unprocessable("no_header", "/header", wrong))?;
        let now = self.context.clock.now();
        // as they are read now, so that two who teach at once hear of each other
        let known = self.store().taught().await?;
        if known.headers.iter().filter(|one| one.sync_type == spec.name).count() >= MOST {
            let text = format!("{name} has {MOST} taught headers: put them into its file, or forget some");
            return Err(Problem::unprocessable("too_many_headers", "/header", text));
        }
        known.types.taught(&spec.name, header, field)?;
        let store = self.store().by(cause.clone(), now);
        let taught = store.teach((&spec.name, header, field), &cause.who, now).await?;
        let text = || format!("'{header}' was taught before");
        taught.ok_or_else(|| Problem::conflict("known_header", text()))
    }

    /// Forgets what was taught.
    ///
    /// # Errors
    /// [`Problem`] if there is no such.
    pub async fn forget_header(&self, cause: Cause, name: &str, id: i64) -> Result<(), Problem> {
        // also of a type whose file is gone
        if !self.store().by(cause, self.context.clock.now()).forget_header(&name.into(), id).await? {
            return Err(Problem::not_found("unknown_header", format!("no header {id} was taught for {name}")));
        }
        Ok(())
    }
}

/// Headers that were taught for a type, the oldest first.
#[utoipa::path(
    context_path = "/api",
    operation_id = "headers_list",
    tag = "schedule",
    responses((status = 200, description = "All of them", body = page::Page<TaughtHeader>)),
)]
#[get("/types/{type}/headers")]
pub(super) async fn list(api: web::Data<Api>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let spec = api.sync_type(&name)?;
    let mut items = api.store().taught().await?.headers;
    items.retain(|one| one.sync_type == spec.name);
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = Header)]
#[serde(deny_unknown_fields)]
struct Header {
    /// As it is printed.
    #[schema(min_length = 1, max_length = 200)]
    header: String,
    /// What its column is to be read as: a field of the type.
    #[schema(max_length = 60)]
    field: String,
}

/// Teaches a header: from the next run on, in each process, a column headed so is read as this field.
#[utoipa::path(
    context_path = "/api",
    operation_id = "headers_teach",
    tag = "schedule",
    request_body = inline(Header),
    responses((status = 201, description = "It is taught", body = TaughtHeader)),
)]
#[post("/types/{type}/headers")]
pub(super) async fn teach(
    api: web::Data<Api>,
    cause: Cause,
    name: web::Path<String>,
    body: JsonBody<Header>,
) -> Result<HttpResponse, Problem> {
    let asked = body.into_inner();
    Ok(HttpResponse::Created().json(api.teach(cause, &name, &asked.header, &asked.field).await?))
}

/// Forgets a taught header: from the next run on, its column is not read any more.
#[utoipa::path(
    context_path = "/api",
    operation_id = "headers_forget",
    tag = "schedule",
    responses((status = 204, description = "Done")),
)]
#[delete("/types/{type}/headers/{id}")]
pub(super) async fn forget(
    api: web::Data<Api>,
    cause: Cause,
    path: web::Path<(String, i64)>,
) -> Result<HttpResponse, Problem> {
    let (name, id) = path.into_inner();
    api.forget_header(cause, &name, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

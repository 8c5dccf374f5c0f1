//! How much does this process log, and for how long?

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use actix_web::{HttpResponse, http::StatusCode, put, web};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Api, JsonBody, Problem};
use crate::{
    domain::{Cause, Timestamp},
    store::AuditedChange,
};

/// Minutes for which another level holds, where a request does not say.
const USUAL_MINUTES: u32 = 15;
/// A day.
const MOST_MINUTES: u32 = 1_440;
/// Characters of a level.
const MOST_TEXT: usize = 500;

/// Sets a level, or with `None` the one that the settings name; says what is wrong with one that is none.
type Set = dyn Fn(Option<&str>) -> Result<(), String> + Send + Sync;

/// The level of this process's log.
#[derive(Clone)]
pub struct LogLevel {
    set: Arc<Set>,
    now: Arc<Mutex<Option<Raised>>>,
    /// Counts the changes: only the last one is taken back.
    number: Arc<AtomicU64>,
}

/// A level that holds for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Raised {
    level: String,
    until: Timestamp,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&*self.now.lock()).finish()
    }
}

impl LogLevel {
    /// A level that is set by this.
    #[must_use]
    pub fn new(by: impl Fn(Option<&str>) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { set: Arc::new(by), now: Arc::default(), number: Arc::default() }
    }

    /// The level that holds for a while, if there is one.
    #[must_use]
    pub fn raised(&self) -> Option<Raised> {
        self.now.lock().clone()
    }
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(set);
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = LogLevel)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// As `log.level` has it; null for what the settings name.
    #[schema(max_length = 500)]
    level: Option<String>,
    /// 15 where nothing is said.
    #[schema(minimum = 1, maximum = 1_440)]
    minutes: Option<u32>,
}

/// Sets how much this process logs, for a while.
///
/// Afterwards, and after a restart, it is what the settings name.
#[utoipa::path(
    context_path = "/api",
    operation_id = "system_log",
    tag = "system",
    request_body = Asked,
    responses((status = 200, description = "How it is now", body = serde_json::Value)),
)]
#[put("/system/log")]
pub(super) async fn set(api: web::Data<Api>, cause: Cause, body: JsonBody<Asked>) -> Result<HttpResponse, Problem> {
    let Asked { level, minutes } = body.into_inner();
    let minutes = minutes.unwrap_or(USUAL_MINUTES);
    if !(1..=MOST_MINUTES).contains(&minutes) {
        let text = format!("expected 1 to {MOST_MINUTES}, not {minutes}");
        return Err(Problem::unprocessable("out_of_range", "/minutes", text));
    }
    if level.as_ref().is_some_and(|level| level.len() > MOST_TEXT) {
        let text = format!("expected at most {MOST_TEXT} characters");
        return Err(Problem::unprocessable("too_long", "/level", text));
    }
    let Some(log) = api.log.clone() else {
        let text = "this process does not log for itself: whoever started it does";
        return Err(Problem::new(StatusCode::CONFLICT, "no_log", text));
    };
    let now = api.context.clock.now();
    (log.set)(level.as_deref()).map_err(|wrong| Problem::unprocessable("bad_level", "/level", wrong))?;
    let raised = level.map(|level| Raised { level, until: now + chrono::Duration::minutes(minutes.into()) });
    let number = log.number.fetch_add(1, Ordering::SeqCst) + 1;
    log.now.lock().clone_from(&raised);
    if raised.is_some() {
        let log = log.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_secs(u64::from(minutes) * 60)).await;
            if log.number.load(Ordering::SeqCst) == number && (log.set)(None).is_ok() {
                *log.now.lock() = None;
                tracing::info!("the log's level is what the settings name again");
            }
        });
    }
    let change = AuditedChange::new("log.level", format!("process:{}", api.context.owner)).to(json!(raised));
    api.store().note_attempt(cause, change, now).await?;
    Ok(HttpResponse::Ok().json(json!({ "process": api.context.owner, "raised": raised })))
}

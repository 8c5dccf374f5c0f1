//! What is the report of a run, what would it change, and how is an older one applied again?

use std::sync::Arc;

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    page::{self, Cursor, PageSize},
    runs::{find, find_to_touch},
};
use crate::{
    delta::{ChangeKind, Plan, Verdict},
    domain::{Admission, Caller, Cause, Reason, RunId},
    queue::Enqueue,
    report::{MarkedRow, sandbox::Job},
    store::Run,
    sync::{RunError, preview},
    sync_type::SyncTypeSpec,
};

/// Rows around a marked one, at most.
const AROUND: usize = 20;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(show_plan).service(show_document).service(show_page).service(reapply);
}

/// A report that is still there, planned against what is stored now.
pub struct Planned {
    pub plan: Plan,
    pub verdicts: Vec<Verdict>,
}

impl Api {
    /// The report of a run.
    async fn report_of(&self, run: &Run) -> Result<Vec<u8>, Problem> {
        let report = self.store().report_of(run).await?;
        report.map_err(|gone| Problem::new(StatusCode::GONE, "not_kept", gone.to_string()))
    }

    /// What a run's report would change now; two are planned at once at most.
    ///
    /// # Errors
    /// [`Problem`] if the report is not kept any more, or cannot be read.
    pub async fn planned(&self, spec: &Arc<SyncTypeSpec>, run: &Run) -> Result<Planned, Problem> {
        let _place = self.previews.enter()?;
        // who waits has no report in memory yet
        let _turn = self.previews.turn().await;
        let bytes = self.report_of(run).await?;
        let (_, plan, verdicts) = preview(&self.context, spec, &run.agent_id, bytes, true).await?;
        Ok(Planned { plan, verdicts })
    }

    /// Has the report of a run applied again, through guards and approval like one that is given.
    ///
    /// # Errors
    /// [`Problem`] if the report is not kept any more, cannot be read, or may not be applied.
    pub async fn reapply(
        &self,
        caller: &Caller,
        cause: Cause,
        id: RunId,
    ) -> Result<(Run, Admission, Planned), Problem> {
        let run = find_to_touch(self, caller, id).await?;
        let spec = self.sync_type(run.sync_type.as_str())?;
        let planned = self.planned(&spec, &run).await?;
        let turn = self.previews.turn().await;
        let bytes = self.report_of(&run).await?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let document = self.store().keep_document(bytes, self.context.clock.now()).await?;
        drop(turn);
        let ask = Enqueue {
            document: Some((document, sha256)),
            by: Some(cause),
            ..Enqueue::new(spec.name.job_type(), run.agent_id.clone(), Reason::Replay)
        };
        let answer = self.queue.send(ask).await;
        // only a refusal says that no job will read these bytes: after an error there may be one
        if matches!(&answer, Ok(Ok(answer)) if !answer.is_taken()) {
            self.store().drop_document(document).await?;
        }
        Ok((run, answer??, planned))
    }
}

/// How much a plan does, and why a guard would hold it.
fn told(plan: &Plan, verdicts: &[Verdict]) -> Json {
    let of = |kind| plan.changes.iter().filter(|change| change.kind == kind).count();
    json!({
        "digest": plan.digest(),
        "totals": {
            "insert": of(ChangeKind::Insert),
            "update": of(ChangeKind::Update),
            "refresh": of(ChangeKind::Refresh),
            "restore": of(ChangeKind::Restore),
            "unchanged": plan.unchanged,
            "missing": plan.missing.len(),
            "delete": plan.deleted.len(),
        },
        "verdicts": verdicts,
    })
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Page {
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u64>,
}

/// What the run's report would change now, record by record and field by field, with its digest.
///
/// An approval names the digest that was looked at.
#[utoipa::path(
    context_path = "/api",
    operation_id = "reports_show_plan",
    tag = "runs",
    params(Page),
    responses(
        (status = 200, description = "How it is now", body = serde_json::Value),
        (status = 410, description = "The report is not kept any more", body = super::problem::Body, content_type = "application/problem+json"),
    ),
)]
#[get("/runs/{id}/plan")]
pub(super) async fn show_plan(
    api: web::Data<Api>,
    caller: Caller,
    id: web::Path<RunId>,
    query: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let count = usize::try_from(PageSize::of(query.limit)?.items()).unwrap_or(usize::MAX);
    let from = page::behind(query.cursor.as_ref(), "plan")?.unwrap_or(0);
    let run = find(&api, &caller, *id).await?;
    let spec = api.sync_type(run.sync_type.as_str())?;
    let Planned { plan, verdicts } = api.planned(&spec, &run).await?;
    let stored = api.store().replaced(&spec, &run.agent_id, plan.replaced_at(from, count)).await?;
    let lines = plan.lines(&spec, (from, count), |key| stored.get(key));
    let end = from + lines.len();
    let mut answer = told(&plan, &verdicts);
    answer["runId"] = json!(run.id);
    answer["hold"] = json!(run.hold);
    // false once the stored records are not what they were when it was held
    answer["isWhatWasHeld"] = json!(run.plan_digest.as_ref() == Some(&plan.digest()));
    answer["items"] = json!(lines);
    answer["next"] = json!((end < plan.size()).then(|| Cursor::behind("plan", end).text()));
    Ok(page::answer(answer))
}

/// The report itself; 410 if it is not kept any more, naming what is.
#[utoipa::path(
    context_path = "/api",
    operation_id = "reports_show_document",
    tag = "runs",
    responses(
        (status = 200, description = "The PDF", body = Vec<u8>, content_type = "application/pdf"),
        (status = 410, description = "The report is not kept any more", body = super::problem::Body, content_type = "application/problem+json"),
    ),
)]
#[get("/runs/{id}/document")]
pub(super) async fn show_document(
    api: web::Data<Api>,
    caller: Caller,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let run = find(&api, &caller, *id).await?;
    let _place = api.previews.enter()?;
    let _turn = api.previews.turn().await;
    let bytes = api.report_of(&run).await?;
    let name = format!("inline; filename=\"{}-{}-run-{}.pdf\"", run.sync_type, run.agent_id, run.id);
    Ok(HttpResponse::Ok().content_type("application/pdf").insert_header(("Content-Disposition", name)).body(bytes))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Marked {
    /// This row stands out.
    row: Option<usize>,
    /// Nothing but it and so many rows before and after it are shown.
    #[param(maximum = 20)]
    around: Option<usize>,
}

impl Marked {
    fn mark(&self) -> Result<Option<MarkedRow>, Problem> {
        let wrong = |text: String| Err(Problem::new(StatusCode::BAD_REQUEST, "out_of_range", text));
        match (self.row, self.around) {
            (_, Some(around)) if around > AROUND => wrong(format!("around: expected 0 to {AROUND}, not {around}")),
            (None, Some(_)) => wrong("around: the row that it is around is missing: row=...".to_owned()),
            (row, around) => Ok(row.map(|row| MarkedRow { row, around })),
        }
    }
}

/// Page `n` of the run's report as the type's file has it read now.
///
/// Its texts over the cells that were recognised, one row marked, whole or just around it. Page and row count from 1, as quarantined rows
/// and changes tell them.
#[utoipa::path(
    context_path = "/api",
    operation_id = "reports_show_page",
    tag = "runs",
    params(Marked),
    responses(
        (status = 200, description = "The page", body = String, content_type = "image/svg+xml"),
        (status = 410, description = "The report is not kept any more", body = super::problem::Body, content_type = "application/problem+json"),
    ),
)]
#[get("/runs/{id}/pages/{page}.svg")]
pub(super) async fn show_page(
    api: web::Data<Api>,
    caller: Caller,
    path: web::Path<(i64, usize)>,
    query: web::Query<Marked>,
) -> Result<HttpResponse, Problem> {
    let (id, page) = path.into_inner();
    let id = RunId(id);
    let run = find(&api, &caller, id).await?;
    let spec = api.sync_type(run.sync_type.as_str())?;
    let mark = query.mark()?;
    let _place = api.previews.enter()?;
    let _turn = api.previews.turn().await;
    let bytes = Arc::new(api.report_of(&run).await?);
    let types = api.context.store.taught().await?.types;
    let spec = types.get(run.sync_type.as_str()).cloned().unwrap_or(spec);
    let job = Job { bytes, spec, types, progress: Arc::new(|_, _| {}) };
    let drawing = api.context.reader.draw(job, page, mark).await.map_err(RunError::from)?;
    if drawing.svg.is_empty() {
        let text = format!("the report of run {id} has the pages 1 to {}, not {page}", drawing.pages);
        return Err(Problem::not_found("unknown_page", text));
    }
    if let Some(row) = query.row.filter(|row| !(1..=drawing.rows).contains(row)) {
        let text = match drawing.rows {
            0 => format!("page {page} of the report of run {id} has no rows"),
            rows => format!("page {page} of the report of run {id} has the rows 1 to {rows}, not {row}"),
        };
        return Err(Problem::not_found("unknown_row", text));
    }
    // it is shown as it is, and may run and load nothing
    let policy = ("Content-Security-Policy", "default-src 'none'; sandbox");
    Ok(HttpResponse::Ok().content_type("image/svg+xml").insert_header(policy).body(drawing.svg))
}

/// Applies an older report again, through guards and approval like an upload.
///
/// Answers its job and what it would change.
#[utoipa::path(
    context_path = "/api",
    operation_id = "reports_reapply",
    tag = "runs",
    responses(
        (status = 202, description = "The job, and what it would change", body = serde_json::Value),
        (status = 200, description = "It is asked for already", body = serde_json::Value),
        (status = 410, description = "The report is not kept any more", body = super::problem::Body, content_type = "application/problem+json"),
    ),
)]
#[post("/runs/{id}/reapply")]
pub(super) async fn reapply(
    api: web::Data<Api>,
    caller: Caller,
    cause: Cause,
    id: web::Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let (run, answer, Planned { plan, verdicts }) = api.reapply(&caller, cause, *id).await?;
    let mut body = body_of(run.sync_type.as_str(), &run.agent_id, answer);
    body["plan"] = told(&plan, &verdicts);
    answer_one(&api, answer, body).await
}

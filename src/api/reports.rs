//! What is the report of a run, what would it change, and how is an older one applied again?

use std::sync::Arc;

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    Api, Problem,
    answer::{answer_one, body_of},
    page::PageSize,
    runs::find,
};
use crate::{
    delta::{ChangeKind, Plan, Verdict},
    domain::{Reason, RunId},
    queue::Enqueue,
    store::Run,
    sync::preview,
    sync_type::SyncTypeSpec,
};

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(show_plan).service(show_document).service(reapply);
}

/// A report that is still there, planned against what is stored now.
pub(super) struct Planned {
    pub plan: Plan,
    pub verdicts: Vec<Verdict>,
}

impl Api {
    /// The report of a run: a held one is there until it is decided on, others as long as reports are kept.
    async fn report_of(&self, run: &Run) -> Result<Vec<u8>, Problem> {
        if let Some(document) = run.document {
            return Ok(self.store().document(document).await?);
        }
        let kept = self.store().kept_reports(&run.sync_type, &run.agent_id).await?;
        if let Some(report) = kept.iter().rfind(|report| Some(&report.sha256) == run.document_sha256.as_ref()) {
            return Ok(self.store().kept_bytes(report.id).await?);
        }
        let runs: Vec<String> = kept.iter().filter_map(|report| Some(report.run?.to_string())).collect();
        let text = if runs.is_empty() {
            format!("the report of run {} is not kept, nor is another of {} of {}", run.id, run.sync_type, run.agent_id)
        } else {
            format!("the report of run {} is not kept any more; kept are those of the runs {}", run.id, runs.join(", "))
        };
        Err(Problem::new(StatusCode::GONE, "not_kept", text))
    }

    /// What a run's report would change now; two are planned at once at most.
    pub(super) async fn planned(&self, spec: &Arc<SyncTypeSpec>, run: &Run) -> Result<Planned, Problem> {
        let _place = self.previews.enter()?;
        // who waits has no report in memory yet
        let _turn = self.previews.turn().await;
        let bytes = self.report_of(run).await?;
        let (_, plan, verdicts) = preview(&self.context, spec, &run.agent_id, bytes, true).await?;
        Ok(Planned { plan, verdicts })
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    cursor: Option<usize>,
    limit: Option<u64>,
}

/// `GET /api/runs/{id}/plan?cursor=&limit=`: what the run's report would change now, record by record and field by
/// field, with its digest; an approval names the digest that was looked at.
#[get("/runs/{id}/plan")]
async fn show_plan(
    api: web::Data<Api>,
    id: web::Path<RunId>,
    query: web::Query<Page>,
) -> Result<HttpResponse, Problem> {
    let run = find(&api, *id).await?;
    let spec = api.sync_type(run.sync_type.as_str())?;
    let Planned { plan, verdicts } = api.planned(&spec, &run).await?;
    let from = query.cursor.unwrap_or(0);
    let count = usize::try_from(PageSize::of(query.limit).items()).unwrap_or(usize::MAX);
    let stored = api.store().replaced(&spec, &run.agent_id, plan.replaced_at(from, count)).await?;
    let lines = plan.lines(&spec, (from, count), |key| stored.get(key));
    let end = from + lines.len();
    let mut answer = told(&plan, &verdicts);
    answer["runId"] = json!(run.id);
    answer["hold"] = json!(run.hold);
    // false once the stored records are not what they were when it was held
    answer["isWhatWasHeld"] = json!(run.plan_digest.as_ref() == Some(&plan.digest()));
    answer["items"] = json!(lines);
    answer["next"] = json!((end < plan.size()).then(|| end.to_string()));
    Ok(HttpResponse::Ok().json(answer))
}

/// `GET /api/runs/{id}/document`: the report itself; 410 if it is not kept any more, naming what is.
#[get("/runs/{id}/document")]
async fn show_document(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    let run = find(&api, *id).await?;
    let _place = api.previews.enter()?;
    let _turn = api.previews.turn().await;
    let bytes = api.report_of(&run).await?;
    let name = format!("inline; filename=\"{}-{}-run-{}.pdf\"", run.sync_type, run.agent_id, run.id);
    Ok(HttpResponse::Ok().content_type("application/pdf").insert_header(("Content-Disposition", name)).body(bytes))
}

/// `POST /api/runs/{id}/reapply`: an older report again, through guards and approval like an upload. Answers its job and
/// what it would change.
#[post("/runs/{id}/reapply")]
async fn reapply(api: web::Data<Api>, id: web::Path<RunId>) -> Result<HttpResponse, Problem> {
    let run = find(&api, *id).await?;
    let spec = api.sync_type(run.sync_type.as_str())?;
    let Planned { plan, verdicts } = api.planned(&spec, &run).await?;
    let turn = api.previews.turn().await;
    let bytes = api.report_of(&run).await?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let document = api.store().keep_document(bytes, api.context.clock.now()).await?;
    drop(turn);
    let ask = Enqueue {
        document: Some((document, sha256)),
        ..Enqueue::new(spec.name.job_type(), run.agent_id.clone(), Reason::Replay)
    };
    let answer = api.queue.send(ask).await;
    // only a refusal says that no job will read these bytes: after an error there may be one
    if matches!(&answer, Ok(Ok(answer)) if !answer.is_taken()) {
        api.store().drop_document(document).await?;
    }
    let answer = answer??;
    let mut body = body_of(spec.name.as_str(), &run.agent_id, answer);
    body["plan"] = told(&plan, &verdicts);
    answer_one(&api, answer, body).await
}

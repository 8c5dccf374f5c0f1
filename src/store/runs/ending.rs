//! What does the history say of a run that has ended?

use std::sync::Arc;

use sea_orm::{DatabaseTransaction, EntityTrait, Set};
use serde_json::Value as Json;

use crate::{
    delta::Verdict,
    domain::{
        ClaimedJob, Class, Counts, DocumentId, Ended, Hold, LogLine, Outcome, PlanDigest, SourceReport, Stage,
        Timestamp,
    },
    report::{Layout, Quarantined},
    store::{StoreError, schema::entity},
    sync_type::SyncTypes,
};

/// Everything that a run's end stores.
#[derive(Debug, Clone, Default)]
pub struct Finish {
    /// How it ended; `None` only before it is known.
    pub outcome: Option<Outcome>,
    /// Where it was when it did not succeed.
    pub stage: Option<Stage>,
    /// A short name for the reason, for programs.
    pub error_code: Option<String>,
    /// The reason, for people.
    pub error: Option<String>,
    /// What became of the rows.
    pub counts: Counts,
    /// Why a guard holds it.
    pub verdicts: Vec<Verdict>,
    /// Drift and warnings, as told in the run.
    pub notes: Option<Json>,
    /// How the report was laid out.
    pub layout: Option<Layout>,
    /// Rows that did not fit.
    pub quarantined: Vec<Quarantined>,
    /// When the report was looked at: the moment from which a miss counts.
    pub missed_at: Option<Timestamp>,
    /// Keys to mark missing.
    pub missing: Vec<String>,
    /// Keys to delete.
    pub deleted: Vec<String>,
    /// SHA-256 of the report's bytes.
    pub sha256: Option<String>,
    /// By what the source tells whether its report is still that one.
    pub version: Option<String>,
    /// The plan's digest, for a hold.
    pub plan_digest: Option<PlanDigest>,
    /// The report's bytes, for a hold or for going on after a preemption.
    pub document: Option<Arc<Vec<u8>>>,
    /// What was learnt of the source, for its breaker.
    pub source: Option<SourceReport>,
    /// What an operation brought back.
    pub result: Option<Json>,
    /// Milliseconds in each stage that it came to.
    pub stages: Vec<(Stage, u64)>,
    /// The type's file, with what people taught, by which its report was read.
    pub spec_fingerprint: Option<String>,
    /// What its log says.
    pub log: Vec<LogLine>,
}

/// Writes it.
pub(crate) async fn end_run(tx: &DatabaseTransaction, row: entity::sync_run::ActiveModel) -> Result<(), StoreError> {
    let written = entity::sync_run::Entity::insert(row).exec_without_returning(tx).await;
    written.map(|_| ()).map_err(StoreError::while_doing("end a run"))
}

/// A sync's end, as far as it matters for how its type stands.
pub(crate) fn ended(job: &ClaimedJob, end: &Finish, now: Timestamp) -> Option<Ended> {
    (job.class == Class::Sync).then(|| Ended {
        sync_type: job.job_type.as_str().into(),
        agent: job.agent.clone(),
        run: job.run,
        reason: job.reason,
        outcome: end.outcome.unwrap_or(Outcome::Panicked),
        stage: end.stage,
        error_code: end.error_code.clone(),
        error: end.error.clone(),
        started_at: job.started_at,
        at: now,
        fetched_at: end.missed_at,
        rows: end.counts.read,
        changed: end.counts.changed(),
        quarantined: end.counts.quarantined,
        orphans: end.counts.orphans,
        was_read: end.layout.is_some(),
        layout_changed: end.notes.as_ref().is_some_and(|notes| notes.get("layoutChange").is_some()),
    })
}

/// `{"fetch": 12, "read": 34}`, in milliseconds.
fn times(stages: &[(Stage, u64)]) -> Json {
    Json::Object(stages.iter().map(|(stage, took)| (stage.as_str().to_owned(), (*took).into())).collect())
}

/// What the history says of a run that has ended.
pub(crate) fn run_row(
    types: &SyncTypes,
    job: &ClaimedJob,
    end: Finish,
    document: Option<DocumentId>,
    now: Timestamp,
) -> entity::sync_run::ActiveModel {
    let count = |number: u64| Set(i64::try_from(number).unwrap_or(i64::MAX));
    let is_held = end.outcome == Some(Outcome::Held);
    let counts = end.counts;
    let by_file = || types.get(job.job_type.as_str()).map_or("", |spec| spec.fingerprint.as_str()).to_owned();
    entity::sync_run::ActiveModel {
        id: Set(job.run),
        job_id: Set(job.id),
        sync_type: Set(job.job_type.to_string()),
        agent_id: Set(job.agent.to_string()),
        reason: Set(job.reason),
        attempt: Set(i32::try_from(job.attempt).unwrap_or(i32::MAX)),
        outcome: Set(end.outcome),
        stage: Set(end.stage),
        error_code: Set(end.error_code),
        error: Set(end.error),
        read: count(counts.read),
        inserted: count(counts.inserted),
        updated: count(counts.updated),
        refreshed: count(counts.refreshed),
        unchanged: count(counts.unchanged),
        restored: count(counts.restored),
        quarantined: count(counts.quarantined),
        skipped: count(counts.skipped),
        not_applied: count(counts.not_applied),
        missing: count(counts.missing),
        deleted: count(counts.deleted),
        orphans: count(counts.orphans),
        verdicts: Set((!end.verdicts.is_empty()).then(|| serde_json::json!(end.verdicts))),
        notes: Set(end.notes),
        layout_fingerprint: Set(end.layout.as_ref().map(Layout::fingerprint)),
        layout: Set(end.layout.map(|layout| serde_json::json!(layout))),
        hold: Set(is_held.then_some(Hold::Open)),
        plan_digest: Set(end.plan_digest),
        document_sha256: Set(end.sha256),
        document_version: Set(end.version),
        document_id: Set(document),
        spec_fingerprint: Set(end.spec_fingerprint.unwrap_or_else(by_file)),
        started_at: Set(job.started_at),
        finished_at: Set(Some(now)),
        stages: Set((!end.stages.is_empty()).then(|| times(&end.stages))),
    }
}

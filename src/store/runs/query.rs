//! What happened in which run, and which run says how things stand?

use std::collections::HashSet;

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, prelude::*, sea_query::ExprTrait};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    domain::{
        AgentId, ClaimedJob, Counts, DocumentId, Hold, JobId, JobState, Outcome, PlanDigest, Reason, RunId, Stage,
        SyncType, Timestamp, run::GIVEN_UP,
    },
    report::Layout,
    store::{Store, StoreError, jobs::lane::is, schema::entity},
    sync_type::{SyncTypeSpec, SyncTypes},
};

use entity::{job::Column as J, sync_run::Column as C};

/// One attempt of a job, as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The job it is an attempt of.
    pub job_id: JobId,
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    pub agent_id: AgentId,
    pub reason: Reason,
    /// The attempt's number, from 1.
    pub attempt: i32,
    /// How it ended; null while it runs.
    pub outcome: Option<Outcome>,
    /// Where it was when it did not succeed.
    pub stage: Option<Stage>,
    /// A short name of the reason, for programs.
    pub error_code: Option<String>,
    /// The reason.
    pub error: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// Milliseconds in each stage that it came to: `fetch`, `read`, `plan`, `apply`.
    #[schema(value_type = Option<std::collections::BTreeMap<String, u64>>)]
    pub stages: Option<Json>,
    /// What became of the rows.
    pub counts: Counts,
    /// Why a guard held it, with the numbers and thresholds.
    #[schema(value_type = Option<serde_json::Value>)]
    pub verdicts: Option<Json>,
    /// Drift and warnings.
    #[schema(value_type = Option<serde_json::Value>)]
    pub notes: Option<Json>,
    /// What became of the hold.
    pub hold: Option<Hold>,
    /// The held plan's digest.
    pub plan_digest: Option<PlanDigest>,
    /// Equal for reports with the same columns on the same pages.
    pub layout_fingerprint: Option<String>,
    /// SHA-256 of the report's bytes.
    pub document_sha256: Option<String>,
    /// By what the source tells whether its report is still that one.
    #[serde(skip)]
    pub document_version: Option<String>,
    /// The kept document of a held run.
    #[serde(skip)]
    pub document: Option<DocumentId>,
    /// The type's file at the time.
    #[serde(skip)]
    pub spec_fingerprint: String,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Only this type.
    pub sync_type: Option<String>,
    /// Only this agent.
    pub agent: Option<String>,
    /// Only these agents; all of them if `None`.
    pub agents: Option<Vec<String>>,
    /// Only this outcome.
    pub outcome: Option<Outcome>,
    /// Only the attempts of this job.
    pub job: Option<JobId>,
    /// Only runs that have ended.
    pub ended: bool,
    /// Only runs before this one.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: u64,
}

impl Run {
    fn read(row: entity::sync_run::Model) -> Self {
        let count = i64::unsigned_abs;
        Self {
            id: row.id,
            job_id: row.job_id,
            sync_type: row.sync_type.into(),
            agent_id: row.agent_id.into(),
            reason: row.reason,
            attempt: row.attempt,
            outcome: row.outcome,
            stage: row.stage,
            error_code: row.error_code,
            error: row.error,
            started_at: row.started_at,
            finished_at: row.finished_at,
            duration_ms: row.finished_at.map(|end| (end - row.started_at).num_milliseconds()),
            stages: row.stages,
            counts: Counts {
                read: count(row.read),
                inserted: count(row.inserted),
                updated: count(row.updated),
                refreshed: count(row.refreshed),
                unchanged: count(row.unchanged),
                restored: count(row.restored),
                quarantined: count(row.quarantined),
                skipped: count(row.skipped),
                not_applied: count(row.not_applied),
                missing: count(row.missing),
                deleted: count(row.deleted),
                orphans: count(row.orphans),
            },
            verdicts: row.verdicts,
            notes: row.notes,
            hold: row.hold,
            plan_digest: row.plan_digest,
            layout_fingerprint: row.layout_fingerprint,
            document_sha256: row.document_sha256,
            document_version: row.document_version,
            document: row.document_id,
            spec_fingerprint: row.spec_fingerprint,
        }
    }

    /// The attempt that is under way: its job's row tells of it.
    fn running(job: entity::job::Model, types: &SyncTypes) -> Option<Self> {
        let fingerprint = types.get(&job.job_type).map(|spec| spec.fingerprint.clone());
        Some(Self {
            id: job.run_id?,
            job_id: job.id,
            sync_type: job.job_type.into(),
            agent_id: job.agent_id.into(),
            reason: job.reason,
            attempt: job.attempt,
            outcome: None,
            stage: None,
            error_code: None,
            error: None,
            started_at: job.started_at?,
            finished_at: None,
            duration_ms: None,
            stages: None,
            counts: Counts::default(),
            verdicts: None,
            notes: None,
            hold: None,
            plan_digest: None,
            layout_fingerprint: None,
            document_sha256: None,
            document_version: None,
            document: None,
            spec_fingerprint: fingerprint.unwrap_or_default(),
        })
    }

    /// Did it leave the records as its report has them?
    #[must_use]
    pub fn was_applied(&self) -> bool {
        self.outcome.is_some_and(Outcome::is_applied)
    }

    /// Did it end in a way that a person should look at? A stop was asked for; a hold that was decided
    /// on is settled.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        match self.outcome {
            Some(Outcome::Held) => self.hold == Some(Hold::Open),
            Some(Outcome::Stopped) | None => false,
            Some(outcome) => !outcome.is_applied(),
        }
    }
}

/// Few runs end so, and those that do have an index.
fn is_rare(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Succeeded | Outcome::Unchanged)
}

impl Store {
    /// One run.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let types = self.types().clone();
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("read a run");
                // in this order: one that ends in between is found all the same
                let running = running().filter(J::RunId.eq(id)).one(db).await.map_err(&failed)?;
                if let Some(run) = running.and_then(|job| Run::running(job, &types)) {
                    return Ok(Some(run));
                }
                let ended = entity::sync_run::Entity::find_by_id(id).one(db).await.map_err(failed)?;
                Ok(ended.map(Run::read))
            })
        })
        .await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn runs(&self, wanted: RunQuery) -> Result<Vec<Run>, StoreError> {
        let types = self.types().clone();
        self.read(move |db| {
            Box::pin(async move {
                // first what runs: what ends in between is among the ended, too, and never among neither
                let failed = StoreError::while_doing("list the runs");
                let running = if wanted.ended || wanted.outcome.is_some() {
                    Vec::new()
                } else {
                    running_as(&wanted).all(db).await.map_err(&failed)?
                };
                let rows = entity::sync_run::Entity::find()
                    .apply_if(wanted.sync_type, |query, name| query.filter(C::SyncType.eq(name)))
                    .apply_if(wanted.agent, |query, agent| query.filter(C::AgentId.eq(agent)))
                    .apply_if(wanted.agents, |query, agents| query.filter(C::AgentId.is_in(agents)))
                    .apply_if(wanted.outcome, |query, outcome| query.filter(C::Outcome.eq(outcome)))
                    // so that the index of what is rare is used
                    .apply_if(wanted.outcome.filter(|outcome| is_rare(*outcome)), |query, _| {
                        query.filter(Expr::cust("outcome NOT IN ('succeeded', 'unchanged')"))
                    })
                    .apply_if(wanted.job, |query, job| query.filter(C::JobId.eq(job)))
                    .apply_if(wanted.before, |query, id| query.filter(C::Id.lt(id)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                let ended = rows.map_err(failed)?.into_iter().map(Run::read);
                let mut runs: Vec<Run> = ended.collect();
                let known: HashSet<RunId> = runs.iter().map(|run| run.id).collect();
                let running = running.into_iter().filter_map(|job| Run::running(job, &types));
                runs.extend(running.filter(|run| !known.contains(&run.id)));
                runs.sort_by_key(|run| std::cmp::Reverse(run.id));
                runs.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
                Ok(runs)
            })
        })
        .await
    }

    /// What runs at this moment, in whichever process.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn running(&self) -> Result<Vec<Run>, StoreError> {
        let types = self.types().clone();
        self.read(move |db| {
            Box::pin(async move {
                let jobs = running().all(db).await.map_err(StoreError::while_doing("list what runs"))?;
                Ok(jobs.into_iter().filter_map(|job| Run::running(job, &types)).collect())
            })
        })
        .await
    }

    /// The last run of this type and agent that has ended, however it did.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn last_run(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Option<Run>, StoreError> {
        let state = self.sync_state(sync_type, agent).await?;
        Ok(self.ended(state.map(|state| state.last_run)).await?.map(Run::read))
    }

    /// The newest run that applied its report, or found that there was nothing to apply.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn last_applied(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Option<Run>, StoreError> {
        let applied = self.sync_state(sync_type, agent).await?.and_then(|state| state.applied);
        Ok(self.ended(applied.map(|applied| applied.run)).await?.map(Run::read))
    }

    /// How the last report of a type and agent that was read was laid out.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn last_layout(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Option<Layout>, StoreError> {
        let state = self.sync_state(sync_type, agent).await?;
        let row = self.ended(state.and_then(|state| state.read_run)).await?;
        Ok(row.and_then(|row| serde_json::from_value(row.layout?).ok()))
    }

    async fn ended(&self, id: Option<RunId>) -> Result<Option<entity::sync_run::Model>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        self.read(move |db| {
            Box::pin(async move {
                let row = entity::sync_run::Entity::find_by_id(id).one(db).await;
                row.map_err(StoreError::while_doing("read the last run"))
            })
        })
        .await
    }

    /// May an earlier attempt of this job have written records?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn may_have_written(&self, job: &ClaimedJob) -> Result<bool, StoreError> {
        let id = job.id;
        self.read(move |db| {
            Box::pin(async move {
                let earlier = entity::sync_run::Entity::find().filter(C::JobId.eq(id)).all(db);
                let earlier = earlier.await.map_err(StoreError::while_doing("read earlier attempts"))?;
                // an attempt that was cut off did not say what it wrote
                let is_cut_off = |run: &Run| {
                    matches!(run.outcome, Some(Outcome::Lost | Outcome::TimedOut | Outcome::Panicked))
                        || run.error_code.as_deref() == Some(GIVEN_UP)
                };
                Ok(earlier.into_iter().map(Run::read).any(|run| is_cut_off(&run) || run.counts.wrote()))
            })
        })
        .await
    }

    /// Is any record of this type and agent marked missing, or stored under another spec?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn has_unsettled(&self, spec: &SyncTypeSpec, agent: &AgentId) -> Result<bool, StoreError> {
        use sea_orm::sea_query::{Cond, Query};
        let mut query = Query::select();
        query
            .from(spec.name.as_str().to_owned())
            .expr_as(Expr::val(1), "one")
            .and_where(crate::store::schema::record_table::equals("agent_id", agent.as_str()))
            .and_where(Expr::col("deleted_at").is_null())
            .cond_where(
                Cond::any()
                    .add(Expr::col("missing_since").is_not_null())
                    .add(Expr::col("spec_fingerprint").ne(spec.fingerprint.as_str())),
            )
            .limit(1);
        self.read(move |db| {
            Box::pin(async move {
                let row = db.query_one(&query).await;
                Ok(row.map_err(StoreError::while_doing("look for missing records"))?.is_some())
            })
        })
        .await
    }
}

/// The jobs that run: each tells of its attempt.
fn running() -> Select<entity::job::Entity> {
    entity::job::Entity::find().filter(is(JobState::Active))
}

/// As [`Store::runs`] asks for them.
fn running_as(wanted: &RunQuery) -> Select<entity::job::Entity> {
    running()
        .apply_if(wanted.sync_type.as_deref(), |query, name| query.filter(J::JobType.eq(name)))
        .apply_if(wanted.agent.as_deref(), |query, agent| query.filter(J::AgentId.eq(agent)))
        .apply_if(wanted.agents.as_ref(), |query, agents| query.filter(J::AgentId.is_in(agents)))
        .apply_if(wanted.job, |query, job| query.filter(J::Id.eq(job)))
        .apply_if(wanted.before, |query, id| query.filter(J::RunId.lt(id)))
        .order_by_desc(J::RunId)
        .limit(wanted.limit)
}

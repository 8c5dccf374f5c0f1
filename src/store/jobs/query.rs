//! Which jobs are there, as people see them?

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, prelude::*};
use serde::Serialize;
use serde_json::Value as Json;

use super::{flow::is_in_flow, lane};
use crate::{
    domain::{AgentId, Class, FlowOutcome, JobId, JobState, JobType, Outcome, Phase, Reason, Timestamp},
    store::{Store, StoreError, schema::entity},
};

use entity::job::Column as C;

/// A job, as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it does.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// Which kind of work that is.
    pub class: Class,
    pub agent_id: AgentId,
    /// Why it was asked for.
    pub reason: Reason,
    /// Who asked: a caller's name, `timer` or `flow`.
    pub requested_by: Option<String>,
    pub state: JobState,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// 1 to 9.
    pub priority: i32,
    /// Attempts so far.
    pub attempt: i32,
    /// The job that asked for this one, and the first of that chain.
    pub parent_job_id: Option<JobId>,
    /// The first job of the flow.
    pub root_job_id: Option<JobId>,
    /// How its flow ended, of a flow's first job: `completed`, `completed_with_errors` or `failed`.
    pub flow_outcome: Option<FlowOutcome>,
    /// Its in-flight key.
    pub dedup_key: Option<String>,
    /// All attempts together.
    pub max_attempts: i32,
    /// A write's: `sending` while its effect may have happened, `done` once it has.
    pub phase: Option<Phase>,
    /// What an operation brought back.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Json>,
    /// Has someone asked it to stop?
    pub stop_requested: bool,
    /// When it may start.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub enqueued_at: Timestamp,
    /// When its last attempt started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobQuery {
    /// Only this state.
    pub state: Option<JobState>,
    /// Only this type.
    pub sync_type: Option<String>,
    /// Only this class.
    pub class: Option<Class>,
    /// Only this agent.
    pub agent: Option<String>,
    /// Only these agents; all of them if `None`.
    pub agents: Option<Vec<String>>,
    /// Only the jobs of the flow that this job began.
    pub root: Option<JobId>,
    /// Only the jobs that this one asked for; with their flow, or every job is looked at.
    pub parent: Option<JobId>,
    /// Only jobs older than this one.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: u64,
}

impl Job {
    fn read(row: entity::job::Model) -> Self {
        Self {
            id: row.id,
            job_type: row.job_type.into(),
            class: row.class,
            agent_id: row.agent_id.into(),
            reason: row.reason,
            requested_by: row.requested_by,
            state: row.state,
            outcome: row.outcome,
            error: row.error,
            priority: row.priority,
            attempt: row.attempt,
            parent_job_id: row.parent_job_id,
            root_job_id: row.root_job_id,
            flow_outcome: row.flow_outcome,
            dedup_key: row.dedup_key,
            max_attempts: row.max_attempts,
            phase: row.phase,
            result: row.result,
            stop_requested: row.stop_requested,
            due_at: row.due_at,
            enqueued_at: row.enqueued_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

impl Store {
    /// One job.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = entity::job::Entity::find_by_id(id).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read a job"))?.map(Job::read))
            })
        })
        .await
    }

    /// `(type, state, how many)` of all jobs that are not over.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn job_counts(&self) -> Result<Vec<(JobType, JobState, i64)>, StoreError> {
        self.job_counts_of(None).await
    }

    /// As [`Store::job_counts`], of these agents alone; of all of them if `None`.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn job_counts_of(
        &self,
        agents: Option<Vec<String>>,
    ) -> Result<Vec<(JobType, JobState, i64)>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let mut rows = Vec::new();
                // each has an index; what is over is much more
                for those in [lane::is_live(), lane::is(JobState::Kept)] {
                    let counted = entity::job::Entity::find()
                        .filter(those)
                        .apply_if(agents.as_ref(), |query, agents| query.filter(C::AgentId.is_in(agents)))
                        .select_only()
                        .column(C::JobType)
                        .column(C::State)
                        .column_as(C::Id.count(), "jobs")
                        .group_by(C::JobType)
                        .group_by(C::State)
                        .into_tuple::<(String, JobState, i64)>()
                        .all(db);
                    rows.extend(counted.await.map_err(StoreError::while_doing("count the jobs"))?);
                }
                Ok(rows.into_iter().map(|(name, state, jobs)| (name.into(), state, jobs)).collect())
            })
        })
        .await
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = entity::job::Entity::find()
                    .apply_if(wanted.state, |query, state| query.filter(C::State.eq(state)))
                    .apply_if(wanted.sync_type, |query, name| query.filter(C::JobType.eq(name)))
                    .apply_if(wanted.agent, |query, agent| query.filter(C::AgentId.eq(agent)))
                    .apply_if(wanted.agents, |query, agents| query.filter(C::AgentId.is_in(agents)))
                    .apply_if(wanted.class, |query, class| query.filter(C::Class.eq(class)))
                    .apply_if(wanted.root, |query, id| query.filter(is_in_flow(id)))
                    .apply_if(wanted.parent, |query, id| query.filter(C::ParentJobId.eq(id)))
                    .apply_if(wanted.before, |query, id| query.filter(C::Id.lt(id)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                Ok(rows.map_err(StoreError::while_doing("list the jobs"))?.into_iter().map(Job::read).collect())
            })
        })
        .await
    }
}

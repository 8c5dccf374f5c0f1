//! How does a run end? One transaction: missing rows, counts, hold, follow-ups, job.

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, prelude::*};
use serde_json::Value as Json;

use super::{
    end_job::{JobEnd, end_job},
    hold::settle_holds,
};
use crate::{
    domain::{Admission, ClaimedJob, Class, Counts, JobType, NewJob, NextStep, Outcome, Reason, Timestamp},
    store::{
        Store, StoreError, documents,
        jobs::{
            admit::admit_all,
            breaker,
            follow::{Over, follow},
            lane,
            lease::is_held,
        },
        records::{changes, missing, parents},
        runs::{
            ending::{Finish, end_run, ended, run_row},
            log::keep_logs,
            quarantine::quarantine,
        },
        schema::entity,
        states::count_in::count_in,
    },
    sync_type::{SyncTypeSpec, SyncTypes},
};

use entity::job::Column as C;

/// What the end of a run led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// The final counts.
    pub counts: Counts,
    /// Jobs that follow: accepted, or already there.
    pub follow_ups: Vec<(JobType, Admission)>,
}

impl Store {
    /// Ends an attempt with all that it may leave behind, in a transaction of its own.
    pub(crate) async fn finish_alone(
        &self,
        job: &ClaimedJob,
        end: Finish,
        next: NextStep,
        now: Timestamp,
    ) -> Result<Finished, StoreError> {
        let (job, types, inner) = (job.clone(), self.types().clone(), self.inner.clone());
        let key = job.dedup_key.clone();
        let has_failed = end.source.as_ref().is_some_and(|source| source.failed.is_some());
        let forget = move || match &key {
            // a breaker may have opened: that is to be answered then
            _ if has_failed => inner.dedup.forget_all(),
            Some(key) => inner.dedup.forget(key),
            None => {}
        };
        let (before, live) = (forget.clone(), self.inner.clone());
        // as `write_ending`: before the commit, and after it
        let write = self.inner.writer.write(
            move |tx| {
                Box::pin(async move {
                    let finished = finish_in(tx, &types, &job, end, next, now).await?;
                    before();
                    if next == NextStep::Done {
                        live.dedup.end([job.id].into_iter());
                    }
                    Ok(finished)
                })
            },
            move |_| forget(),
        );
        write.await
    }
}

async fn finish_in(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    job: &ClaimedJob,
    mut end: Finish,
    next: NextStep,
    now: Timestamp,
) -> Result<Finished, StoreError> {
    let row = held(tx, job).await?;
    // whoever asked for a stop wants no other attempt, also if the run was to be given back besides
    let mut next = if row.stop_requested { NextStep::Done } else { next };
    let is_applied = end.outcome.is_some_and(Outcome::is_applied);
    let mut finished = Finished { counts: end.counts, ..Finished::default() };
    if let Some(spec) = types.get(job.job_type.as_str()).filter(|_| is_applied) {
        end_sync(tx, types, spec, (job, &mut end, &mut finished), now).await?;
    }
    let open_until = match &end.source {
        Some(report) => breaker::tell(tx, report, job.agent.as_str(), now).await?,
        None => None,
    };
    let document = settle_holds(tx, job, &end, (is_applied, next == NextStep::Done), now).await?;
    quarantine(tx, job, &end.quarantined).await.map_err(StoreError::while_doing("quarantine rows"))?;
    let is_download = job.class == Class::Download && is_applied;
    if let Some(bytes) = if is_download { end.document.take() } else { None } {
        let document = documents::insert(tx, &bytes, now).await;
        let result = end.result.get_or_insert_with(|| Json::Object(serde_json::Map::new()));
        result["documentId"] = serde_json::json!(document.map_err(StoreError::while_doing("keep a document"))?);
    }
    let kept = end.document.take().filter(|_| next == NextStep::GiveBack);
    let job_end = JobEnd { outcome: end.outcome, error: end.error.clone(), result: end.result.take(), kept };
    end.counts = finished.counts;
    count_in(tx, ended(job, &end, now).into_iter().collect()).await?;
    keep_logs(tx, [(job.run, std::mem::take(&mut end.log))]).await?;
    end_run(tx, run_row(types, job, end, document, now)).await?;
    if let (NextStep::RetryIn(pause), Some(until)) = (&mut next, open_until) {
        // its breaker has opened: the retry is the probe, or comes after it
        *pause = (*pause).max((until - now).to_std().unwrap_or_default());
    }
    end_job(tx, job, next, job_end, now).await?;
    if next == NextStep::Done {
        follow(tx, types, &[Over::from(&row)], now).await?;
    } else {
        lane::refresh(tx, [job.id]).await?;
    }
    Ok(finished)
}

/// The last writes of a sync whose whole report was applied: missing rows, parents, follow-ups.
async fn end_sync(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    (job, end, finished): (&ClaimedJob, &mut Finish, &mut Finished),
    now: Timestamp,
) -> Result<(), StoreError> {
    let whose = (&job.agent, job.run);
    for (keys, mark, action) in [
        (&end.missing, ("missing_since", end.missed_at.unwrap_or(now)), "missing"),
        (&end.deleted, ("deleted_at", now), "delete"),
    ] {
        missing::mark(tx, spec, whose, mark, keys).await.map_err(StoreError::while_doing("mark missing rows"))?;
        let kept = changes::keep_gone(tx, spec, job, (action, keys), now).await;
        kept.map_err(StoreError::while_doing("keep what changed"))?;
    }
    let unjoined = parents::unjoin(tx, types, spec, &job.agent, &end.deleted).await;
    unjoined.map_err(StoreError::while_doing("part records from deleted parents"))?;
    if let Some(parent) = &spec.parent {
        let counted = parents::count_orphans(tx, spec, &[job.agent.as_str()]).await;
        let mut counted = counted.map_err(StoreError::while_doing("count orphans"))?;
        let (orphans, live) = counted.remove(job.agent.as_str()).unwrap_or_default();
        finished.counts.orphans = orphans;
        parents::warn_of_orphans(&mut end.notes, orphans, live, parent.sync_type.as_str());
    }
    finished.follow_ups = follow_up(tx, types, spec, job, now).await?;
    Ok(())
}

/// The job's row, if this attempt still holds it.
async fn held(tx: &DatabaseTransaction, job: &ClaimedJob) -> Result<entity::job::Model, StoreError> {
    let found = entity::job::Entity::find()
        .filter(is_held(job))
        // a batch that is being written ends first
        .lock_exclusive()
        .one(tx)
        .await;
    let found = found.map_err(StoreError::while_doing("check the lease"))?;
    found.ok_or(StoreError::LeaseLost { job: job.id, lease: job.lease })
}

/// Inserts the follow-up jobs that this run, or one before it that was stopped or killed, called for.
async fn follow_up(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    spec: &SyncTypeSpec,
    job: &ClaimedJob,
    now: Timestamp,
) -> Result<Vec<(JobType, Admission)>, StoreError> {
    let cleared = entity::job::Entity::update_many()
        .col_expr(C::FollowUpDue, Expr::val(false))
        .filter(C::JobType.eq(job.job_type.as_str()))
        .filter(C::AgentId.eq(job.agent.as_str()))
        .filter(Expr::cust("follow_up_due"))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("look for follow-ups"))?;
    if cleared.rows_affected == 0 {
        return Ok(Vec::new());
    }
    let children = spec.triggers.iter().filter_map(|name| types.get(name.as_str()));
    let children: Vec<NewJob> =
        children.map(|child| NewJob { parent: Some(job.id), ..child.job(&job.agent, Reason::Flow) }).collect();
    let names: Vec<JobType> = children.iter().map(|child| child.job_type.clone()).collect();
    let answers = admit_all(tx, children, None, now).await?.answers;
    Ok(names.into_iter().zip(answers).collect())
}

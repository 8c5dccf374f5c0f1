//! Which jobs are accepted? Asks the rules of admission, with what the database holds; many jobs at once.

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, prelude::*};

use serde_json::json;

use super::{
    admission_snapshot::facts,
    batch::{Admitted, Batch},
    claim::claim_in,
    dedup_cache::DedupCache,
    lane,
    take::take,
};
use crate::{
    domain::{Admission, Cause, Claim, Claimed, ClaimedJob, JobId, JobState, NewJob, Slot, Timestamp},
    store::{
        Store, StoreError,
        db::{bulk, statistics::Queue},
        schema::entity,
        settings::{
            audit::{self, Change},
            schedule::move_tick,
        },
    },
};

use entity::job::Column as C;

impl Store {
    /// Admits or refuses jobs, all in one durable transaction; one answer a job, in order. What can start at
    /// once is claimed in the same transaction, as far as `claim` has room.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was admitted and none claimed.
    pub async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), StoreError> {
        let is_new = |job: &&NewJob| job.refused_for.is_none();
        let key = |job| Some(job).filter(is_new).and_then(|job: &NewJob| job.dedup_key.clone());
        let keys: Vec<Option<String>> = jobs.iter().map(key).collect();
        self.note_growth(Queue::Jobs, jobs.len());
        let (inner, live) = (self.inner.clone(), self.inner.clone());
        let learn = move |(answers, _): &(Vec<Admission>, Option<Claimed>)| {
            let taken = keys.into_iter().zip(answers).filter_map(|(key, answer)| match answer {
                Admission::Accepted { job } | Admission::AlreadyQueued { job } => Some((key?, *job)),
                _ => None,
            });
            inner.dedup.learn(taken, now);
        };
        let write = self.inner.writer.write(
            move |tx| {
                Box::pin(async move {
                    let Some(mut claim) = claim else {
                        return Ok((admit_again(tx, &live.dedup, jobs, None, now).await?.answers, None));
                    };
                    let Admitted { answers, facts, mut started } =
                        admit_again(tx, &live.dedup, jobs, Some(&mut claim), now).await?;
                    let claimed = claim_in(tx, &claim, facts, now).await?;
                    started.extend(claimed.jobs);
                    Ok((answers, Some(Claimed { jobs: started, ..claimed })))
                })
            },
            learn,
        );
        write.await
    }

    /// The live job that has this in-flight key, as far as this process has seen it taken a moment ago: no look
    /// at the database, so another process may have ended it meanwhile.
    #[must_use]
    pub fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        self.inner.dedup.owner(key, now)
    }

    /// Moves a timer's slot and admits its jobs in one transaction; `None` if another process had
    /// moved it already, so that each slot fires once.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then the slot has not moved.
    pub async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if !move_tick(tx, &slot.sync_type, slot.due, slot.next).await? {
                    return Ok(None);
                }
                admit_all(tx, jobs, None, now).await.map(|admitted| Some(admitted.answers))
            })
        })
        .await
    }

    /// Admits one job and claims it at once, in one transaction; a job with its key that only waits is
    /// claimed instead. `None` if its agent is busy or has urgent work waiting, or the service is paused; then
    /// nothing is stored.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn enqueue_claimed(
        &self,
        job: NewJob,
        owner: String,
        now: Timestamp,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("claim a job");
                let running = entity::job::Entity::find().filter(lane::is(JobState::Active));
                let busy = running.filter(C::AgentId.eq(job.agent.as_str())).one(tx).await.map_err(&failed)?;
                let heads = lane::heads(tx, [job.agent.as_str()].into()).await?;
                // writes and downloads have negative keys: they come first
                if busy.is_some() || heads.values().any(|(order, _)| *order < 0) {
                    return Ok(None);
                }
                let answer = admit(tx, job, now).await?;
                let Some(id) = answer.job() else { return Ok(None) };
                let row = entity::job::Entity::find_by_id(id).into_partial_model().one(tx).await.map_err(&failed)?;
                let row = row.ok_or_else(|| StoreError::Missing(format!("job {id}")))?;
                Ok(take(tx, vec![row], &owner, now).await?.pop())
            })
        })
        .await
    }
}

/// Admits jobs, those apart that were refused from memory for a job that this process has ended since: that
/// job lived when they were refused.
async fn admit_again(
    tx: &DatabaseTransaction,
    live: &DedupCache,
    jobs: Vec<NewJob>,
    claim: Option<&mut Claim>,
    now: Timestamp,
) -> Result<Admitted, StoreError> {
    let rightly = |job: &NewJob| job.refused_for.filter(|winner| live.has_ended(*winner));
    let refused: Vec<Option<JobId>> = jobs.iter().map(rightly).collect();
    let open = jobs.into_iter().zip(&refused).filter(|(_, refused)| refused.is_none()).map(|(job, _)| job);
    let admitted = admit_all(tx, open.collect(), claim, now).await?;
    let mut answers = admitted.answers.into_iter();
    let told = refused.into_iter().map(|refused| match refused {
        Some(job) => Some(Admission::AlreadyQueued { job }),
        None => answers.next(),
    });
    let answers = told.collect::<Option<_>>().ok_or_else(|| StoreError::Missing("answer to a job".to_owned()))?;
    Ok(Admitted { answers, ..admitted })
}

/// Admits jobs one after the other, each knowing those before it.
pub(crate) async fn admit_all(
    tx: &DatabaseTransaction,
    jobs: Vec<NewJob>,
    claim: Option<&mut Claim>,
    now: Timestamp,
) -> Result<Admitted, StoreError> {
    let signed: Vec<Option<(Cause, Change)>> = jobs.iter().map(change).collect();
    let claim = claim.filter(|claim| claim.any + claim.urgent > 0);
    let facts = facts(tx, &jobs, claim.is_some(), now).await?;
    let mut batch = Batch::new(tx, claim, facts, now);
    for job in jobs {
        batch.admit(&job).await?;
    }
    let admitted = batch.end().await?;
    let taken = signed.into_iter().zip(&admitted.answers).filter_map(|(signed, answer)| {
        let ((by, change), job) = signed.zip(answer.job().filter(|_| answer.is_taken()))?;
        Some(audit::row(&by, Change { target: format!("job:{job}"), ..change }, now))
    });
    let noted = bulk::insert::<_, i64>(tx, taken.collect()).await;
    noted.map_err(StoreError::while_doing("note who asked for it"))?;
    Ok(admitted)
}

/// What is noted of a job that somebody asks for; an approval is noted as such.
fn change(job: &NewJob) -> Option<(Cause, Change)> {
    let by = job.by.clone().filter(|_| job.approves.is_none())?;
    let asked = json!({ "type": job.job_type, "agentId": job.agent, "reason": job.reason, "force": job.force });
    Some((by, Change::new("job.enqueue", "").to(asked)))
}

/// Admits one job.
pub(crate) async fn admit(tx: &DatabaseTransaction, job: NewJob, now: Timestamp) -> Result<Admission, StoreError> {
    let admitted = admit_all(tx, vec![job], None, now).await?;
    admitted.answers.into_iter().next().ok_or_else(|| StoreError::Missing("answer to a job".to_owned()))
}

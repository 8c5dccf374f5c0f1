//! What does the queue need of a database? The port that the store implements and tests replace; one
//! conformance suite holds every implementation to the same rules.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    domain::{
        Admission, Claim, Claimed, ClaimedJob, Heartbeat, HeartbeatReport, JobId, JobSelector, KeyState, Lease, NewJob,
        NextStep, Outcome, Pause, Retry, RunId, Slot, SourceReport, Timestamp,
    },
    store::{Finish, Job, JobQuery, Store, StoreError},
};

/// How an attempt ended, as far as the queue is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The outcome.
    pub outcome: Outcome,
    /// What becomes of the job.
    pub next: NextStep,
    /// What was learnt of the source.
    pub source: Option<SourceReport>,
}

/// What ended or was fetched before these moments is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Jobs.
    pub jobs: Timestamp,
    /// Runs.
    pub runs: Timestamp,
    /// Kept documents.
    pub documents: Timestamp,
    /// Documents that no job refers to: whoever brought them has had time to ask for one.
    pub unclaimed: Timestamp,
}

/// The durable side of the queue; each call is one transaction.
#[async_trait]
pub trait JobBoard: Send + Sync + 'static {
    /// See [`Store::enqueue`].
    async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), StoreError>;
    /// See [`Store::cached_holder`].
    fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId>;
    /// See [`Store::enqueue_slot`].
    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, StoreError>;
    /// See [`Store::approve`].
    async fn approve(&self, run: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, StoreError>;
    /// See [`Store::claim`].
    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, StoreError>;
    /// Ends an attempt; see [`Store::finish`].
    async fn end(&self, job: &ClaimedJob, end: End, now: Timestamp) -> Result<(), StoreError>;
    /// See [`Store::heartbeat`].
    async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, StoreError>;
    /// See [`Store::rescue`].
    async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, StoreError>;
    /// See [`Store::undo_claim`].
    async fn undo_claim(&self, job: Lease<JobId>, owner: String, now: Timestamp) -> Result<bool, StoreError>;
    /// See [`Store::request_stop`].
    async fn request_stop(&self, meant: JobSelector, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), StoreError>;
    /// See [`Store::retry`].
    async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, StoreError>;
    /// See [`Store::key`].
    async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError>;
    /// See [`Store::remove_key`].
    async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError>;
    /// See [`Store::set_pause`].
    async fn set_pause(&self, pause: Option<Pause>) -> Result<(), StoreError>;
    /// See [`Store::set_limits`].
    async fn set_limits(
        &self,
        limits: BTreeMap<String, Option<usize>>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, usize>, StoreError>;
    /// See [`Store::reset_breaker`].
    async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<bool, StoreError>;
    /// See [`Store::clean_jobs`], [`Store::clean_runs`] and [`Store::clean_kept`]. Answers how many jobs are gone.
    async fn clean(&self, before: Before, now: Timestamp) -> Result<u64, StoreError>;
    /// See [`Store::jobs`].
    async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError>;
}

#[async_trait]
impl JobBoard for Store {
    async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), StoreError> {
        Store::enqueue(self, jobs, claim, now).await
    }

    fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        Store::cached_holder(self, key, now)
    }

    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, StoreError> {
        Store::enqueue_slot(self, slot, jobs, now).await
    }

    async fn approve(&self, run: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, StoreError> {
        Store::approve(self, run, job, now).await
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        Store::claim(self, claim, now).await
    }

    async fn end(&self, job: &ClaimedJob, end: End, now: Timestamp) -> Result<(), StoreError> {
        let finish = Finish { outcome: Some(end.outcome), source: end.source, ..Finish::default() };
        Store::finish(self, job, finish, end.next, now).await.map(|_| ())
    }

    async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, StoreError> {
        Store::heartbeat(self, owner, running, now).await
    }

    async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, StoreError> {
        Store::rescue(self, dead, now).await
    }

    async fn undo_claim(&self, job: Lease<JobId>, owner: String, now: Timestamp) -> Result<bool, StoreError> {
        Store::undo_claim(self, job, owner, now).await
    }

    async fn request_stop(&self, meant: JobSelector, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        Store::request_stop(self, meant, now).await
    }

    async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, StoreError> {
        Store::retry(self, job, even_if_done, now).await
    }

    async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError> {
        Store::key(self, key, now).await
    }

    async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError> {
        Store::remove_key(self, key, job, now).await
    }

    async fn set_pause(&self, pause: Option<Pause>) -> Result<(), StoreError> {
        Store::set_pause(self, pause).await
    }

    async fn set_limits(
        &self,
        limits: BTreeMap<String, Option<usize>>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, usize>, StoreError> {
        Store::set_limits(self, limits, now).await
    }

    async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        Ok(Store::reset_breaker(self, id, now).await?.is_some())
    }

    async fn clean(&self, before: Before, now: Timestamp) -> Result<u64, StoreError> {
        self.clean_runs(before.runs).await?;
        self.clean_kept(before.documents).await?;
        self.clean_documents(before.unclaimed).await?;
        let forgotten = self.clean_jobs(before.jobs, now).await?;
        self.give_back_space().await?;
        Ok(forgotten)
    }

    async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError> {
        Store::jobs(self, wanted).await
    }
}

//! How does the store keep the queue's jobs? Each call of the port is one of its transactions.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use super::port::{Before, BoardError, JobBoard};
use crate::{
    domain::{
        Admission, Cause, Claim, Claimed, Heartbeat, HeartbeatReport, JobId, JobSelector, Lease, NewJob, Outcome,
        Pause, Retry, RunId, Slot, Timestamp,
    },
    store::{Store, StoreError},
};

impl From<StoreError> for BoardError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

#[async_trait]
impl JobBoard for Store {
    fn by(self: Arc<Self>, by: Cause, at: Timestamp) -> Arc<dyn JobBoard> {
        Arc::new(Store::by(&self, by, at))
    }

    async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), BoardError> {
        Ok(Store::enqueue(self, jobs, claim, now).await?)
    }

    fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        Store::cached_holder(self, key, now)
    }

    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, BoardError> {
        Ok(Store::enqueue_slot(self, slot, jobs, now).await?)
    }

    async fn approve(&self, run: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, BoardError> {
        Ok(Store::approve(self, run, job, now).await?)
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, BoardError> {
        Ok(Store::claim(self, claim, now).await?)
    }

    async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, BoardError> {
        Ok(Store::heartbeat(self, owner, running, now).await?)
    }

    async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, BoardError> {
        Ok(Store::rescue(self, dead, now).await?)
    }

    async fn undo_claim(&self, job: Lease<JobId>, owner: String, now: Timestamp) -> Result<bool, BoardError> {
        Ok(Store::undo_claim(self, job, owner, now).await?)
    }

    async fn request_stop(&self, meant: JobSelector, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), BoardError> {
        Ok(Store::request_stop(self, meant, now).await?)
    }

    async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, BoardError> {
        Ok(Store::retry(self, job, even_if_done, now).await?)
    }

    async fn set_pause(&self, pause: Option<Pause>) -> Result<(), BoardError> {
        Ok(Store::set_pause(self, pause).await?)
    }

    async fn set_limits(
        &self,
        limits: BTreeMap<String, Option<usize>>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, usize>, BoardError> {
        Ok(Store::set_limits(self, limits, now).await?)
    }

    async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<bool, BoardError> {
        Ok(Store::reset_breaker(self, id, now).await?.is_some())
    }

    async fn clean(&self, before: Before, now: Timestamp) -> Result<u64, BoardError> {
        self.clean_runs(before.runs).await?;
        self.clean_changes(before.changes).await?;
        self.clean_alerts(before.changes).await?;
        self.clean_audit(before.audit).await?;
        self.clean_requests(now).await?;
        self.forget_sessions(now).await?;
        self.clean_kept(before.documents).await?;
        self.clean_documents(before.unclaimed).await?;
        let forgotten = self.clean_jobs(before.jobs, now).await?;
        self.give_back_space().await?;
        Ok(forgotten)
    }
}

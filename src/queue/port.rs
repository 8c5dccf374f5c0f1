//! What does the queue need of a database? The port that the store implements and tests replace.

use async_trait::async_trait;

use crate::{
    domain::{Admission, ClaimedJob, JobId, NewJob, RunId, SyncType, Timestamp},
    store::{Heartbeat, Slot, Store, StoreError},
};

/// The durable side of the queue; each call is one transaction.
#[async_trait]
pub trait JobBoard: Send + Sync + 'static {
    /// See [`Store::enqueue`].
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Admission>, StoreError>;
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
    async fn claim(&self, slots: usize, owner: String, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError>;
    /// See [`Store::next_due`].
    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
    /// See [`Store::heartbeat`].
    async fn heartbeat(&self, owner: String, running: Vec<JobId>) -> Result<Heartbeat, StoreError>;
    /// See [`Store::rescue`].
    async fn rescue(&self, job: JobId, lease: i64, now: Timestamp) -> Result<bool, StoreError>;
    /// See [`Store::request_stop`].
    async fn request_stop(
        &self,
        job: Option<JobId>,
        sync_type: Option<SyncType>,
        now: Timestamp,
    ) -> Result<(Vec<JobId>, Vec<JobId>), StoreError>;
}

#[async_trait]
impl JobBoard for Store {
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Admission>, StoreError> {
        Store::enqueue(self, jobs, now).await
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

    async fn claim(&self, slots: usize, owner: String, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError> {
        Store::claim(self, slots, owner, now).await
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Store::next_due(self, now).await
    }

    async fn heartbeat(&self, owner: String, running: Vec<JobId>) -> Result<Heartbeat, StoreError> {
        Store::heartbeat(self, owner, running).await
    }

    async fn rescue(&self, job: JobId, lease: i64, now: Timestamp) -> Result<bool, StoreError> {
        Store::rescue(self, job, lease, now).await
    }

    async fn request_stop(
        &self,
        job: Option<JobId>,
        sync_type: Option<SyncType>,
        now: Timestamp,
    ) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        Store::request_stop(self, job, sync_type, now).await
    }
}

//! What do tests ask of a board besides what the queue does?

use async_trait::async_trait;

use crate::{
    domain::{ClaimedJob, JobId, KeyState, NextStep, Outcome, SourceReport, Timestamp},
    queue::JobBoard,
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

/// A board whose jobs a test can end and look at.
#[async_trait]
pub trait TestBoard: JobBoard {
    /// Ends an attempt; see [`Store::finish`].
    async fn end(&self, job: &ClaimedJob, end: End, now: Timestamp) -> Result<(), StoreError>;
    /// See [`Store::key`].
    async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError>;
    /// See [`Store::remove_key`].
    async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError>;
    /// See [`Store::jobs`].
    async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError>;
}

#[async_trait]
impl TestBoard for Store {
    async fn end(&self, job: &ClaimedJob, end: End, now: Timestamp) -> Result<(), StoreError> {
        let finish = Finish { outcome: Some(end.outcome), source: end.source, ..Finish::default() };
        Store::finish(self, job, finish, end.next, now).await.map(|_| ())
    }

    async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError> {
        Store::key(self, key, now).await
    }

    async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError> {
        Store::remove_key(self, key, job, now).await
    }

    async fn jobs(&self, wanted: JobQuery) -> Result<Vec<Job>, StoreError> {
        Store::jobs(self, wanted).await
    }
}

//! What does the queue need of whoever keeps its jobs? The port that the store implements and tests replace; one
//! conformance suite holds every implementation to the same rules.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use async_trait::async_trait;

use crate::domain::{
    Admission, Cause, Claim, Claimed, Heartbeat, HeartbeatReport, JobId, JobSelector, Lease, NewJob, Outcome, Pause,
    Retry, RunId, Slot, Timestamp,
};

/// What ended or was fetched before these moments is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    pub jobs: Timestamp,
    pub runs: Timestamp,
    /// Kept documents.
    pub documents: Timestamp,
    /// What became of records, and what needed a person.
    pub changes: Timestamp,
    /// Who changed what.
    pub audit: Timestamp,
    /// Documents that no job refers to: whoever brought them has had time to ask for one.
    pub unclaimed: Timestamp,
}

/// The board could not be asked, or its answer was lost on the way.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BoardError(pub Box<dyn Error + Send + Sync>);

/// The durable side of the queue; each call is one transaction.
#[async_trait]
pub trait JobBoard: Send + Sync + 'static {
    /// The same board, where what people can change is noted as changed by `by` at `at`.
    fn by(self: Arc<Self>, by: Cause, at: Timestamp) -> Arc<dyn JobBoard>;
    /// See [`crate::store::Store::enqueue`].
    async fn enqueue(
        &self,
        jobs: Vec<NewJob>,
        claim: Option<Claim>,
        now: Timestamp,
    ) -> Result<(Vec<Admission>, Option<Claimed>), BoardError>;
    /// See [`crate::store::Store::cached_holder`].
    fn cached_holder(&self, key: &str, now: Timestamp) -> Option<JobId>;
    /// See [`crate::store::Store::enqueue_slot`].
    async fn enqueue_slot(
        &self,
        slot: Slot,
        jobs: Vec<NewJob>,
        now: Timestamp,
    ) -> Result<Option<Vec<Admission>>, BoardError>;
    /// See [`crate::store::Store::approve`].
    async fn approve(&self, run: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, BoardError>;
    /// See [`crate::store::Store::claim`].
    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, BoardError>;
    /// See [`crate::store::Store::heartbeat`].
    async fn heartbeat(
        &self,
        owner: String,
        running: Vec<Lease<JobId>>,
        now: Timestamp,
    ) -> Result<HeartbeatReport, BoardError>;
    /// See [`crate::store::Store::rescue`].
    async fn rescue(&self, dead: Heartbeat<JobId>, now: Timestamp) -> Result<Option<Outcome>, BoardError>;
    /// See [`crate::store::Store::undo_claim`].
    async fn undo_claim(&self, job: Lease<JobId>, owner: String, now: Timestamp) -> Result<bool, BoardError>;
    /// See [`crate::store::Store::request_stop`].
    async fn request_stop(&self, meant: JobSelector, now: Timestamp) -> Result<(Vec<JobId>, Vec<JobId>), BoardError>;
    /// See [`crate::store::Store::retry`].
    async fn retry(&self, job: JobId, even_if_done: bool, now: Timestamp) -> Result<Retry, BoardError>;
    /// See [`crate::store::Store::set_pause`].
    async fn set_pause(&self, pause: Option<Pause>) -> Result<(), BoardError>;
    /// See [`crate::store::Store::set_limits`].
    async fn set_limits(
        &self,
        limits: BTreeMap<String, Option<usize>>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, usize>, BoardError>;
    /// See [`crate::store::Store::reset_breaker`].
    async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<bool, BoardError>;
    /// See [`crate::store::Store::clean_jobs`], [`crate::store::Store::clean_runs`] and [`crate::store::Store::clean_kept`]. Answers how many jobs are gone.
    async fn clean(&self, before: Before, now: Timestamp) -> Result<u64, BoardError>;
}

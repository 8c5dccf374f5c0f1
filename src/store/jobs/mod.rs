//! Which jobs are accepted, start, stop and are over? The queue, as statements.

pub(crate) mod admission_snapshot;
pub(crate) mod admit;
mod batch;
pub(crate) mod breaker;
pub(crate) mod choose;
pub(crate) mod claim;
pub(crate) mod controls;
pub(crate) mod dedup_cache;
pub(crate) mod flow;
pub(crate) mod follow;
pub(crate) mod keys;
pub(crate) mod lane;
pub(crate) mod lease;
pub(crate) mod query;
pub(crate) mod retry;
pub(crate) mod row;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod take;

pub use breaker::StoredBreaker;
pub use query::{Job, JobQuery};

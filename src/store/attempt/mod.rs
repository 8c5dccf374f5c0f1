//! How are a run's changes and its end written? The only room that knows jobs, runs, documents and records.

pub(crate) mod apply;
pub(crate) mod end_job;
pub(crate) mod finish;
pub(crate) mod finish_batch;
pub(crate) mod hold;

pub use apply::{Applied, Batches, Pace};
pub use finish::Finished;

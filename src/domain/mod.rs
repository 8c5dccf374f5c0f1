//! Which words do all other folders use? Ids, values, records, runs and jobs: pure data, no IO.

pub mod id;
pub mod job;
pub mod record;
pub mod run;
pub mod value;

pub use id::{AgentId, JobId, RunId, SERVICE_ACCOUNT, SyncType};
pub use job::{ClaimedJob, JobState, Reason};
pub use record::Record;
pub use run::{Counts, Outcome, Stage};
pub use value::Value;

/// A moment in UTC. Every time in the database, in logs and in answers is one of these.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Tells the time. Pure cores take `now` as an argument; shells ask a `Clock` for it, so that
/// tests decide what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

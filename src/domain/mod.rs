//! Which words do all other folders use? Ids, values, records, runs and jobs: pure data, no IO.

pub mod clock;
pub mod id;
pub mod job;
pub mod record;
pub mod run;
pub mod value;

pub use clock::Clock;
pub use id::{AgentId, JobId, RunId, SERVICE_ACCOUNT, SyncType};
pub use job::{Admission, ClaimedJob, JobState, NewJob, NextStep, Reason, RetryPolicy};
pub use record::Record;
pub use run::{Counts, Outcome, Stage};
pub use value::Value;

/// A moment in UTC. Every time in the database, in logs and in answers is one of these.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

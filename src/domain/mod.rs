//! Which words do all other folders use? Ids, values, records, runs and jobs: pure data, no IO.

pub mod admission;
pub mod attention;
pub mod breaker;
pub mod caller;
pub mod class;
pub mod clock;
pub mod flow;
pub mod gate;
pub mod id;
pub mod item;
pub mod job;
pub mod lease;
mod log_line;
pub mod queue;
pub mod random;
pub mod reason;
mod recent;
pub mod record;
pub mod run;
pub mod session;
pub mod standing;
pub mod sync_state;
pub mod text;
pub mod value;

pub use admission::{Admission, Mode, Window};
pub use attention::{Kind as AttentionKind, Severity};
pub use breaker::{Breaker, BreakerEvent, BreakerPolicy};
pub use caller::{Agents, Caller, Cause, Role, Token};
pub use class::{Class, RetryPolicy};
pub use clock::Clock;
pub use flow::{ChildFailure, FlowOutcome};
pub use gate::Pause;
pub use id::{AgentId, DocumentId, ItemId, JobId, JobType, PlanDigest, RunId, SERVICE_ACCOUNT, SyncType};
pub use item::{Action, Item, ItemStatus, Models, NewItem};
pub use job::{ClaimedJob, JobState, NewJob, NextStep, Phase};
pub use lease::{Heartbeat, Lease, LeaseWatch};
pub use log_line::LogLine;
pub use queue::{Claim, Claimed, HeartbeatReport, JobSelector, KeyState, Retry, Slot, SourceReport};
pub use reason::Reason;
pub use recent::{RECENT, Recent, RecentRun};
pub use record::{Printed, Record};
pub use run::{Counts, Hold, Outcome, Stage};
pub use session::{Holder, Keys};
pub use standing::Standing;
pub use sync_state::{Ended, SyncState};
pub use value::Value;

/// A moment in UTC. Every time in the database, in logs and in answers is one of these.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

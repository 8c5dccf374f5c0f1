//! How does one run go? The pipeline of one attempt, and the actor of a sync type that carries runs out.

pub mod actor;
mod attempt;
mod context;
mod end;
mod error;
mod fetch;
mod pipeline;
mod plan;
pub mod port;

pub use actor::{Attach, Attached, Run, Running, Snapshot, Stop, SyncActor, WorkerActor};
pub use attempt::Runner;
pub use context::Context;
pub use end::{learnt, next_step, record_end};
pub use error::RunError;
pub use plan::preview;
pub use port::{RunEnd, RunJob, StopHandle, StopReason, Watch};

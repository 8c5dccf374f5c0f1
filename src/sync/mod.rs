//! How does one run go? The pipeline of one attempt, and the actor of a sync type that carries runs out.

pub mod actor;
mod attempt;
mod end;
mod fetch;
mod pipeline;
mod plan;
pub mod port;

pub use actor::{Run, Running, Status, Stop, SyncActor};
pub use attempt::Runner;
pub use end::{learnt, next_step, record_end};
pub use pipeline::{Context, Problem};
pub use plan::preview;
pub use port::{RunEnd, RunJob, StopHandle, StopReason, Watch};

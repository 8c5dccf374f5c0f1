//! Which job is next? Pure rules with `now` as an argument, and the actor that carries them out.

pub mod actor;
mod admin;
mod board;
mod bounds;
mod heartbeat;
mod intake;
mod lease_keeper;
pub mod message;
pub mod port;
mod preemption;
mod requests;
mod stored;

pub use actor::{Keep, Parts, QueueActor, QueueSettings};
pub use lease_keeper::Begun;
pub use message::{
    Approve, Drain, Enqueue, EnqueueMany, EnqueueTick, Look, PurgeJobs, QueueError, QueueSnapshot, ResetBreaker,
    RetryJob, SetLimits, SetPause, Snapshot, StopJobs, StopReport, Wake,
};
pub use port::{Before, BoardError, JobBoard};

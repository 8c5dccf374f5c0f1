//! Which job is next? Pure rules with `now` as an argument, and the actor that carries them out.

pub mod actor;
mod alive;
mod board;
mod bounds;
mod desk;
pub mod message;
pub mod port;
mod steer;

pub use actor::{Keep, Parts, QueueActor, QueueSettings, Worker};
pub use message::{
    Approve, Drain, Enqueue, EnqueueMany, EnqueueTick, Look, PurgeJobs, QueueError, QueueSnapshot, ResetBreaker,
    RetryJob, SetLimits, SetPause, Snapshot, StopJobs, StopReport, Wake,
};
pub use port::{Before, End, JobBoard};

//! Which job is next? Pure rules with `now` as an argument, and the actor that carries them out.

pub mod actor;
mod board;
mod lease_watch;
pub mod message;
pub mod port;

pub use actor::{QueueActor, QueueSettings, Worker};
pub use lease_watch::LeaseWatch;
pub use message::{Approve, Drain, Enqueue, EnqueueTick, QueueError, QueueSnapshot, Snapshot, StopJobs, StopReport};
pub use port::JobBoard;

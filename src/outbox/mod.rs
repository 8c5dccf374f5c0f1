//! How do changes and requests go out? Operations, the write-back queue, and the sinks that have their effects.

mod actor;
mod admin;
mod effect;
mod heartbeat;
mod lease_keeper;
mod message;
mod routes;
mod runner;
mod sink;
pub mod sinks;
mod turn;

pub use actor::{OutboxActor, OutboxParts, OutboxSettings};
pub use message::{
    CleanupCompleted, CompleteItems, DequeueItems, DiscardItem, DrainOutbox, EnqueueItems, EnqueueItemsOnce, FailItem,
    IsAtRest, LookForItems, OfferItems, OutboxError, OutboxStats, RedriveItem, RedriveItems, ResetStuck, SinkDepth,
    SinkState, Stats,
};
pub use routes::{Named, Routes};
pub use runner::OperationRunner;
pub use sink::{Answers, Delivered, Delivery, NoSink, Sink, SinkError};

//! How do local changes go out? The write-back queue: claimed for each sink, delivered, recorded.

mod actor;
mod admin;
mod heartbeat;
mod lease_keeper;
mod message;
mod turn;

pub use actor::{OutboxActor, OutboxParts, OutboxSettings};
pub use message::{
    CleanupCompleted, CompleteItems, DequeueItems, DiscardItem, DrainOutbox, EnqueueItems, EnqueueItemsOnce, FailItem,
    LookForItems, OfferItems, OutboxError, OutboxSnapshot, OutboxStats, RedriveItem, RedriveItems, ResetStuck,
    SinkDepth, SinkState, Snapshot, Stats,
};

//! What can be asked of the outbox, and what does it answer?

use actix::prelude::*;
use serde::Serialize;

use crate::{
    domain::{
        ItemId, ItemStatus, Lease, NewItem, Timestamp,
        item::{AfterFailure, Failure, ItemRefusal},
    },
    store::{ClaimedItems, StoreError},
};

/// The outbox cannot do it.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// An item does not fit; `place` counts from 0 among those that were given.
    #[error("{refusal}")]
    Refused {
        /// Which.
        place: usize,
        /// Why.
        refusal: ItemRefusal,
    },
    /// A number is out of its bounds.
    #[error("{what} must be {expected}")]
    OutOfRange {
        /// Which number, as it is called in requests.
        what: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// The items of this model are delivered by a sink: nobody else may fetch them.
    #[error("the items of '{model}' are delivered by the sink '{sink}'")]
    HasSink {
        /// The model.
        model: String,
        /// Its sink.
        sink: String,
    },
    /// No model of this name is configured.
    #[error("there is no model '{0}'")]
    UnknownModel(String),
    /// The database failed, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Queue changes, all or none, in one durable transaction. Reply: their numbers, in order.
///
/// At most 500 at once; each is checked against the configured models and bounds first.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "Result<Vec<ItemId>, OutboxError>")]
pub struct EnqueueItems(pub Vec<NewItem>);

/// As [`EnqueueItems`], but once: the same key again answers the numbers of the first time, for as long as its items
/// are remembered; with other changes it is refused as a mistake.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "Result<Vec<ItemId>, OutboxError>")]
pub struct EnqueueItemsOnce {
    /// The caller's name for this request: 1 to 200 bytes.
    pub key: String,
    /// The changes.
    pub items: Vec<NewItem>,
}

/// Queue changes if that is possible, for callers that must not fail by it: what goes wrong is logged. No reply
/// is awaited.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct OfferItems(pub Vec<NewItem>);

/// Fetch items of models that have no sink, oldest first, never two of one record. Whoever fetches them ends each
/// with [`CompleteItems`] or [`FailItem`] within ten minutes, naming its lease; afterwards they are taken back.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<ClaimedItems, OutboxError>")]
pub struct DequeueItems {
    /// Of these models; `None` is all that have no sink.
    pub models: Option<Vec<String>>,
    /// 1 to 100; 25 where nothing is said.
    pub batch: Option<u64>,
}

/// Items have arrived: each with the lease under which it was fetched. Reply: those that were not held under
/// their lease any more, of which nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<Lease<ItemId>>, OutboxError>")]
pub struct CompleteItems(pub Vec<(Lease<ItemId>, Option<i64>)>);

/// An item could not be delivered. Reply: what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<AfterFailure, OutboxError>")]
pub struct FailItem {
    /// The item, and the lease under which it was fetched.
    pub held: Lease<ItemId>,
    /// What is known of the effect.
    pub failure: Failure,
    /// Why; it is kept without secrets, personal data and stack traces, 500 characters at most.
    pub error: String,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
}

/// Take back what has been PROCESSING for longer than so many minutes. Reply: how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<u64, OutboxError>")]
pub struct ResetStuck {
    /// 1 to 10080; 10 where nothing is said.
    pub minutes: Option<u32>,
}

/// Forget what was completed longer ago than so many days. Reply: how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<u64, OutboxError>")]
pub struct CleanupCompleted {
    /// 0 to 3650; the setting `sink.keep_days` where nothing is said.
    pub days: Option<u32>,
}

/// Try a FAILED item anew, with all its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), OutboxError>")]
pub struct RedriveItem {
    pub item: ItemId,
    /// A person's word that what may have been delivered is to be delivered even so.
    pub even_if_done: bool,
}

/// Try all FAILED items of a model, or of all, anew, except those that may have been delivered and must not be
/// twice. Reply: how many.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<u64, OutboxError>")]
pub struct RedriveItems {
    pub model: Option<String>,
}

/// Give a FAILED item up for good: later items of its record go on without it.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), OutboxError>")]
pub struct DiscardItem {
    pub item: ItemId,
    /// Whose word it is.
    pub by: String,
}

/// How deep is the queue, and how are the sinks?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<Stats, OutboxError>")]
pub struct OutboxStats;

/// The queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Items that wait.
    pub pending: u64,
    /// Items that are being delivered.
    pub processing: u64,
    /// Items that were delivered or discarded, and are not forgotten yet.
    pub completed: u64,
    /// Items that were given up.
    pub failed: u64,
    /// The same by model.
    pub models: Vec<SinkDepth>,
    /// The sinks, as this process sees them.
    pub sinks: Vec<SinkState>,
}

/// Items of one model and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkDepth {
    pub model: String,
    /// Who has its items; `None` if they wait to be fetched.
    pub sink: Option<String>,
    /// Is it a model of the configuration? Nothing becomes of the items of another.
    pub is_configured: bool,
    pub status: ItemStatus,
    pub items: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// One sink, as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkState {
    pub name: String,
    /// What it has.
    pub models: Vec<String>,
    /// Batches under way.
    pub under_way: usize,
    /// It cannot be used, and is left alone until then.
    pub closed_until: Option<Timestamp>,
}

/// There may be items to deliver: look. Looks that come while one is under way are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LookForItems;

/// Is nothing that was offered still to be stored, and nothing being claimed or delivered? Reply: if so, nothing more
/// will happen until somebody asks for something, or a moment comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "OutboxSnapshot")]
pub struct Snapshot;

/// The outbox of this process at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, MessageResponse)]
pub struct OutboxSnapshot {
    /// Items that are being delivered here, each under its lease.
    pub in_hand: Vec<Lease<ItemId>>,
    /// Each sink.
    pub sinks: Vec<SinkState>,
    /// Until something is queued, or a moment comes, nothing more will happen.
    pub at_rest: bool,
}

/// Begin nothing more; reply when nothing is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct DrainOutbox;

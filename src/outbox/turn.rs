//! How does one turn of a sink go? Its items are delivered, and each answer is recorded under its lease.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::{
    domain::{
        Breaker, BreakerEvent, BreakerPolicy, Clock, Item, ItemId, Lease, Timestamp,
        clock::after,
        item::{AfterFailure, Failure},
        text::on_record,
    },
    event::{Bus, Event},
    sink::{Delivered, Delivery, Sink, SinkError},
    store::{Store, StoreError, Undelivered},
};

/// Answers that are recorded in one transaction.
const AT_ONCE: usize = 100;
/// An item for which the sink could not be used: why, and for how long it asks.
type Away = (Lease<ItemId>, String, Option<Duration>);

/// A receiver that is being deployed is waited for so long after the change was made.
const PATIENCE: chrono::Duration = chrono::Duration::hours(24);

/// A sink that cannot be used is left alone: so long at first, doubled each time that it fails again.
const CLOSED: BreakerPolicy =
    BreakerPolicy { failures: 1, open: Duration::from_secs(2), max_open: Duration::from_secs(300) };

/// Such an item is tried again after so long at the earliest.
const AGAIN: Duration = Duration::from_secs(2);
/// While the database is away, what the other side has is recorded as soon as it is back: tried so often, ...
const TRIES: u32 = 120;
/// ... with such pauses.
const PAUSE: Duration = Duration::from_millis(500);

/// What this process holds at the moment; only this gets heartbeats.
#[derive(Debug, Clone, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<Lease<ItemId>>>>);

impl InHand {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Lease<ItemId>>> {
        self.0.lock()
    }

    pub(super) fn all(&self) -> Vec<Lease<ItemId>> {
        self.lock().iter().copied().collect()
    }

    fn drop_all(&self, items: &[Lease<ItemId>]) {
        let mut held = self.lock();
        for one in items {
            held.remove(one);
        }
    }
}

/// Items in hand, until they are recorded: a turn that panics lets go of what is left, and it is rescued.
struct Grip(InHand, Vec<Lease<ItemId>>);

impl Drop for Grip {
    fn drop(&mut self) {
        self.0.drop_all(&self.1);
    }
}

/// One sink at work.
pub(super) struct Post {
    pub store: Store,
    pub bus: Bus,
    pub clock: Arc<dyn Clock>,
    pub name: String,
    pub sink: Arc<dyn Sink>,
    pub in_hand: InHand,
    /// Told when items have arrived while others of their turn are still under way: the next of their records may go.
    pub arrived: Arc<Notify>,
    /// The longest turn.
    pub time_limit: Duration,
    /// How many turns are under way, whoever began them.
    pub under_way: AtomicUsize,
    /// Is the sink left alone?
    pub breaker: Mutex<Breaker>,
}

/// One turn under way; ends when dropped, and its sink is judged before that can be seen.
pub(super) struct UnderWay {
    post: Arc<Post>,
    learnt: Option<Learnt>,
}

impl UnderWay {
    /// Ends with what was learnt.
    pub(super) fn end(mut self, learnt: Learnt) {
        self.learnt = Some(learnt);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let learnt = self.learnt.unwrap_or_else(|| {
            tracing::error!(sink = self.post.name, "a turn of this sink panicked");
            Learnt { troubled: true, ..Learnt::default() }
        });
        self.post.judge(learnt);
        self.post.under_way.fetch_sub(1, Ordering::SeqCst);
        // whoever began it may not live any more
        self.post.arrived.notify_one();
    }
}

/// What a turn has learnt of its sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Learnt {
    /// It took or refused some change: it works.
    pub works: bool,
    /// Some change failed otherwise: it is away, perhaps.
    pub troubled: bool,
    /// It asks to be left alone so long.
    pub wait: Duration,
}

impl Post {
    /// How many turns are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// One more turn.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay { post: self.clone(), learnt: None }
    }

    /// Leaves the sink alone for a while if it cannot be used, or asks for that.
    fn judge(&self, learnt: Learnt) {
        let (mut breaker, now) = (self.breaker.lock(), self.clock.now());
        if learnt.troubled && (!learnt.works || !learnt.wait.is_zero()) {
            // of several turns that failed together, one closes it
            if breaker.open_until().is_none_or(|until| until <= now) {
                *breaker = breaker.on(BreakerEvent::Failed, CLOSED, now);
            }
            let asked = after(now, learnt.wait);
            if let Breaker::Open { until, .. } = &mut *breaker {
                *until = asked.max(*until);
            }
        } else if learnt.works {
            *breaker = breaker.on(BreakerEvent::Answered, CLOSED, now);
        }
    }

    /// Delivers items that this process has just claimed, and records how that went.
    pub(super) async fn turn(&self, items: Vec<Item>) -> Learnt {
        let held: Vec<Lease<ItemId>> = items.iter().map(Item::held).collect();
        self.in_hand.lock().extend(held.iter().copied());
        let grip = Grip(self.in_hand.clone(), held.clone());
        let batch = items.iter().map(Delivery::from).collect();
        let mut open: BTreeSet<usize> = (0..items.len()).collect();
        let (mut learnt, mut away) = (Learnt::default(), Vec::new());
        let deadline = tokio::time::Instant::now() + self.time_limit;
        let mut answers = self.sink.deliver(batch).ready_chunks(AT_ONCE);
        while let Ok(Some(chunk)) = tokio::time::timeout_at(deadline, answers.next()).await {
            let fresh: Vec<_> = chunk.into_iter().filter(|(place, _)| open.remove(place)).collect();
            self.record(&items, fresh, &mut learnt, &mut away).await;
            if !open.is_empty() {
                self.arrived.notify_one();
            }
        }
        drop(answers);
        let silent = || Err(SinkError::Unknown("the sink gave no answer in time".to_owned()));
        let rest = open.into_iter().map(|place| (place, silent())).collect();
        self.record(&items, rest, &mut learnt, &mut away).await;
        self.hand_back(away, learnt).await;
        drop(grip);
        learnt
    }

    async fn record(
        &self,
        items: &[Item],
        answers: Vec<(usize, Result<Delivered, SinkError>)>,
        learnt: &mut Learnt,
        away: &mut Vec<Away>,
    ) {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (place, answer) in answers {
            let held = items[place].held();
            match answer {
                Ok(Delivered { row, .. }) => {
                    learnt.works = true;
                    done.push((held, row));
                }
                Err(SinkError::NotThere(text)) if self.clock.now() - items[place].created_at < PATIENCE => {
                    learnt.troubled = true;
                    away.push((held, text, None));
                }
                Err(SinkError::NotThere(text)) => {
                    learnt.troubled = true;
                    let hours = PATIENCE.num_hours();
                    failed.push((held, SinkError::Refused(format!("{text}, for more than {hours} hours"))));
                }
                Err(SinkError::Unavailable { text, retry_after }) => {
                    learnt.troubled = true;
                    learnt.wait = learnt.wait.max(retry_after.unwrap_or_default());
                    away.push((held, text, retry_after));
                }
                Err(error) => {
                    let is_refused = error.failure() == Failure::Refused;
                    learnt.works |= is_refused;
                    learnt.troubled |= !is_refused;
                    failed.push((held, error));
                }
            }
        }
        self.complete(done).await;
        for (held, error) in failed {
            self.fail(held, &error).await;
        }
    }

    /// Items for which the sink could not be used wait, and no attempt is counted. But where it works for others of
    /// the same turn, and asks for no time, it is the item: that is an attempt, or it would be tried for ever.
    async fn hand_back(&self, away: Vec<Away>, learnt: Learnt) {
        let (its_own, away): (Vec<Away>, Vec<Away>) =
            away.into_iter().partition(|(_, _, wait)| learnt.works && wait.is_none());
        for (held, text, _) in its_own {
            self.fail(held, &SinkError::NotSent(text)).await;
        }
        let Some((_, text, _)) = away.first() else { return };
        let (text, held) = (on_record(text), away.iter().map(|(held, _, _)| *held).collect::<Vec<Lease<ItemId>>>());
        // behind what has not been tried yet: the next try is another item's
        let until = self.after(learnt.wait.max(AGAIN));
        tracing::warn!(sink = self.name, error = text, items = held.len(), "the sink cannot be used; items wait");
        self.bus.publish(Event::SinkUnavailable { sink: self.name.clone(), error: text.clone() });
        let back = || {
            let (store, held, text) = (self.store.clone(), held.clone(), text.clone());
            async move { store.release_items(held, Some(text), until).await }
        };
        // what cannot be handed back is rescued
        persistent("hand items back", back).await;
        self.in_hand.drop_all(&held);
    }

    fn after(&self, wait: Duration) -> Timestamp {
        after(self.clock.now(), wait)
    }

    async fn complete(&self, done: Vec<(Lease<ItemId>, Option<i64>)>) {
        if done.is_empty() {
            return;
        }
        let complete = || {
            let (store, done, now) = (self.store.clone(), done.clone(), self.clock.now());
            async move { store.complete_items(done, now).await }
        };
        let Some(late) = persistent("complete items", complete).await else { return };
        for Lease { id, number } in &late {
            tracing::warn!(
                item = id.0,
                lease = number,
                "an item was taken over while it was delivered; the late word was refused"
            );
        }
        let mut held: Vec<Lease<ItemId>> = done.into_iter().map(|(held, _)| held).collect();
        self.in_hand.drop_all(&held);
        held.retain(|one| !late.contains(one));
        let items = held.into_iter().map(|one| one.id).collect();
        self.bus.publish(Event::ItemsDelivered { sink: self.name.clone(), items });
    }

    async fn fail(&self, held: Lease<ItemId>, error: &SinkError) {
        let fail = || {
            let end = Undelivered { held, failure: error.failure(), error: error.to_string(), not_before: None };
            let (store, now) = (self.store.clone(), self.clock.now());
            async move { store.fail_item(end, fastrand::f64(), now).await }
        };
        let next = persistent("record a failed delivery", fail).await;
        self.in_hand.drop_all(&[held]);
        let Some(next) = next else { return };
        let (is_over, is_doubtful) = match next {
            AfterFailure::Again(_) => (false, false),
            AfterFailure::Failed { doubtful } => (true, doubtful),
        };
        let (item, code) = (held.id, error.code());
        tracing::warn!(item = item.0, sink = self.name, code, is_over, is_doubtful, "a delivery failed");
        self.bus.publish(Event::DeliveryFailed { sink: self.name.clone(), item, code, is_over, is_doubtful });
    }
}

/// Does it until the database takes it; `None` if that was refused, or after a minute. What is not recorded is
/// rescued, and counts as not known.
async fn persistent<T, F>(doing: &'static str, write: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 0..TRIES {
        match write().await {
            Ok(done) => return Some(done),
            Err(error) if error.is_retryable() => {
                tracing::error!(%error, doing, "the outbox waits for the database");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(%error, doing, "refused");
                return None;
            }
        }
    }
    None
}

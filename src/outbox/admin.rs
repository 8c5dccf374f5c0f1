//! What can people and programs do with the write-back queue? Add, fetch, end, redrive, discard, reset, count.

use actix::prelude::*;

use super::{
    actor::OutboxActor,
    lease_keeper::FETCHER,
    message::{
        CleanupCompleted, CompleteItems, DequeueItems, DiscardItem, EnqueueItems, EnqueueItemsOnce, FailItem,
        OfferItems, OutboxError, OutboxStats, RedriveItem, RedriveItems, ResetStuck, SinkDepth, Stats,
    },
};
use crate::{
    domain::{
        Cause, ItemId, ItemStatus, Lease, NewItem, Timestamp,
        item::{AfterFailure, CheckedItem},
    },
    event::Event,
    store::{ClaimedItems, ItemClaim, ItemDepth, Store, StoreError, Undelivered},
    supervisor::{By, also_unsigned},
};

/// Items in one request.
const MOST: usize = 500;
/// Items in one fetch: where nothing is said, and the most.
const FETCH: (u64, u64) = (25, 100);

impl OutboxActor {
    fn check(&self, items: Vec<NewItem>) -> Result<Vec<CheckedItem>, OutboxError> {
        if items.is_empty() || items.len() > MOST {
            return Err(OutboxError::OutOfRange { what: "items", expected: "1 to 500 in one request" });
        }
        let check =
            |(place, item)| self.settings.models.check(item).map_err(|refusal| OutboxError::Refused { place, refusal });
        items.into_iter().enumerate().map(check).collect()
    }

    /// Which models may be fetched: those that are asked for, if none has a sink.
    fn fetchable(&self, asked: Option<Vec<String>>) -> Result<Vec<String>, OutboxError> {
        let Some(asked) = asked else {
            return Ok(self
                .settings
                .models
                .known
                .keys()
                .filter(|model| self.routes.of(model).is_none())
                .cloned()
                .collect());
        };
        for model in &asked {
            if !self.settings.models.known.contains_key(model) {
                return Err(OutboxError::UnknownModel(model.clone()));
            }
            if let Some(named) = self.routes.of(model) {
                return Err(OutboxError::HasSink { model: model.clone(), sink: named.name.clone() });
            }
        }
        Ok(asked)
    }

    /// Does something in the database, tells of it, and looks for items afterwards.
    fn steer<T: Copy + Send + 'static>(
        &self,
        by: String,
        work: impl Future<Output = Result<T, StoreError>> + 'static,
        count: impl FnOnce(T) -> u64 + 'static,
    ) -> ResponseActFuture<Self, Result<T, OutboxError>> {
        Box::pin(work.into_actor(self).map(move |done, actor, ctx| {
            let done = done?;
            let items = count(done);
            if items > 0 {
                actor.bus.publish(Event::ItemsSteered { items, by });
                actor.look(ctx);
            }
            Ok(done)
        }))
    }
}

also_unsigned!(
    OutboxActor: EnqueueItems, EnqueueItemsOnce, DequeueItems, CompleteItems, FailItem, ResetStuck, CleanupCompleted,
    RedriveItem, RedriveItems, DiscardItem
);

impl OutboxActor {
    /// The database where what changes is noted as changed by this cause; the moment, and a name for the log.
    fn signed(&self, by: Cause) -> (Store, Timestamp, String) {
        let (now, who) = (self.clock.now(), by.who.clone());
        (self.store.by(by, now), now, who)
    }
}

impl Handler<By<EnqueueItems>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<Vec<ItemId>, OutboxError>>;

    fn handle(&mut self, By(by, EnqueueItems(items)): By<EnqueueItems>, _: &mut Self::Context) -> Self::Result {
        self.queue(by, None, items)
    }
}

impl Handler<By<EnqueueItemsOnce>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<Vec<ItemId>, OutboxError>>;

    fn handle(
        &mut self,
        By(by, EnqueueItemsOnce { key, items }): By<EnqueueItemsOnce>,
        _: &mut Self::Context,
    ) -> Self::Result {
        self.queue(by, Some(key), items)
    }
}

impl OutboxActor {
    fn queue(
        &mut self,
        by: Cause,
        key: Option<String>,
        items: Vec<NewItem>,
    ) -> ResponseActFuture<Self, Result<Vec<ItemId>, OutboxError>> {
        let checked = match self.check(items) {
            Ok(checked) => checked,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let mut models: Vec<String> = checked.iter().map(|one| one.item.model.clone()).collect();
        models.sort_unstable();
        models.dedup();
        let (store, now, _) = self.signed(by);
        let queued = async move { store.enqueue_items_once(key, checked, now).await }.into_actor(self);
        Box::pin(queued.map(move |ids, actor, ctx| {
            let ids = ids?;
            let meant: Vec<String> =
                models.iter().filter_map(|model| Some(actor.routes.of(model)?.name.clone())).collect();
            actor.bus.publish(Event::ItemsQueued { models, items: ids.len() });
            for name in meant {
                actor.claim(&name, ctx);
            }
            Ok(ids)
        }))
    }
}

impl Handler<OfferItems> for OutboxActor {
    type Result = ();

    fn handle(&mut self, OfferItems(items): OfferItems, ctx: &mut Self::Context) {
        let count = items.len();
        let queued = Handler::<EnqueueItems>::handle(self, EnqueueItems(items), ctx);
        self.offers += 1;
        ctx.spawn(queued.map(move |queued, actor, _| {
            actor.offers -= 1;
            if let Err(error) = queued {
                tracing::warn!(%error, count, "changes were not queued");
            }
        }));
    }
}

impl Handler<By<DequeueItems>> for OutboxActor {
    type Result = ResponseFuture<Result<ClaimedItems, OutboxError>>;

    fn handle(
        &mut self,
        By(by, DequeueItems { models, batch }): By<DequeueItems>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let most = batch.unwrap_or(FETCH.0);
        let models = match self.fetchable(models) {
            Ok(models) if (1..=FETCH.1).contains(&most) => models,
            Ok(_) => {
                let wrong = OutboxError::OutOfRange { what: "batch", expected: "1 to 100" };
                return Box::pin(async { Err(wrong) });
            }
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let (store, now, _) = self.signed(by);
        let claim = ItemClaim { owner: FETCHER.to_owned(), models, most };
        Box::pin(async move { Ok(store.dequeue_items(claim, now).await?) })
    }
}

impl Handler<By<CompleteItems>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<Vec<Lease<ItemId>>, OutboxError>>;

    fn handle(&mut self, By(by, CompleteItems(done)): By<CompleteItems>, _: &mut Self::Context) -> Self::Result {
        if done.iter().any(|(_, row)| row.is_some_and(|row| row < 1)) {
            let wrong = OutboxError::OutOfRange { what: "sheetRowIndex", expected: "at least 1" };
            return Box::pin(async { Err(wrong) }.into_actor(self));
        }
        let (store, now, _) = self.signed(by);
        let ids: Vec<Lease<ItemId>> = done.iter().map(|(held, _)| *held).collect();
        let complete = async move { store.complete_items(done, now).await }.into_actor(self);
        Box::pin(complete.map(move |late, actor, _| {
            let late = late?;
            let items = ids.into_iter().filter(|held| !late.contains(held)).map(|held| held.id).collect();
            actor.bus.publish(Event::ItemsDelivered { sink: FETCHER.to_owned(), items });
            Ok(late)
        }))
    }
}

impl Handler<By<FailItem>> for OutboxActor {
    type Result = ResponseFuture<Result<AfterFailure, OutboxError>>;

    fn handle(&mut self, By(by, fail): By<FailItem>, _: &mut Self::Context) -> Self::Result {
        let FailItem { held, failure, error, not_before } = fail;
        let (store, now, _) = self.signed(by);
        let end = Undelivered { held, failure, error, not_before };
        Box::pin(async move { Ok(store.fail_item(end, fastrand::f64(), now).await?) })
    }
}

impl Handler<By<ResetStuck>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<u64, OutboxError>>;

    fn handle(&mut self, By(by, ResetStuck { minutes }): By<ResetStuck>, _: &mut Self::Context) -> Self::Result {
        let minutes = minutes.unwrap_or(10);
        if !(1..=10_080).contains(&minutes) {
            let wrong = OutboxError::OutOfRange { what: "minutes", expected: "1 to 10080" };
            return Box::pin(async { Err(wrong) }.into_actor(self));
        }
        let (store, now, who) = self.signed(by);
        let before = now - chrono::Duration::minutes(minutes.into());
        let in_hand = self.in_hand.all();
        self.steer(who, async move { store.reset_stuck_items(before, in_hand, now).await }, |items| items)
    }
}

impl Handler<By<CleanupCompleted>> for OutboxActor {
    type Result = ResponseFuture<Result<u64, OutboxError>>;

    fn handle(
        &mut self,
        By(by, CleanupCompleted { days }): By<CleanupCompleted>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let days = days.unwrap_or(self.settings.keep_days);
        if days > 3_650 {
            let wrong = OutboxError::OutOfRange { what: "days", expected: "0 to 3650" };
            return Box::pin(async { Err(wrong) });
        }
        let (store, now, _) = self.signed(by);
        let before = now - chrono::Duration::days(days.into());
        Box::pin(async move { Ok(store.cleanup_items(before).await?) })
    }
}

impl Handler<By<RedriveItem>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<(), OutboxError>>;

    fn handle(
        &mut self,
        By(by, RedriveItem { item, even_if_done }): By<RedriveItem>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let (store, now, who) = self.signed(by);
        self.steer(who, async move { store.redrive_item(item, even_if_done, now).await }, |()| 1)
    }
}

impl Handler<By<RedriveItems>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<u64, OutboxError>>;

    fn handle(&mut self, By(by, RedriveItems { model }): By<RedriveItems>, _: &mut Self::Context) -> Self::Result {
        let (store, now, who) = self.signed(by);
        self.steer(who, async move { store.redrive_items(model, now).await }, |items| items)
    }
}

impl Handler<By<DiscardItem>> for OutboxActor {
    type Result = ResponseActFuture<Self, Result<(), OutboxError>>;

    fn handle(&mut self, By(cause, DiscardItem { item, by }): By<DiscardItem>, _: &mut Self::Context) -> Self::Result {
        let (store, now, who) = self.signed(cause);
        self.steer(who, async move { store.discard_item(item, by, now).await }, |()| 1)
    }
}

impl Handler<OutboxStats> for OutboxActor {
    type Result = ResponseFuture<Result<Stats, OutboxError>>;

    fn handle(&mut self, _: OutboxStats, _: &mut Self::Context) -> Self::Result {
        let (store, routes, sinks) = (self.store.clone(), self.routes.clone(), self.states());
        let configured = self.settings.models.clone();
        Box::pin(async move {
            let depth = |one: ItemDepth| SinkDepth {
                sink: routes.of(&one.model).map(|named| named.name.clone()),
                is_configured: configured.known.contains_key(&one.model),
                model: one.model,
                status: one.status,
                items: one.items.unsigned_abs(),
                oldest: one.oldest,
            };
            let models: Vec<SinkDepth> = store.item_depths().await?.into_iter().map(depth).collect();
            let of = |status| models.iter().filter(|one| one.status == status).map(|one| one.items).sum();
            Ok(Stats {
                pending: of(ItemStatus::Pending),
                processing: of(ItemStatus::Processing),
                completed: of(ItemStatus::Completed),
                failed: of(ItemStatus::Failed),
                sinks,
                models,
            })
        })
    }
}

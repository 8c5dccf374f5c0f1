//! Does the queue keep its rules in the database? Order, leases, attempts, bounds; many claimers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lockstep::{
    domain::{
        Action, Heartbeat, Item, ItemId, ItemStatus, Lease, Models, Timestamp,
        item::{AfterFailure, Failure, Model, Repeat},
    },
    store::{ItemClaim, ItemQuery, Store, StoreError, Undelivered, enqueue_items_in, throwaway::execute},
    testing::{Backend, types},
};
use serde_json::json;
use tokio::runtime::Handle;

use super::change;

struct Rig {
    store: Store,
    now: Timestamp,
    models: Models,
    folder: tempfile::TempDir,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

async fn open(folder: &tempfile::TempDir) -> Store {
    let url = Backend::of_suite().database(folder.path()).await;
    let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    store
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = |repeat| Model { max_retries: 3, repeat };
        let known =
            BTreeMap::from([("orders".to_owned(), model(Repeat::Safe)), ("bells".to_owned(), model(Repeat::Never))]);
        let models = Models { known, payload_bytes: 10_000 };
        Self { store: open(&folder).await, now: at(0), models, folder }
    }

    /// Queues an update of each record of a model.
    async fn add(&self, model: &str, records: &[&str]) -> Vec<ItemId> {
        let check = |record: &&str| self.models.check(change(Action::Update, model, record, json!({}))).unwrap();
        self.store.enqueue_items(records.iter().map(check).collect(), self.now).await.unwrap()
    }

    async fn claim(&self, most: u64) -> Vec<Item> {
        let models = vec!["orders".to_owned(), "bells".to_owned()];
        self.store.dequeue_items(ItemClaim { owner: "one".into(), models, most }, self.now).await.unwrap().items
    }

    async fn claim_one(&self) -> Item {
        let mut items = self.claim(1).await;
        assert_eq!(items.len(), 1, "an item was to be claimed");
        items.remove(0)
    }

    async fn fail(&self, item: &Item, failure: Failure) -> Result<AfterFailure, StoreError> {
        let error = "it did not work".to_owned();
        let end = Undelivered { held: held(item), failure, error, not_before: None };
        self.store.fail_item(end, 0.0, self.now).await
    }

    async fn complete(&self, item: &Item) -> Vec<Lease<ItemId>> {
        self.store.complete_items(vec![(held(item), None)], self.now).await.unwrap()
    }

    async fn item(&self, id: ItemId) -> Item {
        self.store.item(id).await.unwrap().unwrap()
    }

    fn pass(&mut self, seconds: i64) {
        self.now += chrono::Duration::seconds(seconds);
    }
}

fn held(item: &Item) -> Lease<ItemId> {
    item.held()
}

fn records(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.record_id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_record_go_one_after_the_other_and_others_beside_them() {
    let mut rig = Rig::start().await;
    rig.add("orders", &["a", "a", "b", "a"]).await;
    rig.pass(1);
    rig.add("bells", &["a"]).await;
    let first = rig.claim(10).await;
    assert_eq!(records(&first), ["a", "b", "a"], "the oldest of each record; another model's 'a' is another record");
    assert!(rig.claim(10).await.is_empty());
    assert!(rig.complete(&first[0]).await.is_empty());
    let second = rig.claim_one().await;
    assert!(second.record_id == "a" && second.id > first[0].id);
    // postponed: nothing of its record overtakes it
    rig.fail(&second, Failure::NotSent).await.unwrap();
    assert!(rig.claim(10).await.is_empty());
    rig.pass(5);
    assert_eq!(rig.claim_one().await.id, second.id);
    // given up: it still holds the later one, and nothing else
    let again = rig.item(second.id).await;
    rig.fail(&again, Failure::Refused).await.unwrap();
    rig.add("orders", &["c"]).await;
    assert_eq!(records(&rig.claim(10).await), ["c"]);
    rig.store.discard_item(second.id, "anna".into(), rig.now).await.unwrap();
    // one that still waits may be discarded as well
    let last = rig.add("orders", &["a"]).await[0];
    rig.store.discard_item(last, "anna".into(), rig.now).await.unwrap();
    assert_eq!(records(&rig.claim(10).await), ["a"]);
    assert!(rig.claim(10).await.is_empty());
    let discarded = rig.item(second.id).await;
    assert_eq!(discarded.status, ItemStatus::Completed);
    assert_eq!(discarded.last_error.unwrap(), "discarded by anna; before: it did not work");
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_tried_three_times_with_longer_and_longer_pauses() {
    let mut rig = Rig::start().await;
    let id = rig.add("orders", &["a"]).await[0];
    for (pause, retries) in [(5_i64, 1), (20, 2)] {
        let item = rig.claim_one().await;
        assert_eq!(item.retries, retries - 1);
        assert_eq!(
            rig.fail(&item, Failure::NotSent).await.unwrap(),
            AfterFailure::Again(Duration::from_secs(pause.unsigned_abs()))
        );
        let waiting = rig.item(id).await;
        assert_eq!((waiting.status, waiting.retries), (ItemStatus::Pending, retries));
        assert_eq!(waiting.due_at, rig.now + chrono::Duration::seconds(pause));
        rig.pass(pause - 1);
        assert!(rig.claim(1).await.is_empty(), "not before it is due");
        rig.pass(1);
    }
    let item = rig.claim_one().await;
    assert_eq!(rig.fail(&item, Failure::NotSent).await.unwrap(), AfterFailure::Failed { doubtful: false });
    let failed = rig.item(id).await;
    assert_eq!((failed.status, failed.retries, failed.doubtful), (ItemStatus::Failed, 3, false));
    assert_eq!(failed.last_error.as_deref(), Some("it did not work"));
    // a person lets it be tried anew, with all its attempts
    rig.store.redrive_item(id, false, rig.now).await.unwrap();
    assert!(matches!(rig.store.redrive_item(id, false, rig.now).await, Err(StoreError::IllegalItem(_))));
    let item = rig.claim_one().await;
    assert_eq!((item.retries, item.delivery_id), (0, failed.delivery_id), "under the same id");
    // the other side asks for more time than the pause
    let (held, error) = (held(&rig.item(id).await), "full".to_owned());
    let asked = Undelivered { held, failure: Failure::NotSent, error, not_before: Some(at(10_000)) };
    rig.store.fail_item(asked, 0.0, rig.now).await.unwrap();
    assert_eq!(rig.item(id).await.due_at, at(10_000));
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_arrived_is_repeated_only_where_that_does_no_harm() {
    let rig = Rig::start().await;
    let (safe, never) = (rig.add("orders", &["a"]).await[0], rig.add("bells", &["a"]).await[0]);
    for item in rig.claim(2).await {
        rig.fail(&item, Failure::Unknown).await.unwrap();
    }
    assert_eq!(rig.item(safe).await.status, ItemStatus::Pending);
    let doubtful = rig.item(never).await;
    assert_eq!((doubtful.status, doubtful.doubtful), (ItemStatus::Failed, true));
    assert!(matches!(rig.store.redrive_item(never, false, rig.now).await, Err(StoreError::Doubtful { .. })));
    assert_eq!(rig.store.redrive_items(None, rig.now).await.unwrap(), 0, "not among many either");
    rig.store.redrive_item(never, true, rig.now).await.unwrap();
    assert_eq!(rig.claim_one().await.id, never, "by a person's word");
    // where a repetition does no harm, nobody has to say so
    let mut rig = rig;
    for seconds in [5, 20] {
        rig.pass(seconds);
        let item = rig.claim_one().await;
        rig.fail(&item, Failure::Unknown).await.unwrap();
    }
    assert!(rig.item(safe).await.doubtful);
    assert_eq!(rig.store.redrive_items(None, rig.now).await.unwrap(), 1);
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_late_word_of_a_process_that_was_taken_for_dead_is_refused() {
    let mut rig = Rig::start().await;
    let ids = rig.add("orders", &["a", "b"]).await;
    let frozen = rig.claim(2).await;
    let beats = rig.store.item_heartbeat("one".into(), vec![held(&frozen[0])]).await.unwrap();
    let beat = |item: &Item, heartbeat| Heartbeat { lease: item.held(), owner: "one".into(), heartbeat };
    assert_eq!(beats, [beat(&frozen[0], 1), beat(&frozen[1], 0)], "what is not in hand is not marked alive");
    assert!(!rig.store.rescue_item(beat(&frozen[0], 0), 0.0, rig.now).await.unwrap(), "it lives");
    for (item, heartbeat) in [(&frozen[0], 1), (&frozen[1], 0)] {
        assert!(rig.store.rescue_item(beat(item, heartbeat), 0.0, rig.now).await.unwrap());
    }
    // before anyone has taken them again, and after
    for seconds in [0, 5] {
        rig.pass(seconds);
        let again = rig.claim(2).await;
        assert_eq!(again.len(), if seconds == 0 { 0 } else { 2 });
        assert_eq!(rig.complete(&frozen[0]).await, [held(&frozen[0])]);
        let late = rig.fail(&frozen[1], Failure::Refused).await.unwrap_err();
        assert!(matches!(late, StoreError::ItemLost { .. }), "{late}");
    }
    for id in ids {
        let item = rig.item(id).await;
        assert_eq!((item.status, item.retries, item.lease), (ItemStatus::Processing, 1, 2), "and nothing was changed");
    }
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stuck_is_taken_back_and_what_is_over_is_forgotten() {
    let mut rig = Rig::start().await;
    let ids = rig.add("orders", &["a", "b"]).await;
    let never = rig.add("bells", &["c"]).await[0];
    rig.claim(1).await;
    rig.pass(300);
    assert_eq!(rig.claim(2).await.len(), 2);
    rig.pass(400);
    let before = rig.now - chrono::Duration::minutes(10);
    assert_eq!(
        rig.store.reset_stuck_items(before, vec![], rig.now).await.unwrap(),
        1,
        "the other two are not old enough"
    );
    let stuck = rig.item(ids[0]).await;
    assert_eq!((stuck.status, stuck.retries), (ItemStatus::Pending, 1), "it counts as an attempt");
    rig.pass(400);
    let before = rig.now - chrono::Duration::minutes(10);
    let in_hand = vec![held(&rig.item(ids[1]).await), held(&rig.item(never).await)];
    assert_eq!(rig.store.reset_stuck_items(before, in_hand, rig.now).await.unwrap(), 0, "not what its caller delivers");
    assert_eq!(rig.store.reset_stuck_items(before, vec![], rig.now).await.unwrap(), 2);
    assert!(rig.item(never).await.doubtful, "what must not be repeated is for a person");
    rig.pass(5);
    for item in rig.claim(5).await {
        rig.complete(&item).await;
    }
    let completed = ItemQuery { status: Some(ItemStatus::Completed), limit: 10, ..ItemQuery::default() };
    assert_eq!(rig.store.items(completed.clone()).await.unwrap().len(), 2);
    assert_eq!(rig.store.cleanup_items(rig.now).await.unwrap(), 0);
    rig.pass(1);
    assert_eq!(rig.store.cleanup_items(rig.now).await.unwrap(), 2);
    assert!(rig.store.items(completed).await.unwrap().is_empty());
    let depths = rig.store.item_depths().await.unwrap();
    let depths: Vec<_> = depths.iter().map(|one| (one.model.as_str(), one.status.as_str(), one.items)).collect();
    assert_eq!(depths, [("bells", "FAILED", 1)]);
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_claimers_never_get_the_same_item() {
    let rig = Rig::start().await;
    let two = open(&rig.folder).await;
    let names: Vec<String> = (0..400).map(|number| format!("record-{}", number % 100)).collect();
    rig.add("orders", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claimer = async |store: &Store, owner: String| {
        let mut seen: Vec<Item> = Vec::new();
        loop {
            let claim = ItemClaim { owner: owner.clone(), models: vec!["orders".into()], most: 7 };
            let items = store.dequeue_items(claim, rig.now).await.unwrap().items;
            if items.is_empty() {
                let left = ItemQuery { status: Some(ItemStatus::Pending), limit: 1, ..ItemQuery::default() };
                if store.items(left).await.unwrap().is_empty() {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let done = items.iter().map(|item| (held(item), None)).collect();
            assert!(store.complete_items(done, rig.now).await.unwrap().is_empty());
            seen.extend(items);
        }
    };
    let claimers = (0..16).map(|number| claimer(if number % 2 == 0 { &rig.store } else { &two }, format!("p{number}")));
    let seen: Vec<Vec<Item>> = futures_util::future::join_all(claimers).await;
    assert!(seen.iter().filter(|seen| !seen.is_empty()).count() > 4, "the work is spread");
    let mut ids: Vec<_> = seen.iter().flatten().map(|item| item.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), seen.iter().flatten().count()), (400, 400), "each once");
    for seen in &seen {
        for pair in seen.chunk_by(|a, b| a.record_id == b.record_id) {
            assert!(pair.windows(2).all(|two| two[0].id < two[1].id), "in order");
        }
    }
    two.close().await;
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_queued_with_its_callers_transaction_or_not_at_all() {
    let rig = Rig::start().await;
    for is_undone in [true, false] {
        let (item, now) = (rig.models.check(change(Action::Create, "orders", "a", json!({}))).unwrap(), rig.now);
        let done = rig.store.transaction(move |tx| {
            Box::pin(async move {
                enqueue_items_in(tx, vec![item], now).await?;
                if is_undone { Err(StoreError::Missing("reason to go on".into())) } else { Ok(()) }
            })
        });
        assert_eq!(done.await.is_err(), is_undone);
        let all = ItemQuery { limit: 10, ..ItemQuery::default() };
        assert_eq!(rig.store.items(all).await.unwrap().len(), usize::from(!is_undone));
    }
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_a_record_is_remembered_for_its_later_changes() {
    let rig = Rig::start().await;
    let check = |action| rig.models.check(change(action, "orders", "a", json!({}))).unwrap();
    let all = vec![check(Action::Create), check(Action::Update), check(Action::Delete), check(Action::Update)];
    rig.store.enqueue_items(all, rig.now).await.unwrap();
    for (expected, told) in [(None, Some(7)), (Some(7), Some(9)), (Some(9), Some(9)), (None, None)] {
        let item = rig.claim_one().await;
        assert_eq!(item.sheet_row_index, expected, "{:?}", item.action);
        rig.store.complete_items(vec![(held(&item), told)], rig.now).await.unwrap();
        assert_eq!(rig.item(item.id).await.sheet_row_index, if item.action == Action::Delete { None } else { told });
    }
    rig.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_action_is_stored_that_nobody_knows() {
    let rig = Rig::start().await;
    let ids = rig.add("orders", &["1"]).await;
    let url = Backend::of_suite().database(rig.folder.path()).await;
    let statement = format!("UPDATE sync_queue SET action = 'UPSERT' WHERE id = {}", ids[0]);
    let refused = execute(&url, statement, &Handle::current()).await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("check constraint"), "{refused}");
    rig.store.close().await;
}

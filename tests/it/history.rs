//! Is what became of each record kept, whatever stops or dies in between?

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lockstep::{
    delta::{self, OpenBlanks, Plan, Seen, Snapshot},
    domain::{AgentId, NewJob, NextStep, Outcome, Reason, Record, Timestamp, Value},
    pretend_erp,
    store::{Batches, ChangeQuery, DataQuery, Finish, Pace, RecordChange, Store},
    sync_type::SyncTypeSpec,
    testing::{TestApp, last_seen},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value as Json, json};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    fixtures::serve,
    storage::{at, claim, open},
};

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Whole,
    /// After so many batches.
    Stopped(usize),
    /// Its process dies after so many batches.
    Killed(usize),
}

/// One report, by what differs from the one before: records taken away, changed, and added.
type Step = (Vec<usize>, Vec<usize>, usize, End);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = prop_oneof![4 => Just(End::Whole), 1 => (0..4_usize).prop_map(End::Stopped), 1 => (0..4_usize).prop_map(End::Killed)];
    vec((vec(0..40_usize, 0..6), vec(0..40_usize, 0..8), 0..25_usize, end), 2..7)
}

/// Carries out one run over these records.
async fn run(store: &Store, spec: &Arc<SyncTypeSpec>, agent: &AgentId, records: &[Record], end: End, now: Timestamp) {
    store.enqueue(vec![NewJob::sync(&spec.name, agent.clone(), 4, Reason::Manual)], None, now).await.unwrap();
    let job = store.claim(claim("one", 1), now).await.unwrap().jobs.pop().unwrap();
    let (open, present) = (OpenBlanks::new(), vec![true; spec.fields.len()]);
    let snapshot = store.snapshot(spec, agent, Snapshot::needed(spec, &present, &open)).await.unwrap();
    let seen = Seen {
        records,
        printed: &[],
        present: &present,
        unreadable_key: false,
        quarantined_keys: &[],
        open_blanks: &open,
    };
    let plan: Arc<Plan> = Arc::new(delta::plan(spec, seen, &snapshot, now, Some(Duration::ZERO)));
    let (stop, batches) = (CancellationToken::new(), AtomicUsize::new(0));
    let after = match end {
        End::Whole => usize::MAX,
        End::Stopped(after) | End::Killed(after) => after,
    };
    if after == 0 {
        stop.cancel();
    }
    let signal = stop.clone();
    let progress = Arc::new(move |_| {
        if batches.fetch_add(1, Ordering::Relaxed) + 1 >= after {
            signal.cancel();
        }
    });
    let batches = Arc::new(Batches { spec: spec.clone(), size: 3, stop, progress, pace: Pace::default() });
    let (mut upto, mut commits) = (0, 0);
    while upto < plan.changes.len() {
        let applied = store.apply(&job, &plan, upto, &batches, now).await.unwrap();
        (upto, commits) = (applied.upto, commits + 1);
        if applied.stopped {
            break;
        }
    }
    let (outcome, missing, deleted) = match end {
        End::Killed(_) => {
            store.rescue(last_seen(&job, commits), now).await.unwrap().unwrap();
            let again = store.claim(claim("one", 1), now).await.unwrap().jobs.pop().unwrap();
            let end = Finish { outcome: Some(Outcome::Stopped), ..Finish::default() };
            store.finish(&again, end, NextStep::Done, now).await.unwrap();
            return;
        }
        End::Whole | End::Stopped(_) if upto == plan.changes.len() => {
            (Outcome::Succeeded, plan.missing.clone(), plan.deleted.clone())
        }
        End::Whole | End::Stopped(_) => (Outcome::Stopped, Vec::new(), Vec::new()),
    };
    let end = Finish { outcome: Some(outcome), missing, deleted, ..Finish::default() };
    store.finish(&job, end, NextStep::Done, now).await.unwrap();
}

/// Every record of an agent by key: its fields, and whether it is neither missing nor deleted.
async fn stored(store: &Store, spec: &SyncTypeSpec, agent: &AgentId) -> BTreeMap<String, (Map<String, Json>, bool)> {
    let all = DataQuery { agent: Some(agent.to_string()), deleted: true, limit: 1_000, ..DataQuery::default() };
    let mut found = BTreeMap::new();
    for row in store.data(spec, all).await.unwrap().items {
        let is_live = row["missing_since"].is_null() && row["deleted_at"].is_null();
        let fields = spec.fields.iter().map(|field| (field.name.clone(), row[&field.name].clone())).collect();
        found.insert(row[spec.key_name()].as_str().unwrap().to_owned(), (fields, is_live));
    }
    found
}

/// Takes one change back.
fn undo(state: &mut BTreeMap<String, (Map<String, Json>, bool)>, change: &RecordChange) {
    let (fields, is_live) = state.get_mut(&change.key).unwrap_or_else(|| panic!("{change:?}: no such record"));
    for field in &change.fields {
        assert_eq!(fields[&field.field], field.new, "{change:?}");
        fields[&field.field] = field.old.clone();
    }
    match change.action.as_str() {
        "insert" => {
            assert!(*is_live);
            state.remove(&change.key);
        }
        "update" => assert!(*is_live && !change.fields.is_empty(), "{change:?}"),
        "restore" => assert!(std::mem::replace(is_live, false), "{change:?}"),
        "delete" => assert!(!*is_live, "{change:?}"),
        "missing" => assert!(!std::mem::replace(is_live, true), "{change:?}"),
        other => panic!("{other}"),
    }
}

/// For reports that differ as they like, with stops and kills in between: all changes taken back, the stored records
/// are what they were after the first run.
#[tokio::test(flavor = "multi_thread")]
async fn the_history_leads_from_the_first_state_to_the_stored_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let types = store.types().clone();
    let spec = types.get("orders").unwrap().clone();
    let (cases, runtime) = (AtomicUsize::new(0), Handle::current());
    let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
    let proven = tokio::task::block_in_place(|| {
        runner.run(&steps(), |steps| {
            let case = cases.fetch_add(1, Ordering::Relaxed);
            runtime.block_on(async {
                let agent = AgentId::from(format!("agent-{case}"));
                let mut next = 30;
                let invented = |row| pretend_erp::invent_row(&types, &spec, (case * 10_000, row), case as u64);
                let mut records: Vec<Record> = (0..next).map(invented).collect();
                run(&store, &spec, &agent, &records, End::Whole, at(0)).await;
                let first = stored(&store, &spec, &agent).await;
                for (number, (gone, changed, added, end)) in (1..).zip(steps) {
                    for place in gone {
                        if records.len() > 5 {
                            records.remove(place % records.len());
                        }
                    }
                    for place in changed {
                        let at = place % records.len();
                        let field = spec.field(["customer_name", "sales_status", "description"][place % 3]).unwrap();
                        records[at].values[field] =
                            if place % 5 == 0 { Value::Null } else { Value::Text(format!("run {number}, {place}")) };
                    }
                    records.extend((next..next + added).map(invented));
                    next += added;
                    run(&store, &spec, &agent, &records, end, at(number * 100)).await;
                }
                let mut state = stored(&store, &spec, &agent).await;
                let all = ChangeQuery { agent: Some(agent.to_string()), limit: 10_000, ..ChangeQuery::default() };
                for change in store.changes(all).await.unwrap() {
                    undo(&mut state, &change);
                }
                assert_eq!(state, first);
            });
            Ok(())
        })
    });
    proven.unwrap();
    store.close().await;
}

#[actix::test]
async fn a_record_is_shown_with_what_hangs_on_it_and_what_became_of_it() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let types = app.app.store.types().clone();
    let orders = types.get("orders").unwrap().clone();
    let mut records = pretend_erp::invent(&types, &orders, 12, 1);
    let ddt = types.get("ddt").unwrap().clone();
    let number = |order: &Record| order.text(orders.field("order_number").unwrap());
    let mut note = pretend_erp::invent(&types, &ddt, 1, 1).remove(0);
    note.values[ddt.field("order_number").unwrap()] = Value::Text(number(&records[3]));
    serve(&app, "ddt", "anna", std::slice::from_ref(&note));
    serve(&app, "orders", "anna", &records);
    let first = app.sync("orders", "anna").await;
    // the delivery notes follow
    app.idle().await;

    let key = records[3].text(orders.key);
    let (_, shown) = app.get(&format!("/api/data/orders/{key}?agent=anna")).await;
    assert_eq!(shown["record"]["order_number"], number(&records[3]));
    assert_eq!(shown["children"]["ddt"][0]["ddt_id"], json!(note.values[ddt.key].to_json()), "{shown}");
    let note_key = note.text(ddt.key);
    let (_, child) = app.get(&format!("/api/data/ddt/{note_key}?agent=anna")).await;
    assert_eq!(child["parent"]["record"]["order_id"], shown["record"]["order_id"], "{child}");
    let (_, none) = app.get(&format!("/api/data/orders/{key}/history?agent=anna")).await;
    assert_eq!(none["items"], json!([]), "a first report is no change");

    let status = orders.field("sales_status").unwrap();
    let old = records[3].values[status].to_json();
    records[3].values[status] = Value::Text("Annullato".to_owned());
    let gone = records.remove(0).text(orders.key);
    serve(&app, "orders", "anna", &records);
    let second = app.sync("orders", "anna").await;
    let (_, changes) = app.get(&format!("/api/runs/{}/changes", second.id)).await;
    let items = changes["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{changes}");
    assert_eq!((&items[0]["action"], &items[0]["key"]), (&json!("missing"), &json!(gone)));
    let field = json!([{ "field": "sales_status", "old": old, "new": "Annullato" }]);
    // the fourth order is in the third row, for the first one is gone
    assert_eq!((&items[1]["page"], &items[1]["row"]), (&json!(1), &json!(3)), "{changes}");
    assert_eq!((&items[0]["page"], &items[0]["row"]), (&json!(null), &json!(null)), "{changes}");
    assert_eq!((&items[1]["action"], &items[1]["key"], &items[1]["fields"]), (&json!("update"), &json!(key), &field));
    assert_eq!(app.get(&format!("/api/data/orders/{key}/history?agent=anna")).await.1["items"], json!([items[1]]));
    let (_, paged) = app.get("/api/changes?type=orders&agent=anna&limit=1").await;
    assert_eq!(paged["items"], json!([items[0]]));
    let next = paged["next"].as_str().unwrap();
    assert_eq!(app.get(&format!("/api/changes?limit=1&cursor={next}")).await.1["items"], json!([items[1]]));
    assert_eq!(app.get(&format!("/api/runs/{}/changes", first.id)).await.1["items"], json!([]));

    // a key may hold slashes and blanks
    let mut odd = records[0].clone();
    odd.values[orders.key] = Value::Text("A/1 b".to_owned());
    records.push(odd);
    serve(&app, "orders", "anna", &records);
    app.sync("orders", "anna").await;
    for key in ["A%2F1%20b", "A/1%20b"] {
        assert_eq!(app.get(&format!("/api/data/orders/{key}?agent=anna")).await.1["key"], "A/1 b");
        let (_, history) = app.get(&format!("/api/data/orders/{key}/history?agent=anna")).await;
        assert_eq!((&history["items"][0]["action"], &history["items"][0]["key"]), (&json!("insert"), &json!("A/1 b")));
    }

    for (path, code) in [
        ("/api/data/orders/none?agent=anna", 404),
        ("/api/data/orders/none?agent=nobody", 404),
        ("/api/data/orders/none", 422),
        ("/api/data/nothing/none", 404),
        ("/api/runs/999/changes", 404),
        ("/api/changes?type=nothing", 404),
        ("/api/changes?whose=anna", 400),
    ] {
        assert_eq!(app.get(path).await.0, code, "{path}");
    }
    app.stop().await;
}

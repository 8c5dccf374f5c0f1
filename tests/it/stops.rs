//! Does a stop leave whole batches only, and does nothing get lost by it?

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use lockstep::{domain::Outcome, supervisor::Handle};
use lockstep::{
    domain::Stage,
    event::Event,
    queue::{QueueActor, StopJobs},
    sync::{self, Stop, StopReason, SyncActor},
    testing::TestApp,
};
use serde_json::json;

use crate::fixtures::{TYPES, agent, invent, objects, serve};

/// Written when Stop is sent.
const STOP_AT: usize = 20;

#[actix::test]
async fn a_stop_in_mid_run_leaves_whole_batches_and_the_next_run_finishes_the_rest() {
    for sync_type in TYPES {
        let target: Arc<OnceLock<Handle<SyncActor>>> = Arc::default();
        let seen = Arc::new(AtomicUsize::new(0));
        let (addr, count) = (target.clone(), seen.clone());
        // a real Stop message, answered by the real actor, while the batch it interrupts is just written
        let stop_in_mid_run = move |event: &Event| {
            let Event::Progressed { stage: Stage::Apply, done, .. } = event else { return };
            if *done >= STOP_AT && count.swap(*done, Ordering::SeqCst) < STOP_AT {
                let stop = addr.get().unwrap().send(Stop { job: None, reason: StopReason::Asked });
                assert_eq!(futures_executor::block_on(stop).unwrap().len(), 1);
            }
        };
        let app = TestApp::builder().agents(&["agent-1"]).observe(stop_in_mid_run).start().await;
        target.set(app.syncs[&sync_type.into()].clone()).ok();
        let types = app.app.store.types().clone();
        let spec = types.get(sync_type).unwrap();
        let records = invent(&types, sync_type, 63);
        serve(&app, sync_type, agent(sync_type), &records);
        for follow_up in &spec.triggers {
            serve(&app, follow_up.as_str(), agent(sync_type), &[]);
        }

        let run = app.sync(sync_type, agent(sync_type)).await;
        let counts = run.counts;
        assert_eq!(
            (run.outcome.map(Outcome::as_str), run.stage.map(Stage::as_str)),
            (Some("stopped"), Some("apply")),
            "{sync_type}"
        );
        let stored = app.records(sync_type, agent(sync_type)).await.len();
        assert!(stored <= STOP_AT + 10 && stored.is_multiple_of(10), "{sync_type}: {stored} records");
        assert_eq!((counts.inserted, counts.not_applied), (stored as u64, 63 - stored as u64), "{sync_type}");
        assert!(counts.balance(), "{sync_type}: {counts:?}");
        app.idle().await;
        assert_eq!(app.source.fetches().len(), 1, "{sync_type}: no follow-up of a stopped run");

        seen.store(usize::MAX, Ordering::SeqCst);
        let run = app.sync(sync_type, agent(sync_type)).await;
        assert_eq!(
            (run.outcome.map(Outcome::as_str), run.counts.unchanged),
            (Some("succeeded"), stored as u64),
            "{sync_type}"
        );
        assert_eq!(app.records(sync_type, agent(sync_type)).await, objects(spec, &records), "{sync_type}");
        app.idle().await;
        let mut followed: Vec<lockstep::domain::SyncType> =
            app.source.fetches()[2..].iter().map(|(name, _)| name.as_str().into()).collect();
        followed.sort();
        assert_eq!(followed, spec.triggers, "{sync_type}");
        app.stop().await;
    }
}

#[actix::test]
async fn follow_ups_are_started_even_if_the_stop_came_after_the_last_batch() {
    let target: Arc<OnceLock<Handle<SyncActor>>> = Arc::default();
    let addr = target.clone();
    let stop_at_the_end = move |event: &Event| {
        let Event::Progressed { stage: Stage::Apply, done: 20, .. } = event else { return };
        let stop = addr.get().unwrap().send(Stop { job: None, reason: StopReason::Asked });
        futures_executor::block_on(stop).unwrap();
    };
    let app = TestApp::builder().agents(&["a"]).observe(stop_at_the_end).start().await;
    target.set(app.syncs[&"orders".into()].clone()).ok();
    let types = app.app.store.types().clone();
    for sync_type in ["orders", "ddt", "invoices"] {
        serve(&app, sync_type, "a", &invent(&types, sync_type, 20));
    }
    let run = app.sync("orders", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.counts.inserted), (Some("stopped"), 20));
    // the next run has nothing left to write, and still owes the follow-ups
    let run = app.sync("orders", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.counts.unchanged), (Some("unchanged"), 20));
    app.idle().await;
    assert_eq!(app.last("ddt").await.1.read, 20);
    app.stop().await;
}

#[actix::test]
async fn a_run_that_takes_too_long_comes_to_its_next_batch_and_tells_what_it_wrote() {
    let slow = |event: &Event| {
        if let Event::Progressed { stage: Stage::Apply, done: 10, .. } = event {
            std::thread::sleep(std::time::Duration::from_millis(1_500));
        }
    };
    let app =
        TestApp::builder().agents(&["a"]).observe(slow).setting("LOCKSTEP__LIMITS__SYNC_SECONDS", "1").start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "customers", 40);
    serve(&app, "customers", "a", &records);
    let job = app.enqueue("customers", "a").await;
    let run = loop {
        let runs = app.get("/api/runs?type=customers").await.1;
        match runs["items"].as_array().unwrap().iter().find(|run| run["jobId"] == job.0 && !run["outcome"].is_null()) {
            Some(run) => break run.clone(),
            None => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    };
    assert_eq!(run["outcome"], "timed_out", "{run}");
    assert_eq!((&run["counts"]["inserted"], &run["counts"]["notApplied"]), (&json!(10), &json!(30)), "{run}");
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    assert_eq!(app.records("customers", "a").await.len(), 10);
    app.stop().await;
}

#[actix::test]
async fn a_stop_between_reading_and_planning_leaves_counts_that_balance() {
    let queue: Arc<OnceLock<Handle<QueueActor>>> = Arc::default();
    let to_stop = queue.clone();
    let stop_at_plan = move |event: &Event| {
        if let (Event::Progressed { stage: Stage::Plan, .. }, Some(queue)) = (event, to_stop.get()) {
            queue.do_send(StopJobs::default());
            // until the run's handle is set
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    };
    let app = TestApp::builder().agents(&["a"]).observe(stop_at_plan).start().await;
    queue.set(app.queue.clone()).unwrap();
    let types = app.app.store.types().clone();
    serve(&app, "customers", "a", &invent(&types, "customers", 12));
    let run = app.sync("customers", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.stage.map(Stage::as_str)), (Some("stopped"), Some("plan")));
    assert_eq!((run.counts.read, run.counts.not_applied), (12, 12));
    assert!(run.counts.balance(), "{:?}", run.counts);
    assert!(app.records("customers", "a").await.is_empty());
    app.stop().await;
}

#[actix::test]
async fn a_stop_while_the_source_hangs_ends_the_run_at_once() {
    let app = TestApp::builder().agents(&["a", "b"]).setting("LOCKSTEP__QUEUE__CONCURRENCY", "1").start().await;
    app.source.hang("orders", "a");
    let running = app.enqueue("orders", "a").await;
    while app.syncs[&"orders".into()].send(sync::Snapshot).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let waiting = app.enqueue("orders", "b").await;
    let (status, hit) = app.post("/api/sync/stop/orders", json!({})).await;
    assert_eq!((status.as_u16(), hit), (200, json!({ "stopping": [running], "removed": [waiting] })));
    let run = app.ended(running).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.stage.map(Stage::as_str)), (Some("stopped"), Some("fetch")));
    assert_eq!(app.app.store.job(waiting).await.unwrap().unwrap().outcome.map(Outcome::as_str), Some("removed"));
    app.stop().await;
}

#[actix::test]
async fn a_shutdown_gives_running_and_waiting_jobs_to_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let builder =
        || TestApp::builder().folder(folder.path()).agents(&["a"]).setting("LOCKSTEP__QUEUE__CONCURRENCY", "1");
    let app = builder().start().await;
    app.source.hang("orders", "a");
    let running = app.enqueue("orders", "a").await;
    let waiting = app.enqueue("customers", "a").await;
    while app.source.fetches().is_empty() {
        tokio::task::yield_now().await;
    }
    app.stop().await;

    let app = builder()
        .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "60000")
        .setting("LOCKSTEP__QUEUE__LEASE_MS", "120000")
        .start()
        .await;
    let types = app.app.store.types().clone();
    serve(&app, "orders", "a", &invent(&types, "orders", 5));
    serve(&app, "customers", "a", &invent(&types, "customers", 5));
    // nothing has to wait for a lease to run out: the jobs were given back. They may have been claimed
    // before the reports were there; then a retry is due.
    for job in [running, waiting] {
        assert_eq!(app.ended(job).await.outcome.map(Outcome::as_str), Some("succeeded"));
    }
    app.stop().await;
}

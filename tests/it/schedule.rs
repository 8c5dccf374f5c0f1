//! Do timers and settings survive, and does a change move its own timer alone?

use std::time::Duration;

use lockstep::{
    domain::{Admission, Reason},
    queue::Enqueue,
    scheduler::Snapshot,
    testing::{TestApp, TestClock},
};
use serde_json::json;

use crate::fixtures::{invent, serve};

#[actix::test]
async fn an_interval_changed_through_the_api_survives_a_restart_and_moves_only_its_own_timer() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let builder =
        || TestApp::builder().folder(folder.path()).clock(&clock).setting("LOCKSTEP__SCHEDULER__ENABLED", "true");
    let app = builder().start().await;
    let ready = || async {
        while app.scheduler.send(Snapshot).await.unwrap().types.len() < 6 {
            tokio::task::yield_now().await;
        }
    };
    ready().await;
    clock.advance(Duration::from_secs(1));
    let before = app.scheduler.send(Snapshot).await.unwrap();
    let (status, changed) = app.post("/api/sync/intervals/customers", json!({ "intervalMinutes": 5 })).await;
    assert_eq!((status.as_u16(), &changed["intervalMinutes"]), (200, &json!(5)));
    let after = app.scheduler.send(Snapshot).await.unwrap();
    for (old, new) in before.types.iter().zip(&after.types).filter(|(old, _)| old.sync_type.as_str() != "orders") {
        let is_own = old.sync_type.as_str() == "customers";
        assert_eq!(old.next_run != new.next_run, is_own, "{}", old.sync_type);
        assert_eq!(old.interval_minutes != new.interval_minutes, is_own, "{}", old.sync_type);
    }
    app.idle().await;
    let saved = app.scheduler.send(Snapshot).await.unwrap();
    app.stop().await;

    let app = builder().start().await;
    assert_eq!(app.get("/api/sync/intervals").await.1["customers"], 5);
    let restarted = app.scheduler.send(Snapshot).await.unwrap();
    assert_eq!(restarted.types, saved.types, "next runs are neither forgotten nor moved");
    app.stop().await;
}

#[actix::test]
async fn auto_sync_can_be_stopped_and_started_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let builder =
        || TestApp::builder().folder(folder.path()).clock(&clock).setting("LOCKSTEP__SCHEDULER__ENABLED", "true");
    let app = builder().start().await;
    let (_, stopped) = app.post("/api/sync/auto-sync/stop", json!({})).await;
    assert_eq!(stopped["running"], false);
    app.idle().await;
    app.stop().await;

    let app = builder().start().await;
    let fetched = app.source.fetches().len();
    clock.advance(Duration::from_secs(7200));
    app.at_rest().await;
    let (_, status) = app.get("/api/sync/auto-sync/status").await;
    assert_eq!((&status["running"], &status["nextRuns"]["orders"]), (&json!(false), &json!(null)));
    assert_eq!(app.source.fetches().len(), fetched);
    let (status, started) = app.post("/api/sync/auto-sync/start", json!({ "intervals": { "orders": 45 } })).await;
    assert_eq!((status.as_u16(), &started["running"]), (200, &json!(true)));
    let (_, status) = app.get("/api/sync/auto-sync/status").await;
    assert_eq!((&status["running"], &status["intervals"]["orders"]), (&json!(true), &json!(45)));
    assert!(status["types"]["orders"]["consecutiveFailures"].is_u64());
    // what is due goes to the source that has no reports: those jobs fail and wait for their retry
    app.post("/api/sync/stop", json!({})).await;
    app.stop().await;
}

#[actix::test]
async fn a_configuration_that_forbids_timers_wins_over_the_switch() {
    let app = TestApp::builder().start().await;
    let (status, problem) = app.post("/api/sync/auto-sync/start", json!({})).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("scheduler_disabled")));
    app.stop().await;
}

#[actix::test]
async fn timers_sync_the_active_agents_and_follow_the_clock() {
    let app = TestApp::builder().agents(&["a", "b", "c"]).setting("LOCKSTEP__SCHEDULER__ENABLED", "true").start().await;
    let types = app.app.store.types().clone();
    app.raw(reqwest::Method::DELETE, "/api/agents/c").bearer_auth(app.token()).send().await.unwrap();
    for (number, agent) in ["a", "b", "c"].into_iter().enumerate() {
        for sync_type in ["orders", "ddt", "invoices", "customers"] {
            let records = invent(&types, sync_type, 9);
            serve(&app, sync_type, agent, &records[number * 3..][..3]);
        }
    }
    // customers are due 17 minutes after the first start
    app.clock.advance(Duration::from_secs(18 * 60));
    app.at_rest().await;
    assert_eq!(app.rows("customers", "b").await.len() + app.rows("customers", "a").await.len(), 6);
    assert!(app.rows("customers", "c").await.is_empty(), "an inactive agent is not synced");
    app.post("/api/sync/auto-sync/stop", json!({})).await;
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn keys_hold_on_the_database_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let builder = || TestApp::builder().folder(folder.path()).clock(&clock).agents(&["a"]);
    let keyed = || Enqueue { idempotency_key: Some("k1".into()), ..Enqueue::new("orders", "a", Reason::Manual) };
    let app = builder().start().await;
    app.source.hang("orders", "a");
    let first = app.queue.send(keyed()).await.unwrap().unwrap().job().unwrap();
    let plain = app.queue.send(Enqueue::new("orders", "a", Reason::Timer)).await.unwrap().unwrap();
    assert_eq!(plain, Admission::AlreadyQueued { job: first });
    app.stop().await;

    let app = builder().start().await;
    app.source.hang("orders", "a");
    let again = app.queue.send(keyed()).await.unwrap().unwrap();
    assert!(matches!(again, Admission::Throttled { job, .. } if job == first), "{again:?}");
    clock.advance(Duration::from_secs(31));
    let later = app.queue.send(keyed()).await.unwrap().unwrap();
    assert_eq!(later, Admission::AlreadyQueued { job: first }, "a window that ends allows no second run in parallel");
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn fifty_at_once_are_one_job_and_forty_nine_refusals() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    app.source.hang("orders", "a");
    let asks = (0..50).map(|_| app.queue.send(Enqueue::new("orders", "a", Reason::Manual)));
    let answers = futures_util::future::join_all(asks).await;
    let accepted: Vec<_> =
        answers.iter().filter(|answer| !answer.as_ref().unwrap().as_ref().unwrap().is_duplicate()).collect();
    assert_eq!(accepted.len(), 1);
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

//! Is anything deleted, overwritten or taken from another agent unasked?

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use lockstep::{
    domain::{Clock, JobId, Record, RunId, Stage},
    event::Event,
    source::SourceError,
    sync::{Stop, StopReason, SyncActor},
    testing::TestApp,
};
use lockstep::{
    domain::{Hold, Outcome},
    supervisor::Handle,
};
use reqwest::StatusCode;
use serde_json::{Value as Json, json};

use crate::fixtures::{bytes, invent, objects, serve};

pub async fn app_with(rows: usize) -> (TestApp, Vec<Record>) {
    let app = TestApp::builder().agents(&["a", "b"]).start().await;
    let records = invent(&app.app.store.types().clone(), "customers", rows);
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    (app, records)
}

/// Approves what a run's plan says.
async fn approve(app: &TestApp, run: RunId) -> (StatusCode, Json) {
    let digest = app.get(&format!("/api/runs/{run}")).await.1["planDigest"].clone();
    app.post(&format!("/api/runs/{run}/approve"), json!({ "digest": digest })).await
}

#[actix::test]
async fn a_row_is_deleted_only_when_it_is_missed_twice_and_comes_back() {
    let (app, records) = app_with(30).await;
    serve(&app, "customers", "a", &records[1..]);
    let first = app.sync("customers", "a").await;
    assert_eq!((first.counts.missing, first.counts.deleted), (1, 0));
    assert_eq!(app.rows("customers", "a").await.len(), 30, "missing is not deleted");

    // missed again too soon: the second miss counts one interval (15 minutes) after the first
    let early = app.sync("customers", "a").await;
    assert_eq!((early.counts.missing, early.counts.deleted), (0, 0));
    // one interval after the first look, to within what two ticks of one timer start apart
    app.clock.advance(Duration::from_secs(15 * 60 - 10));
    let second = app.sync("customers", "a").await;
    assert_eq!((second.outcome.map(Outcome::as_str), second.counts.deleted), (Some("succeeded"), 1));
    assert_eq!(app.rows("customers", "a").await.len(), 29);

    serve(&app, "customers", "a", &records);
    let back = app.sync("customers", "a").await;
    assert_eq!((back.counts.restored, back.counts.inserted), (1, 0));
    let types = app.app.store.types().clone();
    assert_eq!(app.records("customers", "a").await, objects(types.get("customers").unwrap(), &records));
    app.stop().await;
}

#[actix::test]
async fn a_row_that_is_only_missing_is_restored_with_its_mark_taken_off() {
    let (app, records) = app_with(30).await;
    serve(&app, "customers", "a", &records[1..]);
    app.sync("customers", "a").await;
    serve(&app, "customers", "a", &records);
    let back = app.sync("customers", "a").await;
    assert_eq!((back.counts.restored, back.counts.unchanged), (1, 29));
    assert!(app.rows("customers", "a").await.iter().all(|row| row["missing_since"].is_null()));
    app.stop().await;
}

#[actix::test]
async fn a_leftover_filter_is_held_and_writes_nothing() {
    let (app, mut records) = app_with(60).await;
    let before = app.rows("customers", "a").await;
    records.truncate(20);
    serve(&app, "customers", "a", &records);
    let run = app.sync("customers", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.hold.map(Hold::as_str)), (Some("held"), Some("open")));
    let verdicts = run.verdicts.unwrap();
    assert_eq!((&verdicts[0]["guard"], &verdicts[0]["threshold"]), (&json!("few_rows"), &json!(50.0)));
    assert_eq!(verdicts[1]["guard"], "many_missing");
    assert!(verdicts[1]["text"].as_str().unwrap().contains("40 of 60"));
    assert!(run.counts.balance());
    assert_eq!(app.rows("customers", "a").await, before);
    let (_, status) = app.get("/api/sync/status").await;
    assert_eq!((&status["openHolds"], &status["health"]), (&json!([run.id]), &json!("attention")));
    app.stop().await;
}

#[actix::test]
async fn no_rows_at_all_are_held() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    serve(&app, "orders", "a", &invent(&types, "orders", 3));
    app.sync("orders", "a").await;
    app.idle().await;
    app.source.set("orders", "a", bytes("edge/orders-no-rows.pdf"));
    let run = app.sync("orders", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("held"), Some("no_rows")));
    assert_eq!(app.rows("orders", "a").await.len(), 3);
    app.stop().await;
}

#[actix::test]
async fn an_approved_run_is_applied_and_its_missing_rows_are_a_first_miss() {
    let (app, records) = app_with(60).await;
    serve(&app, "customers", "a", &records[..20]);
    let held = app.sync("customers", "a").await;
    // the source has moved on: what is applied is the document that was looked at
    serve(&app, "customers", "a", &records);
    let (status, answer) = approve(&app, held.id).await;
    assert_eq!(status, 202, "{answer}");
    let run = app.ended(JobId(answer["jobId"].as_i64().unwrap())).await;
    assert_eq!(
        (run.outcome.map(Outcome::as_str), run.reason.as_str()),
        (Some("succeeded"), "approval"),
        "{:?}",
        run.error
    );
    assert_eq!((run.counts.missing, run.counts.deleted, run.counts.unchanged), (40, 0, 20));
    let (_, held) = app.get(&format!("/api/runs/{}", held.id)).await;
    assert_eq!(held["hold"], "applied");
    assert_eq!(approve(&app, RunId(held["id"].as_i64().unwrap())).await.0, 409);
    app.stop().await;
}

#[actix::test]
async fn an_approved_run_that_a_shutdown_interrupts_is_carried_on() {
    let target: Arc<OnceLock<Handle<SyncActor>>> = Arc::default();
    let addr = target.clone();
    let interrupt = move |event: &Event| {
        let Event::Progressed { stage: Stage::Apply, done: 10, total: 20.., .. } = event else { return };
        let Some(addr) = addr.get() else { return };
        let stop = addr.send(Stop { job: None, reason: StopReason::Shutdown });
        futures_executor::block_on(stop).unwrap();
    };
    let app = TestApp::builder().agents(&["a"]).observe(interrupt).start().await;
    let types = app.app.store.types().clone();
    let customers = types.get("customers").unwrap();
    let mut records = invent(&types, "customers", 60);
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    records.truncate(20);
    for record in &mut records {
        record.values[customers.field("name").unwrap()] = lockstep::domain::Value::Text("Altro".into());
    }
    serve(&app, "customers", "a", &records);
    let held = app.sync("customers", "a").await;
    assert_eq!(held.outcome.map(Outcome::as_str), Some("held"));
    target.set(app.syncs[&"customers".into()].clone()).ok();
    let (_, answer) = approve(&app, held.id).await;
    let run = app.ended(JobId(answer["jobId"].as_i64().unwrap())).await;
    assert_eq!(
        (run.outcome.map(Outcome::as_str), run.counts.updated, run.counts.unchanged),
        (Some("succeeded"), 10, 10)
    );
    assert_eq!(run.attempt, 1, "the attempt was given back");
    assert_eq!(app.get(&format!("/api/runs/{}", held.id)).await.1["hold"], "applied");
    app.stop().await;
}

#[actix::test]
async fn an_approval_that_is_removed_before_it_starts_leaves_the_hold_open() {
    let app = TestApp::builder().agents(&["a", "b"]).setting("LOCKSTEP__QUEUE__CONCURRENCY", "1").start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "customers", 60);
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    serve(&app, "customers", "a", &records[..20]);
    let held = app.sync("customers", "a").await;
    app.source.hang("orders", "b");
    app.enqueue("orders", "b").await;
    let (_, waiting) = approve(&app, held.id).await;
    app.post(&format!("/api/jobs/{}/cancel", waiting["jobId"]), json!({})).await;
    assert_eq!(app.get(&format!("/api/runs/{}", held.id)).await.1["hold"], "open");
    assert_eq!(approve(&app, held.id).await.0, 202);
    app.post("/api/sync/stop/orders", json!({})).await;
    app.idle().await;
    assert_eq!(app.get(&format!("/api/runs/{}", held.id)).await.1["hold"], "applied");
    app.stop().await;
}

#[actix::test]
async fn an_approval_of_what_has_changed_meanwhile_is_refused() {
    let (app, records) = app_with(60).await;
    serve(&app, "customers", "a", &records[..20]);
    let held = app.sync("customers", "a").await;
    // an upload that passes the guards changes the stored records, and closes the hold
    let types = app.app.store.types().clone();
    let customers = types.get("customers").unwrap();
    let mut changed = records.clone();
    changed[0].values[customers.field("name").unwrap()] = lockstep::domain::Value::Text("Altro".into());
    serve(&app, "customers", "a", &changed);
    app.sync("customers", "a").await;
    let (status, problem) = approve(&app, held.id).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("not_held")));
    assert_eq!(app.get(&format!("/api/runs/{}", held.id)).await.1["hold"], "closed");
    app.stop().await;
}

#[actix::test]
async fn a_newer_hold_supersedes_and_a_rejected_one_is_dropped() {
    let (app, records) = app_with(60).await;
    serve(&app, "customers", "a", &records[..20]);
    let first = app.sync("customers", "a").await;
    serve(&app, "customers", "a", &records[..21]);
    let second = app.sync("customers", "a").await;
    assert_eq!(app.get(&format!("/api/runs/{}", first.id)).await.1["hold"], "superseded");
    assert_eq!(app.post(&format!("/api/runs/{}/reject", first.id), json!({})).await.0, 409);
    let (status, rejected) = app.post(&format!("/api/runs/{}/reject", second.id), json!({})).await;
    assert_eq!((status.as_u16(), &rejected["hold"]), (200, &json!("rejected")));
    assert_eq!(approve(&app, second.id).await.0, 409);
    assert_eq!(app.rows("customers", "a").await.len(), 60);
    app.stop().await;
}

#[actix::test]
async fn another_agents_report_is_held() {
    let (app, records) = app_with(30).await;
    serve(&app, "customers", "b", &records);
    let run = app.sync("customers", "b").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("held"), Some("other_agent")));
    assert!(app.rows("customers", "b").await.is_empty());
    app.stop().await;
}

#[actix::test]
async fn an_expired_session_is_not_an_empty_report() {
    let (app, _) = app_with(30).await;
    for (file, code) in [("login-page", "session_expired"), ("empty-body", "not_a_report"), ("truncated", "damaged")] {
        app.source.set("customers", "a", bytes(&format!("edge/{file}.pdf")));
        let run = app.sync("customers", "a").await;
        assert_eq!(
            (run.outcome.map(Outcome::as_str), run.error_code.as_deref(), run.attempt),
            (Some("failed"), Some(code), 3)
        );
        assert_eq!(app.rows("customers", "a").await.len(), 30);
        // three answers in a row that are no report: the source is left alone until someone trusts it again
        let breakers = app.get("/api/breakers").await.1;
        assert_eq!(breakers["items"][0]["state"], "open", "{breakers}");
        app.post(&format!("/api/breakers/{}/reset", breakers["items"][0]["id"]), serde_json::json!({})).await;
    }
    app.stop().await;
}

#[actix::test]
async fn old_runs_are_forgotten_but_not_those_that_say_how_things_stand() {
    let (app, records) = app_with(60).await;
    let ids = async || -> Vec<RunId> {
        let runs = app.get("/api/runs?type=customers").await.1;
        runs["items"].as_array().unwrap().iter().rev().map(|run| RunId(run["id"].as_i64().unwrap())).collect()
    };
    let read = ids().await[0];
    let unchanged = [app.sync("customers", "a").await.id, app.sync("customers", "a").await.id];
    serve(&app, "customers", "a", &records[..20]);
    let held = app.sync("customers", "a").await.id;
    app.source.fail("customers", "a", SourceError::Refused("not today".into()));
    let failed = [app.sync("customers", "a").await.id, app.sync("customers", "a").await.id];
    app.clock.advance(Duration::from_hours(24 * 100));
    let before = Clock::now(&app.clock) - chrono::Duration::days(90);
    app.app.store.clean_runs(before).await.unwrap();
    assert_eq!(ids().await, [read, unchanged[1], held, failed[1]]);

    serve(&app, "customers", "a", &records[..58]);
    let newest = app.sync("customers", "a").await;
    assert_eq!(newest.outcome.map(Outcome::as_str), Some("succeeded"));
    app.app.store.clean_runs(before).await.unwrap();
    assert_eq!(ids().await, [newest.id], "the hold was closed by the newer run");
    // what a run knows of the one before is still known
    assert_eq!(app.sync("customers", "a").await.outcome.map(Outcome::as_str), Some("unchanged"));
    app.stop().await;
}

#[actix::test]
async fn a_wipe_that_goes_slowly_is_held_too() {
    let (app, records) = app_with(100).await;
    // 17 % fewer each time: each report alone passes
    let sizes = [83, 69, 57, 47, 39];
    let mut runs = Vec::new();
    for size in sizes {
        serve(&app, "customers", "a", &records[..size]);
        runs.push(app.sync("customers", "a").await);
        app.clock.advance(Duration::from_mins(20));
    }
    assert_eq!(runs[0].counts.missing, 17);
    for run in &runs[1..] {
        assert_eq!(run.outcome.map(Outcome::as_str), Some("held"), "{run:?}");
    }
    assert_eq!(runs[1].error_code.as_deref(), Some("many_missing_lately"));
    let live = app.rows("customers", "a").await.iter().filter(|row| row["missing_since"].is_null()).count();
    assert_eq!(live, 83);

    // what a person has approved is not held against the next run
    serve(&app, "customers", "a", &records[..69]);
    let held = app.sync("customers", "a").await;
    let (_, answer) = approve(&app, held.id).await;
    assert_eq!(
        app.ended(JobId(answer["jobId"].as_i64().unwrap())).await.outcome.map(Outcome::as_str),
        Some("succeeded")
    );
    app.clock.advance(Duration::from_mins(20));
    serve(&app, "customers", "a", &records[..60]);
    let next = app.sync("customers", "a").await;
    assert_eq!((next.outcome.map(Outcome::as_str), next.counts.missing), (Some("succeeded"), 9), "{:?}", next.error);

    // nor what went longer ago than a day
    app.clock.advance(Duration::from_hours(25));
    serve(&app, "customers", "a", &records[..50]);
    assert_eq!(app.sync("customers", "a").await.outcome.map(Outcome::as_str), Some("succeeded"));
    app.stop().await;
}

#[actix::test]
async fn a_few_rows_are_guarded_as_many_are() {
    let (app, records) = app_with(19).await;
    serve(&app, "customers", "a", &records[..1]);
    let run = app.sync("customers", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("held"), Some("many_missing")));
    assert!(app.rows("customers", "a").await.iter().all(|row| row["missing_since"].is_null()));
    app.stop().await;
}

#[actix::test]
async fn keys_in_another_spelling_are_told_and_held_where_they_are_many() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let customers = types.get("customers").unwrap();
    let mut records = invent(&types, "customers", 60);
    for (number, record) in records.iter_mut().enumerate() {
        record.values[customers.key] = lockstep::domain::Value::Text(format!("AB/{:04}", number + 1));
    }
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    let respell = |records: &mut [Record], upto: usize| {
        for (number, record) in records.iter_mut().enumerate().take(upto) {
            record.values[customers.key] = lockstep::domain::Value::Text(format!("ab/{:04}", number + 1));
        }
    };
    respell(&mut records, 1);
    serve(&app, "customers", "a", &records);
    let run = app.sync("customers", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.counts.inserted), (Some("succeeded"), 1));
    let told = &run.notes.unwrap()["similarKeys"];
    assert_eq!(told, &json!({ "count": 1, "first": [{ "key": "ab/0001", "stored": "AB/0001" }] }));

    respell(&mut records, 5);
    serve(&app, "customers", "a", &records);
    let run = app.sync("customers", "a").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("held"), Some("similar_keys")));
    assert!(run.error.unwrap().contains("another spelling"));
    app.stop().await;
}

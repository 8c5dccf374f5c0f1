//! Are actors that end started anew, with nothing lost or doubled, and is it noticed when that makes no sense?

use std::{
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use lockstep::{
    domain::{Admission, Outcome, Reason},
    queue::{Enqueue, Snapshot},
    supervisor::{Freeze, GaveUp, Panic, Policy},
    testing::{TestApp, TestClock},
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{grid, invent, serve},
    outbox::server::{Answer, TestServer},
};

type Ended = Arc<Mutex<Vec<(String, GaveUp)>>>;

/// How often an actor was started anew, as the API tells it; `None` while it is down.
async fn restarts(app: &TestApp, actor: &str) -> Option<u64> {
    let (_, status) = app.get("/api/sync/status").await;
    let all = status["actors"].as_array()?.clone();
    let own = all.into_iter().find(|one| one["name"] == actor)?;
    own["isUp"].as_bool()?.then(|| own["restarts"].as_u64())?
}

#[actix::test]
async fn a_queue_that_ends_goes_on_with_what_runs_and_answers_again() {
    let app = TestApp::builder().agents(&["a", "b"]).start().await;
    app.source.hang("orders", "a");
    let running = app.enqueue("orders", "a").await;
    app.until("it runs", async || app.queue.send(Snapshot).await.unwrap().running == [running]).await;
    app.queue.do_send(Panic);
    // whoever asks meanwhile is answered, by the actor that comes next
    let answer = app.queue.send(Enqueue::new("products", "b", Reason::Manual)).await;
    let accepted = match answer {
        Ok(answer) => answer.unwrap(),
        // it was in the mailbox of the one that ended
        Err(_) => app.queue.send(Enqueue::new("products", "b", Reason::Manual)).await.unwrap().unwrap(),
    };
    let (Admission::Accepted { job } | Admission::AlreadyQueued { job }) = accepted else { panic!("{accepted:?}") };
    serve(&app, "products", "service-account", &invent(app.app.store.types(), "products", 5));
    app.ended(job).await;

    let snapshot = app.queue.send(Snapshot).await.unwrap();
    assert!(snapshot.running.contains(&running), "what ran is still this process's: {snapshot:?}");
    assert_eq!(restarts(&app, "queue").await, Some(1));
    let metrics = app.raw(Method::GET, "/metrics").bearer_auth(app.token()).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("lockstep_actor_restarts_total{actor=\"queue\"} 1"), "{metrics}");
    // it can be stopped, and its end is noted once
    assert_eq!(app.post(&format!("/api/jobs/{running}/cancel"), json!({})).await.0, 200);
    let run = app.ended(running).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.attempt), (Some("stopped"), 1));
    app.at_rest().await;
    app.stop().await;
}

#[actix::test]
async fn a_sync_actor_that_ends_loses_no_job_and_doubles_none() {
    let app = TestApp::builder()
        .agents(&["a"])
        .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "50")
        .setting("LOCKSTEP__QUEUE__LEASE_MS", "300")
        .start()
        .await;
    app.source.hang("orders", "a");
    let job = app.enqueue("orders", "a").await;
    app.until("its report is asked for", async || app.source.fetches().len() == 1).await;
    app.source.set("orders", "a", grid("orders"));
    app.syncs[&"orders".into()].do_send(Panic);
    let run = app.ended(job).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.attempt, run.counts.inserted), (Some("succeeded"), 2, 40));
    assert_eq!(app.rows("orders", "a").await.len(), 40);
    assert_eq!(restarts(&app, "sync orders").await, Some(1));
    app.at_rest().await;
    app.stop().await;
}

#[actix::test]
async fn timers_go_on_after_the_scheduler_has_ended() {
    let clock = TestClock::default();
    let app =
        TestApp::builder().agents(&["a"]).clock(&clock).setting("LOCKSTEP__SCHEDULER__ENABLED", "true").start().await;
    app.at_rest().await;
    app.scheduler.do_send(Panic);
    let before = app.source.fetches().len();
    let next = app.scheduler.send(lockstep::scheduler::Snapshot).await;
    // the one that ended may have taken the question with it
    drop(next);
    app.until("it is up", async || restarts(&app, "scheduler").await == Some(1)).await;
    let timers = app.scheduler.send(lockstep::scheduler::Snapshot).await.unwrap();
    assert_eq!((timers.running, timers.types.len()), (true, 6), "{timers:?}");
    clock.advance(Duration::from_hours(3));
    app.idle().await;
    assert!(app.source.fetches().len() > before + 5, "{:?}", app.source.fetches());
    app.stop().await;
}

#[actix::test]
async fn an_outbox_that_ends_delivers_each_change_once() {
    let server = TestServer::start(|_, _| Answer::Late(Duration::from_millis(5))).await;
    let app = TestApp::builder()
        .agents(&["a"])
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__URL", &server.url())
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__SECRET", "a secret of the tests")
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__ALLOW_PRIVATE", "true")
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__TO", "hook")
        .setting("LOCKSTEP__SINK__BATCH", "5")
        // what is in hand stays alive: nothing is taken over because of a restart
        .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "50")
        .setting("LOCKSTEP__QUEUE__LEASE_MS", "1000")
        .start()
        .await;
    let item = |number: usize| json!({ "action": "UPDATE", "model": "orders", "recordId": format!("O-{number}"), "payload": {} });
    let items: Vec<Json> = (0..200).map(item).collect();
    assert_eq!(app.post("/api/queue/items", json!(items)).await.0, 201);
    for part in 1..4 {
        app.until("some are delivered", async || server.requests().len() >= part * 40).await;
        app.outbox.do_send(Panic);
        app.until("it is up again", async || restarts(&app, "outbox").await == Some(part as u64)).await;
    }
    app.until("all are delivered", async || {
        let (status, stats) = app.get("/api/queue/stats").await;
        status == 200 && stats["completed"] == 200
    })
    .await;
    let mut ids: Vec<_> = server.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 200);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200, "each once");
    app.at_rest().await;
    app.stop().await;
}

#[actix::test]
async fn a_service_whose_queue_has_just_ended_still_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::builder().folder(folder.path()).agents(&["a"]).start().await;
    app.source.hang("orders", "a");
    let job = app.enqueue("orders", "a").await;
    app.until("its report is asked for", async || app.source.fetches().len() == 1).await;
    app.queue.do_send(Panic);
    // asserts that nothing was left running
    app.stop().await;
    let app = TestApp::builder().folder(folder.path()).agents(&["a"]).start().await;
    app.source.set("orders", "a", grid("orders"));
    let run = app.ended(job).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.attempt), (Some("succeeded"), 1), "it was given back in time");
    app.stop().await;
}

#[actix::test]
async fn who_ends_again_and_again_ends_the_process() {
    let gave_up: Ended = Arc::default();
    let told = gave_up.clone();
    let policy = Policy { first_pause: Duration::from_millis(2), ..Policy::default() };
    let app = TestApp::builder()
        .supervise(policy, move |actor, why| told.lock().unwrap().push((actor.to_owned(), why)))
        .start()
        .await;
    app.until("it is given up", async || {
        app.scheduler.do_send(Panic);
        !gave_up.lock().unwrap().is_empty()
    })
    .await;
    assert_eq!(gave_up.lock().unwrap()[..], [("scheduler".to_owned(), GaveUp::RestartsSpent)]);
    let ready = app.raw(Method::GET, "/readyz").bearer_auth(app.token()).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let ready: Json = ready.json().await.unwrap();
    assert_eq!(ready["code"], "actor_gone", "{ready}");
    assert!(ready["detail"].as_str().unwrap().contains("'scheduler'"), "{ready}");
    // who asks for it is answered too
    let (status, problem) = app.get("/api/sync/status").await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("restarting")));
}

/// Only for the test below it, in a process of its own: this one ends in the middle.
#[actix::test]
#[ignore = "ends its process"]
async fn a_process_that_gives_up() {
    let app = TestApp::builder().start().await;
    loop {
        app.scheduler.do_send(Panic);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_process_whose_actor_ends_again_and_again_ends_with_seventy() {
    let own = ["--exact", "supervision::a_process_that_gives_up", "--ignored", "--nocapture"];
    let output = Command::new(std::env::current_exe().unwrap()).args(own).output().unwrap();
    assert_eq!(output.status.code(), Some(70), "{}", String::from_utf8_lossy(&output.stderr));
}

#[actix::test]
async fn an_actor_that_is_frozen_is_noticed_from_another_thread() {
    let gave_up: Ended = Arc::default();
    let told = gave_up.clone();
    let policy = Policy { ping: Duration::from_millis(20), frozen: Duration::from_millis(300), ..Policy::default() };
    let app = TestApp::builder()
        .supervise(policy, move |actor, why| told.lock().unwrap().push((actor.to_owned(), why)))
        .start()
        .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(gave_up.lock().unwrap().is_empty(), "it turns");
    app.queue.send(Freeze(Duration::from_secs(1))).await.unwrap();
    // noticed while this thread stood still
    let all = gave_up.lock().unwrap().clone();
    assert!(!all.is_empty() && all.iter().all(|(_, why)| *why == GaveUp::Frozen), "{all:?}");
}

//! Can people steer the queue over HTTP, and does it say what it does and why?

use std::{collections::BTreeMap, time::Duration};

use lockstep::{
    domain::{Admission, Clock, JobId, Outcome, Reason},
    event::Event,
    queue::{Enqueue, EnqueueMany, Snapshot},
    source::SourceError,
    sync,
    testing::{Backend, TestApp},
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, serve};

async fn start(agents: &[&str]) -> TestApp {
    let app = TestApp::builder().agents(agents).start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "orders", agents.len() * 3);
    for (agent, own) in agents.iter().zip(records.chunks(3)) {
        // each agent has orders of their own: another agent's report would be held
        serve(&app, "orders", agent, own);
        for child in ["ddt", "invoices"] {
            serve(&app, child, agent, &[]);
        }
    }
    app
}

#[actix::test]
async fn a_pause_gives_running_syncs_back_and_is_told_with_its_reason() {
    let app = start(&["a", "b"]).await;
    app.source.hang("orders", "a");
    let running = app.enqueue("orders", "a").await;
    while app.syncs[&"orders".into()].send(sync::Snapshot).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let (status, paused) = app.post("/api/sync/pause", json!({ "reason": "stocktaking" })).await;
    assert_eq!((status.as_u16(), &paused["stopping"]), (200, &json!([running])), "{paused}");
    app.at_rest().await;
    let back = app.app.store.job(running).await.unwrap().unwrap();
    assert_eq!((back.state.as_str(), back.attempt), ("waiting", 0), "it lost no attempt");
    let (status, refused) = app.post("/api/sync/trigger/orders", json!({ "agentId": "b" })).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("paused")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("stocktaking"), "{refused}");
    assert_eq!(app.get("/api/sync/status").await.1["pause"]["reason"], "stocktaking");
    // a person may pass it
    let (status, forced) = app.post("/api/sync/trigger/orders", json!({ "agentId": "b", "force": true })).await;
    assert_eq!(status, 202);
    let run = app.ended(JobId(forced["jobId"].as_i64().unwrap())).await;
    assert_eq!(run.outcome.map(Outcome::as_str), Some("succeeded"));

    let (status, _) = app.post("/api/sync/pause", json!({ "reason": "fire", "emergency": true })).await;
    assert_eq!(status, 200);
    for (path, body) in [
        ("/api/sync/trigger/orders", json!({ "agentId": "b", "force": true })),
        ("/api/operations", json!({ "type": "send-order", "agentId": "b", "data": { "orderId": "1" } })),
    ] {
        assert_eq!(app.post(path, body).await.0, 409);
    }
    assert_eq!(app.post("/api/sync/trigger-all", json!({})).await.0, 409);
    serve(&app, "orders", "a", &invent(app.app.store.types(), "orders", 3));
    assert_eq!(app.post("/api/sync/resume", json!({})).await.0, 200);
    assert_eq!(app.ended(running).await.outcome.map(Outcome::as_str), Some("succeeded"));
    for body in [json!({ "reason": "" }), json!({ "reason": "x", "until": "2020-01-01T00:00:00Z" })] {
        assert_eq!(app.post("/api/sync/pause", body).await.0, 422);
    }
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn a_source_that_fails_opens_its_agents_breaker_which_is_shown_and_reset() {
    let app = start(&["a", "b"]).await;
    app.source.fail("orders", "a", SourceError::Unreachable("the ERP is away".into()));
    let job = app.enqueue("orders", "a").await;
    // three attempts, 5 and 10 s apart
    assert_eq!(app.ended(job).await.attempt, 3);
    let (_, breakers) = app.get("/api/breakers").await;
    let breaker = &breakers["items"][0];
    assert_eq!((&breaker["agentId"], &breaker["state"]), (&json!("a"), &json!("open")), "{breakers}");
    assert_eq!(breaker["lastError"], "the source cannot be read: the ERP is away");
    let path = "/api/sync/trigger/orders";
    let request = app.raw(Method::POST, path).bearer_auth(app.token()).json(&json!({ "agentId": "a" }));
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    let seconds: u64 = refused.headers()["Retry-After"].to_str().unwrap().parse().unwrap();
    assert!((30..=61).contains(&seconds), "{seconds}");
    assert_eq!(refused.json::<Json>().await.unwrap()["code"], "breaker_open");
    // a refusal is no success, and leaves the breaker alone
    assert_eq!(app.get("/api/breakers").await.1["items"][0]["state"], "open");
    assert_eq!(
        app.sync("orders", "b").await.outcome.map(Outcome::as_str),
        Some("succeeded"),
        "the other agent is untouched"
    );

    serve(&app, "orders", "a", &invent(app.app.store.types(), "orders", 3));
    let (status, reset) = app.post(&format!("/api/breakers/{}/reset", breaker["id"]), json!({})).await;
    assert_eq!((status.as_u16(), &reset["state"]), (200, &json!("closed")));
    assert_eq!(app.post("/api/breakers/77/reset", json!({})).await.0, 404);
    assert_eq!(app.sync("orders", "a").await.outcome.map(Outcome::as_str), Some("succeeded"));
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn keys_limits_retries_and_purges_are_in_peoples_hands() {
    let app = start(&["a", "b"]).await;
    let (status, limits) = app.request(Method::PUT, "/api/limits", Some(json!({ "concurrency": 1 }))).await;
    assert_eq!((status.as_u16(), &limits["concurrency"]), (200, &json!(1)));
    for body in [json!({ "concurrency": 0 }), json!({ "types": { "nothing": 1 } }), json!({ "types": { "orders": 0 } })]
    {
        assert_eq!(app.request(Method::PUT, "/api/limits", Some(body)).await.0, 422);
    }
    app.source.hang("orders", "a");
    let running = app.enqueue("orders", "a").await;
    while app.source.fetches().is_empty() {
        tokio::task::yield_now().await;
    }
    let waiting = app.enqueue("orders", "b").await;
    assert_eq!(app.get("/api/jobs?state=waiting").await.1["items"].as_array().unwrap().len(), 1, "one slot");
    let (_, key) = app.get("/api/keys/orders:b").await;
    assert_eq!((&key["jobId"], &key["key"]), (&json!(waiting), &json!("orders:b")));
    let path = |job: JobId| format!("/api/keys/orders:b?job={job}");
    assert_eq!(app.request(Method::DELETE, &path(running), None).await.0, 404, "not its key");
    assert_eq!(app.request(Method::DELETE, &path(waiting), None).await.0, 204);
    let second = app.enqueue("orders", "b").await;
    let (_, purged) = app.post("/api/jobs/purge", json!({ "type": "orders" })).await;
    assert_eq!(purged["removed"], json!([waiting, second]));
    assert_eq!(app.app.store.job(running).await.unwrap().unwrap().state.as_str(), "active");

    app.post(&format!("/api/jobs/{running}/cancel"), json!({})).await;
    app.ended(running).await;
    serve(&app, "orders", "a", &invent(app.app.store.types(), "orders", 3));
    let retry = format!("/api/jobs/{running}/retry");
    assert_eq!(app.post(&retry, json!({})).await.0, 202);
    assert_eq!(app.ended(running).await.outcome.map(Outcome::as_str), Some("succeeded"));
    let (status, answer) = app.post(&retry, json!({})).await;
    assert_eq!((status.as_u16(), &answer["code"]), (409, &json!("job_succeeded")));
    assert_eq!(app.post("/api/jobs/999/retry", json!({})).await.0, 404);
    app.idle().await;
    let (_, job) = app.get(&format!("/api/jobs/{running}")).await;
    assert_eq!(job["flow"]["outcome"], "completed", "{job}");
    assert_eq!(job["flow"]["children"].as_array().unwrap().len(), 2);
    app.stop().await;
}

#[actix::test]
async fn every_answer_is_one_event_of_one_shape_also_of_a_duplicate_answered_from_memory() {
    let app = start(&["a"]).await;
    app.source.hang("orders", "a");
    let mut events = app.app.bus.subscribe();
    let first = app.enqueue("orders", "a").await;
    let many: Vec<_> = (0..1_000).map(|_| Enqueue::new("orders", "a", Reason::Manual)).collect();
    let answers = app.queue.send(EnqueueMany(many)).await.unwrap().unwrap();
    assert!(answers.iter().all(|answer| *answer == Admission::AlreadyQueued { job: first }));
    let mut told = 0;
    // whether it was right to refuse them from memory is asked of the database, too; that is over then
    app.until("they are answered", async || !app.queue.send(Snapshot).await.unwrap().admitting).await;
    while let Ok(event) = events.try_recv() {
        if let Event::Enqueued { admission, .. } = event {
            let json = serde_json::to_value(admission).unwrap();
            assert_eq!(json["job"], first.0, "{json}");
            assert_eq!(json["answer"], if told == 0 { "accepted" } else { "already_queued" });
            told += 1;
        }
    }
    assert_eq!(told, 1_001, "each once, also after the database was asked again");
    app.queue.send(Enqueue::new("orders", "a", Reason::Manual)).await.unwrap().unwrap();
    app.post("/api/sync/stop", json!({})).await;
    app.ended(first).await;
    // the winner lived when the last one was refused: what was stopped does not rise again
    app.at_rest().await;
    assert!(app.app.store.job_counts().await.unwrap().is_empty());
    assert!(matches!(
        app.queue.send(Enqueue::new("orders", "a", Reason::Manual)).await.unwrap().unwrap(),
        Admission::Accepted { job } if job > first
    ));
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn a_duplicate_refused_from_memory_is_admitted_after_all_if_another_process_had_ended_its_winner() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("LOCKSTEP__QUEUE__CONCURRENCY", "1")];
    let app =
        TestApp::builder().folder(folder.path()).agents(&["a", "b"]).setting(limits[0].0, limits[0].1).start().await;
    app.source.hang("orders", "a");
    app.enqueue("orders", "a").await;
    let winner = app.enqueue("orders", "b").await;
    // another process takes the waiting job out of the queue
    let url = Backend::of_suite().database(folder.path()).await;
    let types = app.app.store.types().clone();
    let other = lockstep::store::Store::open(&url, tokio::runtime::Handle::current(), types).await.unwrap();
    let meant = lockstep::domain::JobSelector { job: Some(winner), ..lockstep::domain::JobSelector::default() };
    other.request_stop(meant, chrono::Utc::now()).await.unwrap();
    let answer = app.queue.send(Enqueue::new("orders", "b", Reason::Manual)).await.unwrap().unwrap();
    assert_eq!(answer, Admission::AlreadyQueued { job: winner }, "this process could not know");
    let mut admitted = Json::Null;
    app.until("what was asked for is not lost", async || {
        admitted = app.get("/api/jobs?state=waiting&agent=b").await.1["items"][0]["id"].clone();
        admitted.is_number()
    })
    .await;
    assert!(admitted.as_i64() > Some(winner.0), "{admitted}");
    other.close().await;
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn settings_that_the_database_rules_otherwise_are_named_with_what_is_in_force() {
    let app = start(&["a"]).await;
    app.request(Method::PUT, "/api/limits", Some(json!({ "concurrency": 2 }))).await;
    let own = [("SCHEDULER__INTERVALS__ORDERS", "77"), ("QUEUE__CONCURRENCY", "5")];
    let own = own.map(|(key, value)| (format!("LOCKSTEP__{key}"), value.to_owned()));
    let settings = lockstep::settings::Settings::load([], own.into()).unwrap();
    let found = lockstep::app::overruled(&settings, &app.app.store).await.unwrap();
    let found: BTreeMap<String, String> = found.into_iter().map(|one| (one.key, one.in_force)).collect();
    let stored = app.app.store.settings().await.unwrap();
    let orders = stored.iter().find(|one| one.sync_type.as_str() == "orders").unwrap().interval_minutes;
    let expected = [("queue.concurrency", "2".to_owned()), ("scheduler.intervals.orders", orders.to_string())];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)).into());
    app.stop().await;
}

#[actix::test]
async fn readiness_names_the_loop_that_is_late() {
    let app = start(&["a"]).await;
    let (status, ready) = app.get("/readyz").await;
    assert_eq!(status, 200);
    let names: Vec<_> = ready["loops"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["claim", "outbox", "rescue", "timers"].map(|name| json!(name)));
    app.app.liveness.beat("a loop that stands still", Duration::ZERO);
    let (status, red) = app.get("/readyz").await;
    assert_eq!((status.as_u16(), &red["code"]), (503, &json!("loop_late")), "{red}");
    assert!(red["detail"].as_str().unwrap().contains("a loop that stands still"));
    app.stop().await;
}

#[actix::test]
async fn a_job_of_a_deactivated_agent_is_skipped_which_is_neither_success_nor_failure() {
    let app = start(&["a"]).await;
    assert_eq!(app.request(Method::DELETE, "/api/agents/a", None).await.0, 204);
    let answer = app.queue.send(Enqueue::new("orders", "a", Reason::Timer)).await.unwrap().unwrap();
    let run = app.ended(answer.job().unwrap()).await;
    assert_eq!(run.outcome.map(Outcome::as_str), Some("skipped"));
    assert_eq!(app.source.fetches().len(), 0);
    let (_, status) = app.get("/api/sync/auto-sync/status").await;
    assert_eq!(status["types"]["orders"]["lastSuccess"], json!(null));
    assert_eq!(status["types"]["orders"]["consecutiveFailures"], 0);
    app.stop().await;
}

#[actix::test]
async fn numbers_instants_and_texts_have_bounds_that_are_told() {
    let app = start(&["a"]).await;
    for (method, path, body, status, code) in [
        (Method::POST, "/api/sync/pause", json!({ "reason": "x", "until": "9999-12-31T00:00:00Z" }), 422, "bad_until"),
        (Method::POST, "/api/sync/pause", json!({ "reason": "x", "until": "2001-01-01T00:00:00Z" }), 422, "bad_until"),
        (Method::POST, "/api/sync/pause", json!({ "reason": "a\0b" }), 422, "nul_in_text"),
        (Method::POST, "/api/sync/pause", json!({ "reason": " " }), 422, "bad_reason"),
        (Method::POST, "/api/sync/pause", json!({ "reason": "x".repeat(501) }), 422, "bad_reason"),
        (Method::POST, "/api/sync/pause", json!(["x"]), 422, "bad_body"),
        (Method::PUT, "/api/limits", json!({ "concurrency": 9_223_372_036_854_775_807_u64 }), 422, "out_of_range"),
        (Method::PUT, "/api/limits", json!({ "concurrency": 0 }), 422, "out_of_range"),
        (Method::PUT, "/api/limits", json!({ "types": { "orders": 1_001 } }), 422, "out_of_range"),
        (Method::PUT, "/api/limits", json!({ "types": { "bells": 1 } }), 422, "out_of_range"),
        (Method::PUT, "/api/agents/b", json!({ "name": "" }), 422, "bad_name"),
        (Method::PUT, "/api/agents/b", json!({ "name": "x".repeat(250_000) }), 422, "bad_name"),
        (Method::PUT, "/api/agents/b", json!({ "name": "\u{1b}[2J" }), 422, "bad_name"),
        (Method::PUT, "/api/agents/b", json!({ "name": "B\u{202e}gpj" }), 422, "bad_name"),
        (Method::PUT, "/api/agents/b", json!({ "name": "B\0" }), 422, "nul_in_text"),
        (Method::PUT, "/api/agents/b", json!(["B"]), 422, "bad_body"),
        (Method::PUT, "/api/agents/..", json!({ "name": "B" }), 404, "no_route"),
    ] {
        let (found, answer) = app.request(method, path, Some(body.clone())).await;
        let short = body.to_string().chars().take(80).collect::<String>();
        assert_eq!((found.as_u16(), answer["code"].as_str()), (status, Some(code)), "{path} {short}: {answer}");
    }
    assert_eq!(app.get("/api/agents").await.1["items"].as_array().unwrap().len(), 1);

    // what an earlier version has stored does not stand in the way
    let stored = BTreeMap::from([("*".to_owned(), Some(usize::MAX)), ("orders".to_owned(), Some(2))]);
    let limits = app.app.store.set_limits(stored, Clock::now(&app.clock)).await.unwrap();
    assert_eq!(limits, BTreeMap::from([("orders".to_owned(), 2)]), "what cannot be used is none");
    app.stop().await;
}

#[actix::test]
async fn a_source_that_asks_to_be_left_alone_is_by_retries_and_schedule_alike() {
    let app = start(&["a"]).await;
    let busy = SourceError::Busy { said: "come back later".into(), after: Duration::from_mins(40) };
    app.source.fail("orders", "a", busy);
    let job = app.enqueue("orders", "a").await;
    app.at_rest().await;
    let row = app.app.store.job(job).await.unwrap().unwrap();
    let wait = row.due_at - Clock::now(&app.clock);
    assert_eq!(row.state.as_str(), "delayed");
    assert!(wait > chrono::Duration::minutes(39), "its retry waits: {wait}");
    let timer = app.queue.send(Enqueue::new("ddt", "a", Reason::Timer)).await.unwrap().unwrap();
    assert!(matches!(timer, Admission::BreakerOpen { .. }), "{timer:?}");
    app.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    app.stop().await;
}

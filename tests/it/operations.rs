//! Are operations done once, whatever happens, and is a person told when nobody knows?

use std::{sync::Mutex, time::Duration};

use lockstep::{
    domain::{JobId, Outcome, Stage},
    event::Event,
    queue::{Enqueue, QueueError},
    sink::SinkError,
    source::SourceError,
    sync::Snapshot,
    testing::{Behaviour, TestApp},
};
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, serve};

fn order(key: Option<&str>, lines: i64) -> Json {
    let mut body = json!({
        "type": "submit-order",
        "agentId": "a",
        "data": { "orderId": "O-1", "customer": "C-1", "lines": lines },
    });
    if let Some(key) = key {
        body["idempotencyKey"] = key.into();
    }
    body
}

/// Waits until a job is over and answers it.
async fn over(app: &TestApp, job: &Json) -> Json {
    app.ended(JobId(job.as_i64().unwrap())).await;
    app.get(&format!("/api/jobs/{job}")).await.1
}

#[actix::test]
async fn an_operation_is_done_once_however_often_it_is_sent() {
    let app = TestApp::builder().agents(&["a", "b"]).start().await;
    let (status, first) = app.post("/api/operations", order(Some("k1"), 1)).await;
    assert_eq!((status.as_u16(), &first["deduplicated"]), (202, &json!(false)), "{first}");
    let done = over(&app, &first["jobId"]).await;
    assert_eq!((&done["outcome"], &done["class"]), (&json!("succeeded"), &json!("write")), "{done}");
    let id = done["result"]["confirmed"].as_str().unwrap();
    assert!(id.starts_with(&format!("lockstep-{}-", first["jobId"])), "{id}");
    assert_eq!(done["phase"], "done");

    let (status, again) = app.post("/api/operations", order(Some("k1"), 1)).await;
    assert_eq!((status.as_u16(), &again["deduplicated"], &again["jobId"]), (200, &json!(true), &first["jobId"]));
    assert_eq!(again["refused"], "throttled");
    // the header holds longer than the field's window, and is given the first answer
    let send = async || {
        let request = app.raw(reqwest::Method::POST, "/api/operations").bearer_auth(app.token());
        let answer = request.header("Idempotency-Key", "k1").json(&order(Some("k1"), 1)).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let header = send().await;
    assert_eq!((header.0, &header.1["jobId"]), (200, &first["jobId"]));
    assert_eq!(send().await, header);

    let (status, mistake) = app.post("/api/operations", order(Some("k1"), 2)).await;
    assert_eq!((status.as_u16(), &mistake["code"]), (422, &json!("key_reused")), "{mistake}");
    assert_eq!((&mistake["pointer"], &mistake["jobId"]), (&json!("/idempotencyKey"), &first["jobId"]));
    assert_eq!(app.sink.effects(), 1);

    // keys are of type and agent
    let mut other = order(Some("k1"), 2);
    other["agentId"] = "b".into();
    assert_eq!(app.post("/api/operations", other).await.0, 202);
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(app.post("/api/operations", order(Some("k1"), 2)).await.0, 202, "the window is over");
    app.idle().await;
    assert_eq!(app.sink.effects(), 3);
    app.stop().await;
}

#[actix::test]
async fn what_is_wrong_with_an_operation_is_named_with_its_place() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let with = |name: &str, value: Json| {
        let mut body = order(None, 1);
        body[name] = value;
        body
    };
    for (body, status, code, pointer) in [
        (with("type", "ring-bell".into()), 404, "unknown_type", None),
        (with("agentId", "nobody".into()), 404, "unknown_agent", None),
        (with("data", json!({ "orderId": "1", "customer": " " })), 422, "missing_field", Some("/data/customer")),
        (with("data", json!({})), 422, "missing_field", Some("/data/orderId")),
        (with("colour", 1.into()), 422, "bad_operation", Some("/colour")),
        (with("idempotencyKey", "x".repeat(201).into()), 422, "bad_idempotency_key", Some("/idempotencyKey")),
        (with("idempotencyKey", "a\0b".into()), 422, "nul_in_text", Some("/idempotencyKey")),
        (with("data", json!({ "orderId": "1", "customer": ["x\0"] })), 422, "nul_in_text", Some("/data/customer/0")),
        (json!([order(None, 1), with("agentId", "a\0".into())]), 422, "nul_in_text", Some("/1/agentId")),
        (json!([order(None, 1), with("data", json!({}))]), 422, "missing_field", Some("/1/data/orderId")),
    ] {
        let (got, answer) = app.post("/api/operations", body).await;
        assert_eq!((got.as_u16(), answer["code"].as_str()), (status, Some(code)), "{answer}");
        assert_eq!(answer["pointer"].as_str(), pointer, "{answer}");
    }
    assert_eq!(app.sink.deliveries().len(), 0);
    // for messages as for requests, and whatever else is named
    let data = json!({ "orderId": "1", "customer": "x\0" }).as_object().unwrap().clone();
    let refused = app.queue.send(Enqueue::operation("submit-order", "a", data)).await.unwrap();
    assert_eq!(refused, Err(QueueError::NulInText { pointer: "/data/customer".to_owned() }));
    for path in ["/api/jobs?agent=%00", "/api/keys/a%00b", "/api/data/orders?q=%00"] {
        assert_eq!(app.get(path).await.0, 400, "{path}");
    }
    let put = app.raw(reqwest::Method::PUT, "/api/agents/b").bearer_auth(app.token());
    let named = put.json(&json!({ "name": "\0" })).send().await.unwrap().status();
    assert_eq!(named, 422, "on every database");
    let (_, known) = app.get("/api/operations").await;
    assert_eq!(known["items"].as_array().unwrap().len(), 8);
    app.stop().await;
}

#[actix::test]
async fn many_operations_in_one_request_are_answered_one_by_one() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let many = json!([order(Some("k1"), 1), order(Some("k1"), 1), order(Some("k1"), 2), order(None, 3)]);
    let (status, answer) = app.post("/api/operations", many).await;
    assert_eq!(status, 202);
    let refused: Vec<_> = answer["jobs"].as_array().unwrap().iter().map(|job| job["refused"].clone()).collect();
    assert_eq!(refused, [json!(null), json!("throttled"), json!("key_reused"), json!(null)]);
    app.idle().await;
    assert_eq!(app.sink.effects(), 2);
    app.stop().await;
}

#[actix::test]
async fn an_effect_that_may_have_happened_is_never_repeated_and_one_that_did_not_is() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    // certainly not sent: tried again, with the same id
    app.sink.next(Behaviour::Error(SinkError::NotSent("connection refused".into())));
    let (_, first) = app.post("/api/operations", order(None, 1)).await;
    app.sink.wait_for(1).await;
    app.at_rest().await;
    assert_eq!(app.get(&format!("/api/jobs/{}", first["jobId"])).await.1["state"], "delayed");
    let done = over(&app, &first["jobId"]).await;
    assert_eq!((&done["outcome"], &done["attempt"]), (&json!("succeeded"), &json!(2)), "{done}");
    let deliveries = app.sink.deliveries();
    assert_eq!(deliveries[0].id, deliveries[1].id);
    assert_eq!([deliveries[0].is_repeat, deliveries[1].is_repeat], [false, true]);

    // refused: not tried again
    app.sink.next(Behaviour::Error(SinkError::Refused("unknown customer".into())));
    let (_, refused) = app.post("/api/operations", order(None, 2)).await;
    let done = over(&app, &refused["jobId"]).await;
    assert_eq!((&done["outcome"], &done["attempt"]), (&json!("failed"), &json!(1)), "{done}");
    assert_eq!(done["phase"], json!(null), "it certainly did not happen");

    // nobody knows: an answer that says so, and a panic after the effect
    for behaviour in [Behaviour::Error(SinkError::Unknown("the answer was cut off".into())), Behaviour::Panic] {
        app.sink.next(behaviour);
        let before = app.sink.deliveries().len();
        let (_, doubtful) = app.post("/api/operations", order(None, 3)).await;
        let done = over(&app, &doubtful["jobId"]).await;
        assert_eq!((&done["outcome"], &done["phase"]), (&json!("doubtful"), &json!("sending")), "{done}");
        app.clock.advance(Duration::from_secs(60));
        app.at_rest().await;
        assert_eq!(app.sink.deliveries().len(), before + 1, "it is not repeated");
        let retry = format!("/api/jobs/{}/retry", doubtful["jobId"]);
        let (status, answer) = app.post(&retry, json!({})).await;
        assert_eq!((status.as_u16(), &answer["code"]), (409, &json!("doubtful")));
        assert_eq!(app.post(&retry, json!({ "evenIfDone": true })).await.0, 202, "a person's word");
        assert_eq!(over(&app, &doubtful["jobId"]).await["outcome"], "succeeded");
    }
    app.stop().await;
}

#[actix::test]
async fn a_write_cut_by_a_shutdown_is_doubtful_after_the_restart_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || {
        TestApp::builder()
            .folder(folder.path())
            .agents(&["a"])
            .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "50")
            .setting("LOCKSTEP__QUEUE__LEASE_MS", "300")
            .setting("LOCKSTEP__LIMITS__SHUTDOWN_SECONDS", "1")
    };
    let app = builder().start().await;
    app.sink.next(Behaviour::Silent);
    let (_, first) = app.post("/api/operations", order(None, 1)).await;
    app.sink.wait_for(1).await;
    assert!(!app.app.stop().await, "the write does not come to its end in time");

    let app = builder().start().await;
    let done = over(&app, &first["jobId"]).await;
    assert_eq!((&done["outcome"], &done["attempt"]), (&json!("doubtful"), &json!(1)), "{done}");
    assert_eq!(app.sink.deliveries().len(), 0);
    app.stop().await;
}

#[actix::test]
async fn a_write_preempts_its_agents_sync_which_goes_on_from_the_same_report_without_losing_an_attempt() {
    let slow = |event: &Event| {
        if let Event::Progressed { stage: Stage::Apply, .. } = event {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let app = TestApp::builder().agents(&["a", "b"]).observe(slow).start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "customers", 400);
    serve(&app, "customers", "a", &records);
    let mut events = app.app.bus.subscribe();
    let job = app.enqueue("customers", "a").await;
    // in the middle of its batches
    loop {
        if let Event::Progressed { stage: Stage::Apply, done: 20.., .. } = events.recv().await.unwrap() {
            break;
        }
    }
    let asked = std::time::Instant::now();
    let (_, write) = app.post("/api/operations", order(None, 1)).await;
    app.sink.wait_for(1).await;
    println!("write enqueued to started while a sync of its agent runs: {:?}", asked.elapsed());
    assert_eq!(over(&app, &write["jobId"]).await["outcome"], "succeeded");
    let run = app.ended(job).await;
    assert_eq!(run.outcome.map(Outcome::as_str), Some("succeeded"));
    assert!(run.counts.unchanged > 0 && run.counts.unchanged.is_multiple_of(10), "{:?}", run.counts);
    let over = app.app.store.job(job).await.unwrap().unwrap();
    assert_eq!(over.attempt, 1, "no attempt is lost");
    assert_eq!(app.source.fetches().len(), 1, "its report is kept");
    assert_eq!(app.records("customers", "a").await.len(), 400);
    let runs = app.get("/api/runs?type=customers").await.1;
    let outcomes: Vec<_> = runs["items"].as_array().unwrap().iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("succeeded"), json!("stopped")]);
    app.stop().await;
}

#[actix::test]
async fn a_run_that_does_not_stop_is_given_up_after_the_grace_time_and_its_late_writes_are_refused() {
    // the run stands still from its second batch on, until the test lets it go
    let (arrives, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let (let_go, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let stuck = move |event: &Event| {
        if let Event::Progressed { stage: Stage::Apply, done: 10, .. } = event {
            arrives.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
    };
    let app =
        TestApp::builder().agents(&["a"]).observe(stuck).setting("LOCKSTEP__QUEUE__GRACE_MS", "200").start().await;
    let types = app.app.store.types().clone();
    serve(&app, "customers", "a", &invent(&types, "customers", 600));
    serve(&app, "orders", "a", &invent(&types, "orders", 3));
    let job = app.enqueue("customers", "a").await;
    arrived.recv().await.unwrap();
    // it may hold the database's writer meanwhile, so its end cannot be awaited before; the grace time is real
    let cancel = format!("/api/jobs/{job}/cancel");
    let late = async {
        let stopping = async || app.syncs[&"customers".into()].send(Snapshot).await.unwrap()[0].stopping;
        app.until("it is asked to stop", stopping).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let_go.send(()).unwrap();
    };
    tokio::join!(app.post(&cancel, json!({})), late);
    let run = app.ended(job).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("stopped"), Some("given_up")));
    let stored = app.records("customers", "a").await.len();
    // what it would still write comes before a whole sync that begins now
    assert_eq!(app.sync("orders", "a").await.outcome.map(Outcome::as_str), Some("succeeded"));
    assert_eq!(app.records("customers", "a").await.len(), stored, "nothing is written late");
    assert!(stored <= 20 && stored.is_multiple_of(10), "{stored}: whole batches");
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn a_document_is_downloaded_for_its_caller() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let pdf = std::fs::read("tests/fixtures/reports/grid/agent-1/orders.pdf").unwrap();
    app.source.set("ddt/DDT/1", "a", pdf.clone());
    let ask = |number: &str| json!({ "type": "download-ddt-pdf", "agentId": "a", "data": { "number": number } });
    let (_, first) = app.post("/api/operations", ask("DDT/1")).await;
    let done = over(&app, &first["jobId"]).await;
    assert_eq!((&done["outcome"], &done["result"]["bytes"]), (&json!("succeeded"), &json!(pdf.len())), "{done}");
    let path = format!("/api/jobs/{}/document", first["jobId"]);
    let document = app.raw(reqwest::Method::GET, &path).bearer_auth(app.token()).send().await.unwrap();
    assert_eq!(document.bytes().await.unwrap(), pdf);

    app.source.set("ddt/login", "a", b"<html>log in</html>".to_vec());
    let (_, page) = app.post("/api/operations", ask("login")).await;
    assert_eq!(over(&app, &page["jobId"]).await["outcome"], "failed", "a log-in page is no document");
    app.source.fail("ddt/big", "a", SourceError::BadName("big".into()));
    let (_, bad) = app.post("/api/operations", ask("big")).await;
    assert_eq!(over(&app, &bad["jobId"]).await["outcome"], "failed");
    app.stop().await;
}

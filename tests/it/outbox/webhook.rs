//! Is a server told of each change, once if it says so, and again if it does not; and does nothing hold up others?

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lockstep::{
    domain::Action,
    outbox::{EnqueueItems, OfferItems},
    testing::TestApp,
};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{
    body, change, item_with,
    server::{Answer, Request, TestServer},
    until,
};

const SECRET: &str = "a secret of the tests";

/// An app whose orders go to `server`, and whose bells do, too, but are never repeated.
async fn app(server: &TestServer, settings: &[(&str, &str)]) -> TestApp {
    let builder = TestApp::builder()
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__URL", &server.url())
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__SECRET", SECRET)
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__ALLOW_PRIVATE", "true")
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__TIMEOUT_MS", "1000")
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__TO", "hook")
        .setting("LOCKSTEP__SINK__MODELS__BELLS__TO", "hook")
        .setting("LOCKSTEP__SINK__MODELS__BELLS__REPEAT", "never");
    settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start().await
}

fn signature(key: &str, request: &Request) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let (id, moment) = (&request.headers["webhook-id"], &request.headers["webhook-timestamp"]);
    mac.update(format!("{id}.{moment}.{}", request.text).as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[actix::test]
async fn a_change_is_told_at_once_signed_with_both_keys() {
    let server = TestServer::start(|_, _| Answer::ok()).await;
    let app = app(&server, &[("LOCKSTEP__SINK__WEBHOOK__HOOK__PREVIOUS_SECRET", "the secret before that")]).await;
    let asked = Instant::now();
    let (status, item) = app.post("/api/queue/items", body("CREATE", "O-1", &json!({ "total": "7.50" }))).await;
    assert_eq!(status, 201, "{item}");
    let done = item_with(&app, &item["id"], "COMPLETED").await;
    println!("from the request to its completion: {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(5), "not by the sweep");
    let request = server.requests().remove(0);
    assert_eq!(request.headers["webhook-id"], done["deliveryId"].as_str().unwrap());
    let both = [SECRET, "the secret before that"].map(|key| signature(key, &request));
    assert_eq!(request.headers["webhook-signature"], both.join(" "));
    let expected = json!({
        "id": done["deliveryId"], "action": "CREATE", "model": "orders", "recordId": "O-1", "operation": null,
        "agentId": null, "data": { "total": "7.50" },
    });
    assert_eq!(request.body, expected);
    assert_eq!((&done["retries"], &done["lastError"]), (&json!(0), &json!(null)));
    app.stop().await;
}

#[actix::test]
async fn a_server_that_breaks_every_rule_gets_each_change_again_under_the_same_id() {
    let server = TestServer::start(|number, _| match number {
        0 => Answer::Close,
        1 => Answer::Garbage,
        2 => Answer::Silence,
        3 => Answer::Status(500, Vec::new()),
        4 => Answer::Status(408, Vec::new()),
        _ => Answer::ok(),
    })
    .await;
    let app = app(&server, &[("LOCKSTEP__SINK__MODELS__ORDERS__MAX_RETRIES", "9")]).await;
    let (_, item) = app.post("/api/queue/items", body("UPDATE", "O-1", &json!({}))).await;
    for attempt in 1..=5 {
        until("the attempt fails", async || {
            app.get(&format!("/api/queue/items/{}", item["id"])).await.1["retries"] == attempt
        })
        .await;
        app.clock.advance(Duration::from_secs(4_000));
    }
    let done = item_with(&app, &item["id"], "COMPLETED").await;
    assert_eq!(done["retries"], 5);
    let ids: Vec<_> = server.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 6);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    app.stop().await;
}

#[actix::test]
async fn what_must_not_be_repeated_is_doubtful_after_an_answer_that_did_not_come() {
    let server = TestServer::start(|number, _| if number == 0 { Answer::Close } else { Answer::ok() }).await;
    let app = app(&server, &[]).await;
    let bell = |record| json!({ "action": "CREATE", "model": "bells", "recordId": record, "payload": {} });
    let (_, item) = app.post("/api/queue/items", bell("B-1")).await;
    let failed = item_with(&app, &item["id"], "FAILED").await;
    assert_eq!((&failed["doubtful"], &failed["retries"]), (&json!(true), &json!(1)), "{failed}");
    app.clock.advance(Duration::from_secs(100_000));
    app.at_rest().await;
    let (_, other) = app.post("/api/queue/items", bell("B-2")).await;
    item_with(&app, &other["id"], "COMPLETED").await;
    assert_eq!(server.records(), ["B-1", "B-2"], "never again by itself");
    let retry = format!("/api/queue/items/{}/retry", item["id"]);
    let (status, refused) = app.post(&retry, json!({})).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("doubtful")));
    app.post(&retry, json!({ "evenIfDone": true })).await;
    item_with(&app, &item["id"], "COMPLETED").await;
    assert_eq!(server.records(), ["B-1", "B-2", "B-1"]);
    app.stop().await;
}

#[actix::test]
async fn a_poison_change_and_a_slow_answer_hold_up_nobody_else() {
    let server = TestServer::start(|_, request| match request.body["recordId"].as_str().unwrap() {
        "poison" => Answer::status(400),
        "slow" => Answer::Late(Duration::from_millis(800)),
        "endless" => Answer::Endless,
        _ => Answer::ok(),
    })
    .await;
    let app = app(&server, &[]).await;
    let records = ["poison", "slow", "endless", "a", "b"];
    let all = records.iter().chain(&records).map(|record| body("UPDATE", record, &json!({}))).collect::<Vec<_>>();
    let asked = Instant::now();
    let (_, ids) = app.post("/api/queue/items", json!(all)).await;
    for place in [3, 4, 8, 9] {
        item_with(&app, &ids["ids"][place], "COMPLETED").await;
    }
    assert!(asked.elapsed() < Duration::from_millis(800), "{:?}", asked.elapsed());
    let poison = item_with(&app, &ids["ids"][0], "FAILED").await;
    assert_eq!((&poison["retries"], &poison["doubtful"]), (&json!(1), &json!(false)));
    assert!(poison["lastError"].as_str().unwrap().contains("400"));
    item_with(&app, &ids["ids"][6], "COMPLETED").await;
    // it was told; that its answer does not end decides nothing
    item_with(&app, &ids["ids"][7], "COMPLETED").await;
    let held = app.get(&format!("/api/queue/items/{}", ids["ids"][5])).await.1;
    assert_eq!(held["status"], "PENDING", "the later change of the poison's record waits for a person");
    let (status, _) = app.post(&format!("/api/queue/items/{}/discard", ids["ids"][0]), json!({})).await;
    assert_eq!(status, 200);
    item_with(&app, &ids["ids"][5], "FAILED").await;
    app.stop().await;
}

#[actix::test]
async fn a_sink_that_is_away_or_asks_for_time_is_left_alone_and_costs_no_attempts() {
    let is_full = Arc::new(AtomicBool::new(true));
    let full = is_full.clone();
    let server = TestServer::start(move |_, _| {
        if full.load(Ordering::SeqCst) { Answer::Status(429, vec!["retry-after: 60".into()]) } else { Answer::ok() }
    })
    .await;
    // four batches of two at once
    let app = app(&server, &[("LOCKSTEP__SINK__BATCH", "2")]).await;
    let all: Vec<_> = (0..40).map(|number| body("UPDATE", &format!("O-{number}"), &json!({}))).collect();
    let (_, ids) = app.post("/api/queue/items", json!(all)).await;
    let closed = async || {
        let sink = app.get("/api/queue/stats").await.1["sinks"][0].clone();
        sink["closedUntil"].is_string() && sink["underWay"] == 0
    };
    until("the sink is closed, and nothing is under way", closed).await;
    let asked = server.requests().len();
    assert!(asked <= 8, "{asked}: no batch was begun after the sink had asked for time");
    app.clock.advance(Duration::from_secs(50));
    app.at_rest().await;
    assert_eq!(server.requests().len(), asked, "not before the minute is over");
    is_full.store(false, Ordering::SeqCst);
    until("all are delivered", async || {
        app.clock.advance(Duration::from_secs(11));
        app.get("/api/queue/stats").await.1["completed"] == 40
    })
    .await;
    for id in ids["ids"].as_array().unwrap() {
        let done = item_with(&app, id, "COMPLETED").await;
        assert_eq!(done["retries"], 0, "no attempt was counted");
    }
    // nobody listens any more
    let addr = server.addr;
    drop(server);
    let (_, item) = app.post("/api/queue/items", body("UPDATE", "O-1", &json!({}))).await;
    until("the sink is closed", closed).await;
    let waiting = app.get(&format!("/api/queue/items/{}", item["id"])).await.1;
    assert_eq!((&waiting["status"], &waiting["retries"]), (&json!("PENDING"), &json!(0)));
    let server = TestServer::on(tokio::net::TcpListener::bind(addr).await.unwrap(), |_, _| Answer::ok());
    // left alone for a moment, doubled with each failure: one pause of five minutes is enough
    app.clock.advance(Duration::from_secs(300));
    item_with(&app, &item["id"], "COMPLETED").await;
    assert_eq!(server.records(), ["O-1"]);
    app.stop().await;
}

#[actix::test]
async fn an_outage_costs_few_changes_an_attempt_and_none_its_delivery() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let server =
        TestServer::start(move |_, _| Answer::status(if down.load(Ordering::SeqCst) { 502 } else { 200 })).await;
    let app =
        app(&server, &[("LOCKSTEP__SINK__BATCH", "5"), ("LOCKSTEP__SINK__MODELS__ORDERS__MAX_RETRIES", "9")]).await;
    let all: Vec<_> = (0..60).map(|number| body("UPDATE", &format!("O-{number}"), &json!({}))).collect();
    let (_, ids) = app.post("/api/queue/items", json!(all)).await;
    for _ in 0..6 {
        app.clock.advance(Duration::from_secs(30));
        app.at_rest().await;
    }
    let asked = server.requests().len();
    assert!((2..=45).contains(&asked), "the first batches, then a few changes at a time: {asked}");
    is_down.store(false, Ordering::SeqCst);
    until("all are delivered", async || {
        app.clock.advance(Duration::from_secs(600));
        app.get("/api/queue/stats").await.1["completed"] == 60
    })
    .await;
    assert_eq!(ids["ids"].as_array().unwrap().len(), 60);
    app.stop().await;
}

#[actix::test]
async fn a_change_that_a_firewall_refuses_is_given_up_and_closes_nothing() {
    let server =
        TestServer::start(|_, request| Answer::status(if request.body["recordId"] == "poison" { 403 } else { 200 }))
            .await;
    let app = app(&server, &[]).await;
    let (_, poison) = app.post("/api/queue/items", body("UPDATE", "poison", &json!({}))).await;
    let path = format!("/api/queue/items/{}", poison["id"]);
    until("why it waits is shown", async || app.get(&path).await.1["lastError"].is_string()).await;
    assert_eq!(app.get(&path).await.1["retries"], 0, "alone, it may be the sink");
    for number in 0..30 {
        if app.get(&path).await.1["status"] == "FAILED" {
            break;
        }
        app.post("/api/queue/items", body("UPDATE", &format!("O-{number}"), &json!({}))).await;
        app.clock.advance(Duration::from_secs(400));
        app.at_rest().await;
    }
    let failed = item_with(&app, &poison["id"], "FAILED").await;
    assert_eq!(failed["retries"], 3, "where others pass, it is the change");
    app.clock.advance(Duration::from_secs(400));
    until("all others passed", async || app.get("/api/queue/stats").await.1["pending"] == 0).await;
    app.stop().await;
}

#[actix::test]
async fn redirects_are_followed_at_the_same_host_alone() {
    let elsewhere = TestServer::start(|_, _| Answer::ok()).await;
    let other = format!("location: {}", elsewhere.url());
    let server = TestServer::start(move |_, request| match request.body["recordId"].as_str().unwrap() {
        "elsewhere" => Answer::Status(307, vec![other.clone()]),
        "here" if !request.headers.contains_key("referer") => {
            Answer::Status(308, vec!["location: /changes/now".into()])
        }
        "loses-its-body" => Answer::Status(302, vec!["location: /changes/now".into()]),
        _ => Answer::ok(),
    })
    .await;
    let app = app(&server, &[]).await;
    let add = async |record: &str| app.post("/api/queue/items", body("UPDATE", record, &json!({}))).await.1;
    item_with(&app, &add("here").await["id"], "COMPLETED").await;
    for record in ["elsewhere", "loses-its-body"] {
        let item = add(record).await;
        until("it has been tried", async || {
            let item = app.get(&format!("/api/queue/items/{}", item["id"])).await.1;
            item["lastError"].as_str().is_some_and(|error| error.contains("redirects elsewhere"))
        })
        .await;
        // a receiver that is being deployed may answer so; after a day it is no deployment
        app.clock.advance(Duration::from_hours(25));
        item_with(&app, &item["id"], "FAILED").await;
    }
    assert!(elsewhere.requests().is_empty(), "the data went nowhere else");
    app.stop().await;
}

#[actix::test]
async fn a_receiver_that_is_being_deployed_costs_no_item_its_tries() {
    let server = TestServer::start(|number, _| match number {
        0 => Answer::status(404),
        1 => Answer::status(410),
        2 => Answer::Status(301, vec!["location: https://elsewhere.example/".into()]),
        _ => Answer::ok(),
    })
    .await;
    let app = app(&server, &[]).await;
    let (_, item) = app.post("/api/queue/items", body("UPDATE", "R-1", &json!({}))).await;
    for asked in 1..4 {
        until("it has been asked", async || server.requests().len() >= asked).await;
        app.at_rest().await;
        app.clock.advance(Duration::from_secs(1_000));
    }
    let item = item_with(&app, &item["id"], "COMPLETED").await;
    assert_eq!(item["retries"], 0, "{item}");
    app.stop().await;
}

#[actix::test]
async fn an_operation_is_delivered_by_its_models_sink() {
    let server = TestServer::start(|number, _| if number == 0 { Answer::status(422) } else { Answer::ok() }).await;
    let builder = TestApp::builder()
        .agents(&["a"])
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__URL", &server.url())
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__SECRET", SECRET)
        .setting("LOCKSTEP__SINK__WEBHOOK__HOOK__ALLOW_PRIVATE", "true")
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__TO", "hook");
    let app = builder.start().await;
    let ask = |order: &str| {
        json!({
            "type": "submit-order", "agentId": "a", "data": { "orderId": order, "customer": "C", "lines": 1 },
        })
    };
    let mut jobs = Vec::new();
    for (order, outcome, phase) in [("O-1", "failed", json!(null)), ("O-2", "succeeded", json!("done"))] {
        let (_, job) = app.post("/api/operations", ask(order)).await;
        app.idle().await;
        let job = app.get(&format!("/api/jobs/{}", job["jobId"])).await.1;
        assert_eq!((&job["outcome"], &job["phase"]), (&json!(outcome), &phase), "{job}");
        jobs.push(job);
    }
    assert!(jobs[0]["error"].as_str().unwrap().contains("422"), "{}", jobs[0]);
    assert_eq!(jobs[1]["result"], json!({ "status": 200 }));
    let sent = &server.requests()[1].body;
    assert_eq!((&sent["operation"], &sent["agentId"]), (&json!("submit-order"), &json!("a")));
    assert_eq!((&sent["action"], &sent["recordId"]), (&json!("CREATE"), &json!("O-2")));
    assert!(app.sink.deliveries().is_empty());
    app.stop().await;
}

#[actix::test]
async fn best_effort_never_fails_its_caller() {
    let server = TestServer::start(|_, _| Answer::ok()).await;
    let app = app(&server, &[]).await;
    app.outbox.send(OfferItems(vec![change(Action::Create, "unknown", "x", json!({}))])).await.unwrap();
    app.outbox.send(OfferItems(vec![change(Action::Create, "orders", "x", json!({}))])).await.unwrap();
    until("it arrives", async || !server.requests().is_empty()).await;
    let refused = app.outbox.send(EnqueueItems(vec![change(Action::Create, "unknown", "x", json!({}))])).await.unwrap();
    assert!(refused.unwrap_err().to_string().contains("known: bells, orders"));
    app.stop().await;
}

#[actix::test]
async fn the_same_key_again_queues_nothing_twice() {
    let server = TestServer::start(|_, _| Answer::ok()).await;
    let app = app(&server, &[]).await;
    let send = async |key: &str, body: Json| {
        let request = app.raw(reqwest::Method::POST, "/api/queue/items").bearer_auth(app.token());
        let answer = request.header("Idempotency-Key", key).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let change = |name: &str| body("UPDATE", "R-1", &json!({ "name": name }));
    let first = send("k-1", change("one")).await;
    assert_eq!(first.0, 201);
    assert_eq!(send("k-1", change("one")).await, first, "an answer that was lost is given again");
    let (status, problem) = send("k-1", change("two")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("key_reused")));
    let many = json!([change("three"), change("four")]);
    let both = send("k-2", many.clone()).await;
    assert_eq!(send("k-2", many).await, both);
    assert_ne!(send("k-3", change("one")).await, first, "another key is another request");
    until("all went out", async || app.get("/api/queue/stats").await.1["completed"] == 4).await;
    assert_eq!(server.requests().len(), 4);
    app.stop().await;
}

//! Does the control API say what it does, and refuse with a reason?

use futures_util::StreamExt as _;
use lockstep::{domain::JobId, testing::TestApp};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{bytes, grid, invent, serve},
    outbox::until,
};

#[actix::test]
async fn nothing_is_answered_without_a_token_but_health() {
    let app = TestApp::builder().start().await;
    for (path, token, status) in [
        ("/livez", None, 200),
        ("/readyz", None, 200),
        ("/api/sync/status", None, 401),
        ("/api/sync/status", Some("a-wrong-token-here"), 401),
        ("/api/sync/status", Some(app.token()), 200),
        ("/api/nowhere", Some(app.token()), 404),
        ("/nowhere", None, 404),
    ] {
        let mut request = app.raw(Method::GET, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path} {token:?}");
        if status >= 400 {
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
            let problem: Json = response.json().await.unwrap();
            assert_eq!((&problem["status"], problem["detail"].is_string()), (&json!(status), true), "{problem}");
        }
    }
    app.stop().await;
}

#[actix::test]
async fn a_trigger_is_accepted_once_and_then_names_the_winner() {
    let app = TestApp::builder().agents(&["a", "b"]).start().await;
    app.source.hang("orders", "a");
    let trigger =
        || app.raw(Method::POST, "/api/sync/trigger/orders").bearer_auth(app.token()).json(&json!({ "agentId": "a" }));
    let accepted = trigger().send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let place = accepted.headers()["location"].to_str().unwrap().to_owned();
    let body: Json = accepted.json().await.unwrap();
    assert_eq!(place, format!("/api/jobs/{}", body["jobId"]));
    assert_eq!(app.get(&place).await.1["type"], "orders");

    let again = trigger().send().await.unwrap();
    assert_eq!(again.status(), 200);
    let again: Json = again.json().await.unwrap();
    assert_eq!(
        (&again["deduplicated"], &again["jobId"], &again["refused"]),
        (&json!(true), &body["jobId"], &json!("already_queued"))
    );
    assert_eq!(again["job"]["id"], body["jobId"]);

    let (status, all) = app.post("/api/sync/trigger/customers", json!({})).await;
    assert_eq!((status.as_u16(), all["jobs"].as_array().unwrap().len()), (202, 2));
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn a_request_that_is_sent_again_with_its_key_gets_its_first_answer() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    serve(&app, "customers", "a", &invent(&types, "customers", 3));
    let send = async |path: &str, key: &str, body: Json| {
        let request = app.raw(Method::POST, path).bearer_auth(app.token());
        let answer = request.header("Idempotency-Key", key).json(&body).send().await.unwrap();
        let is_again = answer.headers().get("idempotency-replayed").is_some();
        let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
        (answer.status().as_u16(), is_again, place, answer.json::<Json>().await.unwrap())
    };
    let path = "/api/sync/trigger/customers";
    let first = send(path, "k-1", json!({ "agentId": "a" })).await;
    assert_eq!((first.0, first.1), (202, false));
    app.ended(JobId(first.3["jobId"].as_i64().unwrap())).await;
    // long after any window of the queue
    app.clock.advance(std::time::Duration::from_secs(23 * 3_600));
    let again = send(path, "k-1", json!({ "agentId": "a" })).await;
    assert_eq!(again, (202, true, first.2.clone(), first.3.clone()));
    let (status, _, _, problem) = send(path, "k-1", json!({ "agentId": "a", "force": true })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("key_reused")));
    assert_eq!(send("/api/sync/trigger-all", "k-1", json!({})).await.0, 422, "of another route");
    // what changed nothing leaves its key free
    assert_eq!(send(path, "k-2", json!({ "agentId": "nobody" })).await.0, 404);
    let other = send(path, "k-2", json!({ "agentId": "a" })).await;
    assert_eq!(other.0, 202);
    app.ended(JobId(other.3["jobId"].as_i64().unwrap())).await;
    let upload = app.raw(Method::POST, "/api/upload/customers?agent=a").bearer_auth(app.token());
    let upload = upload.header("Idempotency-Key", "k-9").body("%PDF-").send().await.unwrap();
    assert_eq!(upload.status(), 400, "its bytes are its key");
    assert_eq!(send("/api/sync/trigger-all", "k-8", json!({ "agentId": "nobody" })).await.0, 404);
    assert!(app.get("/api/jobs?type=products").await.1["items"].as_array().unwrap().is_empty(), "nothing was begun");
    // both at once: one of them does it
    let pause = || send("/api/sync/pause", "k-3", json!({ "reason": "stocktaking" }));
    let (one, two) = tokio::join!(pause(), pause());
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert!(statuses == [200, 409] || (statuses == [200, 200] && (one.1 ^ two.1)), "{statuses:?}");
    assert_eq!(send("/api/sync/resume", "k-4", json!({})).await.0, 200);
    app.clock.advance(std::time::Duration::from_secs(2 * 3_600));
    let (status, is_again, ..) = send(path, "k-1", json!({ "agentId": "a" })).await;
    assert_eq!((status, is_again), (202, false), "a day has passed");
    app.idle().await;
    // of a request whose answer was lost nobody claims to know
    let lost = app.app.store.begin_request(
        ("admin".into(), "k-5".into()),
        "other".into(),
        lockstep::domain::Clock::now(&app.clock),
    );
    lost.await.unwrap();
    assert_eq!(send(path, "k-5", json!({ "agentId": "a" })).await.0, 422);
    app.stop().await;
}

#[actix::test]
async fn what_makes_no_sense_is_refused_naming_what_is_known() {
    let app = TestApp::builder().agents(&["anna", "bruno"]).start().await;
    for (path, body, status, code, said) in [
        ("/api/sync/trigger/nothing", json!({}), 404, "unknown_type", "orders, customers"),
        ("/api/sync/trigger/orders", json!({ "agentId": "carla" }), 404, "unknown_agent", "anna, bruno"),
        ("/api/sync/trigger/orders", json!({ "agent": "anna" }), 422, "bad_body", "agentId"),
        ("/api/sync/intervals/orders", json!({ "intervalMinutes": 4 }), 422, "out_of_range", "5 to 1440"),
        ("/api/sync/intervals/orders", json!({ "intervalMinutes": 1441 }), 422, "out_of_range", "5 to 1440"),
        ("/api/sync/intervals/orders", json!({ "intervalMinutes": "10" }), 422, "out_of_range", "5 to 1440"),
        ("/api/sync/intervals/orders", json!({ "minutes": 10 }), 422, "bad_body", "intervalMinutes"),
        ("/api/sync/intervals/nothing", json!({ "intervalMinutes": 10 }), 404, "unknown_type", "orders"),
        (
            "/api/sync/schedule",
            json!({ "orders": { "intervalMinutes": 10 }, "ddt": { "intervalMinutes": 2 } }),
            422,
            "out_of_range",
            "5 to 1440",
        ),
        ("/api/sync/stop/nothing", json!({}), 404, "unknown_type", "orders"),
        ("/api/runs/77/approve", json!({}), 404, "unknown_run", "77"),
        ("/api/jobs/77/cancel", json!({}), 404, "unknown_job", "77"),
    ] {
        let (found, problem) = app.post(path, body).await;
        assert_eq!((found.as_u16(), problem["code"].as_str().unwrap_or_default()), (status, code), "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
        if status == 422 {
            let pointer = problem["pointer"].as_str().unwrap();
            assert!(["/intervalMinutes", "/minutes", "/agent"].iter().any(|end| pointer.ends_with(end)), "{problem}");
        }
    }
    assert_eq!(app.get("/api/sync/intervals").await.1["orders"], 10, "nothing was changed");
    assert_eq!(app.get("/api/data/orders?cursor=zz").await.1["code"], "bad_cursor");
    assert_eq!(app.get("/api/runs?colour=red").await.1["code"], "bad_query");
    app.stop().await;
}

#[actix::test]
async fn a_schedule_is_changed_all_or_nothing() {
    let app = TestApp::builder().start().await;
    let wanted = json!({ "orders": { "intervalMinutes": 30 }, "ddt": { "enabled": false } });
    let (status, _) = app.post("/api/sync/schedule", wanted).await;
    assert_eq!(status, 200);
    let (_, status) = app.get("/api/sync/status").await;
    let of = |name: &str| status["types"].as_array().unwrap().iter().find(|one| one["type"] == name).unwrap().clone();
    assert_eq!((&of("orders")["intervalMinutes"], &of("ddt")["enabled"]), (&json!(30), &json!(false)));
    assert_eq!(of("orders")["enabled"], true);
    app.stop().await;
}

#[actix::test]
async fn records_are_listed_page_by_page_and_searched() {
    let app = TestApp::builder().agents(&["agent-1"]).start().await;
    app.source.set("orders", "agent-1", grid("orders"));
    app.sync("orders", "agent-1").await;
    let mut seen = Vec::new();
    let mut path = "/api/data/orders?limit=15".to_owned();
    loop {
        let (_, page) = app.get(&path).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["order_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/data/orders?limit=15&cursor={next}");
    }
    let expected: Vec<_> = (40_000..40_040).map(|id| id.to_string()).collect();
    assert_eq!(seen, expected);
    let (_, found) = app.get("/api/data/orders?q=ORD/26000002").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["order_number"], "ORD/26000002");
    let (_, none) = app.get("/api/data/orders?q=%25").await;
    assert_eq!(none["items"], json!([]), "a % is a %");
    let (_, none) = app.get("/api/data/orders?updated_since=2100-01-01T00:00:00Z").await;
    assert_eq!(none["items"], json!([]));
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn an_uploaded_report_is_run_and_its_bytes_are_never_dropped() {
    let app = TestApp::builder().agents(&["agent-1", "other"]).start().await;
    let upload = |path: &'static str, body: Vec<u8>| {
        let request = app.raw(Method::POST, path).bearer_auth(app.token()).body(body);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
        }
    };
    // a sync of the same type and agent is under way: the upload waits for it, it is not refused
    app.source.hang("orders", "agent-1");
    let running = app.enqueue("orders", "agent-1").await;
    let (status, accepted) = upload("/api/upload/orders?agent=agent-1", grid("orders")).await;
    assert_eq!(status, 202, "{accepted}");
    let (status, again) = upload("/api/upload/orders?agent=agent-1", grid("orders")).await;
    assert_eq!((status, &again["jobId"]), (200, &accepted["jobId"]), "the same bytes are the same job");
    assert_eq!(app.post(&format!("/api/jobs/{running}/cancel"), json!({})).await.0, 200);
    let run = app.ended(JobId(accepted["jobId"].as_i64().unwrap())).await;
    assert_eq!((run.reason.as_str(), run.counts.inserted), ("upload", 40), "{:?}", run.error);

    let (status, problem) = upload("/api/upload/orders?agent=agent-1", bytes("edge/login-page.pdf")).await;
    assert_eq!((status, &problem["code"]), (422, &json!("login_page")));
    let (status, problem) = upload("/api/upload/orders", grid("orders")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("agent_needed")));
    app.post("/api/sync/stop", json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn agents_are_added_renamed_and_deactivated() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let (status, _) =
        app.request(Method::PUT, "/api/agents/new-one", Some(json!({ "name": "New", "active": true }))).await;
    assert_eq!(status, 200);
    assert_eq!(app.request(Method::PUT, "/api/agents/service-account", Some(json!({ "name": "x" }))).await.0, 422);
    assert_eq!(app.request(Method::PUT, "/api/agents/a%2Fb", Some(json!({ "name": "x" }))).await.0, 422);
    assert_eq!(app.request(Method::DELETE, "/api/agents/a", None).await.0, 204);
    assert_eq!(app.request(Method::DELETE, "/api/agents/nobody", None).await.0, 404);
    let (_, listed) = app.get("/api/agents").await;
    let expected = json!([
        { "id": "a", "name": "a", "active": false },
        { "id": "new-one", "name": "New", "active": true },
    ]);
    assert_eq!(listed["items"], expected);
    app.stop().await;
}

#[actix::test]
async fn uploads_that_wait_are_bounded_in_number_and_in_bytes() {
    let app =
        TestApp::builder().agents(&["agent-1"]).setting("LOCKSTEP__LIMITS__WAITING_BYTES", "500000").start().await;
    let upload = || app.raw(Method::POST, "/api/upload/orders?agent=agent-1").bearer_auth(app.token());
    // bodies that do not come to their end
    let stalled = |begin: Vec<u8>| {
        let begin = futures_util::stream::iter([Ok::<_, std::io::Error>(begin)]);
        let never = begin.chain(futures_util::stream::pending());
        let request = upload().body(reqwest::Body::wrap_stream(never));
        tokio::task::spawn_local(async move { drop(request.send().await) })
    };
    let is_busy = async |text: &str| {
        let refused = upload().body(grid("orders")).timeout(std::time::Duration::from_millis(500)).send().await;
        let Ok(answer) = refused else { return false };
        let comes_again = answer.headers().contains_key("retry-after");
        answer.status() == 503 && comes_again && answer.text().await.is_ok_and(|told| told.contains(text))
    };
    let is_taken = || async { upload().body(grid("orders")).send().await.is_ok_and(|a| a.status().is_success()) };

    // one that never ends is in nobody's way ...
    let mut waiting = vec![stalled(b"%PDF-1.7".to_vec())];
    until("it is taken beside the other", is_taken).await;
    // ... a place is still a place ...
    until("the places are taken", async || {
        // one may meet the upload that asks, and be refused
        waiting.push(stalled(b"%".to_vec()));
        is_busy("18 uploads").await
    })
    .await;
    waiting.drain(..).for_each(|one| one.abort());
    // ... and who goes away makes room
    until("there is room again", is_taken).await;
    until("the bytes are taken", async || {
        waiting.push(stalled(vec![b'%'; 499_000]));
        is_busy("limits.waiting_bytes").await
    })
    .await;
    waiting.drain(..).for_each(|one| one.abort());
    until("there is room again", is_taken).await;
    app.idle().await;
    assert_eq!(app.rows("orders", "agent-1").await.len(), 40);
    app.stop().await;
}

#[actix::test]
async fn reports_that_wait_to_be_read_count_for_the_uploads_that_come() {
    let size = grid("orders").len();
    let limit = (size + 100).to_string();
    let app =
        TestApp::builder().agents(&["agent-1", "b"]).setting("LOCKSTEP__LIMITS__WAITING_BYTES", &limit).start().await;
    let upload = async |body: Vec<u8>| {
        let request = app.raw(Method::POST, "/api/upload/orders?agent=agent-1").bearer_auth(app.token());
        request.body(body).send().await.unwrap().status().as_u16()
    };
    app.source.hang("orders", "agent-1");
    let running = app.enqueue("orders", "agent-1").await;
    assert_eq!(upload(grid("orders")).await, 202);
    let other = [&grid("orders")[..], b"%"].concat();
    assert_eq!(upload(other.clone()).await, 503, "the other has not been read yet");
    app.post(&format!("/api/jobs/{running}/cancel"), json!({})).await;
    app.idle().await;
    assert_eq!(upload(other).await, 202);
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn no_page_of_a_list_is_empty_while_there_is_a_next_one() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    app.source.set("invoices", "a", grid("invoices"));
    app.sync("invoices", "a").await;
    app.sync("invoices", "a").await;
    for list in ["/api/jobs?type=invoices", "/api/runs?type=invoices"] {
        let (_, whole) = app.get(&format!("{list}&limit=2")).await;
        assert_eq!((whole["items"].as_array().unwrap().len(), &whole["next"]), (2, &Json::Null), "{list}: {whole}");
        let (_, first) = app.get(&format!("{list}&limit=1")).await;
        let (_, rest) = app.get(&format!("{list}&limit=1&cursor={}", first["next"].as_str().unwrap())).await;
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Json::Null), "{list}: {rest}");
    }
    for (list, known) in [("/api/jobs?state=waitin", "waiting"), ("/api/runs?outcome=hold", "held")] {
        let (status, problem) = app.get(list).await;
        assert_eq!(status.as_u16(), 400, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(known), "{problem}");
    }
    app.stop().await;
}

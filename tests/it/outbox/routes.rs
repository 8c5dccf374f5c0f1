//! Do the routes and the command line do what they say, and name what is wrong?

use std::time::Duration;

use lockstep::testing::TestApp;
use serde_json::{Value as Json, json};

use super::body;

/// An app whose orders wait to be fetched.
async fn app() -> TestApp {
    TestApp::builder().setting("LOCKSTEP__SINK__MODELS__ORDERS__REPEAT", "safe").start().await
}

#[actix::test]
async fn what_has_no_sink_is_fetched_and_ended_by_hand() {
    let app = app().await;
    let all: Vec<_> = (0..30).map(|number| body("UPDATE", &format!("O-{number}"), &json!({ "n": number }))).collect();
    let (status, added) = app.post("/api/queue/items", json!(all)).await;
    assert_eq!((status.as_u16(), added["ids"].as_array().unwrap().len()), (201, 30));
    let fetched = app.post("/api/queue/dequeue", json!({})).await.1;
    let items = fetched["items"].as_array().unwrap();
    assert_eq!(items.len(), 25, "where nothing is said");
    assert_eq!(items[0]["recordId"], "O-0", "oldest first");
    let of = |item: &Json, what: &str| format!("/api/queue/items/{}/{what}", item["id"]);

    let lease = |item: &Json| json!({ "lease": item["lease"], "sheetRowIndex": 12 });
    let (status, done) = app.post(&of(&items[0], "complete"), lease(&items[0])).await;
    assert_eq!((status.as_u16(), &done["status"], &done["sheetRowIndex"]), (200, &json!("COMPLETED"), &json!(12)));
    let (status, late) = app.post(&of(&items[0], "complete"), lease(&items[0])).await;
    assert_eq!((status.as_u16(), &late["code"]), (409, &json!("not_held")));
    let error = "user anna@example.com: token=abc\n  at stack.js:1";
    let (status, failed) =
        app.post(&of(&items[1], "fail"), json!({ "lease": items[1]["lease"], "error": error })).await;
    assert_eq!((status.as_u16(), &failed["status"]), (200, &json!("PENDING")));
    assert_eq!(failed["lastError"], "user [e-mail]: token=[secret]");
    let refused = json!({ "lease": items[2]["lease"], "error": "no", "effect": "refused" });
    assert_eq!(app.post(&of(&items[2], "fail"), refused).await.1["status"], "FAILED");
    assert_eq!(app.post(&of(&items[2], "retry"), json!({})).await.1["status"], "PENDING");
    let (status, wrong) = app.post(&of(&items[0], "discard"), json!({})).await;
    assert_eq!((status.as_u16(), &wrong["code"]), (409, &json!("not_failed")), "it was delivered");
    let (status, wrong) = app.post(&of(&items[3], "complete"), json!({ "lease": 1, "sheetRowIndex": 0 })).await;
    assert_eq!((status.as_u16(), &wrong["pointer"]), (422, &json!("/sheetRowIndex")));

    let audit = app.get("/api/audit?limit=20").await.1;
    let noted = |action: &str| -> Vec<&Json> {
        audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == action).collect()
    };
    assert_eq!(noted("items.dequeue")[0]["after"]["ids"].as_array().unwrap().len(), 25);
    assert_eq!(noted("item.complete").len(), 1, "what came too late is not done");
    assert_eq!(noted("item.fail").len(), 2);
    assert_eq!(noted("item.fail")[1]["after"]["error"], "user [e-mail]: token=[secret]");

    let stats = app.get("/api/queue/stats").await.1;
    let counts = ["pending", "processing", "completed", "failed"].map(|status| stats[status].as_u64().unwrap());
    assert_eq!(counts, [7, 22, 1, 0]);
    // ten minutes later, they are taken back by a person's word
    app.clock.advance(Duration::from_secs(601));
    assert_eq!(app.post("/api/queue/reset-stuck", json!({})).await.1["items"], 22);
    app.clock.advance(Duration::from_secs(8 * 86_400));
    assert_eq!(app.post("/api/queue/cleanup", json!({})).await.1["items"], 1);
    app.stop().await;
}

#[actix::test]
async fn lists_are_filtered_and_go_on_where_they_ended() {
    let app = app().await;
    let all: Vec<_> = (0..5).map(|number| body("CREATE", &format!("O-{number}"), &json!({}))).collect();
    app.post("/api/queue/items", json!(all)).await;
    let first = app.get("/api/queue/items?limit=3&status=PENDING&model=orders").await.1;
    let names = |list: &Json| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["recordId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["O-4", "O-3", "O-2"]);
    let rest = app.get(&format!("/api/queue/items?limit=3&cursor={}", first["next"].as_str().unwrap())).await.1;
    assert_eq!((names(&rest), &rest["next"]), (vec!["O-1".to_owned(), "O-0".to_owned()], &json!(null)));
    assert_eq!(names(&app.get("/api/queue/items?recordId=O-2").await.1), ["O-2"]);
    assert!(names(&app.get("/api/queue/items?doubtful=true").await.1).is_empty());
    app.stop().await;
}

#[actix::test]
async fn what_is_wrong_is_named_with_its_place_and_nothing_is_queued() {
    let app = app().await;
    let good = body("CREATE", "O-1", &json!({}));
    let with = |name: &str, value: Json| {
        let mut item = good.clone();
        item[name] = value;
        item
    };
    for (path, body, status, code, pointer) in [
        ("items", with("model", json!("bells")), 422, "unknown_model", Some("/model")),
        ("items", with("action", json!("EXPLODE")), 422, "bad_item", Some("/action")),
        ("items", with("colour", json!(1)), 422, "bad_item", Some("/colour")),
        ("items", with("recordId", json!("")), 422, "bad_record_id", Some("/recordId")),
        ("items", json!([good, with("payload", json!(7))]), 422, "bad_payload", Some("/1/payload")),
        ("items", with("payload", json!({ "x": "y".repeat(70_000) })), 422, "payload_too_large", Some("/payload")),
        ("items", with("payload", json!({ "x": "\0" })), 422, "nul_in_text", Some("/payload/x")),
        ("items", json!(vec![good.clone(); 501]), 422, "out_of_range", Some("/items")),
        ("dequeue", json!({ "batch": 101 }), 422, "out_of_range", Some("/batch")),
        ("dequeue", json!({ "models": ["bells"] }), 404, "unknown_model", None),
        ("reset-stuck", json!({ "minutes": 0 }), 422, "out_of_range", Some("/minutes")),
        ("cleanup", json!({ "days": 4000 }), 422, "out_of_range", Some("/days")),
        ("cleanup", json!({ "hours": 1 }), 422, "bad_body", Some("/hours")),
        ("items/99/retry", json!({}), 404, "not_found", None),
        ("items/99/complete", json!({ "lease": 1 }), 404, "not_found", None),
    ] {
        let (got, answer) = app.post(&format!("/api/queue/{path}"), body).await;
        assert_eq!((got.as_u16(), answer["code"].as_str()), (status, Some(code)), "{path}: {answer}");
        assert_eq!(answer["pointer"].as_str(), pointer, "{answer}");
    }
    assert_eq!(app.get("/api/queue/items").await.1["items"], json!([]));
    app.stop().await;
}

#[actix::test]
async fn depth_and_age_are_measured_by_sink_and_status() {
    let app = app().await;
    app.post("/api/queue/items", json!([body("CREATE", "O-1", &json!({})), body("CREATE", "O-2", &json!({}))])).await;
    app.clock.advance(Duration::from_secs(90));
    let request = app.raw(reqwest::Method::GET, "/metrics").bearer_auth(app.token());
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"lockstep_outbox_items{sink="none",status="PENDING"} 2"#), "{text}");
    assert!(text.contains(r#"lockstep_outbox_oldest_seconds{sink="none",status="PENDING"} 90"#), "{text}");
    app.stop().await;
}

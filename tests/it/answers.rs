//! Is it said why a record is as it is?

use std::time::Duration;

use lockstep::{
    domain::Value,
    source::SourceError,
    testing::{TestApp, TestClock},
};
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{invent, serve},
    holds::app_with,
};

/// The codes of an answer, and its sentences.
async fn why(app: &TestApp, question: &str) -> (Vec<String>, String) {
    let (status, answer) = app.get(&format!("/api/why?{question}")).await;
    assert_eq!(status, 200, "{answer}");
    let texts = |name: &str| -> Vec<String> {
        answer["because"].as_array().unwrap().iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
    };
    (texts("code"), texts("text").join("\n"))
}

#[actix::test]
async fn a_record_says_why_it_is_as_it_is() {
    let (app, mut records) = app_with(30).await;
    let types = app.app.store.types().clone();
    let customers = types.get("customers").unwrap().clone();
    let keys: Vec<String> = records.iter().map(|record| record.text(customers.key)).collect();
    let of = |key: &str| format!("type=customers&agent=a&key={}", key.replace(' ', "%20"));
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert_eq!(codes, ["stored", "paused", "timers_off"], "{text}");
    let (codes, text) = why(&app, &of("nobody")).await;
    assert_eq!(
        (codes[0].as_str(), text.contains("the last that was applied, has none")),
        ("not_stored", true),
        "{text}"
    );

    // changed, then missing, then deleted, then back
    records[0].values[customers.field("name").unwrap()] = Value::Text("Altro".to_owned());
    serve(&app, "customers", "a", &records);
    let changed = app.sync("customers", "a").await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert_eq!(&codes[..2], ["stored", "changed"], "{text}");
    assert!(text.contains(&format!("by run {}", changed.id)) && text.contains("to \"Altro\""), "{text}");
    serve(&app, "customers", "a", &records[1..]);
    app.sync("customers", "a").await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert_eq!(&codes[..3], ["missing", "stored", "changed"], "{text}");
    app.clock.advance(Duration::from_mins(20));
    app.sync("customers", "a").await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert_eq!(&codes[..3], ["deleted", "stored", "changed"], "{text}");
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert_eq!(&codes[..2], ["stored", "changed"], "{text}");
    assert!(text.contains("restore"), "{text}");

    // what keeps newer data away
    serve(&app, "customers", "a", &records[..3]);
    let held = app.sync("customers", "a").await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert!(codes.contains(&"held".to_owned()) && text.contains(&format!("Run {} is held", held.id)), "{text}");
    app.source.fail("customers", "a", SourceError::Refused("not today".into()));
    for _ in 0..3 {
        app.sync("customers", "a").await;
    }
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert!(codes.contains(&"failing".to_owned()) && text.contains("not today"), "{text}");
    app.post("/api/sync/pause", json!({ "reason": "stocktaking" })).await;
    let (codes, text) = why(&app, &of(&keys[0])).await;
    assert!(codes.contains(&"service_paused".to_owned()) && text.contains("stocktaking"), "{text}");
    app.request(reqwest::Method::DELETE, "/api/agents/a", None).await;
    assert!(why(&app, &of(&keys[0])).await.0.contains(&"agent_inactive".to_owned()));
    assert!(why(&app, "type=customers&agent=nobody&key=1").await.0.contains(&"agent_unknown".to_owned()));
    for (question, status) in [("type=x&key=1", 404), ("type=customers&key=1", 422), ("type=customers&agent=a", 400)] {
        assert_eq!(app.get(&format!("/api/why?{question}")).await.0, status, "{question}");
    }
    app.stop().await;
}

#[actix::test]
async fn a_row_in_quarantine_and_a_type_that_is_off_are_said() {
    let clock = TestClock::default();
    let builder = TestApp::builder().agents(&["a"]).clock(&clock).setting("LOCKSTEP__SCHEDULER__ENABLED", "true");
    let app = builder.start().await;
    let types = app.app.store.types().clone();
    let orders = types.get("orders").unwrap().clone();
    let mut records = invent(&types, "orders", 40);
    serve(&app, "orders", "a", &records);
    app.sync("orders", "a").await;
    let key = records[2].text(orders.key);
    // an amount that is none
    let amount = orders.field("gross_amount").unwrap();
    records[2].values[amount] = Value::Text("molto".to_owned());
    serve(&app, "orders", "a", &records);
    let run = app.sync("orders", "a").await;
    assert_eq!(run.counts.quarantined, 1, "{run:?}");
    app.source.fail("orders", "a", SourceError::Refused("not today".into()));
    app.sync("orders", "a").await;
    let question = format!("type=orders&agent=a&key={key}");
    let (codes, text) = why(&app, &question).await;
    assert_eq!(&codes[..2], ["quarantined", "stored"], "whatever later runs did: {text}");
    assert!(text.contains("molto") && text.contains(&format!("run {} (page ", run.id)), "{text}");
    let (_, list) = app.get("/api/attention").await;
    let told: Vec<&Json> = list["items"].as_array().unwrap().iter().filter(|one| one["kind"] == "quarantine").collect();
    assert_eq!((told.len(), &told[0]["severity"], &told[0]["runId"]), (1, &json!("notice"), &json!(run.id)), "{list}");
    app.post("/api/sync/schedule", json!({ "orders": { "enabled": false } })).await;
    assert!(why(&app, &question).await.0.contains(&"off".to_owned()));
    app.stop().await;
}

//! Is the truth told of each type of each agent, whatever became of the others?

use std::time::Duration;

use lockstep::{
    domain::{Outcome, Record},
    pretend_erp,
    source::SourceError,
    testing::TestApp,
};
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, print, serve};

async fn started() -> (TestApp, Vec<Record>) {
    let builder = TestApp::builder().agents(&["anna", "bert"]).setting("LOCKSTEP__SCHEDULER__ENABLED", "true");
    let app = builder.start().await;
    for (agent, seed) in [("anna", 1), ("bert", 2)] {
        serve(&app, "customers", agent, &customers(&app, seed));
        app.sync("customers", agent).await;
    }
    let records = customers(&app, 1);
    (app, records)
}

/// What an agent's report holds.
fn customers(app: &TestApp, seed: u64) -> Vec<Record> {
    let types = app.app.store.types();
    let spec = types.get("customers").unwrap();
    (0..30).map(|row| pretend_erp::invent_row(types, spec, (seed as usize * 1_000, row), seed)).collect()
}

/// How the customers of an agent stand.
async fn cell(app: &TestApp, agent: &str) -> Json {
    let (_, status) = app.get("/api/sync/status").await;
    let agents = status["agents"].as_array().unwrap();
    let found = agents.iter().find(|one| one["agentId"] == agent).unwrap_or_else(|| panic!("{agent}: {status}"));
    found["types"].as_array().unwrap().iter().find(|cell| cell["type"] == "customers").unwrap().clone()
}

async fn attention(app: &TestApp) -> Vec<(String, String, Json)> {
    let (_, list) = app.get("/api/attention").await;
    let (_, status) = app.get("/api/sync/status").await;
    assert_eq!(status["attention"], list["items"], "one truth");
    assert_eq!(status["health"], list["health"]);
    let text = |item: &Json, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    list["items"].as_array().unwrap().iter().map(|one| (text(one, "kind"), text(one, "agentId"), one.clone())).collect()
}

#[actix::test]
async fn an_agent_that_fails_is_told_beside_one_that_works() {
    let (app, _) = started().await;
    assert_eq!(cell(&app, "anna").await["standing"], "fresh");
    app.source.fail("customers", "anna", SourceError::Refused("not today".into()));
    for times in 1..=3 {
        app.sync("customers", "anna").await;
        // what a colleague's run says of the type hides nothing
        app.sync("customers", "bert").await;
        let told = cell(&app, "anna").await;
        assert_eq!(told["consecutiveFailures"], times);
        assert_eq!(told["standing"], if times < 3 { "fresh" } else { "failing" }, "{told}");
    }
    let told = cell(&app, "anna").await;
    assert_eq!((&told["code"], &told["inARow"]), (&json!("source_refused"), &json!(3)));
    assert!(told["reason"].as_str().unwrap().contains("not today"), "{told}");
    assert_eq!(cell(&app, "bert").await["standing"], "fresh");
    let (_, status) = app.get("/api/sync/status").await;
    assert_eq!(status["health"], "attention");
    let of_type = status["types"].as_array().unwrap().iter().find(|one| one["type"] == "customers").unwrap();
    assert_eq!(of_type["standing"], "failing", "the worst of its agents");
    let items = attention(&app).await;
    assert_eq!((items[0].0.as_str(), items[0].1.as_str()), ("failing", "anna"));
    assert!(items[0].2["actions"].as_array().unwrap().contains(&json!("trigger")));
    let breaker = items.iter().find(|(kind, ..)| kind == "breaker_open").unwrap();
    assert_eq!((breaker.1.as_str(), &breaker.2["actions"]), ("anna", &json!(["reset_breaker"])));

    // the source answers again
    serve(&app, "customers", "anna", &customers(&app, 1));
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.sync("customers", "anna").await.outcome, Some(Outcome::Unchanged));
    assert_eq!(cell(&app, "anna").await["standing"], "fresh");
    assert!(attention(&app).await.iter().all(|(kind, ..)| kind != "failing"));

    let (_, told) = app.get("/api/sync/statistics?type=customers&agent=anna").await;
    let day = &told["items"][0]["day"];
    assert_eq!((&day["runs"], &day["applied"], &day["failed"]), (&json!(5), &json!(2), &json!(3)), "{told}");
    assert!((day["successRate"].as_f64().unwrap() - 0.4).abs() < 1e-9);
    let (_, auto) = app.get("/api/sync/auto-sync/status").await;
    assert_eq!(auto["types"]["customers"]["consecutiveFailures"], 0);
    assert!(auto["types"]["customers"]["lastSuccess"].is_string());
    app.stop().await;
}

#[actix::test]
async fn a_held_report_a_refused_one_and_old_data_each_stand_as_what_they_are() {
    let (app, records) = started().await;
    serve(&app, "customers", "anna", &records[..3]);
    let held = app.sync("customers", "anna").await;
    let told = cell(&app, "anna").await;
    assert_eq!((&told["standing"], &told["run"]), (&json!("held"), &json!(held.id)), "{told}");
    assert_eq!(told["actions"], json!(["show_plan", "approve", "reject"]));

    // a report that is refused is worse: no other attempt helps
    let types = app.app.store.types().clone();
    let others = print(types.get("products").unwrap(), &invent(&types, "products", 5));
    app.source.set("customers", "anna", others);
    let refused = app.sync("customers", "anna").await;
    let told = cell(&app, "anna").await;
    assert_eq!((&told["standing"], &told["code"]), (&json!("refused"), &json!(refused.error_code)), "{told}");
    app.sync("customers", "anna").await;
    assert_eq!(cell(&app, "anna").await["inARow"], 2);

    // what nobody fetched in time is late, however seldom it failed
    app.source.fail("customers", "bert", SourceError::Refused("not today".into()));
    app.clock.advance(Duration::from_secs(46 * 60));
    app.at_rest().await;
    let told = cell(&app, "bert").await;
    assert_eq!((&told["standing"], &told["consecutiveFailures"]), (&json!("late"), &json!(1)), "{told}");
    // the clock was put forward, and goes on meanwhile
    let age = told["ageSeconds"].as_u64().unwrap();
    assert!((46 * 60..47 * 60).contains(&age) && told["targetSeconds"] == 45 * 60, "{told}");
    let late = attention(&app).await.into_iter().find(|(kind, agent, _)| kind == "late" && agent == "bert").unwrap();
    assert!(late.2["since"].is_string());
    app.post("/api/sync/auto-sync/stop", json!({})).await;
    serve(&app, "customers", "bert", &customers(&app, 2));
    app.sync("customers", "bert").await;
    assert_eq!(cell(&app, "bert").await["standing"], "paused", "fresh, but nothing new will come");
    let off = json!({ "customers": { "enabled": false } });
    app.post("/api/sync/schedule", off).await;
    assert_eq!(cell(&app, "bert").await["standing"], "off");
    assert_eq!(cell(&app, "anna").await["standing"], "refused", "also while it is off");
    app.stop().await;
}

#[actix::test]
async fn what_never_came_is_never_and_nothing_to_look_at() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    assert_eq!(cell(&app, "anna").await["standing"], "never");
    let (_, status) = app.get("/api/sync/status").await;
    assert_eq!((&status["health"], &status["attention"]), (&json!("ok"), &json!([])));
    assert_eq!(status["agents"].as_array().unwrap().len(), 2, "anna, and whom the shared types are under");
    assert_eq!(app.get("/api/sync/statistics?type=nothing").await.0, 404);
    assert_eq!(app.get("/api/sync/statistics?agent=nobody").await.0, 404);
    assert_eq!(app.get("/api/sync/statistics?whose=anna").await.0, 400);
    app.stop().await;
}

/// A report that is refused is not read again at each tick: less and less often, until it is another one.
#[actix::test]
async fn a_refused_report_is_left_unread_until_it_is_another() {
    let (app, records) = started().await;
    let types = app.app.store.types().clone();
    app.source.set("customers", "anna", print(types.get("products").unwrap(), &invent(&types, "products", 5)));
    app.sync("customers", "anna").await;
    let outcomes = async || -> Vec<String> {
        let (_, runs) = app.get("/api/runs?type=customers&agent=anna&limit=100").await;
        let items = runs["items"].as_array().unwrap().iter().rev();
        items.skip(2).map(|run| run["outcome"].as_str().unwrap().to_owned()).collect()
    };
    for _ in 0..16 {
        app.clock.advance(Duration::from_mins(15));
        app.at_rest().await;
    }
    let told = outcomes().await;
    let of = |outcome: &str| told.iter().filter(|one| *one == outcome).count();
    // in four hours: after 15, 30, 60 and 120 minutes
    assert!(
        told.len() >= 15 && (3..=5).contains(&of("failed")) && of("skipped") + of("failed") == told.len(),
        "{told:?}"
    );
    let cell = cell(&app, "anna").await;
    assert_eq!(cell["standing"], "refused");
    let hours = |moment: &Json| moment.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(hours(&cell["nextTry"]) > hours(&cell["nextRun"]), "{cell}");
    let (_, last) = app.get("/api/runs?type=customers&agent=anna&outcome=skipped&limit=1").await;
    assert!(last["items"][0]["error"].as_str().unwrap().contains("is not read again"), "{last}");
    // who asks has it read
    assert_eq!(app.sync("customers", "anna").await.outcome.map(Outcome::as_str), Some("failed"));
    // and another report is read at the next tick
    serve(&app, "customers", "anna", &records);
    app.clock.advance(Duration::from_mins(15));
    app.at_rest().await;
    assert_eq!(outcomes().await.last().map(String::as_str), Some("unchanged"));
    app.stop().await;
}

//! Are the examples of the description what is asked and answered? Each is recorded here, from a service that works:
//! `INSTA_UPDATE=always` writes them anew.

use std::{collections::BTreeMap, fs, time::Duration};

use lockstep::{
    alert::LookForTrouble,
    api,
    domain::JobId,
    event::run_log,
    source::{SourceError, Vault},
    testing::TestApp,
};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};
use tracing_subscriber::prelude::*;

use crate::{
    fixtures::{bytes, invent, objects, serve},
    outbox::body,
};

const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/examples.json");

/// What an example need not show: the second of a list, the rest of a long text, a token.
fn tidy(value: Json) -> Json {
    match value {
        Json::Array(mut list) => {
            list.truncate(1);
            Json::Array(list.into_iter().map(tidy).collect())
        }
        Json::Object(fields) => {
            let tidied = |(name, value): (String, Json)| match &*name {
                "token" if value.is_string() => (name, json!("lockstep_shown_this_once")),
                "from" if value.is_string() => (name, json!("192.0.2.7")),
                _ => (name, tidy(value)),
            };
            Json::Object(fields.into_iter().map(tidied).collect())
        }
        other => other,
    }
}

/// Where the one is not of the other's kind; what is null may be anything.
fn differences(place: &str, example: &Json, real: &Json, found: &mut Vec<String>) {
    match (example, real) {
        (Json::Null, _)
        | (_, Json::Null)
        | (Json::Bool(_), Json::Bool(_))
        | (Json::Number(_), Json::Number(_))
        | (Json::String(_), Json::String(_)) => {}
        (Json::Array(one), Json::Array(other)) => {
            if let (Some(one), Some(other)) = (one.first(), other.first()) {
                differences(&format!("{place}/0"), one, other, found);
            }
        }
        (Json::Object(one), Json::Object(other)) => {
            for name in one.keys().chain(other.keys()) {
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => differences(&format!("{place}/{name}"), one, other, found),
                    (Some(_), None) => found.push(format!("{place}/{name} is not answered any more")),
                    _ => found.push(format!("{place}/{name} is new")),
                }
            }
        }
        _ => found.push(format!("{place} is {real}, not {example}")),
    }
}

/// The operations of the description: method, path in parts, name.
fn operations() -> Vec<(String, Vec<String>, String)> {
    let document: Json = serde_json::from_str(api::document()).unwrap();
    let mut all: Vec<(String, Vec<String>, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(name) = operation["operationId"].as_str() {
                let parts = path.split('/').map(str::to_owned).collect();
                all.push((method.to_uppercase(), parts, name.to_owned()));
            }
        }
    }
    // `/jobs/purge` before `/jobs/{id}`
    all.sort_by_key(|(_, parts, _)| parts.iter().filter(|part| part.starts_with('{')).count());
    all
}

struct Recorder {
    app: TestApp,
    operations: Vec<(String, Vec<String>, String)>,
    recorded: BTreeMap<String, Json>,
}

impl Recorder {
    /// Asks, and keeps what was asked and answered as the example of its operation.
    async fn ask(&mut self, method: Method, path: &str, body: Json) -> Json {
        let asked = (!body.is_null()).then(|| body.clone());
        let (status, answer) = self.app.request(method.clone(), path, asked).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        let parts: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
        let fits = |pattern: &[String]| {
            pattern.len() == parts.len()
                && pattern.iter().zip(&parts).all(|(one, other)| one.starts_with('{') || one == other)
        };
        let found = self.operations.iter().find(|(of, pattern, _)| of == method.as_str() && fits(pattern));
        let name = found.unwrap_or_else(|| panic!("{method} {path} is not described")).2.clone();
        let mut example = Map::new();
        if !body.is_null() {
            example.insert("request".to_owned(), body);
        }
        if !answer.is_null() {
            example.insert("status".to_owned(), status.as_u16().into());
            example.insert("answer".to_owned(), tidy(answer.clone()));
        }
        self.recorded.insert(name, example.into());
        answer
    }

    async fn get(&mut self, path: &str) -> Json {
        self.ask(Method::GET, path, Json::Null).await
    }

    async fn post(&mut self, path: &str, body: Json) -> Json {
        self.ask(Method::POST, path, body).await
    }

    async fn put(&mut self, path: &str, body: Json) -> Json {
        self.ask(Method::PUT, path, body).await
    }

    async fn delete(&mut self, path: &str) {
        self.ask(Method::DELETE, path, Json::Null).await;
    }

    /// Reports that change, one that is held, one with a bad row, and a source that is away.
    async fn reports(&mut self) {
        let types = self.app.app.store.types().clone();
        let mut customers = invent(&types, "customers", 40);
        serve(&self.app, "customers", "anna", &customers);
        self.app.sync("customers", "anna").await;
        let (first, second) = (customers[0].clone(), customers[1].clone());
        customers[0].values[1] = second.values[1].clone();
        serve(&self.app, "customers", "anna", &customers);
        let changed = self.app.sync("customers", "anna").await.id;
        self.get(&format!("/api/runs/{changed}/changes")).await;
        self.get("/api/changes?type=customers").await;
        self.get("/api/data/customers?agent=anna").await;
        let key = objects(types.get("customers").unwrap(), &[first])[0][types.get("customers").unwrap().key_name()]
            .as_str()
            .unwrap()
            .to_owned();
        self.get(&format!("/api/data/customers/{key}?agent=anna")).await;
        self.get(&format!("/api/data/customers/{key}/history?agent=anna")).await;
        self.get(&format!("/api/why?type=customers&key={key}&agent=anna")).await;

        for approve in [false, true] {
            serve(&self.app, "customers", "anna", &customers[..12]);
            let held = self.app.sync("customers", "anna").await.id;
            let plan = self.get(&format!("/api/runs/{held}/plan")).await;
            if approve {
                self.get("/api/attention").await;
                self.get("/api/sync/status").await;
                self.app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
                let alerts = self.get("/api/alerts?kind=held").await;
                let alert = &alerts["items"][0]["id"];
                self.post(&format!("/api/alerts/{alert}/acknowledge"), json!({ "minutes": 60 })).await;
                self.post(&format!("/api/runs/{held}/approve"), json!({ "digest": plan["digest"] })).await;
            } else {
                self.post(&format!("/api/runs/{held}/reject"), json!({})).await;
            }
            self.app.at_rest().await;
        }
        self.post(&format!("/api/runs/{changed}/reapply"), json!({})).await;
        self.app.at_rest().await;

        self.app.source.set("orders", "anna", bytes("edge/orders-bad-cells.pdf"));
        let bad = self.app.sync("orders", "anna").await.id;
        self.get(&format!("/api/runs/{bad}/quarantine")).await;
        self.get(&format!("/api/runs/{bad}/log")).await;
        self.get(&format!("/api/runs/{bad}")).await;

        self.app.source.fail("orders", "ben", SourceError::Unreachable("the ERP is away".to_owned()));
        for _ in 0..6 {
            self.app.sync("orders", "ben").await;
            self.app.clock.advance(Duration::from_secs(3_600));
        }
        let breakers = self.get("/api/breakers").await;
        let breaker = breakers["items"][0]["id"].clone();
        self.post(&format!("/api/breakers/{breaker}/reset"), json!({})).await;
    }
}

#[actix::test]
async fn the_examples_of_the_description_are_what_is_answered() {
    tracing_subscriber::registry().with(run_log()).try_init().ok();
    let app = TestApp::builder()
        .agents(&["anna", "ben"])
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__REPEAT", "safe")
        .setting("LOCKSTEP__SOURCE__CREDENTIALS_KEY", &Vault::new_key().unwrap())
        .setting("LOCKSTEP__LIMITS__REQUESTS_PER_MINUTE", "10000")
        .start()
        .await;
    let mut record = Recorder { app, operations: operations(), recorded: BTreeMap::new() };
    record.reports().await;
    settings(&mut record).await;
    jobs(&mut record).await;
    write_back(&mut record).await;
    let timed = TestApp::builder().agents(&["anna"]).setting("LOCKSTEP__SCHEDULER__ENABLED", "true").start().await;
    std::mem::replace(&mut record.app, timed).stop().await;
    record.post("/api/sync/auto-sync/start", json!({})).await;
    record.get("/api/sync/auto-sync/status").await;
    record.post("/api/sync/auto-sync/stop", Json::Null).await;
    let Recorder { app, recorded, .. } = record;
    app.stop().await;

    let text = serde_json::to_string_pretty(&recorded).unwrap() + "\n";
    let of_this_machine = text.lines().find(|line| line.contains("/tmp/") || line.contains("127.0.0.1"));
    assert_eq!(of_this_machine, None, "an example tells of this machine");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(STORED, text).unwrap();
        return;
    }
    let stored: BTreeMap<String, Json> = serde_json::from_str(&fs::read_to_string(STORED).unwrap()).unwrap();
    let mut found = Vec::new();
    for name in stored.keys().chain(recorded.keys()) {
        match (stored.get(name), recorded.get(name)) {
            (Some(example), Some(real)) => differences(name, example, real, &mut found),
            _ => found.push(format!("{name} is stored and not asked, or asked and not stored")),
        }
    }
    assert!(found.is_empty(), "{found:#?}: record them anew with INSTA_UPDATE=always");
    // all but what has no JSON to show: reports, pages, the stream, figures, and what answers nothing
    let shown = operations().into_iter().filter(|(.., name)| !recorded.contains_key(name)).map(|(.., name)| name);
    let mut without: Vec<String> = shown.collect();
    without.sort();
    let expected = [
        "documents_document",
        "events_events",
        "jobs_document",
        "metrics_show",
        "reports_show_document",
        "reports_show_page",
        "system_log", // whose log it would be is not in a test
        "upload_upload",
    ];
    assert_eq!(without, expected);
}

/// What is set: agents, tokens, intervals, limits.
async fn settings(record: &mut Recorder) {
    for path in [
        "/api/agents",
        "/api/agents/anna",
        "/api/types",
        "/api/types/orders",
        "/api/types/orders/history",
        "/api/system",
        "/api/limits",
    ] {
        record.get(path).await;
    }
    let asked = json!({ "header": "CLIENTE NUOVO", "field": "customer_name" });
    let taught = record.post("/api/types/orders/headers", asked).await;
    record.get("/api/types/orders/headers").await;
    record.delete(&format!("/api/types/orders/headers/{}", taught["id"])).await;
    for path in ["/livez", "/readyz?verbose", "/api/sync/intervals", "/api/sync/schedule", "/api/sync/statistics"] {
        record.get(path).await;
    }
    record.put("/api/agents/carla", json!({ "name": "Carla", "active": true })).await;
    record.put("/api/agents/carla/credentials", json!({ "username": "carla", "password": "not-shown-again" })).await;
    record.get("/api/credentials").await;
    record.delete("/api/agents/carla/credentials").await;
    record.delete("/api/agents/carla").await;
    let asked = json!({ "name": "warehouse", "role": "viewer", "agents": ["anna"] });
    let token = record.post("/api/tokens", asked).await["id"].clone();
    record.get("/api/tokens").await;
    record.delete(&format!("/api/tokens/{token}")).await;
    record.put("/api/limits", json!({ "concurrency": 4 })).await;
    record.post("/api/sync/intervals/orders", json!({ "intervalMinutes": 30 })).await;
    record.post("/api/sync/schedule", json!({ "orders": { "intervalMinutes": 20, "enabled": true } })).await;
    record.get("/api/audit").await;
}

/// What is asked for, waits and runs.
async fn jobs(record: &mut Recorder) {
    record.app.at_rest().await;
    for agent in ["anna", "ben"] {
        record.app.source.hang("orders", agent);
    }
    let job = record.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await["jobId"].clone();
    record.get("/api/jobs").await;
    let key = record.get(&format!("/api/jobs/{job}")).await["dedupKey"].as_str().unwrap().to_owned();
    record.get(&format!("/api/keys/{key}")).await;
    record.delete(&format!("/api/keys/{key}?job={job}")).await;
    record.post(&format!("/api/jobs/{job}/cancel"), Json::Null).await;
    record.app.ended(JobId(job.as_i64().unwrap())).await;
    record.post(&format!("/api/jobs/{job}/retry"), json!({})).await;
    record.post("/api/sync/stop/orders", Json::Null).await;
    record.app.at_rest().await;
    record.post("/api/sync/trigger-all", json!({})).await;
    record.get("/api/runs").await;
    record.post("/api/jobs/purge", json!({ "type": "sync.customers" })).await;
    record.post("/api/sync/stop", Json::Null).await;
    record.app.at_rest().await;
    record.post("/api/sync/pause", json!({ "reason": "month-end closing", "drain": true })).await;
    record.post("/api/sync/resume", Json::Null).await;
    let data = json!({ "orderId": "O-1", "customer": "C-1", "lines": 1 });
    record
        .post(
            "/api/operations",
            json!({ "type": "submit-order", "agentId": "anna", "data": data, "idempotencyKey": "k" }),
        )
        .await;
    record.get("/api/operations").await;
    record.app.at_rest().await;
}

/// What goes out, fetched by a program.
async fn write_back(record: &mut Recorder) {
    let all: Vec<_> = (0..5).map(|number| body("UPDATE", &format!("O-{number}"), &json!({ "n": number }))).collect();
    record.post("/api/queue/items", json!(all)).await;
    let fetched = record.post("/api/queue/dequeue", json!({ "models": ["orders"], "batch": 3 })).await;
    let of = |place: usize, what: &str| format!("/api/queue/items/{}{what}", fetched["items"][place]["id"]);
    let lease = |place: usize| fetched["items"][place]["lease"].clone();
    record.post(&of(0, "/complete"), json!({ "lease": lease(0), "sheetRowIndex": 12 })).await;
    for place in [1, 2] {
        let refused = json!({ "lease": lease(place), "error": "no such order", "effect": "refused" });
        record.post(&of(place, "/fail"), refused).await;
    }
    record.get("/api/queue/items").await;
    record.get(&of(1, "")).await;
    record.get("/api/queue/stats").await;
    record.post(&of(1, "/discard"), Json::Null).await;
    record.post(&of(2, "/retry"), json!({})).await;
    record.post("/api/queue/retry", json!({ "model": "orders" })).await;
    record.post("/api/queue/reset-stuck", json!({ "minutes": 10 })).await;
    record.post("/api/queue/cleanup", json!({ "days": 30 })).await;
}

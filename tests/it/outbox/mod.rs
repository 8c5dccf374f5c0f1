//! Does every change arrive, in order, with the same id, whatever happens on the way?

mod google;
mod queue;
mod routes;
pub mod server;
mod sheets;
mod webhook;

use std::time::{Duration, Instant};

use lockstep::{
    domain::{Action, NewItem},
    testing::TestApp,
};
use serde_json::{Value as Json, json};

/// A change of a record.
pub fn change(action: Action, model: &str, record: &str, payload: Json) -> NewItem {
    NewItem { action, model: model.to_owned(), record_id: record.to_owned(), sheet_row_index: None, payload }
}

/// A change as a request has it.
pub fn body(action: &str, record: &str, payload: &Json) -> Json {
    json!({ "action": action, "model": "orders", "recordId": record, "payload": payload })
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

/// Waits until an item has this status, and answers it.
pub async fn item_with(app: &TestApp, id: &Json, status: &str) -> Json {
    let mut item = Json::Null;
    until(&format!("item {id} becomes {status}"), async || {
        item = app.get(&format!("/api/queue/items/{id}")).await.1;
        item["status"] == status
    })
    .await;
    item
}

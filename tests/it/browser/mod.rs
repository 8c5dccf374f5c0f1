//! Do the pages work in a real browser?

mod cut;
mod deeper;
mod driver;
mod italian;
mod pages;
mod shots;
mod work;

use lockstep::testing::TestApp;
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{bytes, invent, serve},
    outbox::body,
};

pub use driver::Browser;

fn root(app: &TestApp) -> String {
    format!("http://{}", app.app.addr)
}

/// A service and somebody who is logged in as its admin.
async fn app_and_admin() -> (TestApp, Browser) {
    let app = TestApp::builder()
        .agents(&["anna", "ben"])
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__REPEAT", "safe")
        .setting("LOCKSTEP__LIMITS__REQUESTS_PER_MINUTE", "100000")
        .start()
        .await;
    let browser = Browser::open(&root(&app)).await;
    browser.log_in(app.token()).await;
    browser.sees("need").await;
    (app, browser)
}

/// What was made for pages to show.
struct Shown {
    /// A run that is held, one whose report had bad rows, and one that changed something.
    held: i64,
    bad: i64,
    changed: i64,
    /// The key of a customer of anna's.
    key: String,
}

/// Something of everything: changes, a held report, a bad row, a change that was not delivered.
async fn fill(app: &TestApp) -> Shown {
    let types = app.app.store.types().clone();
    let mut customers = invent(&types, "customers", 40);
    serve(app, "customers", "anna", &customers);
    app.sync("customers", "anna").await;
    customers[0].values[1] = customers[1].values[1].clone();
    let rows = serve(app, "customers", "anna", &customers);
    let changed = app.sync("customers", "anna").await.id.0;
    serve(app, "customers", "anna", &customers[..12]);
    let held = app.sync("customers", "anna").await.id.0;
    app.source.set("orders", "anna", bytes("edge/orders-bad-cells.pdf"));
    let bad = app.sync("orders", "anna").await.id.0;
    undelivered(app).await;
    let key = rows[0][types.get("customers").unwrap().key_name()].as_str().unwrap().to_owned();
    Shown { held, bad, changed, key }
}

/// A change that its receiver has refused.
async fn undelivered(app: &TestApp) -> Json {
    app.post("/api/queue/items", json!([body("UPDATE", "O-1", &json!({ "n": 1 }))])).await;
    let fetched = app.post("/api/queue/dequeue", json!({})).await.1;
    let item = fetched["items"][0].clone();
    let refused = json!({ "lease": item["lease"], "error": "no such order", "effect": "refused" });
    app.post(&format!("/api/queue/items/{}/fail", item["id"]), refused).await;
    item["id"].clone()
}

//! Does the main job work on the real app? Reports in, records stored, follow-ups started.

use lockstep::{
    domain::{Outcome, Record, Value},
    source::SourceError,
    testing::TestApp,
};

use crate::fixtures::{TYPES, agent, bytes, grid, invent, objects, print, serve, truth};

async fn sample_app() -> TestApp {
    let app = TestApp::builder().agents(&["agent-1"]).start().await;
    for sync_type in TYPES {
        app.source.set(sync_type, agent(sync_type), grid(sync_type));
    }
    app
}

#[actix::test]
async fn a_first_sync_of_all_six_types_equals_the_truth_and_a_second_changes_nothing() {
    let app = sample_app().await;
    // delivery notes, invoices and prices follow by themselves
    for sync_type in ["orders", "customers", "products"] {
        let run = app.sync(sync_type, agent(sync_type)).await;
        assert_eq!(
            (run.outcome.map(Outcome::as_str), run.counts.inserted),
            (Some("succeeded"), 40),
            "{sync_type}: {:?}",
            run.error
        );
    }
    app.idle().await;
    for sync_type in TYPES {
        assert_eq!(app.records(sync_type, agent(sync_type)).await, truth(sync_type), "{sync_type}");
    }
    for sync_type in TYPES {
        let before = app.rows(sync_type, agent(sync_type)).await;
        let same_bytes = app.sync(sync_type, agent(sync_type)).await;
        assert_eq!(
            (same_bytes.outcome.map(Outcome::as_str), same_bytes.counts.read),
            (Some("unchanged"), 0),
            "{sync_type}"
        );
        // the same rows from another printer: other bytes, other pages, same records
        app.source.set(sync_type, agent(sync_type), bytes(&format!("libreoffice/{sync_type}.pdf")));
        let same_rows = app.sync(sync_type, agent(sync_type)).await;
        let counts = same_rows.counts;
        assert_eq!(
            (same_rows.outcome.map(Outcome::as_str), counts.read, counts.unchanged),
            (Some("unchanged"), 40, 40),
            "{sync_type}"
        );
        assert_eq!(app.rows(sync_type, agent(sync_type)).await, before, "{sync_type}");
    }
    app.stop().await;
}

fn set(record: &mut Record, field: usize, text: &str) {
    record.values[field] = Value::Text(text.to_owned());
}

#[actix::test]
async fn an_edited_report_updates_exactly_the_edited_rows() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let orders = types.get("orders").unwrap();
    let mut records = invent(&types, "orders", 60);
    serve(&app, "orders", "a", &records);
    app.sync("orders", "a").await;
    let before = app.rows("orders", "a").await;

    set(&mut records[3], orders.field("sales_status").unwrap(), "Annullato");
    set(&mut records[41], orders.field("sales_status").unwrap(), "Annullato");
    set(&mut records[7], orders.field("customer_name").unwrap(), "Nome Nuovo");
    let run = {
        serve(&app, "orders", "a", &records);
        app.sync("orders", "a").await
    };
    let counts = run.counts;
    assert_eq!((counts.updated, counts.refreshed, counts.unchanged, counts.inserted), (2, 1, 57, 0));
    assert_eq!(app.records("orders", "a").await, objects(orders, &records));
    let after = app.rows("orders", "a").await;
    let touched: Vec<_> =
        before.iter().zip(&after).filter(|(old, new)| old["updated_at"] != new["updated_at"]).collect();
    assert_eq!(touched.len(), 3);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old["first_seen_at"], new["first_seen_at"]);
    }
    app.stop().await;
}

#[actix::test]
async fn changed_orders_start_ddt_and_invoices_of_that_agent_only() {
    let app = TestApp::builder().agents(&["a", "b"]).start().await;
    let types = app.app.store.types().clone();
    for agent in ["a", "b"] {
        for sync_type in ["orders", "ddt", "invoices"] {
            serve(&app, sync_type, agent, &invent(&types, sync_type, 8));
        }
    }
    let run = app.sync("orders", "a").await;
    app.idle().await;
    let mut fetched = app.source.fetches();
    fetched.sort();
    let pair = |sync_type: &str| (sync_type.to_owned(), "a".to_owned());
    assert_eq!(fetched, [pair("ddt"), pair("invoices"), pair("orders")]);
    let jobs = app.get("/api/jobs").await.1;
    for job in jobs["items"].as_array().unwrap().iter().filter(|job| job["type"] != "orders") {
        assert_eq!((&job["reason"], &job["parentJobId"]), (&"flow".into(), &run.job_id.0.into()), "{job}");
        assert_eq!(job["rootJobId"], run.job_id.0);
    }
    // nothing changed: no follow-up
    app.sync("orders", "a").await;
    app.idle().await;
    assert_eq!(app.source.fetches().len(), 4);
    app.stop().await;
}

#[actix::test]
async fn changed_products_start_prices() {
    let app = sample_app().await;
    app.sync("products", "service-account").await;
    app.idle().await;
    assert_eq!(app.last("prices").await.0, "succeeded");
    assert_eq!(app.source.fetches().len(), 2);
    app.stop().await;
}

#[actix::test]
async fn orphans_are_counted_and_joined_as_soon_as_the_order_comes() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let orders = invent(&types, "orders", 20);
    serve(&app, "ddt", "a", &invent(&types, "ddt", 24));
    serve(&app, "invoices", "a", &invent(&types, "invoices", 10));
    serve(&app, "orders", "a", &orders[..10]);
    let unmatched = app.sync("ddt", "a").await;
    assert_eq!(unmatched.counts.orphans, 24);
    let warning = unmatched.notes.unwrap()["warnings"][0].clone();
    assert!(warning.as_str().unwrap().starts_with("24 of 24 records have no known record of orders"), "{warning}");
    assert_eq!(app.sync("invoices", "a").await.counts.orphans, 10);

    app.sync("orders", "a").await;
    app.idle().await;
    let joined = |rows: &[serde_json::Map<String, serde_json::Value>]| {
        rows.iter().filter(|row| !row["parent_key"].is_null()).count()
    };
    let ddt = app.rows("ddt", "a").await;
    // 7 of 8 delivery notes have an order of their own: 12 of them belong to the first 10 orders
    assert_eq!(joined(&ddt), 12);
    for row in ddt.iter().filter(|row| !row["parent_key"].is_null()) {
        let order =
            app.rows("orders", "a").await.into_iter().find(|order| order["order_id"] == row["parent_key"]).unwrap();
        assert_eq!(order["order_number"], row["order_number"]);
    }
    assert_eq!(joined(&app.rows("invoices", "a").await), 10);
    assert_eq!(app.last("ddt").await.1.orphans, 12);

    serve(&app, "orders", "a", &orders);
    app.sync("orders", "a").await;
    app.idle().await;
    assert_eq!(joined(&app.rows("ddt", "a").await), 23);

    // the first order is missed twice: its delivery notes are orphans again, and deleted is not lost
    serve(&app, "orders", "a", &orders[1..]);
    app.sync("orders", "a").await;
    app.clock.advance(std::time::Duration::from_secs(11 * 60));
    assert_eq!(app.sync("orders", "a").await.counts.deleted, 1);
    assert_eq!(joined(&app.rows("ddt", "a").await), 21);
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn every_change_of_a_price_is_kept() {
    let app = TestApp::builder().start().await;
    let types = app.app.store.types().clone();
    let prices = types.get("prices").unwrap();
    let mut records = invent(&types, "prices", 30);
    let unit_price = prices.field("unit_price").unwrap();
    records[4].values[unit_price] = Value::Decimal("10.00".parse().unwrap());
    serve(&app, "prices", "service-account", &records);
    app.sync("prices", "service-account").await;
    let watched = async || app.get("/api/data/prices/40004").await.1["watched"].clone();
    assert_eq!(watched().await, serde_json::json!({ "field": "unit_price", "values": [] }));
    for amount in ["12.50", "9.90"] {
        records[4].values[unit_price] = Value::Decimal(amount.parse().unwrap());
        serve(&app, "prices", "service-account", &records);
        app.sync("prices", "service-account").await;
    }
    let history = watched().await;
    let values = history["values"].as_array().unwrap();
    let pairs: Vec<_> = values.iter().map(|one| (one["old"].as_str().unwrap(), one["new"].as_str().unwrap())).collect();
    assert_eq!(pairs, [("10.00", "12.50"), ("12.50", "9.90")]);
    assert!(values[0]["at"].is_string() && values[0]["runId"].is_u64(), "{history}");
    app.stop().await;
}

#[actix::test]
async fn a_hidden_column_wipes_nothing_and_changes_no_row() {
    let app = TestApp::builder().start().await;
    let types = app.app.store.types().clone();
    let products = types.get("products").unwrap();
    let records = invent(&types, "products", 40);
    serve(&app, "products", "service-account", &records);
    app.sync("products", "service-account").await;
    let shown = (0..products.columns.len()).filter(|column| ![2, 5, 12].contains(column)).collect();
    let layout = lockstep::pretend_erp::Layout { columns: Some(shown), ..Default::default() };
    app.source.set("products", "service-account", lockstep::pretend_erp::print(products, &records, &layout).unwrap());
    let run = app.sync("products", "service-account").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.counts.unchanged), (Some("unchanged"), 40));
    let absent = run.notes.unwrap()["drift"]["absent"].clone();
    assert_eq!(absent, serde_json::json!(["description", "package_content", "max_quantity"]));
    assert_eq!(app.records("products", "service-account").await, objects(products, &records));
    app.stop().await;
}

#[actix::test]
async fn rows_that_do_not_fit_are_quarantined_and_the_others_stored() {
    let app = TestApp::builder().agents(&["a"]).setting("LOCKSTEP__GUARDS__FROM_ROWS", "100").start().await;
    app.source.set("orders", "a", bytes("edge/orders-bad-cells.pdf"));
    let run = app.sync("orders", "a").await;
    assert_eq!(run.outcome.map(Outcome::as_str), Some("succeeded_with_quarantine"));
    assert_eq!(run.counts.quarantined, 2);
    let (_, listed) = app.get(&format!("/api/runs/{}/quarantine", run.id)).await;
    let rows = listed["items"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(row["page"].as_u64() > Some(0) && row["row"].as_u64() > Some(0), "{row}");
        assert!(
            !row["column"].as_str().unwrap().is_empty() && row["why"].as_str().unwrap().starts_with("expected"),
            "{row}"
        );
    }
    assert_eq!(app.records("orders", "a").await.len() as u64, run.counts.inserted);
    app.stop().await;
}

#[actix::test]
async fn panics_time_outs_and_failures_become_outcomes_and_the_actors_live_on() {
    let app =
        TestApp::builder().agents(&["a", "b", "c", "d"]).setting("LOCKSTEP__LIMITS__SYNC_SECONDS", "1").start().await;
    let types = app.app.store.types().clone();
    app.source.panic("customers", "a");
    app.source.hang("customers", "b");
    app.source.fail("customers", "c", SourceError::Unreachable("the ERP is away".into()));
    app.source.set("customers", "d", bytes("edge/customers-count-mismatch.pdf"));
    let mut jobs = Vec::new();
    for agent in ["a", "b", "c", "d"] {
        jobs.push(app.enqueue("customers", agent).await);
    }
    app.at_rest().await;
    let mut first_runs = Vec::new();
    for (job, outcome, code, retried) in [
        (jobs[0], "panicked", "panic", true),
        (jobs[1], "timed_out", "timed_out", true),
        (jobs[2], "failed", "source_unreachable", true),
        (jobs[3], "failed", "totals_mismatch", false),
    ] {
        let runs = app.get("/api/runs?type=customers&limit=500").await.1;
        let run = runs["items"].as_array().unwrap().iter().find(|run| run["jobId"] == job.0).unwrap().clone();
        assert_eq!((&run["outcome"], &run["errorCode"]), (&outcome.into(), &code.into()), "{run}");
        let state = app.app.store.job(job).await.unwrap().unwrap().state;
        assert_eq!(state.as_str(), if retried { "delayed" } else { "done" });
        first_runs.push(run);
    }
    assert_eq!(first_runs[0]["error"], "the source fell over");
    // better answers now: the retries succeed once their pause is over
    let records = invent(&types, "customers", 15);
    for (number, agent) in ["a", "b", "c"].into_iter().enumerate() {
        serve(&app, "customers", agent, &records[number * 5..][..5]);
    }
    app.clock.advance(std::time::Duration::from_secs(7));
    app.idle().await;
    for job in &jobs[..3] {
        let job = app.app.store.job(*job).await.unwrap().unwrap();
        assert_eq!((job.outcome.map(Outcome::as_str), job.attempt), (Some("succeeded"), 2));
    }
    app.stop().await;
}

#[actix::test]
async fn a_report_that_comes_again_after_a_failure_is_read() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let good = print(types.get("customers").unwrap(), &invent(&types, "customers", 5));
    app.source.set("customers", "a", good.clone());
    app.sync("customers", "a").await;
    app.source.set("customers", "a", bytes("edge/customers-count-mismatch.pdf"));
    app.sync("customers", "a").await;
    app.source.set("customers", "a", good);
    let run = app.sync("customers", "a").await;
    assert_eq!((run.counts.read, run.counts.unchanged), (5, 5), "after a failure the bytes are no short cut");
    app.stop().await;
}

#[actix::test]
async fn a_seventh_type_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("types")).unwrap();
    let file = r#"
name = "returns"
scope = "agent"
priority = 3
interval_minutes = 25
offset_minutes = 0
key = "return_id"
required = ["return_id"]
parent = { type = "orders", field = "order_number", matches = "order_number" }
history = { table = "return_history", field = "amount" }
change_hash = { algorithm = "sha256" }
columns = [
  { headers = ["RETURN", "RESO"], field = "return_id", type = "id" },
  { headers = ["ORDER"], field = "order_number", type = "text" },
  { headers = ["ON"], field = "returned_on", type = "date" },
  { headers = ["AMOUNT"], field = "amount", type = "money" },
  { headers = ["REASON"], field = "reason", type = "text" },
]
"#;
    std::fs::write(folder.path().join("types/returns.toml"), file).unwrap();
    let app = TestApp::builder()
        .folder(folder.path())
        .agents(&["a"])
        .setting("LOCKSTEP__SCHEDULER__ENABLED", "true")
        .start()
        .await;
    let types = app.app.store.types().clone();
    let returns = types.get("returns").unwrap();
    let records = invent(&types, "returns", 30);
    app.source.set("returns", "a", print(returns, &records));
    // its timer
    app.clock.advance(std::time::Duration::from_secs(60));
    app.at_rest().await;
    assert_eq!(app.last("returns").await.0, "succeeded");
    // its table and routes
    assert_eq!(app.records("returns", "a").await, objects(returns, &records));
    assert_eq!(app.get("/api/sync/intervals").await.1["returns"], 25);
    let (status, listed) = app.get("/api/data/returns?limit=500").await;
    assert_eq!((status.as_u16(), listed["items"].as_array().unwrap().len()), (200, 30));
    assert_eq!(app.post("/api/sync/trigger/returns", serde_json::json!({ "agentId": "a" })).await.0, 202);
    // its actor
    assert!(app.syncs.contains_key(&"returns".into()));
    // the other types have no reports here, and would be tried again
    app.post("/api/sync/stop", serde_json::json!({})).await;
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn a_changed_file_refreshes_rows_and_starts_no_follow_ups() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || TestApp::builder().folder(folder.path()).agents(&["a"]);
    let app = builder().start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "orders", 12);
    let serve_all = |app: &TestApp| {
        serve(app, "orders", "a", &records);
        serve(app, "ddt", "a", &[]);
        serve(app, "invoices", "a", &[]);
    };
    serve_all(&app);
    app.sync("orders", "a").await;
    app.idle().await;
    app.stop().await;

    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sync/orders.toml")).unwrap();
    std::fs::create_dir(folder.path().join("types")).unwrap();
    std::fs::write(
        folder.path().join("types/orders.toml"),
        file.replace("  \"transfer_status\",\n", "  \"transfer_status\",\n  \"customer_name\",\n"),
    )
    .unwrap();
    let app = builder().start().await;
    serve_all(&app);
    let run = app.sync("orders", "a").await;
    assert_eq!((run.counts.refreshed, run.counts.updated), (12, 0), "{:?}", run.error);
    app.idle().await;
    assert_eq!(app.source.fetches().len(), 1, "no follow-ups");
    app.stop().await;
}

//! How long did each stage of a run take, and what did its log say?

use lockstep::{event::run_log, store::Run, testing::TestApp};
use tracing_subscriber::prelude::*;

use crate::fixtures::{invent, serve};

#[actix::test]
async fn a_run_keeps_its_own_log_and_how_long_each_stage_took() {
    // as the service starts its own
    tracing_subscriber::registry().with(run_log()).try_init().ok();
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let mut records = invent(&types, "customers", 30);
    serve(&app, "customers", "a", &records);
    let first = app.sync("customers", "a").await;
    let same = app.sync("customers", "a").await;
    records.truncate(5);
    serve(&app, "customers", "a", &records);
    let held = app.sync("customers", "a").await;
    for (run, stages) in [(&first, 4), (&same, 1), (&held, 3)] {
        let (_, told) = app.get(&format!("/api/runs/{}", run.id)).await;
        let times = told["stages"].as_object().unwrap_or_else(|| panic!("{told}"));
        assert_eq!(times.len(), stages, "{told}");
        let sum: i64 = times.values().map(|time| time.as_i64().unwrap()).sum();
        assert!(sum <= told["durationMs"].as_i64().unwrap() + 4, "{told}");
    }
    let log = async |run: &Run| {
        let (_, log) = app.get(&format!("/api/runs/{}/log", run.id)).await;
        let lines = log["items"].as_array().unwrap().iter();
        lines
            .map(|line| format!("{} {}", line["level"].as_str().unwrap(), line["text"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let lines = log(&first).await;
    assert!(
        lines[1].starts_with("debug it was read pages=") && lines[1].ends_with("rows=30 quarantined=0"),
        "{lines:?}"
    );
    assert!(lines.last().unwrap().contains("outcome=\"succeeded\""), "{lines:?}");
    let lines = log(&held).await;
    assert!(lines.last().unwrap().contains("outcome=\"held\""), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("debug stored")), "{lines:?}");
    assert!(log(&same).await.is_empty(), "who looks at the log of a run that changed nothing?");
    // it goes with its run, which the next one leaves without a meaning
    app.sync("customers", "a").await;
    app.app.store.clean_runs(chrono::Utc::now() + chrono::Duration::days(1)).await.unwrap();
    assert!(app.app.store.log_of(held.id).await.unwrap().is_empty());
}

//! How do the processes that read reports live and die with the service?

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use lockstep::{
    domain::{Outcome, Stage},
    event::Event,
    sync::{Stop, StopReason},
    testing::TestApp,
};

use crate::fixtures::{grid, invent, print, processes_of};

pub const BINARY: &str = env!("CARGO_BIN_EXE_lockstep");

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A worker that never answers.
fn sleeper(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("sleeper");
    fs::write(&path, "#!/bin/sh\nsleep 600\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[actix::test]
async fn the_service_reads_in_child_processes_and_tells_how_far_it_is() {
    let app = TestApp::builder().agents(&["anna"]).setting("LOCKSTEP__SANDBOX__WORKER", BINARY).start().await;
    let mut events = app.app.bus.subscribe();
    app.source.set("orders", "anna", grid("orders"));
    let end = app.sync("orders", "anna").await;
    assert_eq!((end.outcome.map(Outcome::as_str), end.counts.inserted), (Some("succeeded"), 40));
    let mut pages = Vec::new();
    let mut rows = 0;
    while let Ok(event) = events.try_recv() {
        if let Event::Progressed { stage, done, total, rows: known, .. } = event {
            rows = rows.max(known);
            if stage == Stage::Read && total > 0 {
                pages.push((done, total));
            }
        }
    }
    assert!(pages.last().is_some_and(|(done, total)| done == total), "{pages:?}");
    assert_eq!(rows, 40);
    app.stop().await;
}

#[actix::test]
async fn a_hostile_report_is_a_failed_run_with_its_cause_and_the_service_lives_on() {
    let app = TestApp::builder()
        .agents(&["anna"])
        .setting("LOCKSTEP__SANDBOX__WORKER", BINARY)
        .setting("LOCKSTEP__LIMITS__READ_MEMORY_BYTES", "41943040")
        .start()
        .await;
    app.source.set("orders", "anna", grid("orders"));
    let end = app.sync("orders", "anna").await;
    assert_eq!((end.outcome.map(Outcome::as_str), end.error_code.as_deref()), (Some("failed"), Some("out_of_memory")));
    assert!(end.error.is_some_and(|error| error.contains("memory")));
    assert_eq!(app.get("/livez").await.0, 200);
    app.stop().await;
}

#[actix::test]
async fn a_stop_ends_the_reading_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let worker = sleeper(&folder);
    let app = TestApp::builder()
        .agents(&["anna"])
        .setting("LOCKSTEP__SANDBOX__WORKER", &worker.display().to_string())
        .start()
        .await;
    app.source.set("orders", "anna", grid("orders"));
    let mut events = app.app.bus.subscribe();
    app.enqueue("orders", "anna").await;
    while processes_of(&worker) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    app.syncs[&"orders".into()].send(Stop { job: None, reason: StopReason::Asked }).await.unwrap();
    loop {
        if let Event::Finished { outcome, .. } = events.recv().await.unwrap() {
            assert_eq!(outcome, Outcome::Stopped);
            break;
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(2));
    until("the end of the child", || processes_of(&worker) == 0);
    app.stop().await;
}

#[actix::test]
async fn another_layout_is_told_in_the_run_and_as_an_event() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let mut events = app.app.bus.subscribe();
    let spec = app.app.store.types().get("orders").unwrap().clone();
    let records = invent(app.app.store.types(), "orders", 12);
    app.source.set("orders", "anna", print(&spec, &records));
    let first = app.sync("orders", "anna").await;
    let without: Vec<usize> = (0..spec.columns.len()).filter(|column| *column != 5).collect();
    let layout = lockstep::pretend_erp::Layout { columns: Some(without), ..Default::default() };
    app.source.set("orders", "anna", lockstep::pretend_erp::print(&spec, &records, &layout).unwrap());
    let second = app.sync("orders", "anna").await;
    assert!(first.layout_fingerprint.is_some() && first.layout_fingerprint != second.layout_fingerprint);
    let gone = spec.columns[5].headers[0].clone();
    assert_eq!(second.notes.unwrap()["layoutChange"]["gone"], serde_json::json!([gone]));
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::LayoutChanged { gone, .. } = event {
            told.push(gone);
        }
    }
    assert_eq!(told, [vec![gone]], "once, not at the first report");
    app.stop().await;
}

#[actix::test]
async fn a_report_that_was_not_wholly_understood_deletes_nothing() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let spec = app.app.store.types().get("orders").unwrap().clone();
    let records = invent(app.app.store.types(), "orders", 40);
    app.source.set("orders", "anna", print(&spec, &records));
    app.sync("orders", "anna").await;
    // a token that makes no sense, outside of any text, on the first page
    let fewer = print(&spec, &records[1..]);
    app.source.set("orders", "anna", crate::fixtures::with_stray_token(&fewer));
    let end = app.sync("orders", "anna").await;
    assert_eq!((end.counts.read, end.counts.missing), (39, 0), "{end:?}");
    assert_eq!(end.notes.unwrap()["unclean"]["pages"], 1);
    app.source.set("orders", "anna", fewer);
    assert_eq!(app.sync("orders", "anna").await.counts.missing, 1);
    app.stop().await;
}

//! Is what happens told, as a stream and as metrics?

use std::time::Duration;

use lockstep::testing::{Backend, TestApp};
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{invent, serve},
    many::{pair, stop},
};

/// Listens to the server-sent events of `app`: from now on, or from one on.
async fn listen(app: &TestApp, after: Option<&str>) -> reqwest::Response {
    let mut request = app.raw(reqwest::Method::GET, "/api/events").bearer_auth(app.token());
    if let Some(after) = after {
        request = request.header("Last-Event-ID", after);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

/// Reads until an event is as wanted; answers all `(id, event)` so far.
async fn events(mut response: reqwest::Response, is_last: impl Fn(&Json) -> bool) -> Vec<(String, Json)> {
    let (mut text, mut seen) = (String::new(), Vec::new());
    let latest = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let chunk = tokio::time::timeout_at(latest, response.chunk()).await.expect("no such event");
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            let line = |name: &str| {
                event.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            let found = line("id:").zip(line("data:"));
            text = rest.to_owned();
            let Some((id, data)) = found else { continue };
            let data: Json = serde_json::from_str(&data).unwrap();
            seen.push((id, data));
            if is_last(&seen.last().unwrap().1) {
                return seen;
            }
        }
    }
}

#[actix::test]
async fn events_are_streamed_with_ids_and_go_on_from_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a"], &[]).await;
    // without Redis a process streams what happens in itself
    let watched = if Backend::of_suite() == Backend::Clustered { &two } else { &one };
    serve(&one, "orders", "a", &invent(&one.app.store.types().clone(), "orders", 12));
    serve(&two, "orders", "a", &invent(&one.app.store.types().clone(), "orders", 12));
    let is_end = |event: &Json| event["event"] == "finished";
    let stream = listen(watched, None).await;
    let job = one.enqueue("orders", "a").await;
    let seen = events(stream, is_end).await;
    let of_job: Vec<_> = seen.iter().filter(|(_, event)| event["job"] == job.0).collect();
    let kinds: Vec<_> = of_job.iter().map(|(_, event)| event["event"].as_str().unwrap()).collect();
    assert!(kinds.first() == Some(&"started") && kinds.contains(&"progressed"), "{kinds:?}");
    let end = &of_job.last().unwrap().1;
    assert_eq!((&end["outcome"], &end["counts"]["inserted"]), (&json!("succeeded"), &json!(12)));
    // who comes back gets what came after the last event that it has seen
    let after = seen.iter().position(|(_, event)| event["event"] == "started").unwrap();
    let again = events(listen(watched, Some(&seen[after].0)).await, is_end).await;
    assert_eq!(again, seen[after + 1..]);
    // the follow-ups have no reports
    one.post("/api/sync/stop", json!({})).await;
    stop(one, two).await;
}

#[actix::test]
async fn a_stream_ends_with_its_token_and_nobody_has_too_many() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let (_, made) = app.post("/api/tokens", json!({ "name": "ear", "role": "viewer" })).await;
    let listen = async || {
        let request = app.raw(reqwest::Method::GET, "/api/events").bearer_auth(made["token"].as_str().unwrap());
        request.send().await.unwrap()
    };
    let mut first = listen().await;
    let mut streams = Vec::new();
    for _ in 1..100 {
        streams.push(listen().await);
    }
    assert_eq!(listen().await.status(), 429);
    drop(streams);
    app.until("there is room again", async || listen().await.status() == 200).await;
    let gone = app.raw(reqwest::Method::DELETE, &format!("/api/tokens/{}", made["id"])).bearer_auth(app.token());
    assert_eq!(gone.send().await.unwrap().status(), 204);
    let end = async { while first.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(15), end).await.expect("the stream goes on");
    app.stop().await;
}

#[actix::test]
async fn metrics_count_what_happened() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    serve(&app, "orders", "a", &invent(&app.app.store.types().clone(), "orders", 5));
    app.sync("orders", "a").await;
    app.post("/api/sync/stop", json!({})).await;
    let text = app.raw(reqwest::Method::GET, "/metrics").bearer_auth(app.token()).send().await.unwrap();
    let text = text.text().await.unwrap();
    for line in [
        "lockstep_jobs_total{type=\"orders\",answer=\"accepted\"} 1",
        "lockstep_runs_total{type=\"orders\",outcome=\"succeeded\",code=\"\"} 1",
        "lockstep_records_total{type=\"orders\",became=\"inserted\"} 5",
        "lockstep_coordination_up 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(app.raw(reqwest::Method::GET, "/metrics").send().await.unwrap().status(), 401);
    app.stop().await;
}

/// Every series that somebody may watch is there before anything has happened, and tells how the data is.
#[actix::test]
async fn metrics_tell_how_old_the_data_is_from_the_start() {
    let app = TestApp::builder().agents(&["a", "b"]).setting("LOCKSTEP__METRICS__AGENTS", "1").start().await;
    let text = async || {
        let asked = app.raw(reqwest::Method::GET, "/metrics").bearer_auth(app.token()).send().await.unwrap();
        asked.text().await.unwrap()
    };
    let value = |text: &str, series: &str| -> i64 {
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            .floor() as i64
    };
    let start = text().await;
    for (series, expected) in [
        ("lockstep_runs_total{type=\"orders\",outcome=\"failed\",code=\"\"}", 0),
        ("lockstep_run_duration_seconds_count{type=\"orders\",stage=\"read\"}", 0),
        ("lockstep_queue_wait_seconds_count{class=\"sync\"}", 0),
        ("lockstep_queue_jobs{class=\"write\",state=\"waiting\"}", 0),
        ("lockstep_reader_exits_total{cause=\"out_of_memory\"}", 0),
        ("lockstep_open_holds", 0),
        ("lockstep_stop_seconds_count", 0),
        ("lockstep_breaker_open{source=\"none\"}", 0),
        ("lockstep_quarantined_rows{type=\"orders\"}", 0),
        ("lockstep_freshness_target_seconds{type=\"orders\"}", 1_800),
        ("lockstep_last_success_timestamp_seconds{type=\"orders\",agent=\"other\"}", 0),
    ] {
        assert_eq!(value(&start, series), expected, "{series}");
    }
    assert!(
        value(&start, "process_resident_memory_bytes") > 1_000_000 && value(&start, "process_cpu_seconds_total") >= 0
    );
    assert!(start.contains("lockstep_build_info{version=\"") && start.ends_with("# EOF\n"), "{start}");

    serve(&app, "orders", "a", &invent(&app.app.store.types().clone(), "orders", 5));
    app.sync("orders", "a").await;
    app.clock.advance(Duration::from_secs(600));
    let later = text().await;
    // b has none yet: its data is as old as b is known
    assert!(value(&later, "lockstep_data_age_seconds{type=\"orders\",agent=\"b\"}") >= 600);
    assert!((600..610).contains(&value(&later, "lockstep_data_age_seconds{type=\"orders\",agent=\"other\"}")));
    assert!(value(&later, "lockstep_last_success_timestamp_seconds{type=\"orders\",agent=\"other\"}") > 1_000_000_000);
    assert_eq!(value(&later, "lockstep_run_duration_seconds_count{type=\"orders\",stage=\"apply\"}"), 1);
    assert_eq!(value(&later, "lockstep_run_duration_seconds_count{type=\"orders\",stage=\"all\"}"), 1);
    for kind in ["read", "write", "batch"] {
        let asked = format!("lockstep_database_seconds_count{{kind=\"{kind}\"}}");
        assert!(value(&later, &asked) > 0, "{later}");
    }
    app.stop().await;
}

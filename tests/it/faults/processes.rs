//! A process freezes, is told to end, or has another clock: do the others carry on, and is it kept from harm?

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    servers::Server,
    service::{World, read},
};

#[actix::test]
async fn a_process_frozen_beyond_its_lease_and_woken_is_refused_its_first_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url).quick();
    let truth = world.print_of("anna", &["orders"], 5_000);
    world.print_of("anna", &["ddt", "invoices"], 10);
    world.print_of("bruno", &["customers"], 40);
    let (frozen, other) = (world.serve("frozen").await, world.serve("other").await);
    frozen.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await;
    let job = loop {
        let running = frozen.get("/api/sync/status").await["types"][0]["running"][0].clone();
        if running["stage"] == "apply" {
            break running["jobId"].clone();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    frozen.signal("STOP");
    let stopped = Instant::now();
    other.idle().await;
    println!("the job of a frozen process was done by another after {:?}", stopped.elapsed());
    let runs = other.get("/api/runs?type=orders&agent=anna").await;
    let outcomes: Vec<_> = runs["items"].as_array().unwrap().iter().map(|run| run["outcome"].clone()).collect();
    // on a busy machine all records may have been written before it was frozen; its run is lost all the same
    assert!(outcomes[0] == "succeeded" || outcomes[0] == "unchanged", "job {job}: {outcomes:?}");
    assert_eq!(outcomes[1..], [json!("lost")], "job {job}");
    let before = server.sql("SELECT max(updated_at), count(*), max(run_id) FROM orders");
    frozen.signal("CONT");
    let woken = Instant::now();
    let refused = loop {
        let log = frozen.whole_log();
        if log.contains("the late write was refused") {
            break woken.elapsed();
        }
        assert!(woken.elapsed() < Duration::from_secs(30), "{}", frozen.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("its first write after it woke was refused within {refused:?}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.sql("SELECT max(updated_at), count(*), max(run_id) FROM orders"), before, "it changed nothing");
    other.assert_truth(&world, &truth, "after it woke").await;
    // and it works on
    frozen.post("/api/sync/trigger/customers", json!({ "agentId": "bruno" })).await;
    frozen.idle().await;
}

#[actix::test]
async fn sigterm_under_load_exits_in_time_and_no_attempt_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url).quick();
    let truth = world.print(300, 1);
    let one = world.serve("one").await;
    one.post("/api/sync/trigger-all", json!({})).await;
    while one.get("/api/sync/status").await["queue"]["active"].as_u64() < Some(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (took, is_well) = one.terminate().await;
    println!("SIGTERM under load: exit after {took:?}");
    // limits.shutdown_seconds
    assert!(is_well && took < Duration::from_secs(10), "{took:?}: {}", read(world.root.path(), "one"));
    let given_back = "SELECT count(*) FROM job WHERE state = 'active'";
    assert_eq!(server.sql(given_back), "0", "all jobs went back to the queue");
    let two = world.serve("two").await;
    two.idle().await;
    two.assert_truth(&world, &truth, "after the restart").await;
    // one that was given back after its last batch finds nothing left to change
    let other = "SELECT job_type, agent_id, reason, attempt, outcome, error FROM job \
                 WHERE attempt <> 1 OR outcome NOT IN ('succeeded', 'unchanged')";
    assert_eq!(server.sql(other), "", "no attempt was lost");
}

#[actix::test]
async fn two_processes_whose_clocks_are_five_minutes_apart_agree() {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("this test needs Debian's package 'faketime'; tests/run installs it");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    // a minute lasts 0.1 s, so that timers fire every second or so
    let world = World::postgres(&server.url).quick().with(&["scheduler.enabled = true", "scheduler.minute_ms = 100"]);
    world.print(10, 1);
    let ahead = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", "+300s"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DISABLE_SHM", "1"),
    ];
    let (right, fast) = (world.serve("right").await, world.serve_with("fast", &ahead).await);
    tokio::time::sleep(Duration::from_secs(12)).await;
    // a key that one has taken holds at the other, and for its 30 s
    let data = json!({ "orderId": "1", "customer": "C1", "lines": [1] });
    let ask = json!({ "type": "submit-order", "agentId": "anna", "idempotencyKey": "k", "data": data });
    for (first, second) in [(&right, &fast), (&fast, &right)] {
        let (one, two) =
            (first.post("/api/operations", ask.clone()).await, second.post("/api/operations", ask.clone()).await);
        assert_eq!((&two["jobId"], &two["deduplicated"]), (&one["jobId"], &json!(true)), "{one} {two}");
    }
    for service in [&right, &fast] {
        service.post("/api/sync/auto-sync/stop", json!({})).await;
    }
    right.idle().await;
    let far = "SELECT count(*) FROM job WHERE abs(extract(epoch FROM enqueued_at - now())) > 60";
    assert_eq!(server.sql(far), "0", "nobody's clock but the database's was used");
    // every slot of a type fired once: each agent has one timer job a slot, and slots are an interval apart
    let rows = server.sql(
        "SELECT job_type, agent_id, extract(epoch FROM enqueued_at)::float8 FROM job WHERE reason = 'timer' ORDER BY 1, 2, 3",
    );
    let mut ticks: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for row in rows.lines() {
        let [name, agent, at] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        ticks.entry((name.to_owned(), agent.to_owned())).or_default().push(at.parse().unwrap());
    }
    let orders = &ticks[&("orders".to_owned(), "anna".to_owned())];
    println!("orders of anna were due {} times within 12 s at an interval of 1 s", orders.len());
    assert!((8..=16).contains(&orders.len()), "{orders:?}");
    for (of, moments) in &ticks {
        assert!(moments.windows(2).all(|pair| pair[1] - pair[0] > 0.4), "{of:?} fired twice in a slot: {moments:?}");
    }
    // neither took the other for dead
    assert_eq!(server.sql("SELECT count(*) FROM sync_run WHERE outcome = 'lost'"), "0");
}

//! PostgreSQL goes away, drops its connections, or its answers to commits get lost.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    servers::{Proxy, Server},
    service::{Service, World},
};

/// Waits until a job writes records.
async fn in_mid_apply(service: &Service) {
    loop {
        let status = service.get("/api/sync/status").await;
        let running =
            status["types"].as_array().unwrap().iter().flat_map(|one| one["running"].as_array().unwrap().clone());
        if running.into_iter().any(|job| job["stage"] == "apply") {
            return;
        }
        assert!(!service.is_idle().await, "the sync was over before anything could go wrong");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[actix::test]
async fn postgres_stopped_for_twenty_seconds_in_mid_run_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url).quick();
    let truth = world.print(400, 1);
    let (one, two) = (world.serve("one").await, world.serve("two").await);
    one.post("/api/sync/trigger-all", json!({})).await;
    in_mid_apply(&one).await;
    server.stop();
    let (status, problem) = one.try_post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await.unwrap();
    assert!((500..600).contains(&status), "asked for while the database is away: {status} {problem}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    server.start_again();
    let back = Instant::now();
    one.idle().await;
    println!("after 20 s without PostgreSQL all work was done {:?} after it was back", back.elapsed());
    one.assert_truth(&world, &truth, "after the outage").await;
    two.assert_truth(&world, &truth, "after the outage").await;
    // and both take new work
    let truth = world.print(400, 2);
    two.post("/api/sync/trigger-all", json!({})).await;
    two.idle().await;
    one.assert_truth(&world, &truth, "with new work after the outage").await;
}

#[actix::test]
async fn every_connection_killed_in_mid_batch_delays_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url).quick();
    let truth = world.print(400, 1);
    let one = world.serve("one").await;
    one.post("/api/sync/trigger-all", json!({})).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'lockstep'";
    let mut killed = 0;
    for _ in 0..8 {
        if one.is_idle().await {
            break;
        }
        killed += server.sql(kill).parse::<u32>().unwrap();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let last = Instant::now();
    one.idle().await;
    println!(
        "{killed} connections killed while records were written: all work done {:?} after the last",
        last.elapsed()
    );
    assert!(killed > 3, "{killed}");
    one.assert_truth(&world, &truth, "after the kills").await;
}

#[actix::test]
async fn lost_answers_to_commits_double_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let proxy = Proxy::before(server.port()).await;
    let url = server.url.replace(&server.port().to_string(), &proxy.addr.port().to_string());
    let world = World::postgres(&url).quick();
    let truth = world.print(150, 1);
    let one = world.serve("one").await;
    for (round, every) in [7, 5, 11].into_iter().enumerate() {
        proxy.every.store(every, Ordering::Relaxed);
        // whoever gets no answer asks again; the first request may have been stored
        let started = Instant::now();
        loop {
            let answer = one.try_post("/api/sync/trigger-all", json!({ "force": true })).await;
            if answer.is_some_and(|(status, _)| status < 300) {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{}", one.log());
        }
        one.idle().await;
        proxy.every.store(0, Ordering::Relaxed);
        one.assert_truth(&world, &truth, &format!("round {round}")).await;
    }
    let lost = proxy.lost.load(Ordering::Relaxed);
    println!("{lost} commits were carried out without an answer: all records equal the truth");
    assert!(lost >= 5, "{lost}");
    // at most one job of each key is live, whatever was asked twice
    let doubled = "SELECT count(*) FROM (SELECT dedup_key FROM job WHERE state NOT IN ('done', 'kept') GROUP BY 1 HAVING count(*) > 1) AS d";
    assert_eq!(server.sql(doubled), "0");
    assert_eq!(server.sql("SELECT count(*) FROM job WHERE state = 'active'"), "0", "no agent stays locked");
}

//! Redis stops, forgets everything, stands still or has no memory left: what goes on, and who says so?

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{
    servers::{Server, signal},
    service::{Service, World},
};

/// Dropped in this order: the servers are stopped while their folder is there.
struct Pair {
    one: Service,
    two: Service,
    redis: Server,
    _postgres: Server,
    world: World,
    _folder: tempfile::TempDir,
}

async fn pair() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, redis) = (Server::postgres(folder.path()), Server::redis(folder.path()));
    let world = World::postgres(&postgres.url).quick().with(&[&format!("coordination.redis_url = \"{}\"", redis.url)]);
    let (one, two) = (world.serve("one").await, world.serve("two").await);
    Pair { _folder: folder, _postgres: postgres, redis, world, one, two }
}

/// Waits until readiness and metrics of both say that Redis is there, or not.
async fn until_told(pair: &Pair, is_there: bool) -> Duration {
    let started = Instant::now();
    for service in [&pair.one, &pair.two] {
        loop {
            let ready = service.get("/readyz").await;
            let (status, gauge) = if is_there { ("ok", 1) } else { ("degraded", 0) };
            if ready["status"] == status {
                assert_eq!(ready["coordination"]["trouble"].is_null(), is_there, "{ready}");
                let metrics = service.text("/metrics").await;
                assert!(metrics.contains(&format!("lockstep_coordination_up {gauge}")), "{metrics}");
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(15), "nobody says it: {ready}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    started.elapsed()
}

/// Everything is as it should be: a whole sync, a stop through the other process, one effect a key.
async fn works(pair: &Pair, seed: u64) {
    let truth = pair.world.print(40, seed);
    pair.two.post("/api/sync/trigger-all", json!({})).await;
    pair.one.idle().await;
    pair.one.assert_truth(&pair.world, &truth, &format!("seed {seed}")).await;
    let data = json!({ "orderId": "1", "customer": "C1", "lines": [1] });
    let key = format!("key-{seed}");
    let ask = json!({ "type": "submit-order", "agentId": "anna", "idempotencyKey": key, "data": data });
    let (first, second) =
        (pair.one.post("/api/operations", ask.clone()).await, pair.two.post("/api/operations", ask).await);
    assert_eq!((&second["jobId"], &second["deduplicated"]), (&first["jobId"], &json!(true)), "{second}");
    pair.one.idle().await;
}

async fn is_degraded_and_recovers(pair: &Pair, what: &str, seed: u64, ends: impl AsyncFnOnce()) {
    let told = until_told(pair, false).await;
    let started = Instant::now();
    works(pair, seed).await;
    println!(
        "redis {what}: told after {told:?}; a sync of all types and a keyed write took {:?} meanwhile",
        started.elapsed()
    );
    ends().await;
    let back = until_told(pair, true).await;
    println!("redis {what}: back and told after {back:?}");
    works(pair, seed + 1).await;
}

#[actix::test]
async fn redis_stopped_and_started_again() {
    let pair = pair().await;
    until_told(&pair, true).await;
    works(&pair, 1).await;
    pair.redis.stop();
    is_degraded_and_recovers(&pair, "stopped", 2, async || pair.redis.start_again()).await;
}

#[actix::test]
async fn redis_paused_for_twenty_seconds() {
    let pair = pair().await;
    works(&pair, 1).await;
    let pid = pair.redis.pid();
    signal("STOP", pid);
    let paused = Instant::now();
    is_degraded_and_recovers(&pair, "paused", 2, async || {
        tokio::time::sleep(Duration::from_secs(20).saturating_sub(paused.elapsed())).await;
        signal("CONT", pid);
    })
    .await;
}

#[actix::test]
async fn redis_out_of_memory() {
    let pair = pair().await;
    works(&pair, 1).await;
    assert_eq!(pair.redis.redis_cli(&["config", "set", "maxmemory", "1"]), "OK");
    // it is noticed with the next word
    pair.one.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await;
    pair.two.post("/api/sync/trigger/orders", json!({ "agentId": "bruno" })).await;
    pair.one.idle().await;
    is_degraded_and_recovers(&pair, "out of memory", 2, async || {
        pair.redis.redis_cli(&["config", "set", "maxmemory", "0"]);
    })
    .await;
}

#[actix::test]
async fn redis_flushed_forgets_and_nothing_is_done_twice() {
    let pair = pair().await;
    works(&pair, 1).await;
    let data = json!({ "orderId": "1", "customer": "C1", "lines": [1] });
    let ask = json!({ "type": "submit-order", "agentId": "anna", "idempotencyKey": "k", "data": data });
    let first = pair.one.post("/api/operations", ask.clone()).await;
    assert_eq!(pair.redis.redis_cli(&["flushall"]), "OK");
    let again = pair.two.post("/api/operations", ask).await;
    assert_eq!(
        (&again["jobId"], &again["deduplicated"]),
        (&first["jobId"], &json!(true)),
        "the database knows: {again}"
    );
    works(&pair, 2).await;
    let heard = |status: &Json| status["status"] == "ok";
    assert!(heard(&pair.one.get("/readyz").await) && heard(&pair.two.get("/readyz").await));
}

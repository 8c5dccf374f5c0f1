//! `kill -9` at random points of a sync of all six types: is anything lost, doubled or late?

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    servers::Server,
    service::{Service, World},
};

const ROWS: usize = 60;

/// Kills a service so often while it syncs new reports, with another process beside it or not.
async fn kill_again_and_again(world: World, has_witness: bool, kills: usize) {
    let seed = std::env::var("FAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("FAULT_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let editions: Vec<_> = (1..5).map(|seed| world.edition(ROWS, seed, |_, _| true)).collect();
    let mut truth = world.publish(&editions[0]);
    let witness = if has_witness { Some(world.serve("witness").await) } else { None };
    let mut victim = world.serve("victim").await;
    let asked = Instant::now();
    victim.post("/api/sync/trigger-all", json!({})).await;
    victim.idle().await;
    let whole = asked.elapsed();
    victim.assert_truth(&world, &truth, "before any kill").await;

    let (mut slowest, mut in_mid_run) = (Duration::ZERO, 0);
    for round in 1..=kills {
        truth = world.publish(&editions[round % editions.len()]);
        let jobs = victim.post("/api/sync/trigger-all", json!({})).await;
        assert!(jobs["jobs"].is_array(), "{jobs}");
        tokio::time::sleep(whole.mul_f64(random.f64() * 0.9)).await;
        let left = witness.as_ref().unwrap_or(&victim).get("/api/sync/status").await["queue"].clone();
        in_mid_run += usize::from(left["active"].as_u64() > Some(0));
        victim.kill();
        let killed = Instant::now();
        victim = world.serve("victim").await;
        let judge: &Service = witness.as_ref().unwrap_or(&victim);
        judge.idle().await;
        slowest = slowest.max(killed.elapsed());
        judge.assert_truth(&world, &truth, &format!("round {round}")).await;
    }
    println!(
        "{kills} kills, {in_mid_run} of them while jobs ran: all records equal the truth; all work done at the latest \
         {slowest:?} after the kill (leases of 1.5 s; a whole sync takes {whole:?})"
    );
    assert!(in_mid_run > 0, "the kills have to hit something");
    // nothing was stored twice either: history and counts of the last runs balance
    for run in victim.get("/api/runs?outcome=succeeded&limit=200").await["items"].as_array().unwrap() {
        let count = |name: &str| run["counts"][name].as_u64().unwrap();
        let all = ["inserted", "updated", "refreshed", "unchanged", "restored", "quarantined", "skipped", "notApplied"];
        assert_eq!(count("read"), all.iter().map(|name| count(name)).sum::<u64>(), "{run}");
    }
}

async fn kill_over_postgres(kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    kill_again_and_again(World::postgres(&server.url).quick(), true, kills).await;
}

#[actix::test]
async fn kills_over_sqlite_lose_and_double_nothing() {
    kill_again_and_again(World::sqlite().quick(), false, 12).await;
}

#[actix::test]
async fn kills_over_postgres_lose_and_double_nothing() {
    kill_over_postgres(12).await;
}

#[actix::test]
#[ignore = "takes minutes; run by `tests/run --long`"]
async fn fifty_kills_over_sqlite_lose_and_double_nothing() {
    kill_again_and_again(World::sqlite().quick(), false, 50).await;
}

#[actix::test]
#[ignore = "takes minutes; run by `tests/run --long`"]
async fn fifty_kills_over_postgres_lose_and_double_nothing() {
    kill_over_postgres(50).await;
}

#[actix::test]
async fn a_service_killed_in_mid_run_goes_on_after_its_restart_and_starts_the_follow_ups() {
    let world = World::sqlite().quick();
    let truth = world.print_of("anna", &["orders", "ddt", "invoices"], 3_500);
    let service = world.serve("victim").await;
    let job = service.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await["jobId"].clone();
    // some batches are committed (at the latest 500 records share a commit), most are not
    loop {
        let running = service.get("/api/sync/status").await["types"][0]["running"][0].clone();
        if running["stage"] == "apply" && running["done"].as_u64() > Some(600) {
            break;
        }
        let state = service.get(&format!("/api/jobs/{job}")).await["state"].clone();
        assert!(state != "done", "the run was too fast to be killed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    service.kill();
    let service = world.serve("victim").await;
    let stored = service.get("/api/data/orders?agent=anna&limit=500").await["items"].as_array().unwrap().len();
    assert!(stored.is_multiple_of(10), "{stored} records: batches are whole");
    service.idle().await;
    let runs = service.get("/api/runs?type=orders").await;
    let outcomes: Vec<_> = runs["items"].as_array().unwrap().iter().map(|run| run["outcome"].clone()).collect();
    // on a busy machine all records may have been written before the kill came; their run was lost all the same
    assert!(outcomes[0] == "succeeded" || outcomes[0] == "unchanged", "{outcomes:?}");
    assert_eq!(outcomes[1..], [json!("lost")]);
    let counts = &runs["items"][0]["counts"];
    assert!(counts["unchanged"].as_u64() > Some(0), "it went on where it was killed: {counts}");
    service.assert_truth(&world, &truth, "after the restart").await;
}

#[actix::test]
async fn with_the_leases_of_the_defaults_a_dead_process_s_jobs_run_again_within_thirty_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url);
    let truth = world.print_of("anna", &["orders"], 2_000);
    world.print_of("anna", &["ddt", "invoices"], 10);
    let (victim, witness) = (world.serve("victim").await, world.serve("witness").await);
    // the witness would take its share: it is to watch
    victim.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await;
    let job = loop {
        let running = victim.get("/api/sync/status").await["types"][0]["running"][0].clone();
        if running["stage"] == "apply" {
            break running["jobId"].clone();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    victim.kill();
    let killed = Instant::now();
    let again = loop {
        let job = witness.get(&format!("/api/jobs/{job}")).await;
        if job["attempt"] == 2 {
            break killed.elapsed();
        }
        assert!(killed.elapsed() < Duration::from_secs(30), "it does not run again: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("with the default lease a dead process's job ran again after {again:?}");
    witness.idle().await;
    witness.assert_truth(&world, &truth, "after the kill").await;
}

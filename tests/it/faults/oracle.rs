//! Whatever happens in the ERP, and whatever happens to the service meanwhile: is what is stored in the end what
//! is in the ERP?

use std::{sync::Arc, time::Duration};

use lockstep::{domain::AgentId, pretend_erp, testing::types};
use serde_json::json;

use super::{
    servers::Server,
    service::{AGENTS, Records, Service, World},
};
use crate::fixtures::objects;

const ROWS: usize = 40;
/// Changes in the ERP between two rounds, at most.
const CHANGES: u32 = 40;
/// What is done to the service in a round, at most.
const BLOWS: u32 = 3;

/// What was done, in all rounds together.
#[derive(Debug, Default)]
struct Done {
    kills: u32,
    ends: u32,
    stops: u32,
    changed_in_mid_run: u32,
}

/// Prints what has changed since it was printed last; answers what is in the ERP.
fn print(world: &World, erp: &pretend_erp::World, printed: &mut Records) -> Records {
    for (name, agent) in erp.tables() {
        let spec = world.types.get(name.as_str()).unwrap();
        let (of, records) = ((name.to_string(), agent.to_string()), erp.records(name, agent));
        if printed.get(&of) != Some(&objects(spec, records)) {
            printed.insert(of, world.put(spec, agent.as_str(), records));
        }
    }
    printed.clone()
}

/// Strikes the service once; answers the service that runs then.
async fn strike(
    world: &World,
    service: Service,
    (erp, printed): (&mut pretend_erp::World, &mut Records),
    random: &mut fastrand::Rng,
    done: &mut Done,
) -> Service {
    tokio::time::sleep(Duration::from_millis(random.u64(..900))).await;
    match random.u8(..10) {
        0..4 => {
            service.kill();
            done.kills += 1;
            world.serve("victim").await
        }
        4 => {
            let (_, well) = service.terminate().await;
            assert!(well, "SIGTERM ends it in order");
            done.ends += 1;
            world.serve("victim").await
        }
        5..8 => {
            let path = ["/api/sync/stop", "/api/sync/stop/orders", "/api/sync/stop/prices"][random.usize(..3)];
            service.post(path, json!({})).await;
            done.stops += 1;
            service.post("/api/sync/trigger-all", json!({})).await;
            service
        }
        _ => {
            erp.stir();
            print(world, erp, printed);
            done.changed_in_mid_run += 1;
            service.post("/api/sync/trigger-all", json!({})).await;
            service
        }
    }
}

async fn rounds(world: World, count: u32) {
    let seed =
        std::env::var("ORACLE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("ORACLE_SEED={seed}");
    // short minutes: what is missed twice is deleted within a few rounds
    let world = world.quick().with(&["scheduler.minute_ms = 100", "source.keep_reports = 2"]);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut erp = pretend_erp::World::new(Arc::new(types()), &AGENTS.map(AgentId::from), |_| ROWS, seed);
    let mut service = world.serve("victim").await;
    let (mut done, mut changes, mut printed) = (Done::default(), 0, Records::new());
    for round in 0..count {
        let now = random.u32(1..=CHANGES);
        changes += now;
        for _ in 0..now {
            erp.stir();
        }
        print(&world, &erp, &mut printed);
        service.post("/api/sync/trigger-all", json!({})).await;
        for _ in 0..random.u32(..=BLOWS) {
            service = strike(&world, service, (&mut erp, &mut printed), &mut random, &mut done).await;
        }
        service.idle().await;
        // what was stopped, or began before the last change, is asked for once more
        let truth = print(&world, &erp, &mut printed);
        service.post("/api/sync/trigger-all", json!({})).await;
        service.idle().await;
        service.assert_truth(&world, &truth, &format!("round {round} of seed {seed}")).await;
    }
    let runs = service.get("/api/runs?limit=500").await;
    for run in runs["items"].as_array().unwrap() {
        let read: u64 =
            ["inserted", "updated", "refreshed", "unchanged", "restored", "quarantined", "skipped", "notApplied"]
                .iter()
                .map(|name| run["counts"][name].as_u64().unwrap())
                .sum();
        assert_eq!(run["counts"]["read"].as_u64().unwrap(), read, "{run}");
        assert_ne!(run["outcome"], "held", "nothing here is a reason to hold: {run}");
    }
    println!("{count} rounds, {changes} changes, {done:?}: the records equalled the ERP's after each");
    assert!(count < 20 || (done.kills > 0 && done.stops > 0), "{done:?}");
}

#[actix::test]
async fn after_some_rounds_over_sqlite_the_records_are_the_erp_s() {
    rounds(World::sqlite(), 10).await;
}

#[actix::test]
async fn after_some_rounds_over_postgres_the_records_are_the_erp_s() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    rounds(World::postgres(&server.url), 10).await;
}

#[actix::test]
#[ignore = "takes half an hour; run by `tests/run --long`"]
async fn after_five_hundred_rounds_over_sqlite_the_records_are_the_erp_s() {
    rounds(World::sqlite(), 500).await;
}

#[actix::test]
#[ignore = "takes half an hour; run by `tests/run --long`"]
async fn after_five_hundred_rounds_over_postgres_the_records_are_the_erp_s() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    rounds(World::postgres(&server.url), 500).await;
}

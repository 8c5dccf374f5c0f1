//! `kill -9` between a delivery's effect and its acknowledgement: does every change arrive, and which repeat?

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use super::{
    servers::Server,
    service::{Service, World},
};
use crate::outbox::server::{Answer, Request, TestServer};

/// Records whose changes may be repeated, ...
const SAFE: usize = 300;
/// ... each with so many changes, and records whose changes must not be.
const CHANGES: usize = 3;
const NEVER: usize = 300;

fn change(model: &str, record: usize, number: usize) -> Json {
    json!({ "action": "UPDATE", "model": model, "recordId": format!("{model}-{record}"), "payload": { "n": number } })
}

async fn depths(service: &Service) -> BTreeMap<String, u64> {
    let stats = service.get("/api/queue/stats").await;
    let depth = |one: &Json| {
        (
            format!("{}/{}", one["model"].as_str().unwrap(), one["status"].as_str().unwrap()),
            one["items"].as_u64().unwrap(),
        )
    };
    stats["models"].as_array().unwrap().iter().map(depth).collect()
}

fn number(request: &Request) -> u64 {
    request.body["data"]["n"].as_u64().unwrap()
}

/// What arrived, by record, in the order of its arrival: `(id, change)`.
fn arrivals(server: &TestServer, model: &str) -> BTreeMap<String, Vec<(String, u64)>> {
    let mut all: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for request in server.requests().iter().filter(|request| request.body["model"] == model) {
        let record = request.body["recordId"].as_str().unwrap().to_owned();
        all.entry(record).or_default().push((request.headers["webhook-id"].clone(), number(request)));
    }
    all
}

async fn kill_between_effect_and_acknowledgement(world: World, kills: usize) {
    // whatever is read has its effect; the answer may find nobody any more
    let server = TestServer::start(|number, _| match number % 3 {
        0 => Answer::ok(),
        _ => Answer::Late(Duration::from_millis(5)),
    })
    .await;
    let url = format!("sink.webhook.hook.url = \"{}\"", server.url());
    let world = world.with(&[
        "queue.heartbeat_ms = 100",
        "queue.lease_ms = 300",
        "sink.batch = 2",
        &url,
        "sink.webhook.hook.secret = \"a secret of the tests\"",
        "sink.webhook.hook.allow_private = true",
        "sink.models.safe = { to = \"hook\", max_retries = 50 }",
        "sink.models.never = { to = \"hook\", repeat = \"never\" }",
    ]);
    let mut service = world.serve("victim").await;
    // the changes of a record in their order, those that must not be repeated anywhere among them
    let safe = (0..SAFE * CHANGES).map(|n| (fastrand::u32(..), change("safe", n % SAFE, n / SAFE)));
    let mut safe: Vec<(u32, Json)> = safe.collect();
    let mut places: Vec<u32> = safe.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    safe.iter_mut().zip(places).for_each(|(one, place)| one.0 = place);
    safe.extend((0..NEVER).map(|n| (fastrand::u32(..), change("never", n, 0))));
    safe.sort_by_key(|(place, _)| *place);
    let all: Vec<Json> = safe.into_iter().map(|(_, change)| change).collect();
    let (started, mut killed) = (Instant::now(), 0);
    let mut rest = all.as_slice();
    while killed < kills {
        // a few more for each life, so that no life is without work
        let (now, later) = rest.split_at(rest.len().min(12));
        rest = later;
        if !now.is_empty() {
            let queued = service.post("/api/queue/items", json!(now)).await;
            assert_eq!(queued["ids"].as_array().map(Vec::len), Some(now.len()), "{queued}");
        }
        let (before, waited) = (server.requests().len(), Instant::now());
        let some = fastrand::usize(1..6);
        while server.requests().len() < before + some && waited.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        service.kill();
        killed += 1;
        service = world.serve("victim").await;
    }
    for chunk in rest.chunks(400) {
        service.post("/api/queue/items", json!(chunk)).await;
    }
    let waited = Instant::now();
    let open = async || {
        let depths = depths(&service).await;
        depths
            .iter()
            .filter(|(of, _)| of.ends_with("PENDING") || of.ends_with("PROCESSING"))
            .map(|(_, items)| items)
            .sum::<u64>()
    };
    while open().await > 0 {
        assert!(waited.elapsed() < Duration::from_secs(180), "items are left: {:?}", depths(&service).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (safe, never, depths) = (arrivals(&server, "safe"), arrivals(&server, "never"), depths(&service).await);

    assert_eq!(depths["safe/COMPLETED"], (SAFE * CHANGES) as u64, "{depths:?}");
    let mut repeats = 0;
    for (record, arrived) in &safe {
        let changes: Vec<u64> = arrived.iter().map(|(_, change)| *change).collect();
        assert!(changes.is_sorted(), "{record}: in order: {changes:?}");
        let distinct: BTreeSet<_> = arrived.iter().collect();
        assert_eq!(distinct.len(), CHANGES, "{record}: each arrived, and repeats have the same id");
        repeats += arrived.len() - CHANGES;
    }
    assert_eq!(safe.len(), SAFE);
    assert!(never.values().all(|arrived| arrived.len() == 1), "never twice");
    let doubtful = service.get("/api/queue/items?doubtful=true&limit=500").await;
    let doubtful = doubtful["items"].as_array().unwrap();
    let failed = depths.get("never/FAILED").copied().unwrap_or(0);
    assert_eq!(doubtful.len() as u64, failed, "whoever was not told of an end is shown as doubtful");
    assert_eq!(failed + depths["never/COMPLETED"], NEVER as u64);
    let shown: BTreeSet<&str> = doubtful.iter().map(|item| item["recordId"].as_str().unwrap()).collect();
    let not_arrived = (0..NEVER).map(|n| format!("never-{n}")).filter(|record| !never.contains_key(record));
    for record in not_arrived {
        assert!(shown.contains(record.as_str()), "{record} did not arrive, so a person must see it");
    }
    println!(
        "{kills} kills in {:?}: {} changes arrived, {repeats} of them again under the same id; of {NEVER} that must not \
         be repeated, {failed} are shown as doubtful",
        started.elapsed(),
        SAFE * CHANGES
    );
    assert!(repeats > 10 && failed > 5, "the kills have to hit something: {repeats}, {failed}");
}

async fn kill_over_postgres(kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    kill_between_effect_and_acknowledgement(World::postgres(&server.url), kills).await;
}

#[actix::test]
async fn kills_over_sqlite_lose_no_change() {
    kill_between_effect_and_acknowledgement(World::sqlite(), 40).await;
}

#[actix::test]
async fn kills_over_postgres_lose_no_change() {
    kill_over_postgres(40).await;
}

#[actix::test]
#[ignore = "takes minutes; run by `tests/run --long`"]
async fn a_hundred_kills_over_sqlite_lose_no_change() {
    kill_between_effect_and_acknowledgement(World::sqlite(), 100).await;
}

#[actix::test]
#[ignore = "takes minutes; run by `tests/run --long`"]
async fn a_hundred_kills_over_postgres_lose_no_change() {
    kill_over_postgres(100).await;
}

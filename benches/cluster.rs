//! How does the queue compare with the queues that others use, on the same servers in one run?
//! `cargo bench --bench cluster`; see the README for what it needs. `PEERS=0` leaves the others out.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use lockstep::{
    domain::{Admission, Clock, NextStep, Outcome},
    queue::EnqueueMany,
    store::throwaway::create_database,
    testing::{End, TestBoard},
};
use serde_json::{Value as Json, json};

mod support;

use support::{Bench, Done, fresh, servers};

const SINGLE: usize = 20_000;
const BULK: usize = 50_000;
const THROUGH: usize = 30_000;
const LATENCY: usize = 300;
const CONCURRENCY: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rate(count: usize, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64()).round()
}

async fn lockstep(url: &str, io: &tokio::runtime::Handle) -> Done<Json> {
    // acceptance alone: the one slot is taken
    let bench = Bench::over(&create_database(url, "single", io).await?, io, 1, true).await?;
    bench.occupy().await?;
    let began = Instant::now();
    let asks = stream::iter((0..SINGLE).map(|number| bench.queue.send(fresh(format!("agent-{number}")))));
    let answers: Vec<_> = asks.buffer_unordered(64).collect().await;
    let single = rate(SINGLE, began.elapsed());
    assert!(answers.into_iter().all(|answer| matches!(answer, Ok(Ok(Admission::Accepted { .. })))));
    let began = Instant::now();
    for chunk in 0..BULK / 1_000 {
        let asks = (0..1_000).map(|number| fresh(format!("bulk-{chunk}-{number}"))).collect();
        let answers = bench.queue.send(EnqueueMany(asks)).await??;
        assert!(answers.iter().all(|answer| answer.is_taken()));
    }
    let bulk = rate(BULK, began.elapsed());
    bench.store.close().await;

    let bench = Bench::over(&create_database(url, "through", io).await?, io, CONCURRENCY, false).await?;
    let began = Instant::now();
    for chunk in 0..THROUGH / 1_000 {
        // every hundredth is asked for twice: the second is refused
        let name = |number: usize| format!("agent-{chunk}-{}", number - usize::from(number % 100 == 99));
        let answers = bench.queue.send(EnqueueMany((0..1_000).map(|number| fresh(name(number))).collect())).await??;
        let refused = answers.iter().filter(|answer| answer.is_duplicate()).count();
        assert_eq!(refused, 10, "duplicates are refused while it is measured");
    }
    bench.until_ended(THROUGH - THROUGH / 100).await;
    let through = rate(THROUGH - THROUGH / 100, began.elapsed());
    bench.idle().await?;
    // the last attempt is over: its lease number fits no more
    let last = bench.runner.last.lock().map_err(|_| "poisoned")?.clone().ok_or("nothing ran")?;
    let end = End { outcome: Outcome::Unchanged, next: NextStep::Done, source: None };
    assert!(bench.store.end(&last, end, lockstep::app::SystemClock.now()).await.is_err(), "late writes are refused");

    let mut times = Vec::new();
    for number in 0..LATENCY {
        let asked = Instant::now();
        let start = bench.runner.start.notified();
        bench.ask(format!("late-{number}")).await?;
        start.await;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.store.close().await;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| ((times[((times.len() - 1) as f64 * share) as usize] * 100.0).round()) / 100.0;
    Ok(
        json!({ "name": "lockstep", "single": single, "bulk": bulk, "through": through, "p50": at(0.5), "p99": at(0.99) }),
    )
}

/// Runs a peer with the same numbers; its last line is its result.
fn peer(command: &mut Command, environment: &[(&str, String)]) -> Done<Json> {
    let numbers =
        [("SINGLE", SINGLE), ("BULK", BULK), ("THROUGH", THROUGH), ("LATENCY", LATENCY), ("CONCURRENCY", CONCURRENCY)];
    let numbers = numbers.map(|(name, number)| (name, number.to_string()));
    let output = command.envs(numbers).envs(environment.iter().map(|(name, value)| (*name, value))).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|_| format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn node(peers: &Path, script: &str) -> Command {
    let mut command = Command::new(peers.join("node_modules/.bin/node"));
    command.arg(script).current_dir(peers);
    command
}

fn show(result: &Json) {
    let number = |name: &str| result[name].as_f64().unwrap_or_default();
    println!(
        "{:<38} {:>10.0} {:>10.0} {:>10.0} {:>9.2} {:>9.2}",
        result["name"].as_str().unwrap_or_default(),
        number("single"),
        number("bulk"),
        number("through"),
        number("p50"),
        number("p99")
    );
}

#[actix_rt::main]
async fn main() -> Done<()> {
    let folder = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // BENCH_POSTGRES measures on a server that is there already
    let own = env::var("BENCH_POSTGRES");
    let postgres = match &own {
        Ok(url) => url.clone(),
        Err(_) => servers(&["start", "postgres", &at("postgres"), "shared_buffers=512MB"])?,
    };
    let measured = measure(&postgres, &at, io.handle()).await;
    if own.is_err() {
        servers(&["stop", "postgres", &at("postgres")])?;
    }
    io.shutdown_background();
    measured
}

async fn measure(postgres: &str, at: &impl Fn(&str) -> String, io: &tokio::runtime::Handle) -> Done<()> {
    println!("PostgreSQL: fsync=on, synchronous_commit=on, full_page_writes=on. {CONCURRENCY} jobs at once.");
    println!("single: durable enqueues/s of 64 callers, one job each; bulk: of one caller, 1,000 a request;");
    println!("through: jobs/s from the first enqueue to the last completion; p50, p99: enqueue -> started, in ms\n");
    println!("{:<38} {:>10} {:>10} {:>10} {:>9} {:>9}", "", "single/s", "bulk/s", "through/s", "p50 ms", "p99 ms");
    show(&lockstep(postgres, io).await?);
    if env::var("PEERS").as_deref() == Ok("0") {
        return Ok(());
    }
    let peers = root().join("benches/peers");
    if !peers.join("node_modules").exists() {
        let done =
            Command::new("npm").args(["install", "--no-package-lock", "--silent"]).current_dir(&peers).status()?;
        assert!(done.success(), "npm install failed in benches/peers");
    }
    println!("\nas they are:");
    show_peers(postgres, at, io, false).await?;
    println!("\nwith what lockstep promises, as far as they can: one live job a key, one running job an agent:");
    show_peers(postgres, at, io, true).await
}

async fn show_peers(
    postgres: &str,
    at: &impl Fn(&str) -> String,
    io: &tokio::runtime::Handle,
    promises: bool,
) -> Done<()> {
    let peers = root().join("benches/peers");
    let told = |name: &'static str, url: String| [(name, url), ("PROMISES", u8::from(promises).to_string())];
    for (script, database) in [("graphile.mjs", "graphile"), ("pgboss.mjs", "pgboss")] {
        let url = create_database(postgres, &format!("{database}{}", u8::from(promises)), io).await?;
        show(&peer(&mut node(&peers, script), &told("POSTGRES_URL", url))?);
    }
    let url = create_database(postgres, &format!("river{}", u8::from(promises)), io).await?;
    let mut river = Command::new("cargo");
    river.args(["run", "--release", "--quiet"]).current_dir(peers.join("river"));
    river.env("CARGO_TARGET_DIR", root().join("target/peers"));
    show(&peer(&mut river, &told("POSTGRES_URL", url))?);
    for sync in ["always", "everysec"] {
        let folder = at(&format!("{sync}{}", u8::from(promises)));
        let redis = servers(&["start", "redis", &folder, "--appendonly", "yes", "--appendfsync", sync])?;
        let [url, kept] = told("REDIS_URL", redis);
        let result = peer(&mut node(&peers, "bullmq.mjs"), &[url, kept, ("REDIS_SYNC", format!("appendfsync {sync}"))]);
        servers(&["stop", "redis", &folder])?;
        show(&result?);
    }
    Ok(())
}

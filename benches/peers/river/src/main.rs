//! How fast is River (the crate riverqueue) at the same work? Prints one JSON object.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use riverqueue::{
    BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers, migrate::PostgresMigrator,
    sqlx::postgres::PgPoolOptions,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "noop")]
struct Noop {
    agent: String,
}

/// The same, of which only one may be live for an agent.
#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "noop", unique(by_args))]
struct Unique {
    agent: String,
}

fn rate(count: usize, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64()).round()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    if std::env::var("PROMISES").is_ok_and(|value| value == "1") {
        // it has no exclusion
        measure("riverqueue 0.5.0 (dedup)", |agent| Unique { agent }).await
    } else {
        measure("riverqueue 0.5.0", |agent| Noop { agent }).await
    }
}

async fn measure<J: JobArgs + Clone + Send + Sync + 'static>(
    name: &str,
    job: impl Fn(String) -> J,
) -> Result<(), BoxError> {
    let noop = |phase: &str, number: usize| job(format!("{phase}-{number}"));
    let count = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(1_000);
    let pool = PgPoolOptions::new().max_connections(20).connect(&std::env::var("POSTGRES_URL")?).await?;
    PostgresMigrator::new(pool.clone()).migrate_up().await?;

    // a client that only inserts
    let inserter = Client::builder(pool.clone()).build()?;
    let single = count("SINGLE");
    let began = Instant::now();
    stream::iter((0..single).map(|number| {
        let (inserter, job) = (inserter.clone(), noop("single", number));
        async move { inserter.insert(job).await }
    }))
    .buffer_unordered(64)
    .for_each(|done| async move { drop(done.expect("inserted")) })
    .await;
    let one_by_one = rate(single, began.elapsed());
    let bulk = count("BULK");
    let began = Instant::now();
    for chunk in 0..bulk / 1_000 {
        inserter.insert_many((0..1_000).map(|number| noop("bulk", chunk * 1_000 + number)).collect::<Vec<_>>()).await?;
    }
    let in_bulk = rate(bulk, began.elapsed());
    riverqueue::sqlx::query("TRUNCATE river_job").execute(&pool).await?;

    let (done, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut workers = Workers::new();
    let (counted, told) = (done.clone(), started.clone());
    workers.add_fn(move |_: WorkContext, _: Job<J>| {
        let (counted, told) = (counted.clone(), told.clone());
        async move {
            counted.fetch_add(1, Ordering::Relaxed);
            told.notify_one();
            Ok::<_, BoxError>(WorkOutcome::Complete)
        }
    })?;
    let concurrency = count("CONCURRENCY");
    let client = Client::builder(pool.clone())
        .workers(workers)
        .queue("default", QueueConfig::new(concurrency))
        .fetch_cooldown(Duration::from_millis(1))
        .build()?;
    let mut run = client.start()?;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let through = count("THROUGH");
    let began = Instant::now();
    for chunk in 0..through / 1_000 {
        client.insert_many((0..1_000).map(|number| noop("through", chunk * 1_000 + number)).collect::<Vec<_>>()).await?;
    }
    loop {
        let left: i64 = riverqueue::sqlx::query_scalar("SELECT count(*) FROM river_job WHERE state <> 'completed'")
            .fetch_one(&pool)
            .await?;
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let completed = rate(through, began.elapsed());

    let mut times = Vec::new();
    for number in 0..count("LATENCY") {
        let asked = Instant::now();
        let start = started.notified();
        client.insert(noop("late", number)).await?;
        start.await;
        times.push(asked.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{{\"name\":\"{name}\",\"single\":{one_by_one},\"bulk\":{in_bulk},\"through\":{completed},\"p50\":{:.2},\"p99\":{:.2}}}",
        at(0.5),
        at(0.99)
    );
    run.stop().await?;
    Ok(())
}

//! How many jobs does the queue take, refuse, start and finish a second? The real actor over SQLite with
//! durable commits, no network. `cargo bench --bench queue`; `ROOT=/folder` says where the database lies.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use lockstep::{
    domain::{Admission, Claim, NewJob, NextStep, Outcome, Reason, Stage},
    event::Event,
    pretend_erp::{self, Layout},
    queue::{Enqueue, EnqueueMany, JobBoard, StopJobs},
    testing::{End, TestApp, TestBoard},
};

mod support;

use support::{Bench, Done, fresh};

fn rate(count: usize, time: Duration) -> String {
    format!("{:>9.0}/s", count as f64 / time.as_secs_f64())
}

/// Median, 95 %, 99 %, in milliseconds.
fn shares(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.95), at(0.99))
}

/// The floor: one durable commit of one row.
async fn floor(bench: &Bench) -> Done<()> {
    let mut times = Vec::new();
    for round in 0..100_u64 {
        let started = Instant::now();
        let limits = BTreeMap::from([("floor".to_owned(), Some(usize::try_from(round)?))]);
        bench.store.set_limits(limits, Utc::now()).await?;
        times.push(started.elapsed());
    }
    bench.store.set_limits(BTreeMap::from([("floor".to_owned(), None)]), Utc::now()).await?;
    println!("one durable commit of one row:                {}", shares(times));
    Ok(())
}

async fn accepted(io: &tokio::runtime::Handle) -> Done<()> {
    let bench = Bench::sqlite(io, 1, true).await?;
    floor(&bench).await?;
    bench.occupy().await?;
    let started = Instant::now();
    for number in 0..300 {
        bench.queue.send(fresh(format!("single-{number}"))).await??;
    }
    println!("accepted one by one:                          {}", rate(300, started.elapsed()));

    let count = 30_000;
    let started = Instant::now();
    let sends = stream::iter((0..count).map(|number| bench.queue.send(fresh(format!("many-{number}")))));
    let answers: Vec<_> = sends.buffer_unordered(64).collect().await;
    println!("accepted with 64 concurrent callers:          {}", rate(count, started.elapsed()));
    assert!(answers.into_iter().all(|answer| matches!(answer, Ok(Ok(Admission::Accepted { .. })))));

    let (requests, each) = (50, 1_000);
    let started = Instant::now();
    for request in 0..requests {
        let asks = (0..each).map(|number| fresh(format!("bulk-{request}-{number}")));
        let answers = bench.queue.send(EnqueueMany(asks.collect())).await??;
        assert!(answers.iter().all(|answer| answer.is_taken()));
    }
    println!("accepted in bulk, 1,000 a request:            {}", rate(requests * each, started.elapsed()));
    bench.store.close().await;
    Ok(())
}

async fn duplicates(io: &tokio::runtime::Handle) -> Done<()> {
    let bench = Bench::sqlite(io, 4, true).await?;
    let winner = bench.ask("a".into()).await?;
    let (requests, each) = (200, 10_000);
    let asks: Vec<_> = (0..each).map(|_| Enqueue::new("orders", "a", Reason::Timer)).collect();
    let started = Instant::now();
    for _ in 0..requests {
        let answers = bench.queue.send(EnqueueMany(asks.clone())).await??;
        assert!(answers.iter().all(|answer| answer.is_duplicate() && answer.job() == winner.job()));
    }
    println!("duplicates refused, 10,000 a request:         {}", rate(requests * each, started.elapsed()));
    let count = 500_000;
    let started = Instant::now();
    let sends = stream::iter((0..count).map(|_| bench.queue.send(Enqueue::new("orders", "a", Reason::Timer))));
    let refused = sends.buffer_unordered(64).filter(|answer| {
        let is_duplicate = matches!(answer, Ok(Ok(Admission::AlreadyQueued { .. })));
        async move { is_duplicate }
    });
    assert_eq!(refused.count().await, count);
    println!("duplicates refused, 64 concurrent callers:    {}", rate(count, started.elapsed()));
    // the same question through the database
    let jobs = |count: usize| {
        (0..count).map(|_| NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Timer)).collect::<Vec<_>>()
    };
    let started = Instant::now();
    for _ in 0..20 {
        JobBoard::enqueue(&bench.store, jobs(1_000), None, Utc::now()).await?;
    }
    println!("  the same through the database, 1,000 each:  {}", rate(20_000, started.elapsed()));
    bench.queue.send(StopJobs::default()).await??;
    bench.idle().await?;
    bench.store.close().await;
    Ok(())
}

async fn latency(io: &tokio::runtime::Handle) -> Done<()> {
    let bench = Bench::sqlite(io, 4, false).await?;
    let measure = async |count: usize, label: &str| -> Done<()> {
        let mut times = Vec::new();
        for number in 0..count {
            let asked = Instant::now();
            let answer = bench.ask(format!("{label}-{number}")).await?;
            let job = answer.job().ok_or("refused")?;
            let started = loop {
                let found = bench.runner.started.lock().map_err(|_| "poisoned")?.get(&job).copied();
                match found {
                    Some(started) => break started,
                    None => tokio::task::yield_now().await,
                }
            };
            times.push(started.duration_since(asked));
            bench.idle().await?;
        }
        println!("{label}{}", shares(times));
        Ok(())
    };
    measure(300, "enqueue -> started, idle:                     ").await?;
    bench.store.close().await;

    // sixteen slots, kept busy by 32 callers that each ask again when their job is done
    let bench = Bench::sqlite(io, 16, false).await?;
    let times: Mutex<Vec<Duration>> = Mutex::default();
    let began = Instant::now();
    let callers = (0..32).map(|caller| {
        let (bench, times) = (&bench, &times);
        async move {
            for round in 0..100 {
                let asked = Instant::now();
                let Ok(Admission::Accepted { job }) = bench.ask(format!("load-{caller}-{round}")).await else { return };
                loop {
                    let started = bench.runner.started.lock().ok().and_then(|started| started.get(&job).copied());
                    if let Some(started) = started {
                        if let Ok(mut times) = times.lock() {
                            times.push(started.duration_since(asked));
                        }
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    });
    futures_util::future::join_all(callers).await;
    let times = times.into_inner().map_err(|_| "poisoned")?;
    let per_second = rate(times.len(), began.elapsed());
    println!("enqueue -> started, 32 callers on 16 slots:   {} ({} jobs)", shares(times), per_second.trim());
    bench.idle().await?;
    bench.store.close().await;
    Ok(())
}

async fn through(io: &tokio::runtime::Handle) -> Done<()> {
    for concurrency in [3, 64] {
        let bench = Bench::sqlite(io, concurrency, false).await?;
        let count = if concurrency == 3 { 1_500 } else { 10_000 };
        let asks = (0..count).map(|number| Enqueue::new("orders", format!("agent-{number}"), Reason::Manual));
        let started = Instant::now();
        bench.queue.send(EnqueueMany(asks.collect())).await??;
        bench.idle().await?;
        println!("enqueue -> claim -> complete, {concurrency:>2} slots:       {}", rate(count, started.elapsed()));
        bench.store.close().await;
    }
    Ok(())
}

async fn million(io: &tokio::runtime::Handle) -> Done<()> {
    let bench = Bench::sqlite(io, 1, true).await?;
    bench.occupy().await?;
    let now = Utc::now();
    let write = |agent: &str| {
        NewJob::new("submit-order".into(), lockstep::domain::Class::Write, agent.into(), 5, Reason::Operation)
    };
    let orders = |agent: usize| NewJob::sync(&"orders".into(), format!("agent-{agent}").into(), 4, Reason::Manual);
    let started = Instant::now();
    for chunk in 0..90 {
        let mut jobs: Vec<_> = (0..10_000).map(|_| write("busy")).collect();
        jobs.extend((0..1_000).map(|number| orders(chunk * 1_000 + number)));
        bench.store.enqueue(jobs, None, now).await?;
    }
    let customers =
        |agent: usize| NewJob::sync(&"customers".into(), format!("agent-{agent}").into(), 3, Reason::Manual);
    bench.store.enqueue((0..10_000).map(customers).collect(), None, now).await?;
    println!("a million jobs stored in one go:              {}", rate(1_000_000, started.elapsed()));
    let known = vec!["orders".into(), "customers".into(), "submit-order".into()];
    let claim =
        |limits: BTreeMap<_, _>| Claim { owner: "bench".into(), any: 1, urgent: 0, known: known.clone(), limits };
    bench.store.claim(claim(BTreeMap::new()), now).await?;
    let mut times = Vec::new();
    for limited in [false, true] {
        times.clear();
        for _ in 0..200 {
            let limits = if limited { BTreeMap::from([("orders".into(), 0)]) } else { BTreeMap::new() };
            let began = Instant::now();
            let claimed = bench.store.claim(claim(limits), now).await?;
            times.push(began.elapsed());
            let end = End { outcome: Outcome::Unchanged, next: NextStep::Done, source: None };
            bench.store.end(&claimed.jobs[0], end, now).await?;
        }
        let what = if limited { "10 % of a type at its limit" } else { "90 % of a busy agent" };
        println!("one claim among a million, {what:<18} {}", shares(times.clone()));
    }
    bench.store.close().await;
    Ok(())
}

/// A real app that applies a large report: how long until a Stop, and a write, get through?
async fn interruptions() -> Done<()> {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let spec = types.get("customers").ok_or("no customers")?;
    let (mut stops, mut writes) = (Vec::new(), Vec::new());
    for round in 0..30_u64 {
        let records = pretend_erp::invent(&types, spec, 4_000, round + 1);
        app.source.set("customers", "a", pretend_erp::print(spec, &records, &Layout::default())?);
        let mut events = app.app.bus.subscribe();
        let job = app.enqueue("customers", "a").await;
        while !matches!(events.recv().await?, Event::Progressed { stage: Stage::Apply, done: 300.., .. }) {}
        let asked = Instant::now();
        if round % 2 == 0 {
            app.queue.send(StopJobs { job: Some(job), ..StopJobs::default() }).await??;
            while !matches!(events.recv().await?, Event::Finished { .. }) {}
            stops.push(asked.elapsed());
        } else {
            let data = serde_json::json!({ "orderId": "1" });
            let data = data.as_object().cloned().unwrap_or_default();
            let before = app.sink.deliveries().len();
            app.queue.send(Enqueue::operation("send-order", "a", data)).await??;
            app.sink.wait_for(before + 1).await;
            writes.push(asked.elapsed());
            app.queue.send(StopJobs::default()).await??;
        }
        app.idle().await;
    }
    println!("Stop -> stopped, while 4,000 rows are applied: {}", shares(stops));
    println!("write enqueued -> its sink called, meanwhile:  {}", shares(writes));
    app.stop().await;
    Ok(())
}

fn main() -> Done<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let io = runtime.handle().clone();
    actix_rt::System::new().block_on(async {
        accepted(&io).await?;
        duplicates(&io).await?;
        latency(&io).await?;
        through(&io).await?;
        interruptions().await?;
        if std::env::var_os("QUICK").is_none() {
            million(&io).await?;
        }
        Ok(())
    })
}

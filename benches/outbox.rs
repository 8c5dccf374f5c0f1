//! How fast do changes go out? The real outbox over SQLite with durable commits, its webhook sink, and an HTTP server
//! on this machine. `cargo bench --bench outbox`; `ROOT=/folder` says where the database lies, `BENCH_POSTGRES=url`
//! takes PostgreSQL instead, `ITEMS=1000000` is how many wait for a sink that is away.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix::prelude::*;
use actix_web::{App, HttpResponse, HttpServer, web};
use lockstep::{
    app::SystemClock,
    domain::{
        Action, Clock, Models, NewItem,
        item::{Model, Repeat},
    },
    event::{Bus, Event, Liveness},
    outbox::{EnqueueItems, OutboxActor, OutboxParts, OutboxSettings},
    sink::{Named, Routes, Sink, Webhook, WebhookConfig},
    store::{ItemClaim, Store},
    sync_type::SyncTypes,
};
use serde_json::json;
use tokio::sync::Notify;

type Done<T> = Result<T, Box<dyn std::error::Error>>;

/// Items in one request.
const AT_ONCE: usize = 500;

/// Median, 95 %, 99 %, in milliseconds.
fn shares(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.95), at(0.99))
}

/// This process's memory, in MiB.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0.0);
    kib / 1_024.0
}

/// A server that takes every change; answers where it is.
fn server() -> Done<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/changes", listener.local_addr()?);
    let take = |body: web::Bytes| async move {
        if body.is_empty() { HttpResponse::BadRequest().finish() } else { HttpResponse::Ok().finish() }
    };
    let server = HttpServer::new(move || App::new().route("/changes", web::post().to(take))).workers(1);
    actix_rt::spawn(server.listen(listener)?.disable_signals().run());
    Ok(url)
}

struct Bench {
    store: Store,
    outbox: Addr<OutboxActor>,
    delivered: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

impl Bench {
    async fn start(io: &tokio::runtime::Handle, database: &str, url: String) -> Done<Self> {
        let store = Store::open(database, io.clone(), Arc::new(SyncTypes::built_in()?)).await?;
        store.migrate().await?;
        let config = WebhookConfig {
            url: url.into(),
            secret: "a secret of the benches".into(),
            previous_secret: None,
            timeout_ms: 10_000,
            allow_private: true,
        };
        let sink: Arc<dyn Sink> = Arc::new(Webhook::new(&config)?);
        let routes = Routes::new(vec![Named { name: "hook".into(), sink }], BTreeMap::from([("orders".into(), 0)]));
        let (delivered, arrived): (Arc<AtomicUsize>, Arc<Notify>) = Default::default();
        let (count, told) = (delivered.clone(), arrived.clone());
        let bus = Bus::new(vec![Arc::new(move |event| {
            if let Event::ItemsDelivered { items, .. } = event {
                count.fetch_add(items.len(), Ordering::SeqCst);
                told.notify_one();
            }
        })]);
        let model = Model { max_retries: 3, repeat: Repeat::Safe };
        let settings = OutboxSettings {
            models: Models { known: BTreeMap::from([("orders".to_owned(), model)]), payload_bytes: 65_536 },
            batch: 100,
            time_limit: Duration::from_secs(60),
            keep_days: 7,
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(20),
            owner: "bench".to_owned(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let told = (bus, Liveness::default(), clock);
        let outbox = OutboxActor::new(OutboxParts::new(store.clone(), told, routes, settings, io.clone())).start();
        Ok(Self { store, outbox, delivered, arrived })
    }

    async fn queue(&self, first: usize, count: usize) -> Done<()> {
        let item = |number: usize| NewItem {
            action: Action::Update,
            model: "orders".to_owned(),
            record_id: format!("O-{number}"),
            sheet_row_index: None,
            payload: json!({ "customer": "Rossi S.p.A.", "total": "1234.56", "lines": [{ "code": "A1", "pieces": 3 }] }),
        };
        self.outbox.send(EnqueueItems((first..first + count).map(item).collect())).await??;
        Ok(())
    }

    async fn wait_for(&self, count: usize) {
        while self.delivered.load(Ordering::SeqCst) < count {
            self.arrived.notified().await;
        }
    }
}

async fn run(io: tokio::runtime::Handle, database: &str) -> Done<()> {
    let bench = Bench::start(&io, database, server()?).await?;
    let mut times = Vec::new();
    for number in 0..500 {
        let started = Instant::now();
        bench.queue(number, 1).await?;
        bench.wait_for(number + 1).await;
        times.push(started.elapsed());
    }
    println!("one item, queued -> acknowledged, idle:       {}", shares(times));

    let count = 30_000;
    let started = Instant::now();
    for first in (0..count).step_by(AT_ONCE) {
        bench.queue(10_000 + first, AT_ONCE).await?;
    }
    let queued = started.elapsed();
    bench.wait_for(500 + count).await;
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!("queued, 500 a request, beside deliveries:     {:>9.0}/s", rate(queued));
    println!("queued -> acknowledged, all:                  {:>9.0}/s", rate(started.elapsed()));
    bench.store.close().await;
    Ok(())
}

async fn many_waiting(io: tokio::runtime::Handle, database: &str) -> Done<()> {
    let items: usize = std::env::var("ITEMS").ok().and_then(|items| items.parse().ok()).unwrap_or(1_000_000);
    // nobody listens there
    let nowhere = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let bench = Bench::start(&io, database, format!("http://{nowhere}/changes")).await?;
    bench.queue(0, AT_ONCE).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, started) = (memory(), Instant::now());
    for first in (AT_ONCE..items).step_by(AT_ONCE) {
        bench.queue(first, AT_ONCE).await?;
    }
    println!("queued while {items} come to wait:          {:>9.0}/s", items as f64 / started.elapsed().as_secs_f64());
    let mut times = Vec::new();
    for _ in 0..100 {
        let claim = ItemClaim { owner: "bench".to_owned(), models: vec!["orders".to_owned()], most: 25 };
        let started = Instant::now();
        let taken = bench.store.dequeue_items(claim, SystemClock.now()).await?.items;
        times.push(started.elapsed());
        let held = taken.iter().map(lockstep::domain::Item::held).collect();
        bench.store.release_items(held, None, SystemClock.now()).await?;
    }
    println!("25 items claimed among them:                  {}", shares(times));
    println!("this process's memory before and after:       {before:.0} MiB, {:.0} MiB", memory());
    bench.store.close().await;
    Ok(())
}

fn main() -> Done<()> {
    let io = tokio::runtime::Runtime::new()?;
    let root = std::env::var_os("ROOT").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    for part in ["run", "many"] {
        let folder = tempfile::TempDir::new_in(&root)?;
        let database = match std::env::var("BENCH_POSTGRES") {
            Ok(url) => {
                let name = format!("outbox_{part}_{}", std::process::id());
                io.block_on(lockstep::store::throwaway::create_database(&url, &name, io.handle()))?
            }
            Err(_) => format!("sqlite://{}/outbox.db?mode=rwc", folder.path().display()),
        };
        let (handle, database) = (io.handle().clone(), database.as_str());
        System::new().block_on(async move {
            if part == "run" { run(handle, database).await } else { many_waiting(handle, database).await }
        })?;
    }
    Ok(())
}

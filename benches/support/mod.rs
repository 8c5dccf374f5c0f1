//! What do the queue's benches share? The real queue actor over a database, with runs that do nothing.
#![allow(dead_code, reason = "each bench uses its part")]

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix::prelude::*;
use async_trait::async_trait;
use lockstep::{
    app::SystemClock,
    coordination::Memory,
    domain::{Admission, AgentId, ClaimedJob, Clock, JobId, NextStep, Outcome, Reason},
    event::{Bus, Liveness},
    operation::Operations,
    queue::{Enqueue, Keep, Parts, QueueActor, QueueSettings, Snapshot},
    store::Store,
    supervisor::Handle,
    sync::{RunEnd, RunJob, StopHandle, SyncActor, Watch},
    sync_type::SyncTypes,
    testing::{End, TestBoard},
};
use tempfile::TempDir;
use tokio::sync::Notify;

pub type Done<T> = Result<T, Box<dyn Error>>;

/// Calls `tests/servers` with these arguments; answers what it prints.
pub fn servers(arguments: &[&str]) -> Done<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
    let output = Command::new(script).args(arguments).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Ends each run at once, or holds it open; two at once for one agent are an error.
pub struct Noop {
    store: Store,
    hold: bool,
    pub started: Mutex<HashMap<JobId, Instant>>,
    pub start: Notify,
    running: Mutex<HashSet<AgentId>>,
    pub last: Mutex<Option<ClaimedJob>>,
    pub ended: AtomicUsize,
}

#[async_trait]
impl RunJob for Noop {
    async fn run(&self, job: ClaimedJob, stop: StopHandle, _: Watch) -> RunEnd {
        if let Ok(mut started) = self.started.lock() {
            started.insert(job.id, Instant::now());
        }
        self.start.notify_one();
        let alone = self.running.lock().is_ok_and(|mut running| running.insert(job.agent.clone()));
        assert!(alone, "two jobs of {} at once", job.agent);
        if self.hold {
            stop.token().cancelled().await;
        }
        let end = End { outcome: Outcome::Unchanged, next: NextStep::Done, source: None };
        if let Ok(mut running) = self.running.lock() {
            running.remove(&job.agent);
        }
        let not_recorded = self.store.end(&job, end, SystemClock.now()).await.err().map(|error| error.to_string());
        if let Ok(mut last) = self.last.lock() {
            *last = Some(job.clone());
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
        RunEnd { not_recorded, ..RunEnd::new(&job, Outcome::Unchanged, NextStep::Done) }
    }
}

/// A queue under measurement.
pub struct Bench {
    pub store: Store,
    pub queue: Addr<QueueActor>,
    pub runner: Arc<Noop>,
    _folder: Option<TempDir>,
}

impl Bench {
    /// Over a throwaway SQLite file; `ROOT` says on which disk.
    pub async fn sqlite(io: &tokio::runtime::Handle, concurrency: usize, hold: bool) -> Done<Self> {
        let root = std::env::var_os("ROOT").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
        let folder = TempDir::new_in(root)?;
        let url = format!("sqlite://{}/queue.db?mode=rwc", folder.path().display());
        Ok(Self { _folder: Some(folder), ..Self::over(&url, io, concurrency, hold).await? })
    }

    /// Over the database at `url`.
    pub async fn over(url: &str, io: &tokio::runtime::Handle, concurrency: usize, hold: bool) -> Done<Self> {
        let types = Arc::new(SyncTypes::built_in()?);
        let store = Store::open(url, io.clone(), types.clone()).await?;
        store.migrate().await?;
        let runner = Arc::new(Noop {
            store: store.clone(),
            hold,
            started: Mutex::default(),
            start: Notify::new(),
            running: Mutex::default(),
            last: Mutex::default(),
            ended: AtomicUsize::new(0),
        });
        let actor = SyncActor::new(runner.clone() as Arc<dyn RunJob>).start();
        let worker = Handle::new(actor);
        let parts = Parts {
            jobs: Arc::new(store.clone()),
            workers: types.iter().map(|spec| (spec.name.job_type(), worker.clone())).collect(),
            types,
            operations: Arc::new(Operations::built_in()?),
            bus: Bus::new(Vec::new()),
            liveness: Liveness::default(),
            clock: Arc::new(SystemClock),
            coordination: Arc::new(Memory::default()),
        };
        let settings = QueueSettings {
            concurrency,
            throttle: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(20),
            keep: Keep::all_for(Duration::from_secs(86_400)),
            owner: "bench".to_owned(),
        };
        let queue = QueueActor::new(parts, settings).start();
        queue.send(Snapshot).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(Self { store, queue, runner, _folder: None })
    }

    pub async fn ask(&self, agent: String) -> Done<Admission> {
        Ok(self.queue.send(Enqueue::new("orders", agent, Reason::Manual)).await??)
    }

    /// The one slot is taken: what is measured then is the acceptance alone.
    pub async fn occupy(&self) -> Done<()> {
        self.ask("occupied".into()).await?;
        while self.runner.started.lock().map_err(|_| "poisoned")?.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    pub async fn idle(&self) -> Done<()> {
        while !self.store.job_counts().await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Waits until so many runs have been stored as ended, without asking the database.
    pub async fn until_ended(&self, count: usize) {
        while self.runner.ended.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub fn fresh(agent: String) -> Enqueue {
    Enqueue::new("orders", agent, Reason::Manual)
}

//! How do the parts come together? Settings -> ports -> actors -> server; and the order of the end.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use actix_web::dev::ServerHandle;
use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

mod actors;
mod check;
mod clock;
mod doors;
mod first_token;
mod outbox;
mod reader;
mod relay;
mod seed;
mod source;

pub use check::{check, check_places};
pub use clock::SystemClock;
pub use reader::sandbox;
pub use seed::{Overruled, overruled, prepare};
pub use source::vault;

use actors::{Actors, Thread};

use crate::{
    alert::AlertActor,
    api::{self, Glances, LogLevel},
    coordination::{Coordination, Memory, Redis},
    domain::{BreakerPolicy, Clock, Keys, SourceReport, SyncType, random},
    event::{Bus, Liveness, Metrics, Observer, journal},
    operation::Operations,
    outbox::{DrainOutbox, OutboxActor},
    queue::{self, Drain, QueueActor},
    report::sandbox::{Gate, ReadReports},
    scheduler::{Halt, SchedulerActor},
    settings::Settings,
    sink::Sink,
    source::Source,
    store::Store,
    supervisor::{Escalate, Handle, Policy, Retire, SupervisorActor},
    sync::{Context, Stop, StopReason, SyncActor, WorkerActor},
    ui,
};

/// A database has at least so long to let its connections go.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The last line of a log is waited for so long.
const LAST_LINE: Duration = Duration::from_secs(1);
/// How often what still runs is asked to stop, where no queue does it.
const STOPPED_AGAIN: Duration = Duration::from_millis(100);
/// The exit code of a process whose supervision has given up.
pub const GIVEN_UP: i32 = 70;

/// Parts that tests replace; the default is what the settings say.
#[derive(Default)]
pub struct Parts {
    /// Where reports come from.
    pub source: Option<Arc<dyn Source>>,
    pub reader: Option<Arc<dyn ReadReports>>,
    /// Who has the effects of writes.
    pub sink: Option<Arc<dyn Sink>>,
    /// What time it is.
    pub clock: Option<Arc<dyn Clock>>,
    /// Told of every event at once.
    pub observers: Vec<Observer>,
    /// How much this process logs, where that is up to it.
    pub log: Option<LogLevel>,
    /// When actors are started anew.
    pub supervision: Option<Policy>,
    /// What is done when that makes no sense any more; by default the process ends with 70.
    pub escalate: Option<Escalate>,
}

/// The running service.
pub struct App {
    /// Where the control API listens.
    pub addr: SocketAddr,
    /// The timers.
    pub scheduler: Handle<SchedulerActor>,
    pub queue: Handle<QueueActor>,
    /// One actor a sync type.
    pub syncs: HashMap<SyncType, Handle<SyncActor>>,
    /// The write-back queue.
    pub outbox: Handle<OutboxActor>,
    /// Follows what needs a person.
    pub alerts: Handle<AlertActor>,
    /// Starts them anew.
    pub supervisor: Addr<SupervisorActor>,
    /// The database.
    pub store: Store,
    /// The events.
    pub bus: Bus,
    /// The loops of this process.
    pub liveness: Liveness,
    /// The file with the admin's token, if that was made at this start.
    pub new_token: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    base_path: String,
    thread: Thread,
    workers: Vec<Handle<WorkerActor>>,
    server: ServerHandle,
    relay: JoinHandle<()>,
    closing: CancellationToken,
    grace: Duration,
    io: Io,
}

/// The runtime of all database and source IO; ends without waiting when dropped.
pub struct Io(Option<Runtime>);

impl Io {
    /// A runtime of two threads.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start() -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("io").enable_all().build();
        Ok(Self(Some(runtime.context("cannot start the IO runtime")?)))
    }

    /// Its handle.
    ///
    /// # Panics
    /// Never: the runtime is there until drop.
    #[must_use]
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.0.as_ref().map_or_else(tokio::runtime::Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a run needs, from the settings: shared by the service and the command line.
///
/// # Errors
/// Settings, files or a database that cannot be used.
pub async fn context(settings: &Settings, io: &Io, parts: &mut Parts) -> anyhow::Result<Context> {
    let types = Arc::new(check(settings)?);
    let store = Store::open_with(
        settings.database.url.expose_secret(),
        settings.database.connections,
        io.handle(),
        types.clone(),
    )
    .await
    .with_context(|| format!("cannot open the database {}", settings.database.place()))?;
    let source = source::source(settings, &store, parts.source.take())?;
    let owner = owner()?;
    let coordination: Arc<dyn Coordination> = match &settings.coordination.redis_url {
        None => Arc::new(Memory::default()),
        Some(url) => {
            let redis = Redis::start(url.expose_secret(), &settings.coordination.prefix, &owner, &io.handle());
            Arc::new(redis.context("configuration: coordination.redis_url")?)
        }
    };
    let clock = match parts.clock.take() {
        Some(clock) => clock,
        None => clock::for_database(&store, Duration::from_millis(settings.queue.heartbeat_ms), &io.handle()).await?,
    };
    parts.observers.push(relay::publisher(coordination.clone()));
    parts.observers.push(journal());
    Ok(Context {
        owner,
        coordination,
        fetches_per_minute: Some(settings.source.fetches_per_minute).filter(|most| *most > 0),
        store,
        types,
        source,
        reader: Arc::new(Gate::new(
            match parts.reader.take() {
                Some(reader) => reader,
                None => Arc::new(sandbox(settings)?),
            },
            std::thread::available_parallelism().map_or(2, usize::from).max(2),
        )),
        bus: Bus::new(std::mem::take(&mut parts.observers)),
        clock,
        batch: settings.sync.batch,
        minute: settings.minute(),
        guards: settings.guards,
        keep: source::keep(settings),
        time_limit: Duration::from_secs(settings.limits.sync_seconds),
        grace: Duration::from_millis(settings.queue.grace_ms),
        breaker: SourceReport {
            source: settings.source.kind.as_str().to_owned(),
            failed: None,
            policy: BreakerPolicy {
                failures: settings.queue.breaker_failures,
                open: Duration::from_millis(settings.queue.breaker_open_ms),
                ..BreakerPolicy::default()
            },
        },
    })
}

/// Supervision has come to its end: the process ends at once, and another takes its jobs over.
fn end_process() -> Escalate {
    Arc::new(|actor, why| {
        let actor = actor.to_owned();
        // whoever reads the log may be what everything waits for
        let (told, is_told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tracing::error!(actor, %why, "the process ends with 70: its jobs are taken over when their leases run out");
            told.send(()).ok();
        });
        is_told.recv_timeout(LAST_LINE).ok();
        std::process::exit(GIVEN_UP);
    })
}

/// Stops what runs at these, and waits until nothing does.
async fn stop_all(workers: &[Handle<WorkerActor>]) {
    loop {
        let mut running = 0;
        for worker in workers {
            // one that has ended runs nothing
            running += worker.send(Stop { job: None, reason: StopReason::Shutdown }).await.map_or(0, |jobs| jobs.len());
        }
        if running == 0 {
            return;
        }
        tokio::time::sleep(STOPPED_AGAIN).await;
    }
}

impl App {
    /// Starts everything inside the running actix system; returns once the API listens.
    ///
    /// # Errors
    /// Settings, files, a database or an address that cannot be used.
    pub async fn start(settings: Settings, mut parts: Parts) -> anyhow::Result<Self> {
        // the address first: a start that fails must leave nothing behind, least of all a token unseen
        let listener = TcpListener::bind((settings.server.host.as_str(), settings.server.port))
            .with_context(|| format!("cannot listen on {}:{}", settings.server.host, settings.server.port))?;
        let io = Io::start()?;
        let metrics = Metrics::default();
        parts.observers.push(metrics.observer());
        let glances = Arc::new(Glances::new(Duration::from_millis(settings.limits.status_ms)));
        parts.observers.push(glances.observer());
        let context = Arc::new(context(&settings, &io, &mut parts).await?);
        let metrics = metrics.showing(context.types.iter().map(|spec| spec.name.as_str()));
        let text = "How long queries, transactions of the writer and batches of records take";
        let metrics = metrics.with_durations("database", text, context.store.times().shown());
        prepare(&settings, &context).await?;
        seed::schedule(&settings, &context).await?;
        seed::tell_overruled(&settings, &context.store).await?;
        let new_token = first_token::first_token(&settings, &context).await?;

        let confinement = reader::confinement(&context).await;
        let operations = Arc::new(Operations::load(&settings.queue.operations_dir)?);
        let liveness = Liveness::default();
        let routes = outbox::routes(&settings.sink)?.otherwise(parts.sink.take());
        let supervision =
            (parts.supervision.take().unwrap_or_default(), parts.escalate.take().unwrap_or_else(end_process));
        let Actors { scheduler, queue, syncs, outbox, alerts, supervisor, workers, thread } =
            actors::start(&settings, &context, &io, (&operations, routes, &liveness), supervision);
        let closing = CancellationToken::new();
        let actors = (&scheduler, &queue, &outbox, &syncs, &supervisor);
        let of_process = (metrics, liveness.clone(), closing.clone(), confinement, parts.log.take(), glances);
        let api = doors::api(&settings, &context, operations, actors, of_process)?;
        let following = relay::listen(&context.coordination, queue.clone(), scheduler.clone(), outbox.clone());
        let (addr, server) = api::serve(api, listener, ui::routes).context("cannot start the API")?;
        Ok(Self {
            addr,
            scheduler,
            queue,
            syncs,
            outbox,
            alerts,
            supervisor,
            workers,
            thread,
            store: context.store.clone(),
            bus: context.bus.clone(),
            liveness,
            new_token,
            clock: context.clock.clone(),
            base_path: settings.server.base_path.trim_end_matches('/').to_owned(),
            server,
            relay: following,
            closing,
            grace: Duration::from_secs(settings.limits.shutdown_seconds),
            io,
        })
    }

    /// A link that lets one browser in as an admin, once, within an hour.
    ///
    /// # Errors
    /// If the system gives no random numbers, or the link cannot be stored.
    pub async fn login_link(&self) -> anyhow::Result<String> {
        let key = Keys::secret()?;
        self.store.add_login_link(Keys::of(&key).hash, self.clock.now()).await?;
        Ok(format!("{}/login?key={key}", self.base_path))
    }

    /// Ends in order: no new requests, running syncs come to their next batch and go back to the
    /// queue, then the database is closed. Answers whether all came to their end in time.
    pub async fn stop(self) -> bool {
        // whoever ends from here on is meant to
        if self.supervisor.send(Retire).await.is_err() {
            tracing::warn!("the supervisor had ended before the service");
        }
        drop(self.thread);
        self.relay.abort();
        self.closing.cancel();
        let until = tokio::time::Instant::now() + self.grace;
        // a database that hangs keeps nobody from ending
        if tokio::time::timeout_at(until, self.scheduler.send(Halt)).await.is_err() {
            tracing::warn!("the timers did not halt within the grace time");
        }
        let (queue, outbox) = (self.queue.send(Drain), self.outbox.send(DrainOutbox));
        let both = async { tokio::join!(queue, outbox) };
        let drain = tokio::time::timeout_at(until, both);
        let ((), drained) = tokio::join!(self.server.stop(true), drain);
        let mut drained = matches!(drained, Ok((Ok(()), Ok(()))));
        if !drained && tokio::time::Instant::now() < until {
            // the queue or the outbox had ended: the work that they began is stopped without them
            drained = tokio::time::timeout_at(until, stop_all(&self.workers)).await.is_ok();
        }
        if !drained {
            let left = tokio::time::timeout(Duration::from_millis(100), self.queue.send(queue::Snapshot)).await;
            let running = left.ok().and_then(Result::ok).map(|queue| queue.running).unwrap_or_default();
            let running: Vec<String> = running.iter().map(ToString::to_string).collect();
            tracing::warn!(
                running = running.join(", "),
                "work still runs after the grace time; its leases will run out"
            );
        }
        if tokio::time::timeout(until.duration_since(tokio::time::Instant::now()).max(LAST_WORDS), self.store.close())
            .await
            .is_err()
        {
            tracing::warn!("the database did not let its connections go; they are dropped");
        }
        drop(self.io);
        drained
    }
}

/// A name that no other process has, now or later.
fn owner() -> anyhow::Result<String> {
    Ok(format!("{}-{}", std::process::id(), random::token::<8>()?))
}

//! The real app, started by a test.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value as Json};
use tempfile::TempDir;

use super::{Backend, ReadHere, ScriptedSink, ScriptedSource, TestClock};
use crate::{
    app::{App, Parts},
    domain::{Admission, Clock as _, Counts, JobId, JobState, Reason, SyncType, Timestamp},
    event::{Event, Observer},
    outbox::{self, LookForItems, OutboxActor},
    queue::{Enqueue, Look, QueueActor, Snapshot},
    report::sandbox::ReadReports,
    scheduler::{self, SchedulerActor},
    settings::Settings,
    source::Source,
    store::{Agent, DataQuery, JobQuery, Run, RunQuery},
    supervisor::{Escalate, GaveUp, Handle, Policy},
    sync::SyncActor,
    sync_type::SyncTypes,
};

const TOKEN: &str = "token-of-the-tests";
/// How long a test waits for what must come about.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built-in sync types.
#[must_use]
pub fn types() -> SyncTypes {
    SyncTypes::built_in().unwrap()
}

/// What a test wants of its app.
#[derive(Default)]
pub struct Builder {
    folder: Option<PathBuf>,
    clock: TestClock,
    agents: Vec<String>,
    environment: HashMap<String, String>,
    observers: Vec<Observer>,
    real_source: bool,
    supervision: Option<Policy>,
    escalate: Option<Escalate>,
}

impl Builder {
    /// Fetches from the source that the settings name, not from the scripted one.
    #[must_use]
    pub fn real_source(mut self) -> Self {
        self.real_source = true;
        self
    }

    /// Keeps the database that belongs to this folder instead of a throwaway one: for restarts.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Uses this clock: for restarts.
    #[must_use]
    pub fn clock(mut self, clock: &TestClock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Seeds these agents.
    #[must_use]
    pub fn agents(mut self, agents: &[&str]) -> Self {
        self.agents = agents.iter().map(|agent| (*agent).to_owned()).collect();
        self
    }

    /// Sets a setting, as the environment does: `("LOCKSTEP__QUEUE__CONCURRENCY", "1")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Calls this for every event, at once, on the thread that publishes it.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Starts actors anew by these rules, and calls this instead of ending the process where they give up.
    #[must_use]
    pub fn supervise(mut self, policy: Policy, escalate: impl Fn(&str, GaveUp) + Send + Sync + 'static) -> Self {
        self.supervision = Some(policy);
        self.escalate = Some(Arc::new(escalate));
        self
    }

    /// Starts the app inside the running actix system. Timers are off unless a setting turns them on.
    pub async fn start(self) -> TestApp {
        let throwaway = tempfile::tempdir().unwrap();
        let folder = self.folder.unwrap_or_else(|| throwaway.path().to_owned());
        let mut environment = HashMap::from([
            ("LOCKSTEP__SERVER__PORT".to_owned(), "0".to_owned()),
            ("LOCKSTEP__AUTH__ADMIN_TOKEN".to_owned(), TOKEN.to_owned()),
            ("LOCKSTEP__SCHEDULER__ENABLED".to_owned(), "false".to_owned()),
            // a test that needs it asks for it
            ("LOCKSTEP__ALERTS__LOOK_SECONDS".to_owned(), "3600".to_owned()),
            // what a test has done is seen at once
            ("LOCKSTEP__LIMITS__STATUS_MS".to_owned(), "0".to_owned()),
            ("LOCKSTEP__SYNC__TYPES_DIR".to_owned(), folder.join("types").display().to_string()),
        ]);
        environment.extend(Backend::of_suite().environment(&folder).await);
        environment.extend(self.environment);
        let mut settings = Settings::load(None, environment).unwrap();
        let agent = |id: String| Agent { name: id.clone(), id: id.into(), active: true, added_at: None };
        settings.agents = self.agents.into_iter().map(agent).collect();
        let source = Arc::new(ScriptedSource::default());
        let sink = Arc::new(ScriptedSink::default());
        let parts = Parts {
            source: (!self.real_source).then(|| source.clone() as Arc<dyn Source>),
            sink: Some(sink.clone()),
            // child processes only where the test says which program they are
            reader: settings.sandbox.worker.is_none().then(|| Arc::new(ReadHere) as Arc<dyn ReadReports>),
            clock: Some(Arc::new(self.clock.clone())),
            observers: self.observers,
            log: None,
            supervision: self.supervision,
            escalate: self.escalate,
        };
        let app = App::start(settings, parts).await.unwrap();
        let http = crate::http::client().build().unwrap();
        TestApp {
            scheduler: app.scheduler.clone(),
            queue: app.queue.clone(),
            syncs: app.syncs.clone(),
            outbox: app.outbox.clone(),
            app,
            source,
            sink,
            clock: self.clock,
            http,
            _folder: throwaway,
        }
    }
}

/// A running app, as tests see it.
pub struct TestApp {
    /// The timers: send `UpdateInterval`, `Snapshot`, ...
    pub scheduler: Handle<SchedulerActor>,
    /// The queue: send `Enqueue`, `StopJobs`, `Snapshot`, ...
    pub queue: Handle<QueueActor>,
    /// One actor a sync type: send `Stop`, `Status`.
    pub syncs: HashMap<SyncType, Handle<SyncActor>>,
    /// The write-back queue: send `EnqueueItems`, `OutboxStats`, ...
    pub outbox: Handle<OutboxActor>,
    /// The app itself: store, events.
    pub app: App,
    /// Where its reports come from.
    pub source: Arc<ScriptedSource>,
    /// Who has the effects of writes.
    pub sink: Arc<ScriptedSink>,
    pub clock: TestClock,
    http: reqwest::Client,
    _folder: TempDir,
}

impl TestApp {
    /// An app of the defaults.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Sends `Enqueue` and expects it to be accepted.
    pub async fn enqueue(&self, sync_type: &str, agent: &str) -> JobId {
        let answer = self.queue.send(Enqueue::new(sync_type, agent, Reason::Manual)).await.unwrap().unwrap();
        match answer {
            Admission::Accepted { job } => job,
            refused => panic!("{refused:?}"),
        }
    }

    /// Runs a sync to its end.
    pub async fn sync(&self, sync_type: &str, agent: &str) -> Run {
        let job = self.enqueue(sync_type, agent).await;
        self.ended(job).await
    }

    /// Waits until a job is over and answers its last run. Where it is to be tried again later, and nothing else is
    /// left to do, the clock goes on to that moment.
    pub async fn ended(&self, job: JobId) -> Run {
        let mut events = self.app.bus.subscribe();
        loop {
            let now = self.app.store.job(job).await.unwrap().unwrap();
            if now.state == JobState::Done {
                let wanted = RunQuery { limit: 500, ..RunQuery::default() };
                let runs = self.app.store.runs(wanted).await.unwrap();
                return runs.into_iter().find(|run| run.job_id == job).unwrap();
            }
            if now.state == JobState::Delayed {
                self.go_on_to(now.due_at).await;
            }
            // an event may come a moment before its row can be seen, so look again soon in any case
            drop(tokio::time::timeout(Duration::from_millis(50), events.recv()).await);
        }
    }

    /// Sets the clock forward to this moment if nothing is left to do before it.
    async fn go_on_to(&self, moment: Timestamp) {
        let rest = (moment - self.clock.now()).to_std().unwrap_or_default();
        if !rest.is_zero() && self.is_at_rest().await {
            self.clock.advance(rest);
        }
    }

    /// Waits until nothing more will happen at this moment of the clock: timers that are due have fired, what they and
    /// all requests that were answered have led to is stored, nothing runs and nothing is delivered. A last look at the
    /// database is part of it. What another process does is not waited for, nor is a run that was given up.
    ///
    /// # Panics
    /// If that does not come about within a minute: a sync that hangs never rests.
    pub async fn at_rest(&self) {
        self.queue.send(Look).await.unwrap();
        self.outbox.send(LookForItems).await.unwrap();
        self.until("it comes to rest", async || self.is_at_rest().await).await;
    }

    /// What one actor does may be another's work: all of them rest twice in a row.
    async fn is_at_rest(&self) -> bool {
        for _ in 0..2 {
            // the scheduler answers when its ticks are stored
            self.scheduler.send(scheduler::Snapshot).await.unwrap();
            let outbox = self.outbox.send(outbox::Snapshot).await.unwrap().at_rest;
            let queue = self.queue.send(Snapshot).await.unwrap();
            if !outbox || !queue.is_at_rest() || self.clock.is_behind() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// Waits until something is so, as people or other processes see it.
    ///
    /// # Panics
    /// If it does not come about within a minute.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let started = Instant::now();
        while !is_so().await {
            if started.elapsed() > PATIENCE {
                let (queue, outbox) = (self.queue.send(Snapshot).await, self.outbox.send(outbox::Snapshot).await);
                panic!("{what}? {queue:?}; {outbox:?}; timers: {:?}", self.clock);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until no job waits or runs. Where jobs are to be tried again later, and nothing else is left to do, the
    /// clock goes on to that moment.
    pub async fn idle(&self) {
        let is_idle = async || {
            let counts = self.app.store.job_counts().await.unwrap();
            if !counts.is_empty() && counts.iter().all(|(_, state, _)| *state == JobState::Delayed) {
                let delayed = JobQuery { state: Some(JobState::Delayed), limit: 500, ..JobQuery::default() };
                let delayed = self.app.store.jobs(delayed).await.unwrap();
                if let Some(next) = delayed.iter().map(|job| job.due_at).min() {
                    self.go_on_to(next).await;
                }
            }
            counts.is_empty()
        };
        self.until("no job waits or runs", is_idle).await;
    }

    /// The live records of a type for an agent, by key, with the fields of the reports alone.
    pub async fn records(&self, sync_type: &str, agent: &str) -> Vec<Map<String, Json>> {
        let spec = self.app.store.types().get(sync_type).unwrap().clone();
        self.rows(sync_type, agent)
            .await
            .into_iter()
            .map(|row| spec.fields.iter().map(|field| (field.name.clone(), row[&field.name].clone())).collect())
            .collect()
    }

    /// The live rows of a type for an agent, by key, with lockstep's own columns.
    pub async fn rows(&self, sync_type: &str, agent: &str) -> Vec<Map<String, Json>> {
        let spec = self.app.store.types().get(sync_type).unwrap().clone();
        let wanted = DataQuery { agent: Some(agent.to_owned()), limit: 100_000, ..DataQuery::default() };
        self.app.store.data(&spec, wanted).await.unwrap().items
    }

    /// The outcome and counts of a type's last run.
    pub async fn last(&self, sync_type: &str) -> (String, Counts) {
        let wanted = RunQuery { sync_type: Some(sync_type.to_owned()), ended: true, limit: 1, ..RunQuery::default() };
        let run = self.app.store.runs(wanted).await.unwrap().remove(0);
        (run.outcome.unwrap().as_str().to_owned(), run.counts)
    }

    /// A request with the admin's token: status, headers of interest are in `response`.
    pub async fn request(&self, method: Method, path: &str, body: Option<Json>) -> (StatusCode, Json) {
        let url = format!("http://{}{path}", self.app.addr);
        let mut request = self.http.request(method, url).bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Json::Null))
    }

    /// `GET` with the admin's token.
    pub async fn get(&self, path: &str) -> (StatusCode, Json) {
        self.request(Method::GET, path, None).await
    }

    /// `POST` with the admin's token.
    pub async fn post(&self, path: &str, body: Json) -> (StatusCode, Json) {
        self.request(Method::POST, path, Some(body)).await
    }

    /// A request of any kind to this app.
    pub fn raw(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.app.addr))
    }

    /// The admin's token.
    #[must_use]
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Ends it in order; nothing may be left running.
    pub async fn stop(self) {
        assert!(self.app.stop().await, "syncs still ran after the grace time");
    }
}

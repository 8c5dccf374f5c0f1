//! A board under test, with a clock that the test sets.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::TimeDelta;
use lockstep::{
    domain::{
        Admission, Claim, ClaimedJob, Class, JobId, NewJob, NextStep, Outcome, Reason, SourceReport, Timestamp, Window,
    },
    operation::Operations,
    queue::Before,
    store::{Job, JobQuery, Store},
    testing::{Backend, End, MemoryBoard, TestBoard, print_jobs, types},
};
use serde_json::json;
use tempfile::TempDir;

/// The board, and what time it is.
pub struct Rig {
    pub board: Arc<dyn TestBoard>,
    pub now: Timestamp,
    store: Option<(Store, TempDir)>,
}

pub async fn open(folder: &Path) -> Store {
    let url = Backend::of_suite().database(folder).await;
    let store = Store::open(&url, tokio::runtime::Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    store
}

impl Rig {
    pub fn memory() -> Self {
        Self { board: Arc::new(MemoryBoard::default()), now: moment(0), store: None }
    }

    /// Over the database of this run of the suite.
    pub async fn database() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path()).await;
        Self { board: Arc::new(store.clone()), now: moment(0), store: Some((store, folder)) }
    }

    /// Closes and opens the database, as a restart does; a board in memory stays as it is.
    pub async fn restart(&mut self) {
        if let Some((store, folder)) = self.store.take() {
            store.close().await;
            let store = open(folder.path()).await;
            self.board = Arc::new(store.clone());
            self.store = Some((store, folder));
        }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now += TimeDelta::from_std(Duration::from_secs(seconds)).unwrap();
    }

    pub async fn ask_all(&self, jobs: Vec<NewJob>) -> Vec<Admission> {
        self.board.enqueue(jobs, None, self.now).await.unwrap().0
    }

    pub async fn ask(&self, job: NewJob) -> Admission {
        self.ask_all(vec![job]).await.remove(0)
    }

    /// Asks, and expects it to be accepted.
    pub async fn add(&self, job: NewJob) -> JobId {
        match self.ask(job).await {
            Admission::Accepted { job } => job,
            refused => panic!("{refused:?}"),
        }
    }

    /// Claims up to so many jobs of any class.
    pub async fn claim(&self, any: usize) -> Vec<ClaimedJob> {
        self.board.claim(room(any, 0), self.now).await.unwrap().jobs
    }

    /// Claims exactly one job.
    pub async fn claim_one(&self) -> ClaimedJob {
        let mut jobs = self.claim(1).await;
        assert_eq!(jobs.len(), 1, "one job was to be claimed\n{}", self.text().await);
        jobs.remove(0)
    }

    pub async fn end(&self, job: &ClaimedJob, outcome: Outcome, next: NextStep) {
        self.board.end(job, End { outcome, next, source: None }, self.now).await.unwrap();
    }

    pub async fn done(&self, job: &ClaimedJob) {
        self.end(job, Outcome::Succeeded, NextStep::Done).await;
    }

    pub async fn fail(&self, job: &ClaimedJob) {
        self.end(job, Outcome::Failed { retryable: false }, NextStep::Done).await;
    }

    pub async fn source_failed(&self, job: &ClaimedJob, next: NextStep) {
        let source = Some(SourceReport {
            source: "folder".into(),
            failed: Some("away".into()),
            policy: lockstep::domain::BreakerPolicy::default(),
        });
        let end = End { outcome: Outcome::Failed { retryable: true }, next, source };
        self.board.end(job, end, self.now).await.unwrap();
    }

    pub async fn jobs(&self) -> Vec<Job> {
        self.board.jobs(JobQuery { limit: 100_000, ..JobQuery::default() }).await.unwrap()
    }

    pub async fn job(&self, id: JobId) -> Job {
        self.jobs().await.into_iter().find(|job| job.id == id).unwrap()
    }

    /// All jobs as text.
    pub async fn text(&self) -> String {
        print_jobs(self.jobs().await, self.now)
    }
}

/// Room for so many jobs of all types that there are.
/// Everything from before this moment is forgotten.
pub fn all_before(moment: Timestamp) -> Before {
    Before { jobs: moment, runs: moment, documents: moment, changes: moment, audit: moment, unclaimed: moment }
}

pub fn room(any: usize, urgent: usize) -> Claim {
    let types = types();
    let syncs = types.iter().map(|spec| spec.name.job_type());
    let operations = Operations::built_in().unwrap();
    let known = syncs.chain(operations.job_types()).collect();
    Claim { owner: "one".into(), any, urgent, known, ..Claim::default() }
}

pub fn moment(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// A sync with the key `type:agent`.
pub fn sync(sync_type: &str, agent: &str) -> NewJob {
    let priority = types().get(sync_type).unwrap().priority;
    NewJob::sync(&sync_type.into(), agent.into(), priority, Reason::Timer)
}

/// An operation without a key.
pub fn operation(name: &str, agent: &str) -> NewJob {
    let class = if name.starts_with("download") { Class::Download } else { Class::Write };
    NewJob::new(name.into(), class, agent.into(), 5, Reason::Operation)
}

/// A write under an idempotency key, whose body says `body`.
pub fn keyed(agent: &str, key: &str, body: i64) -> NewJob {
    let mut job = operation("submit-order", agent);
    let key = format!("submit-order:{agent}:{key}");
    job.dedup_key = Some(key.clone());
    job.window = Some(Window { key, length: Duration::from_secs(30), release_on_failure: false });
    job.payload = Some(json!({ "order": body }));
    job
}

/// Runs each of these functions over every board.
macro_rules! over_every_board {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::queue::rig::Rig::memory()).await;
            })+
        }
        mod database {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::queue::rig::Rig::database().await).await;
            })+
        }
    };
}
pub(super) use over_every_board;

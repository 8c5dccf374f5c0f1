//! Do the questions of the queue read what they are about, or all that ever was? As PostgreSQL counts it.

use std::{sync::Arc, time::Duration};

use lockstep::{
    domain::{BreakerPolicy, ClaimedJob, JobId, Mode, NewJob, NextStep, Outcome, Pause, Reason, Timestamp, Window},
    store::{Claim, Finish, JobQuery, Meant, RunQuery, SourceReport, Store, throwaway::rows_read},
    testing::{Backend, types},
};
use tokio::runtime::Handle;

const AGENTS: usize = 50;
/// Syncs that have ended, of each agent.
const ENDED: usize = 400;
/// What may be read for `AGENTS` jobs, each of which is looked at some times; a fifth of what has ended.
const FEW: i64 = 4_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn order(agent: usize) -> NewJob {
    NewJob::sync(&"orders".into(), format!("agent-{agent}").into(), 4, Reason::Manual)
}

fn all() -> Vec<NewJob> {
    (0..AGENTS).map(order).collect()
}

async fn claim(store: &Store, now: Timestamp) -> Vec<ClaimedJob> {
    let known = vec!["orders".into()];
    let claim = Claim { owner: "one".to_owned(), any: AGENTS, known, ..Claim::default() };
    store.claim(claim, now).await.unwrap().jobs
}

async fn end(store: &Store, jobs: Vec<ClaimedJob>, end: Finish, now: Timestamp) {
    let ends = jobs.iter().map(|job| store.finish(job, end.clone(), NextStep::Done, now));
    for ended in futures_util::future::join_all(ends).await {
        ended.unwrap();
    }
}

fn unchanged() -> Finish {
    Finish { outcome: Some(Outcome::Unchanged), ..Finish::default() }
}

struct Past {
    url: String,
    _folder: tempfile::TempDir,
}

impl Past {
    async fn open(&self) -> Store {
        Store::open(&self.url, Handle::current(), Arc::new(types())).await.unwrap()
    }

    /// A database in which much has ended.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let past = Self { url: Backend::Postgres.database(folder.path()).await, _folder: folder };
        let store = past.open().await;
        store.migrate().await.unwrap();
        for round in 0..ENDED {
            let now = at(i64::try_from(round).unwrap());
            store.enqueue(all(), None, now).await.unwrap();
            let running = claim(&store, now).await;
            assert_eq!(running.len(), AGENTS);
            end(&store, running, unchanged(), now).await;
        }
        store.close().await;
        past
    }

    /// What `work` reads of the jobs, and of their runs.
    async fn reads<T>(&self, what: &str, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let count = async || {
            let runtime = Handle::current();
            let jobs = rows_read(&self.url, "job", &runtime).await.unwrap();
            (jobs, rows_read(&self.url, "sync_run", &runtime).await.unwrap())
        };
        let before = count().await;
        let store = self.open().await;
        let done = work(&store).await;
        store.close().await;
        let after = count().await;
        let (jobs, runs) = (after.0 - before.0, after.1 - before.1);
        println!("{what}: {jobs} jobs, {runs} runs");
        assert!(jobs <= FEW && runs <= FEW, "{what} reads {jobs} jobs and {runs} runs of {}", AGENTS * ENDED);
        done
    }
}

/// A claim while one type is at its limit: the other's lanes are looked at alone.
async fn full(store: &Store, now: Timestamp) -> (JobId, i64) {
    let invoice = NewJob::sync(&"invoices".into(), "another".into(), 4, Reason::Manual);
    store.enqueue(vec![invoice], None, now).await.unwrap();
    let claim = Claim {
        owner: "one".to_owned(),
        any: 1,
        known: vec!["orders".into(), "invoices".into()],
        limits: [("orders".into(), 0)].into(),
        ..Claim::default()
    };
    let job = store.claim(claim, now).await.unwrap().jobs.remove(0);
    (job.id, job.lease)
}

/// A sync that a person forces while the queue is paused.
async fn forced(store: &Store, now: Timestamp) {
    let pause = Pause {
        reason: "a test".to_owned(),
        by: "one".to_owned(),
        since: now,
        until: None,
        drain: false,
        emergency: false,
    };
    store.set_pause(Some(pause)).await.unwrap();
    let wanted =
        NewJob { force: true, dedup_key: None, ..NewJob::sync(&"orders".into(), "third".into(), 4, Reason::Manual) };
    store.enqueue(vec![wanted], None, now).await.unwrap();
    assert_eq!(claim(store, now).await.len(), 1);
    store.set_pause(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_of_the_queue_reads_all_that_has_ended() {
    let past = Past::new().await;
    let (now, later) = (at(1_000), at(2_000));
    let kept = || all().into_iter().map(|job| NewJob { mode: Mode::KeepLast, ..job }).collect();
    let (answers, _) = past.reads("admission", async |store| store.enqueue(all(), None, now).await.unwrap()).await;
    assert!(answers.iter().all(|answer| answer.is_taken()));
    past.reads("refusal", async |store| store.enqueue(all(), None, now).await.unwrap()).await;
    past.reads("count of jobs", async |store| store.job_counts().await.unwrap()).await;
    let running = past.reads("claim", async |store| claim(store, now).await).await;
    assert_eq!(running.len(), AGENTS);
    let held = running.iter().map(|job| (job.id, job.lease)).collect();
    let beat = past.reads("heartbeat", async |store| store.heartbeat("one".to_owned(), held, now).await.unwrap()).await;
    assert_eq!(beat.active.len(), AGENTS);
    let (first, rest) = running.split_first().unwrap();
    past.reads("rescue", async |store| store.rescue(first.id, first.lease, 1, now).await.unwrap()).await.unwrap();
    past.reads("wishes behind what runs", async |store| store.enqueue(kept(), None, now).await.unwrap()).await;
    past.reads("end, with a wish behind", async |store| end(store, rest.to_vec(), unchanged(), now).await).await;
    let running = past.reads("claim of wishes", async |store| claim(store, now).await).await;
    assert_eq!(running.len(), AGENTS);
    let (first, rest) = running.split_first().unwrap();
    past.reads("end", async |store| end(store, rest.to_vec(), unchanged(), now).await).await;
    let policy = BreakerPolicy { failures: 1, ..BreakerPolicy::default() };
    let report = SourceReport { source: "erp".to_owned(), failed: Some("no answer".to_owned()), policy };
    let failed =
        Finish { outcome: Some(Outcome::Failed { retryable: false }), source: Some(report), ..Finish::default() };
    past.reads("end that opens a breaker", async |store| end(store, vec![first.clone()], failed, now).await).await;
    past.reads("retry", async |store| store.retry(first.id, false, now).await.unwrap()).await;
    let delay = Duration::from_secs(500);
    let delayed = || all().into_iter().map(|job| NewJob { delay, ..job }).collect();
    past.reads("admission for later", async |store| store.enqueue(delayed(), None, now).await.unwrap()).await;
    let running = past.reads("claim of what is due", async |store| claim(store, later).await).await;
    assert_eq!(running.len(), AGENTS);
    let key = running[0].dedup_key.clone().unwrap();
    past.reads("look at a key", async |store| store.key(key, later).await.unwrap()).await;
    past.reads("wishes behind what runs", async |store| store.enqueue(kept(), None, later).await.unwrap()).await;
    let (stopped, removed) =
        past.reads("stop of all", async |store| store.request_stop(Meant::default(), later).await.unwrap()).await;
    assert_eq!((stopped.len(), removed.len()), (AGENTS, AGENTS));
    let held = past.reads("claim from many lanes that are full", async |store| full(store, later).await).await;
    past.reads("claim given back", async |store| store.undo_claim(held, "one".to_owned(), later).await.unwrap()).await;
    past.reads("forced in a pause", async |store| forced(store, later).await).await;
    past.reads("admission with windows and parents", async |store| {
        let window = |key| Window { key, length: Duration::from_secs(60), release_on_failure: false };
        let parent = Some(running[0].id);
        let own =
            |(number, job)| NewJob { window: Some(window(format!("window-{number}"))), parent, dedup_key: None, ..job };
        let asked: Vec<NewJob> = all().into_iter().enumerate().map(own).collect();
        for _ in 0..2 {
            store.enqueue(asked.clone(), None, later).await.unwrap();
        }
    })
    .await;
    past.reads("command line", async |store| {
        store.enqueue_claimed(order(AGENTS), "two".to_owned(), later).await.unwrap().unwrap()
    })
    .await;
    past.reads("page of jobs", async |store| store.jobs(JobQuery { limit: 50, ..JobQuery::default() }).await.unwrap())
        .await;
    past.reads("page of runs", async |store| store.runs(RunQuery { limit: 50, ..RunQuery::default() }).await.unwrap())
        .await;
    let (orders, agent) = ("orders".into(), "agent-1".into());
    past.reads("last run", async |store| store.last_applied(&orders, &agent).await.unwrap()).await.unwrap();
    past.reads("open holds", async |store| store.open_holds().await.unwrap()).await;
    past.reads("retention", async |store| store.clean_jobs(at(-1), later).await.unwrap()).await;
}

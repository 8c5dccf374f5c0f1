//! Do the database's questions read what they are about, or all that there is? As PostgreSQL counts it.

use std::{sync::Arc, time::Duration};

use lockstep::{
    delta::{self, OpenBlanks, Seen, Snapshot},
    domain::{
        AgentId, BreakerPolicy, Claim, ClaimedJob, JobId, JobSelector, Lease, Mode, NewJob, NextStep, Outcome, Pause,
        Reason, Record, SourceReport, Timestamp, Window,
    },
    pretend_erp::invent_row,
    store::{Batches, Finish, JobQuery, Pace, RunQuery, Store, throwaway::rows_read},
    testing::{Backend, last_seen, types},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

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

struct Full {
    url: String,
    _folder: tempfile::TempDir,
}

impl Full {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = Self { url: Backend::Postgres.database(folder.path()).await, _folder: folder };
        let store = new.open().await;
        store.migrate().await.unwrap();
        store.close().await;
        new
    }

    async fn open(&self) -> Store {
        Store::open(&self.url, Handle::current(), Arc::new(types())).await.unwrap()
    }

    /// A database in which much has ended.
    async fn of_the_past() -> Self {
        let past = Self::new().await;
        let store = past.open().await;
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

    /// Carries `work` out, which is to read few of the jobs, and of their runs.
    async fn reads<T>(&self, what: &str, work: impl AsyncFnOnce(&Store) -> T) -> T {
        self.reads_of(["job", "sync_run"], FEW, what, work).await
    }

    /// Carries `work` out, which is to read at most so many rows of each of these tables.
    async fn reads_of<T>(&self, tables: [&str; 2], few: i64, what: &str, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let count = async |table| rows_read(&self.url, table, &Handle::current()).await.unwrap();
        let before = [count(tables[0]).await, count(tables[1]).await];
        let store = self.open().await;
        let done = work(&store).await;
        store.close().await;
        for (table, before) in tables.into_iter().zip(before) {
            let read = count(table).await - before;
            println!("{what}: {read} of {table}");
            assert!(read <= few, "{what} reads {read} rows of {table}");
        }
        done
    }
}

/// A claim while one type is at its limit: the other's lanes are looked at alone.
async fn full(store: &Store, now: Timestamp) -> Lease<JobId> {
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
    job.held()
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
    let past = Full::of_the_past().await;
    let (now, later) = (at(1_000), at(2_000));
    let kept = || all().into_iter().map(|job| NewJob { mode: Mode::KeepLast, ..job }).collect();
    let (answers, _) = past.reads("admission", async |store| store.enqueue(all(), None, now).await.unwrap()).await;
    assert!(answers.iter().all(|answer| answer.is_taken()));
    past.reads("refusal", async |store| store.enqueue(all(), None, now).await.unwrap()).await;
    past.reads("count of jobs", async |store| store.job_counts().await.unwrap()).await;
    let running = past.reads("claim", async |store| claim(store, now).await).await;
    assert_eq!(running.len(), AGENTS);
    let held = running.iter().map(ClaimedJob::held).collect();
    let beat = past.reads("heartbeat", async |store| store.heartbeat("one".to_owned(), held, now).await.unwrap()).await;
    assert_eq!(beat.active.len(), AGENTS);
    let (first, rest) = running.split_first().unwrap();
    past.reads("rescue", async |store| store.rescue(last_seen(first, 1), now).await.unwrap()).await.unwrap();
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
        past.reads("stop of all", async |store| store.request_stop(JobSelector::default(), later).await.unwrap()).await;
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

/// Records of each agent, of orders and of delivery notes, which belong to them.
const RECORDS: usize = 200;

/// A whole sync of one type for one agent; answers how many records it wrote, and marks the first of them missing.
async fn sync(store: &Store, name: &str, agent: usize, seeds: impl Fn(usize) -> u64) -> usize {
    let (types, now) = (types(), at(0));
    let spec = types.get(name).unwrap();
    let id = AgentId::from(format!("agent-{agent}"));
    let records: Vec<Record> =
        (0..RECORDS).map(|row| invent_row(&types, spec, (agent * RECORDS, row), seeds(row))).collect();
    store.enqueue(vec![NewJob::sync(&spec.name, id.clone(), 4, Reason::Manual)], None, now).await.unwrap();
    let known = vec![spec.name.job_type()];
    let wanted = Claim { owner: "one".to_owned(), any: 1, known, ..Claim::default() };
    let job = store.claim(wanted, now).await.unwrap().jobs.remove(0);
    let present = vec![true; spec.fields.len()];
    let open = OpenBlanks::new();
    let snapshot = store.snapshot(spec, &id, Snapshot::needed(spec, &present, &open)).await.unwrap();
    let seen = Seen {
        records: &records,
        printed: &[],
        present: &present,
        unreadable_key: false,
        quarantined_keys: &[],
        open_blanks: &open,
    };
    let plan = Arc::new(delta::plan(spec, seen, &snapshot, now, None));
    let (stop, progress) = (CancellationToken::new(), Arc::new(|_| {}));
    let batches = Arc::new(Batches { spec: spec.clone(), size: 10, stop, progress, pace: Pace::default() });
    let mut upto = 0;
    while upto < plan.changes.len() {
        upto = store.apply(&job, &plan, upto, &batches, now).await.unwrap().upto;
    }
    let missing = vec![records[0].text(spec.key)];
    let end = Finish { outcome: Some(Outcome::Succeeded), missing, ..Finish::default() };
    store.finish(&job, end, NextStep::Done, now).await.unwrap();
    upto
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_of_a_sync_reads_what_other_agents_have() {
    let full = Full::new().await;
    let store = full.open().await;
    for agent in 0..AGENTS {
        for name in ["orders", "ddt"] {
            assert_eq!(sync(&store, name, agent, |_| 1).await, RECORDS);
        }
    }
    store.close().await;
    // those of the agent itself some times over; there are fifty times as many
    let few = i64::try_from(RECORDS * 10).unwrap();
    let seeds = |row| if row % 10 == 9 { 2 } else { 1 };
    for name in ["orders", "ddt"] {
        // one was marked missing, and comes again
        let written =
            full.reads_of(["orders", "ddt"], few, name, async |store| sync(store, name, 7, seeds).await).await;
        assert_eq!(written, RECORDS / 10 + 1, "{name}");
    }
    full.reads_of(["orders", "ddt"], few, "first sync of another", async |store| {
        sync(store, "orders", AGENTS, |_| 1).await + sync(store, "ddt", AGENTS, |_| 1).await
    })
    .await;
}

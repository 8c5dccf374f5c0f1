//! Does the schema come and go, and does the database hold what memory promises?

use std::sync::Arc;

use lockstep::{
    delta::{self, Seen, Snapshot},
    domain::{
        Admission, AgentId, Claim, Class, FlowOutcome, JobSelector, NewJob, NextStep, Outcome, Reason, Slot, Timestamp,
        Window,
    },
    store::{Batches, DataQuery, Finish, Pace, RunQuery, Setting, Store, StoreError, throwaway::execute},
    sync_type::SyncTypes,
    testing::{Backend, last_seen, types},
};
use serde_json::json;
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::sync::CancellationToken;

pub async fn open(folder: &tempfile::TempDir) -> Store {
    let url = Backend::of_suite().database(folder.path()).await;
    Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap()
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// Room for `any` jobs of the types that these tests use.
pub fn claim(owner: &str, any: usize) -> Claim {
    Claim { owner: owner.to_owned(), any, known: vec!["orders".into()], ..Claim::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_an_agent_a_second_running_job() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let job = |key: &str| NewJob {
        dedup_key: Some(key.to_owned()),
        ..NewJob::sync(&"orders".into(), "anna".into(), 4, Reason::Manual)
    };
    store.enqueue(vec![job("one"), job("two")], Some(claim("one", 2)), at(0)).await.unwrap();
    let url = Backend::of_suite().database(folder.path()).await;
    let second = "UPDATE job SET state = 'active', owner = 'two', is_next = FALSE WHERE state = 'waiting'";
    let refused = execute(&url, second.to_owned(), &Handle::current()).await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("unique"), "{refused}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_of_while_it_runs_and_written_once_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let orders = |agent: &str| NewJob::sync(&"orders".into(), agent.into(), 4, Reason::Manual);
    let agents = ["anna", "bert", "carl"].map(orders).to_vec();
    // one starts at once, the others by claims
    let (_, first) = store.enqueue(agents, Some(claim("one", 1)), at(0)).await.unwrap();
    let anna = first.unwrap().jobs.remove(0);
    let [bert, carl] = store.claim(claim("one", 2), at(1)).await.unwrap().jobs.try_into().unwrap();
    let runs = async |agent: Option<&str>, limit: u64| {
        let wanted = RunQuery { agent: agent.map(str::to_owned), limit, ..RunQuery::default() };
        let runs = store.runs(wanted).await.unwrap();
        runs.into_iter().map(|run| (run.id, run.outcome.map(Outcome::as_str))).collect::<Vec<_>>()
    };
    assert_eq!(runs(None, 9).await, [(carl.run, None), (bert.run, None), (anna.run, None)], "newest first");
    assert!(anna.run < bert.run && bert.run < carl.run, "each has a number of its own");
    assert_eq!(runs(Some("bert"), 9).await, [(bert.run, None)]);
    let running = store.run(bert.run).await.unwrap().unwrap();
    assert_eq!((running.job_id, running.started_at, running.outcome), (bert.id, at(1), None));

    let end = Finish { outcome: Some(Outcome::Succeeded), ..Finish::default() };
    store.finish(&anna, end, NextStep::Done, at(2)).await.unwrap();
    store.rescue(last_seen(&bert, 0), at(3)).await.unwrap();
    assert!(store.undo_claim(carl.held(), "one".into(), at(3)).await.unwrap());
    assert_eq!(runs(None, 9).await, [(bert.run, Some("lost")), (anna.run, Some("succeeded"))], "one was never begun");
    let ended = store.run(anna.run).await.unwrap().unwrap();
    assert_eq!((ended.started_at, ended.finished_at, ended.attempt), (at(0), Some(at(2)), 1));
    assert!(!ended.spec_fingerprint.is_empty());
    // what runs and what is over are one list
    let again = store.claim(claim("one", 1), at(4)).await.unwrap().jobs.remove(0);
    let two = runs(None, 2).await;
    assert_eq!(two, [(again.run, None), (bert.run, Some("lost"))]);
    let wanted = RunQuery { before: Some(again.run), limit: 9, ..RunQuery::default() };
    assert_eq!(store.runs(wanted).await.unwrap().len(), 2, "the next page begins behind it");
    let wanted = RunQuery { ended: true, limit: 9, ..RunQuery::default() };
    assert_eq!(store.runs(wanted).await.unwrap().len(), 2);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_and_runs_that_begin_together_have_the_numbers_they_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let agent = |number: usize| AgentId::from(format!("agent-{number}"));
    let orders = |number| NewJob::sync(&"orders".into(), agent(number), 4, Reason::Manual);
    let asked: Vec<NewJob> = (0..700).map(orders).collect();
    let (answers, claimed) = store.enqueue(asked, Some(claim("one", 700)), at(0)).await.unwrap();
    for (number, answer) in answers.iter().enumerate() {
        let stored = store.job(answer.job().unwrap()).await.unwrap().unwrap();
        assert_eq!(stored.agent_id, agent(number));
    }
    let claimed = claimed.unwrap().jobs;
    assert_eq!(claimed.len(), 700);
    for job in claimed {
        let run = store.run(job.run).await.unwrap().unwrap();
        assert_eq!((run.job_id, run.agent_id), (job.id, job.agent));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = Backend::of_suite().database(folder.path()).await;
    let start = |_| {
        let url = url.clone();
        tokio::spawn(async move {
            let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
            store.migrate().await.unwrap();
            let seed = Setting {
                sync_type: "orders".into(),
                interval_minutes: 10,
                enabled: true,
                last_tick: None,
                next_run: None,
            };
            store.seed_settings(vec![seed], at(0)).await.unwrap();
            store
        })
    };
    let stores = futures_util::future::try_join_all((0..6).map(start)).await.unwrap();
    for store in stores {
        assert!(store.migration_status().await.unwrap().iter().all(|(_, applied)| *applied));
        assert_eq!(store.settings().await.unwrap().len(), 1);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_out_of_range_are_refused_by_the_database_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    for minutes in [4, 1441] {
        let seed = Setting {
            sync_type: "orders".into(),
            interval_minutes: minutes,
            enabled: true,
            last_tick: None,
            next_run: None,
        };
        assert!(matches!(store.seed_settings(vec![seed], at(0)).await, Err(StoreError::Database { .. })));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let job = NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Manual);
    store.enqueue(vec![job], None, at(0)).await.unwrap();
    let frozen = store.claim(claim("frozen", 1), at(1)).await.unwrap().jobs.remove(0);
    assert!(store.claim(claim("other", 1), at(2)).await.unwrap().jobs.is_empty(), "one job an agent");
    assert_eq!(store.rescue(last_seen(&frozen, 0), at(30)).await.unwrap(), Some(Outcome::Lost));
    assert_eq!(store.rescue(last_seen(&frozen, 0), at(31)).await.unwrap(), None, "rescued once");
    let taken = store.claim(claim("other", 1), at(32)).await.unwrap().jobs.remove(0);
    assert!(taken.lease > frozen.lease && taken.attempt == 2);

    let end = Finish { outcome: Some(Outcome::Succeeded), ..Finish::default() };
    let late = store.finish(&frozen, end.clone(), NextStep::Done, at(33)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })));
    assert_eq!(store.run(frozen.run).await.unwrap().unwrap().outcome.map(Outcome::as_str), Some("lost"));
    store.finish(&taken, end, NextStep::Done, at(34)).await.unwrap();
    assert_eq!(store.job(taken.id).await.unwrap().unwrap().state.as_str(), "done");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_file_never_claim_the_same_job() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    one.migrate().await.unwrap();
    let jobs = (0..40).map(|n| NewJob::sync(&"orders".into(), format!("agent-{n}").into(), 4, Reason::Timer)).collect();
    one.enqueue(jobs, None, at(0)).await.unwrap();
    let claims =
        (0..20).map(|n| if n % 2 == 0 { one.claim(claim("one", 3), at(1)) } else { two.claim(claim("two", 3), at(1)) });
    let claimed = futures_util::future::try_join_all(claims).await.unwrap();
    let mut ids: Vec<_> = claimed.into_iter().flat_map(|claimed| claimed.jobs).map(|job| job.id).collect();
    assert_eq!(ids.len(), 40);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_process_dies_in_mid_effect_is_doubtful_and_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let ask = |agent: &str, repeatable: bool| {
        let mut job = NewJob::new("submit-order".into(), Class::Write, agent.into(), 5, Reason::Operation);
        let key = format!("submit-order:{agent}:k");
        job.window =
            Some(Window { key: key.clone(), length: std::time::Duration::from_secs(30), release_on_failure: true });
        job.dedup_key = Some(key);
        job.repeatable = repeatable;
        job
    };
    let room = || Claim { owner: "dies".into(), any: 5, known: vec!["submit-order".into()], ..Claim::default() };
    store.enqueue(vec![ask("before", false), ask("never", false), ask("safe", true)], None, at(0)).await.unwrap();
    let jobs = store.claim(room(), at(1)).await.unwrap().jobs;
    assert_eq!(jobs.len(), 3);
    for job in &jobs[1..] {
        store.begin_effect(job).await.unwrap();
    }
    let mut ends = Vec::new();
    for job in &jobs {
        ends.push(store.rescue(last_seen(job, 0), at(30)).await.unwrap().unwrap());
        assert!(matches!(store.begin_effect(job).await, Err(StoreError::LeaseLost { .. })), "a late effect is refused");
    }
    assert_eq!(ends, [Outcome::Lost, Outcome::Doubtful, Outcome::Lost]);
    let again: Vec<_> = store.claim(room(), at(31)).await.unwrap().jobs.into_iter().map(|job| job.agent).collect();
    assert_eq!(again, ["before".into(), "safe".into()], "only what is harmless is repeated");
    // long after its window: the caller's own repetition is answered with the job that a person looks at
    let answers = store.enqueue(vec![ask("never", false)], None, at(86_400)).await.unwrap().0;
    assert!(matches!(answers[0], Admission::Throttled { job, .. } if job == jobs[1].id), "{answers:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_child_makes_of_its_flow_is_in_its_types_file() {
    for (policy, outcome) in [("errors", "completed_with_errors"), ("fail", "failed"), ("ignore", "completed")] {
        let folder = tempfile::tempdir().unwrap();
        let ddt = include_str!("../../config/sync/ddt.toml");
        let ddt = ddt.replacen("key =", &format!("on_failure = \"{policy}\"\nkey ="), 1);
        std::fs::write(folder.path().join("ddt.toml"), ddt).unwrap();
        let types = Arc::new(SyncTypes::load(folder.path()).unwrap());
        let url = Backend::of_suite().database(folder.path()).await;
        let store = Store::open(&url, Handle::current(), types).await.unwrap();
        store.migrate().await.unwrap();
        let known = vec!["orders".into(), "ddt".into()];
        let room = || Claim { owner: "one".into(), any: 1, known: known.clone(), ..Claim::default() };
        let sync = |name: &str| NewJob::sync(&name.into(), "a".into(), 4, Reason::Manual);
        store.enqueue(vec![sync("orders")], None, at(0)).await.unwrap();
        let parent = store.claim(room(), at(0)).await.unwrap().jobs.remove(0);
        store.enqueue(vec![NewJob { parent: Some(parent.id), ..sync("ddt") }], None, at(0)).await.unwrap();
        let end = |outcome| Finish { outcome: Some(outcome), ..Finish::default() };
        store.finish(&parent, end(Outcome::Succeeded), NextStep::Done, at(1)).await.unwrap();
        let child = store.claim(room(), at(1)).await.unwrap().jobs.remove(0);
        store.finish(&child, end(Outcome::Failed { retryable: false }), NextStep::Done, at(2)).await.unwrap();
        let flow = store.job(parent.id).await.unwrap().unwrap().flow_outcome;
        assert_eq!(flow.map(FlowOutcome::as_str), Some(outcome), "{policy}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_misses_no_job_that_another_process_claims_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    one.migrate().await.unwrap();
    // several transactions' worth: claims come in between
    let jobs = (0..1_600).map(|n| NewJob::sync(&"orders".into(), format!("agent-{n}").into(), 4, Reason::Timer));
    one.enqueue(jobs.collect(), None, at(0)).await.unwrap();
    let begun = Notify::new();
    let claims = async {
        let mut started = Vec::new();
        loop {
            let jobs = two.claim(claim("two", 25), at(1)).await.unwrap().jobs;
            begun.notify_one();
            if jobs.is_empty() {
                return started;
            }
            started.extend(jobs.into_iter().map(|job| job.id));
        }
    };
    let stop = async {
        begun.notified().await;
        one.request_stop(JobSelector::default(), at(1)).await.unwrap()
    };
    let (mut started, (mut stopping, removed)) = tokio::join!(claims, stop);
    started.sort_unstable();
    stopping.sort_unstable();
    assert_eq!(started.len() + removed.len(), 1_600, "each is one or the other");
    assert_eq!(stopping, started, "all that have started are told");
    let held = two.heartbeat("two".into(), Vec::new(), at(2)).await.unwrap().stop;
    assert_eq!(held.into_iter().map(|lease| lease.id).collect::<Vec<_>>(), started, "and their process hears of it");
    one.close().await;
    two.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_schedule_keeps_what_another_process_changed_a_moment_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let seed = Setting {
        sync_type: "orders".into(),
        interval_minutes: 10,
        enabled: true,
        last_tick: None,
        next_run: Some(at(0)),
    };
    store.seed_settings(vec![seed], at(0)).await.unwrap();
    let slot = Slot { sync_type: "orders".into(), due: at(0), next: at(600) };
    assert!(store.enqueue_slot(slot.clone(), vec![], at(1)).await.unwrap().is_some());
    // decided by what is stored, not by what the caller remembers
    let off = |old: Setting| {
        assert_eq!((old.last_tick, old.next_run), (Some(at(0)), Some(at(600))));
        Setting { enabled: false, ..old }
    };
    let changed = store.amend_settings(vec![("orders".into(), Box::new(off))], at(2)).await.unwrap();
    assert_eq!((changed[0].enabled, changed[0].next_run), (false, Some(at(600))));
    assert!(store.enqueue_slot(slot, vec![], at(3)).await.unwrap().is_none(), "the slot does not fire again");
    let gone = store.amend_settings(vec![("bells".into(), Box::new(|old| old))], at(4)).await;
    assert!(gone.unwrap_err().to_string().contains("bells"));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_stored_as_it_is_and_found_again_by_its_key() {
    let odd = ["NULL", "null", "a,b", "{c}", "\"", "\\", "d\"\\\"e\\", "perché 😀", "line\nbreak\ttab", "'; --", "[1]"];
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let spec = store.types().get("orders").unwrap().clone();
    let agent = AgentId::from("a");
    let present = vec![true; spec.fields.len()];
    // new records first, then other ones in their place
    for round in ["first", "second"] {
        let now = at(0);
        store.enqueue(vec![NewJob::sync(&"orders".into(), agent.clone(), 4, Reason::Manual)], None, now).await.unwrap();
        let job = store.claim(claim("one", 1), now).await.unwrap().jobs.pop().unwrap();
        let order = |text: &&str| {
            let json = json!({ "order_id": text, "order_number": format!("{round} {text}"), "customer_name": text });
            spec.from_json(json.as_object().unwrap()).unwrap()
        };
        let records: Vec<_> = odd.iter().map(order).collect();
        let open = delta::OpenBlanks::new();
        let snapshot = store.snapshot(&spec, &agent, Snapshot::needed(&spec, &present, &open)).await.unwrap();
        let seen = Seen {
            records: &records,
            printed: &[],
            present: &present,
            unreadable_key: false,
            quarantined_keys: &[],
            open_blanks: &open,
        };
        let plan = Arc::new(delta::plan(&spec, seen, &snapshot, now, None));
        assert_eq!(plan.changes.len(), odd.len());
        let (stop, progress) = (CancellationToken::new(), Arc::new(|_| {}));
        let batches = Arc::new(Batches { spec: spec.clone(), size: 10, stop, progress, pace: Pace::default() });
        assert_eq!(store.apply(&job, &plan, 0, &batches, now).await.unwrap().upto, odd.len());
        let missing = odd[1..].iter().map(|key| (*key).to_owned()).collect();
        let end = Finish { outcome: Some(Outcome::Succeeded), missing, ..Finish::default() };
        store.finish(&job, end, NextStep::Done, now).await.unwrap();
        let stored = store.data(&spec, DataQuery { limit: 100, ..DataQuery::default() }).await.unwrap().items;
        assert_eq!(stored.len(), odd.len());
        for row in stored {
            let text = row["order_id"].as_str().unwrap();
            assert_eq!(row["customer_name"], text);
            assert_eq!(row["order_number"], format!("{round} {text}"));
            assert_eq!(row["missing_since"].is_null(), text == odd[0], "{row:?}");
        }
    }
    store.close().await;
}

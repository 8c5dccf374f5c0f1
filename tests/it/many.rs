//! Do several processes on one database behave as one? Two apps, on every backend of the suite.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use lockstep::{
    domain::{JobId, Outcome, Reason, RunId},
    event::Event,
    queue::Enqueue,
    scheduler::{Snapshot, UpdateInterval},
    store::RunQuery,
    testing::{Backend, TestApp, TestClock},
};
use serde_json::{Value as Json, json};

use crate::{
    fixtures::{invent, path, serve},
    outbox::{
        server::{Answer, TestServer},
        until,
    },
};

/// With Redis the other process is told at once: no heartbeat comes within a test then.
fn heartbeat() -> &'static str {
    if Backend::of_suite() == Backend::Clustered { "60000" } else { "200" }
}

pub async fn app(folder: &Path, clock: &TestClock, agents: &[&str], settings: &[(&str, &str)]) -> TestApp {
    let builder = TestApp::builder().folder(folder).clock(clock).agents(agents);
    let builder = builder.setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", heartbeat());
    let builder = builder.setting("LOCKSTEP__QUEUE__LEASE_MS", "600000");
    settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start().await
}

/// Two processes over one database, which hear each other.
pub async fn pair(folder: &Path, agents: &[&str], settings: &[(&str, &str)]) -> (TestApp, TestApp) {
    let clock = TestClock::default();
    let (one, two) = (app(folder, &clock, agents, settings).await, app(folder, &clock, agents, settings).await);
    // both listen by now; the first words are said before anyone relies on them
    tokio::time::sleep(Duration::from_millis(300)).await;
    (one, two)
}

/// Starts a sync at `app` that goes on until it is stopped.
pub async fn hanging(app: &TestApp, agent: &str) -> JobId {
    app.source.hang("orders", agent);
    let job = app.enqueue("orders", agent).await;
    until("the sync starts", async || !app.source.fetches().is_empty()).await;
    job
}

pub async fn stop(one: TestApp, two: TestApp) {
    one.stop().await;
    two.stop().await;
}

#[actix::test]
async fn each_slot_of_a_timer_fires_once() {
    let folder = tempfile::tempdir().unwrap();
    let slots: Arc<Mutex<BTreeMap<(String, String), u32>>> = Arc::default();
    let clock = TestClock::default();
    let start = async || {
        let counted = slots.clone();
        let count = move |event: &Event| {
            if let Event::Ticked { sync_type, slot, .. } = event {
                *counted.lock().unwrap().entry((sync_type.to_string(), slot.to_string())).or_default() += 1;
            }
        };
        TestApp::builder()
            .folder(folder.path())
            .clock(&clock)
            .agents(&["a"])
            .setting("LOCKSTEP__SCHEDULER__ENABLED", "true")
            .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "200")
            .observe(count)
            .start()
            .await
    };
    let (one, two) = (start().await, start().await);
    for minute in 1..=60 {
        clock.advance(Duration::from_secs(60));
        if minute % 10 == 0 {
            one.at_rest().await;
            two.at_rest().await;
        }
    }
    until("the last slots fire", async || {
        let schedule = one.scheduler.send(Snapshot).await.unwrap();
        let now = lockstep::domain::Clock::now(&clock);
        schedule.types.iter().all(|timer| timer.next_run.is_some_and(|next| next > now))
    })
    .await;
    let fired = slots.lock().unwrap().clone();
    assert!(fired.len() >= 6, "{fired:?}");
    assert!(fired.values().all(|times| *times == 1), "{fired:?}");
    for app in [&one, &two] {
        app.post("/api/sync/auto-sync/stop", json!({})).await;
    }
    one.post("/api/sync/stop", json!({})).await;
    stop(one, two).await;
}

#[actix::test]
async fn jobs_are_spread_run_once_and_never_two_for_one_agent() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..12).map(|number| format!("agent-{number}")).collect();
    let agents: Vec<&str> = names.iter().map(String::as_str).collect();
    // whose runs got on, in order: a run writes nothing after its end is stored
    let progressed: Arc<Mutex<Vec<RunId>>> = Arc::default();
    let clock = TestClock::default();
    let start = async || {
        let seen = progressed.clone();
        let watch = move |event: &Event| {
            if let Event::Progressed { run, .. } = event {
                seen.lock().unwrap().push(*run);
            }
        };
        let app = TestApp::builder()
            .folder(folder.path())
            .clock(&clock)
            .agents(&agents)
            .setting("LOCKSTEP__QUEUE__CONCURRENCY", "2")
            .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "100")
            .observe(watch)
            .start()
            .await;
        for agent in &agents {
            for sync_type in ["orders", "customers", "ddt", "invoices"] {
                serve(&app, sync_type, agent, &invent(&app.app.store.types().clone(), sync_type, 60)[..3]);
            }
        }
        app
    };
    let (one, two) = (start().await, start().await);
    // both have had their first heartbeat: they may claim
    one.at_rest().await;
    two.at_rest().await;
    let mut jobs = Vec::new();
    for agent in &agents {
        for sync_type in ["orders", "customers"] {
            let ask = Enqueue::new(sync_type, *agent, Reason::Manual);
            jobs.push(one.queue.send(ask).await.unwrap().unwrap().job().unwrap());
        }
    }
    one.idle().await;
    let runs = one.app.store.runs(RunQuery { limit: 500, ..RunQuery::default() }).await.unwrap();
    for job in jobs {
        assert_eq!(runs.iter().filter(|run| run.job_id == job).count(), 1, "job {job} ran once");
    }
    let mut of_agent: BTreeMap<String, Vec<RunId>> = BTreeMap::new();
    for id in progressed.lock().unwrap().iter() {
        let agent = runs.iter().find(|run| run.id == *id).unwrap().agent_id.to_string();
        of_agent.entry(agent).or_default().push(*id);
    }
    for (agent, mut order) in of_agent {
        order.dedup();
        let mut once = order.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(order.len(), once.len(), "runs of {agent} were beside each other: {order:?}");
    }
    let shares = [one.source.fetches().len(), two.source.fetches().len()];
    println!("fetches of the two processes: {shares:?}");
    assert!(shares.iter().all(|share| *share >= 4), "both took their share: {shares:?}");
    stop(one, two).await;
}

#[actix::test]
async fn a_stop_reaches_the_process_that_runs_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a", "b"], &[]).await;
    let job = hanging(&one, "a").await;
    let (_, stopped) = two.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    assert_eq!(stopped["stopping"], json!([job]), "{stopped}");
    let took =
        until("it stops", async || two.app.store.job(job).await.unwrap().unwrap().state.as_str() == "done").await;
    println!("stopped by another process after {took:?}");
    assert_eq!(one.ended(job).await.outcome.map(Outcome::as_str), Some("stopped"));
    stop(one, two).await;
}

#[actix::test]
async fn a_key_whose_job_another_process_has_ended_is_free() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let one = app(folder.path(), &clock, &["a", "b"], &[("LOCKSTEP__QUEUE__CONCURRENCY", "1")]).await;
    let two = app(folder.path(), &clock, &["a", "b"], &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // the first process has no room: what is asked of it is done by the second
    let busy = hanging(&one, "a").await;
    let report = invent(&one.app.store.types().clone(), "orders", 3);
    serve(&two, "orders", "b", &report);
    serve(&one, "orders", "b", &report);
    let first = one.enqueue("orders", "b").await;
    two.ended(first).await;
    clock.advance(Duration::from_secs(3));
    let answer = one.queue.send(Enqueue::new("orders", "b", Reason::Manual)).await;
    let again = answer.unwrap().unwrap();
    assert!(again.is_taken() && again.job() != Some(first), "{again:?} though {first} has ended");
    two.ended(again.job().unwrap()).await;
    one.post(&format!("/api/jobs/{busy}/cancel"), json!({})).await;
    stop(one, two).await;
}

#[actix::test]
async fn a_pause_and_its_end_reach_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a", "b"], &[]).await;
    let job = hanging(&one, "a").await;
    two.post("/api/sync/pause", json!({ "reason": "stocktaking" })).await;
    let waits = async || one.app.store.job(job).await.unwrap().unwrap().state.as_str() == "waiting";
    println!("given back because another process paused after {:?}", until("it is given back", waits).await);
    let known = async || one.queue.send(lockstep::queue::Snapshot).await.unwrap().pause.is_some();
    until("the pause is known", known).await;
    serve(&one, "orders", "a", &invent(&one.app.store.types().clone(), "orders", 3));
    serve(&two, "orders", "a", &invent(&one.app.store.types().clone(), "orders", 3));
    two.post("/api/sync/resume", json!({})).await;
    assert_eq!(one.ended(job).await.outcome.map(Outcome::as_str), Some("succeeded"));
    one.idle().await;
    stop(one, two).await;
}

#[actix::test]
async fn intervals_and_the_switch_reach_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a"], &[("LOCKSTEP__SCHEDULER__ENABLED", "true")]).await;
    two.scheduler.send(UpdateInterval { sync_type: "orders".into(), minutes: 45 }).await.unwrap().unwrap();
    let minutes = async || {
        let types = one.scheduler.send(Snapshot).await.unwrap().types;
        types.iter().find(|timer| timer.sync_type == "orders".into()).unwrap().interval_minutes
    };
    println!("interval known after {:?}", until("the interval is known", async || minutes().await == 45).await);
    two.post("/api/sync/auto-sync/stop", json!({})).await;
    until("timers stand still", async || !one.scheduler.send(Snapshot).await.unwrap().running).await;
    one.post("/api/sync/auto-sync/start", json!({})).await;
    until("timers run again", async || two.scheduler.send(Snapshot).await.unwrap().running).await;
    two.request(reqwest::Method::PUT, "/api/limits", Some(json!({ "concurrency": 9 }))).await;
    let limit = async || one.queue.send(lockstep::queue::Snapshot).await.unwrap().concurrency == 9;
    until("the limit is known", limit).await;
    for app in [&one, &two] {
        app.post("/api/sync/auto-sync/stop", json!({})).await;
    }
    one.post("/api/sync/stop", json!({})).await;
    stop(one, two).await;
}

#[actix::test]
async fn a_write_at_one_process_preempts_the_sync_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a"], &[]).await;
    let job = hanging(&one, "a").await;
    // what stopped sync goes on from is fetched again, and there is a report now
    for app in [&one, &two] {
        let records = invent(&app.app.store.types().clone(), "orders", 3);
        app.source.hang("orders", "a");
        serve(app, "orders", "a", &records);
    }
    let data = json!({ "orderId": "1" });
    let (status, write) =
        two.post("/api/operations", json!({ "type": "send-order", "agentId": "a", "data": data })).await;
    assert_eq!(status, 202, "{write}");
    let write = JobId(write["jobId"].as_i64().unwrap());
    let took =
        until("the write is done", async || two.app.store.job(write).await.unwrap().unwrap().state.as_str() == "done")
            .await;
    println!("a write preempted another process's sync and was done after {took:?}");
    assert_eq!(one.sink.effects() + two.sink.effects(), 1);
    let sync = one.ended(job).await;
    assert_eq!((sync.outcome.map(Outcome::as_str), sync.attempt), (Some("succeeded"), 1), "it lost no attempt");
    one.idle().await;
    stop(one, two).await;
}

#[actix::test]
async fn an_idempotency_key_holds_at_every_process() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = pair(folder.path(), &["a"], &[]).await;
    let order = |id: &str| {
        let data = json!({ "orderId": id, "customer": "C1", "lines": [1] });
        json!({ "type": "submit-order", "agentId": "a", "idempotencyKey": "k", "data": data })
    };
    let (status, first) = one.post("/api/operations", order("1")).await;
    assert_eq!(status, 202);
    one.idle().await;
    for app in [&two, &one, &two] {
        let (status, again) = app.post("/api/operations", order("1")).await;
        assert_eq!((status.as_u16(), &again["jobId"]), (200, &first["jobId"]), "{again}");
        assert_eq!(again["deduplicated"], true);
    }
    let (status, _) = two.post("/api/operations", order("2")).await;
    assert_eq!(status, 422, "the same key with another body");
    one.clock.advance(Duration::from_secs(31));
    let (status, _) = two.post("/api/operations", order("1")).await;
    assert_eq!(status, 202, "the window has closed");
    one.idle().await;
    assert_eq!(one.sink.effects() + two.sink.effects(), 2);
    stop(one, two).await;
}

#[actix::test]
async fn a_change_queued_at_one_process_goes_out_once_whichever_delivers_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start(|_, _| Answer::Late(Duration::from_millis(2))).await;
    let (url, settings) = (
        server.url(),
        [
            ("LOCKSTEP__SINK__WEBHOOK__HOOK__SECRET", "a secret of the tests"),
            ("LOCKSTEP__SINK__WEBHOOK__HOOK__ALLOW_PRIVATE", "true"),
            ("LOCKSTEP__SINK__MODELS__ORDERS__TO", "hook"),
            ("LOCKSTEP__SINK__BATCH", "5"),
        ],
    );
    let settings: Vec<(&str, &str)> =
        settings.into_iter().chain([("LOCKSTEP__SINK__WEBHOOK__HOOK__URL", url.as_str())]).collect();
    let (one, two) = pair(folder.path(), &["a"], &settings).await;
    for chunk in 0..4 {
        let item = |number: usize| json!({ "action": "UPDATE", "model": "orders", "recordId": format!("O-{}", number % 40), "payload": {} });
        let items: Vec<Json> = (chunk * 100..(chunk + 1) * 100).map(item).collect();
        assert_eq!(one.post("/api/queue/items", json!(items)).await.0, 201);
    }
    until("all are delivered", async || {
        let stats = two.get("/api/queue/stats").await.1;
        assert_eq!(stats["failed"], 0, "{stats}");
        stats["completed"] == 400
    })
    .await;
    let mut ids: Vec<_> = server.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 400);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 400, "each once");
    stop(one, two).await;
}

#[actix::test]
async fn a_command_that_finds_the_agent_busy_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // with the heartbeats of the defaults: the command would take a job without any for dead
    let one = TestApp::builder().folder(folder.path()).agents(&["a"]).start().await;
    hanging(&one, "a").await;
    let url = format!("[database]\nurl = \"{}\"\n", Backend::of_suite().database(folder.path()).await);
    std::fs::write(folder.path().join("lockstep.toml"), url).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.args(["sync", "customers", "--agent", "a", "--config", "lockstep.toml", "--file"]);
    let output = command.arg(path("grid/agent-1/customers.pdf")).current_dir(folder.path()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    one.post("/api/sync/stop", json!({})).await;
    one.idle().await;
    one.stop().await;
}

//! Do the actors keep their rules? Paused time, in-memory twins, runs held open by the test.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix::prelude::*;
use lockstep::{
    domain::{Admission, Claim, Clock as _, JobId, JobState, NewJob, Outcome, Reason},
    event::{Bus, Liveness},
    operation::Operations,
    queue::{Drain, Enqueue, JobBoard as _, Keep, Parts, QueueActor, QueueError, QueueSettings, StopJobs},
    scheduler::{
        Reschedule, ScheduleChange, ScheduleError, SchedulerActor, SchedulerSettings, SetAutoSync, Snapshot,
        UpdateInterval,
    },
    supervisor::Handle,
    sync::{self, SyncActor},
    testing::{MemoryBoard, PausedClock, ScriptedRunner, types},
};

pub struct Stage {
    board: MemoryBoard,
    runner: Arc<ScriptedRunner>,
    queue: Addr<QueueActor>,
    syncs: HashMap<String, Addr<SyncActor>>,
    clock: PausedClock,
    bus: Bus,
    liveness: Liveness,
}

/// Queue and sync actors over in-memory twins, on paused time.
fn stage(agents: &[&str], concurrency: usize) -> Stage {
    tokio::time::pause();
    let board = MemoryBoard::with_agents(agents);
    let clock = PausedClock::start();
    let runner = Arc::new(ScriptedRunner::new(board.clone(), clock));
    let bus = Bus::new(Vec::new());
    let types = Arc::new(types());
    let syncs: HashMap<_, _> =
        types.iter().map(|spec| (spec.name.to_string(), SyncActor::new(runner.clone()).start())).collect();
    let operations = Arc::new(Operations::built_in().unwrap());
    let liveness = Liveness::default();
    let worker = |sync: &Addr<SyncActor>| Handle::new(sync.clone());
    let settings = QueueSettings {
        concurrency,
        throttle: Duration::from_secs(30),
        heartbeat: Duration::from_secs(5),
        lease: Duration::from_secs(20),
        keep: Keep::all_for(Duration::from_secs(30 * 86_400)),
        owner: "this process".to_owned(),
    };
    let mut workers: HashMap<_, _> = syncs.iter().map(|(name, sync)| (name.as_str().into(), worker(sync))).collect();
    let operating = SyncActor::new(runner.clone()).start();
    workers.extend(operations.job_types().map(|name| (name, worker(&operating))));
    let parts = Parts {
        jobs: Arc::new(board.clone()),
        workers,
        types,
        operations,
        bus: bus.clone(),
        liveness: liveness.clone(),
        clock: Arc::new(clock),
        coordination: Arc::new(lockstep::coordination::Memory::default()),
    };
    let queue = QueueActor::new(parts, settings).start();
    Stage { board, runner, queue, syncs, clock, bus, liveness }
}

impl Stage {
    fn scheduler(&self) -> Addr<SchedulerActor> {
        SchedulerActor::new(
            Arc::new(self.board.clone()),
            Handle::new(self.queue.clone()),
            Arc::new(types()),
            self.bus.clone(),
            self.liveness.clone(),
            Arc::new(self.clock),
            SchedulerSettings { enabled: true, minute: Duration::from_secs(60), reload: Duration::from_secs(5) },
        )
        .start()
    }

    async fn ask(&self, sync_type: &str, agent: &str) -> Admission {
        self.queue.send(Enqueue::new(sync_type, agent, Reason::Manual)).await.unwrap().unwrap()
    }
}

/// Lets everything that can happen now happen; time passes only once nothing can.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(count * 60)).await;
    settle().await;
}

#[actix::test]
async fn a_claim_whose_answer_is_lost_is_given_back_at_the_next_heartbeat_and_costs_no_attempt() {
    let stage = stage(&[], 1);
    settle().await;
    // what the database did, and this process never heard of
    let job = NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Manual);
    let claim = Claim { owner: "this process".into(), any: 1, known: vec!["orders".into()], ..Claim::default() };
    let (_, claimed) = stage.board.enqueue(vec![job], Some(claim), stage.clock.now()).await.unwrap();
    let unheard = claimed.unwrap().jobs.remove(0);
    assert_eq!(unheard.attempt, 1);

    tokio::time::sleep(Duration::from_secs(6)).await;
    settle().await;
    let started = stage.runner.started();
    assert_eq!(started.len(), 1, "long before its lease runs out");
    assert_eq!((started[0].id, started[0].attempt), (unheard.id, 1));
    assert!(started[0].lease > unheard.lease);

    // what runs here is never given back, however often the heart beats
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.runner.started().len(), 1);
    stage.runner.end(unheard.id, Outcome::Succeeded);
    settle().await;
    assert_eq!(stage.board.job(unheard.id).0, JobState::Done);
}

#[actix::test]
async fn a_duplicate_is_refused_and_names_the_winner() {
    let stage = stage(&[], 1);
    let first = stage.ask("orders", "a").await;
    assert_eq!(first, Admission::Accepted { job: JobId(1) });
    stage.runner.wait_for(1).await;
    assert_eq!(stage.ask("orders", "a").await, Admission::AlreadyQueued { job: JobId(1) }, "while it runs");
    let waiting = stage.ask("orders", "b").await;
    assert_eq!(
        stage.ask("orders", "b").await,
        Admission::AlreadyQueued { job: waiting.job().unwrap() },
        "while it waits"
    );
    stage.runner.end(JobId(1), Outcome::Succeeded);
    stage.runner.wait_for(2).await;
    assert!(matches!(stage.ask("orders", "a").await, Admission::Accepted { .. }), "once it is over");
}

#[actix::test]
async fn shared_types_run_once_whoever_asks() {
    let stage = stage(&[], 1);
    let first = stage.ask("products", "a").await;
    assert_eq!(stage.ask("products", "b").await, Admission::AlreadyQueued { job: first.job().unwrap() });
    assert_eq!(stage.board.accepted(), ["products:service-account"]);
}

#[actix::test]
async fn a_throttled_key_names_the_first_job_also_after_it_is_over() {
    let stage = stage(&[], 3);
    let keyed = || Enqueue { idempotency_key: Some("k".into()), ..Enqueue::new("orders", "a", Reason::Manual) };
    let first = stage.queue.send(keyed()).await.unwrap().unwrap();
    stage.runner.wait_for(1).await;
    stage.runner.end(first.job().unwrap(), Outcome::Succeeded);
    tokio::time::sleep(Duration::from_secs(29)).await;
    let refused = stage.queue.send(keyed()).await.unwrap().unwrap();
    let about_a_second = Duration::from_millis(900)..=Duration::from_secs(1);
    assert!(
        matches!(refused, Admission::Throttled { job: JobId(1), retry_in } if about_a_second.contains(&retry_in)),
        "{refused:?}"
    );
    let other_agent = Enqueue { agent: "b".into(), ..keyed() };
    assert!(
        matches!(stage.queue.send(other_agent).await.unwrap().unwrap(), Admission::Accepted { .. }),
        "keys are scoped"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = stage.queue.send(keyed()).await.unwrap().unwrap();
    assert!(matches!(later, Admission::Accepted { .. }), "a refused request does not move the window: {later:?}");
}

/// Ends whatever runs, one after the other, and answers the order in which all were started.
async fn run_all(stage: &Stage, limit: usize) -> Vec<String> {
    settle().await;
    while let Some(job) = stage.runner.running().first().copied() {
        let agents: Vec<_> = stage
            .runner
            .started()
            .into_iter()
            .filter(|job| stage.runner.running().contains(&job.id))
            .map(|job| job.agent)
            .collect();
        assert!(agents.len() <= limit, "{agents:?}");
        assert!(agents.iter().all(|agent| agents.iter().filter(|other| *other == agent).count() == 1), "{agents:?}");
        stage.runner.end(job, Outcome::Succeeded);
        settle().await;
    }
    stage.runner.started().iter().map(|job| format!("{}:{}", job.job_type, job.agent)).collect()
}

#[actix::test]
async fn the_best_runs_first() {
    let stage = stage(&[], 1);
    for (sync_type, agent) in [("ddt", "a"), ("prices", ""), ("customers", "a"), ("ddt", "b"), ("orders", "a")] {
        stage.ask(sync_type, agent).await;
    }
    let order = run_all(&stage, 1).await;
    assert_eq!(order, ["ddt:a", "orders:a", "customers:a", "ddt:b", "prices:service-account"]);
}

#[actix::test]
async fn one_runs_for_an_agent_and_never_more_than_the_limit() {
    let stage = stage(&[], 2);
    for agent in ["a", "b", "c"] {
        for sync_type in ["orders", "customers", "ddt", "invoices"] {
            stage.ask(sync_type, agent).await;
        }
    }
    settle().await;
    assert_eq!(stage.runner.running().len(), 2, "a busy agent does not keep others waiting");
    assert_eq!(run_all(&stage, 2).await.len(), 12);
}

#[actix::test]
async fn waiting_raises_priority_so_that_nothing_starves() {
    let stage = stage(&[], 1);
    stage.ask("orders", "running").await;
    stage.runner.wait_for(1).await;
    stage.ask("prices", "x").await;
    // prices have priority 1, orders 4: three minutes of waiting outweigh that
    minutes(4).await;
    stage.ask("orders", "late").await;
    stage.runner.end(JobId(1), Outcome::Succeeded);
    stage.runner.wait_for(2).await;
    assert_eq!(stage.runner.started()[1].job_type.as_str(), "prices");
}

#[actix::test]
async fn stop_reaches_running_and_waiting_jobs_of_the_type_alone() {
    let stage = stage(&[], 2);
    let running = stage.ask("orders", "a").await.job().unwrap();
    let other = stage.ask("customers", "b").await.job().unwrap();
    stage.runner.wait_for(2).await;
    let waiting = stage.ask("orders", "c").await.job().unwrap();
    let report =
        stage.queue.send(StopJobs { job_type: Some("orders".into()), ..StopJobs::default() }).await.unwrap().unwrap();
    assert_eq!((report.stopping, report.removed), (vec![running], vec![waiting]));
    settle().await;
    assert_eq!(stage.board.job(running), (JobState::Done, Some(Outcome::Stopped)));
    assert_eq!(stage.board.job(waiting), (JobState::Done, Some(Outcome::Removed)));
    assert_eq!(stage.runner.running(), [other]);
    let status = stage.syncs["customers"].send(sync::Snapshot).await.unwrap();
    assert!(status.len() == 1 && !status[0].stopping);
    assert!(stage.syncs["orders"].send(sync::Snapshot).await.unwrap().is_empty());
}

#[actix::test]
async fn a_job_whose_process_died_is_taken_over_within_thirty_seconds() {
    let stage = stage(&[], 1);
    let job = stage.board.put_foreign("orders", "a", lockstep::domain::Clock::now(&stage.clock));
    assert_eq!(stage.ask("orders", "a").await, Admission::AlreadyQueued { job }, "it keeps its key");
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert!(stage.runner.running().is_empty(), "its lease is still good");
    tokio::time::sleep(Duration::from_secs(11)).await;
    settle().await;
    assert_eq!(stage.runner.running(), [job]);
    assert_eq!(stage.runner.started()[0].lease, 3, "the lease rose, so a late write is refused");
}

#[actix::test]
async fn a_drain_gives_jobs_back_with_their_attempt() {
    let stage = stage(&[], 1);
    let job = stage.ask("orders", "a").await.job().unwrap();
    stage.runner.wait_for(1).await;
    stage.queue.send(Drain).await.unwrap();
    assert_eq!(stage.board.job(job).0, JobState::Waiting);
    assert!(stage.runner.running().is_empty());
    let refused = stage.queue.send(Enqueue::new("ddt", "a", Reason::Manual)).await.unwrap();
    assert_eq!(refused, Err(QueueError::ShuttingDown));
}

#[actix::test]
async fn what_is_unknown_or_broken_is_refused_with_a_reason() {
    let stage = stage(&[], 1);
    let unknown = stage.queue.send(Enqueue::new("nothing", "a", Reason::Manual)).await.unwrap();
    assert_eq!(unknown, Err(QueueError::UnknownType("nothing".into())));
    stage.board.set_broken(true);
    let broken = stage.queue.send(Enqueue::new("orders", "a", Reason::Manual)).await.unwrap();
    assert!(matches!(broken, Err(QueueError::Storage(_))));
    stage.board.set_broken(false);
    assert!(matches!(stage.ask("orders", "a").await, Admission::Accepted { .. }), "the actor lives on");
}

#[actix::test]
async fn timers_start_at_boot_with_saved_intervals_and_missed_ticks_collapse() {
    let stage = stage(&["a", "b"], 1);
    let at = PausedClock::at_minute;
    stage.board.put_setting("orders", 10, Some(at(-100)), at(-35));
    stage.board.put_setting("products", 30, None, at(33));
    let scheduler = stage.scheduler();
    settle().await;
    // overdue by several slots: one tick at once, and the phase stays
    assert_eq!(stage.board.accepted(), ["orders:a", "orders:b"]);
    assert_eq!(stage.board.setting("orders").next_run, Some(at(5)));
    minutes(34).await;
    assert_eq!(stage.board.accepted().iter().filter(|job| *job == "products:service-account").count(), 1);
    assert_eq!(scheduler.send(Snapshot).await.unwrap().types.len(), 2);
    assert_eq!(
        stage.board.accepted().len(),
        3,
        "the agents' first jobs are still under way, so later ticks are duplicates"
    );
}

#[actix::test]
async fn a_changed_interval_restarts_its_own_timer_alone() {
    let stage = stage(&["a"], 3);
    let at = PausedClock::at_minute;
    stage.board.put_setting("orders", 10, Some(at(-1)), at(9));
    stage.board.put_setting("customers", 15, Some(at(-3)), at(12));
    let scheduler = stage.scheduler();
    settle().await;
    let timer = scheduler.send(UpdateInterval { sync_type: "orders".into(), minutes: 5 }).await.unwrap().unwrap();
    assert_eq!(timer.next_run, Some(at(4)), "one new interval after the last tick");
    assert_eq!(stage.board.setting("orders").interval_minutes, 5, "it is stored");
    assert_eq!(stage.board.setting("customers").next_run, Some(at(12)), "the others are untouched");
    minutes(5).await;
    assert_eq!(stage.board.accepted(), ["orders:a"]);
    assert_eq!(stage.board.setting("orders").next_run, Some(at(9)), "the old timer is gone: one tick, not two");
    stage.runner.end(JobId(1), Outcome::Succeeded);
    minutes(8).await;
    assert_eq!(stage.board.accepted(), ["orders:a", "orders:a", "customers:a"]);
}

#[actix::test]
async fn intervals_out_of_range_change_nothing() {
    let stage = stage(&[], 1);
    stage.board.put_setting("orders", 10, None, PausedClock::at_minute(9));
    let scheduler = stage.scheduler();
    settle().await;
    for minutes in [0, 4, 1441] {
        let refused = scheduler.send(UpdateInterval { sync_type: "orders".into(), minutes }).await.unwrap();
        assert_eq!(refused, Err(ScheduleError::OutOfRange { sync_type: "orders".into(), minutes }));
    }
    let change = |sync_type: &str, minutes| ScheduleChange {
        sync_type: sync_type.into(),
        minutes: Some(minutes),
        enabled: None,
    };
    let refused =
        scheduler.send(Reschedule { changes: vec![change("orders", 20), change("nothing", 20)] }).await.unwrap();
    assert_eq!(refused, Err(ScheduleError::UnknownType("nothing".into())));
    assert_eq!(stage.board.setting("orders").interval_minutes, 10, "all or nothing");
}

#[actix::test]
async fn the_switch_stops_all_timers_and_a_type_can_be_off_by_itself() {
    let stage = stage(&["a"], 3);
    let at = PausedClock::at_minute;
    stage.board.put_setting("orders", 10, Some(at(-5)), at(5));
    stage.board.put_setting("ddt", 20, Some(at(-13)), at(7));
    let scheduler = stage.scheduler();
    settle().await;
    scheduler.send(SetAutoSync { on: false }).await.unwrap().unwrap();
    minutes(30).await;
    assert!(stage.board.accepted().is_empty());
    let off = ScheduleChange { sync_type: "ddt".into(), minutes: None, enabled: Some(false) };
    scheduler.send(Reschedule { changes: vec![off] }).await.unwrap().unwrap();
    scheduler.send(SetAutoSync { on: true }).await.unwrap().unwrap();
    settle().await;
    assert_eq!(stage.board.accepted(), ["orders:a"], "overdue once, and the type that is off stays off");
}

#[actix::test]
async fn a_tick_that_fails_is_tried_again_for_the_same_slot() {
    let stage = stage(&["a"], 3);
    let at = PausedClock::at_minute;
    stage.board.put_setting("orders", 10, None, at(1));
    let _scheduler = stage.scheduler();
    settle().await;
    stage.board.set_broken(true);
    minutes(2).await;
    stage.board.set_broken(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(stage.board.accepted(), ["orders:a"]);
    assert_eq!(stage.board.setting("orders").last_tick, Some(at(1)));
}

#[actix::test]
async fn ticks_close_together_share_one_look_at_the_agents() {
    let stage = stage(&["a", "b"], 1);
    let at = PausedClock::at_minute;
    for name in ["orders", "customers", "ddt", "invoices"] {
        stage.board.put_setting(name, 10, None, at(1));
    }
    let _scheduler = stage.scheduler();
    minutes(2).await;
    assert_eq!(stage.board.accepted().len(), 8);
    assert!(stage.board.agent_queries() <= 4, "{}", stage.board.agent_queries());
}

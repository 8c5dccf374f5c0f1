//! Does anything starve, burst or pile up over a day? Real timers and a real queue on paused time, over the
//! board in memory; runs take simulated seconds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix::prelude::*;
use async_trait::async_trait;
use lockstep::{
    domain::{Admission, AgentId, ClaimedJob, Clock, JobType, NextStep, Outcome, SyncType},
    event::{Bus, Event, Liveness},
    operation::Operations,
    queue::{Keep, Parts, QueueActor, QueueSettings},
    scheduler::{SchedulerActor, SchedulerSettings},
    supervisor::Handle,
    sync::{RunEnd, RunJob, StopHandle, SyncActor, Watch},
    sync_type::Scope,
    testing::{End, MemoryBoard, PausedClock, TestBoard, types},
};

/// What happened, by type.
#[derive(Debug, Default)]
struct Seen {
    running: usize,
    most_running: usize,
    longest_queue: usize,
    /// Minutes in which the queue was never empty, and the most of them in a row.
    busy: (u32, u32),
    refused: usize,
    accepted: usize,
    /// Milliseconds from the acceptance to the start.
    waits: HashMap<JobType, Vec<u32>>,
    starts: HashMap<(JobType, AgentId), u32>,
}

struct Simulated {
    board: MemoryBoard,
    clock: PausedClock,
    seen: Arc<Mutex<Seen>>,
}

#[async_trait]
impl RunJob for Simulated {
    async fn run(&self, job: ClaimedJob, _: StopHandle, _: Watch) -> RunEnd {
        let now = self.clock.now();
        {
            let mut seen = self.seen.lock().unwrap();
            seen.running += 1;
            seen.most_running = seen.most_running.max(seen.running);
            let waited = u32::try_from((now - job.enqueued_at).num_milliseconds()).unwrap();
            seen.waits.entry(job.job_type.clone()).or_default().push(waited);
            *seen.starts.entry((job.job_type.clone(), job.agent.clone())).or_default() += 1;
        }
        // one to three seconds, by the job's number: no two days differ
        tokio::time::sleep(Duration::from_millis(1_000 + job.id.0.unsigned_abs() * 7_919 % 2_001)).await;
        self.seen.lock().unwrap().running -= 1;
        let end = End { outcome: Outcome::Unchanged, next: NextStep::Done, source: None };
        self.board.end(&job, end, self.clock.now()).await.unwrap();
        RunEnd::new(&job, Outcome::Unchanged, NextStep::Done)
    }
}

/// A day of `agents` on the default intervals, `concurrency` runs at once.
async fn a_day(agents: usize, concurrency: usize) {
    let real = Instant::now();
    tokio::time::pause();
    let names: Vec<String> = (0..agents).map(|number| format!("agent-{number:05}")).collect();
    let board = MemoryBoard::with_agents(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (clock, seen) = (PausedClock::start(), Arc::new(Mutex::new(Seen::default())));
    let types = Arc::new(types());
    for spec in types.iter() {
        let first = PausedClock::at_minute(spec.offset_minutes.into());
        board.put_setting(spec.name.as_str(), spec.interval_minutes, None, first);
    }
    let told = seen.clone();
    let bus = Bus::new(vec![Arc::new(move |event: &Event| {
        if let Event::Enqueued { admission, .. } = event {
            let mut seen = told.lock().unwrap();
            match admission {
                Admission::Accepted { .. } => seen.accepted += 1,
                _ => seen.refused += 1,
            }
        }
    })]);
    let runner: Arc<dyn RunJob> = Arc::new(Simulated { board: board.clone(), clock, seen: seen.clone() });
    let worker = |actor: &Addr<SyncActor>| Handle::new(actor.clone());
    let workers =
        types.iter().map(|spec| (spec.name.job_type(), worker(&SyncActor::new(runner.clone()).start()))).collect();
    let (liveness, jobs) = (Liveness::default(), Arc::new(board.clone()));
    let parts = Parts {
        jobs,
        workers,
        types: types.clone(),
        operations: Arc::new(Operations::default()),
        bus: bus.clone(),
        liveness: liveness.clone(),
        clock: Arc::new(clock),
        coordination: Arc::new(lockstep::coordination::Memory::default()),
    };
    let settings = QueueSettings {
        concurrency,
        throttle: Duration::from_secs(30),
        heartbeat: Duration::from_secs(5),
        lease: Duration::from_secs(20),
        keep: Keep::all_for(Duration::from_secs(60)),
        owner: "simulation".to_owned(),
    };
    let queue = QueueActor::new(parts, settings).start();
    let schedule = SchedulerSettings { enabled: true, minute: Duration::from_secs(60), reload: Duration::from_secs(5) };
    let (settings_board, ticks) = (Arc::new(board.clone()), Handle::new(queue.clone()));
    SchedulerActor::new(settings_board, ticks, types.clone(), bus, liveness.clone(), Arc::new(clock), schedule).start();

    for _ in 0..24 * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let live = board.live();
        let mut seen = seen.lock().unwrap();
        seen.longest_queue = seen.longest_queue.max(live);
        seen.busy.0 = if live <= concurrency { 0 } else { seen.busy.0 + 1 };
        seen.busy.1 = seen.busy.1.max(seen.busy.0);
        assert!(liveness.all().iter().all(|pulse| !pulse.is_late), "{:?}", liveness.all());
    }
    let seen = seen.lock().unwrap();
    println!(
        "{agents} agents, {concurrency} at once, one simulated day in {:.0} s: {} accepted, {} refused as duplicates, \
         most running {}, longest queue {}, longest stretch with something waiting {} min",
        real.elapsed().as_secs_f64(),
        seen.accepted,
        seen.refused,
        seen.most_running,
        seen.longest_queue,
        seen.busy.1,
    );
    assert!(seen.most_running <= concurrency, "no burst over the limit");
    // what a tick puts there is worked off before it could pile up: at least once an hour nothing waits
    assert!(seen.busy.1 <= 60, "something waited for {} minutes on end", seen.busy.1);
    for spec in types.iter() {
        let mut waits = seen.waits[&spec.name.job_type()].clone();
        waits.sort_unstable();
        let at = |share: f64| f64::from(waits[((waits.len() - 1) as f64 * share) as usize]) / 1_000.0;
        let runs = runs_of(&seen, &spec.name, spec.scope, &names);
        let due = (24 * 60 - spec.offset_minutes).div_ceil(spec.interval_minutes);
        println!(
            "  {:<10} waited: median {:>6.1} s, 99 % {:>6.1} s, longest {:>6.1} s; runs an agent: {}..{} of {due}",
            spec.name.as_str(),
            at(0.5),
            at(0.99),
            at(1.0),
            runs.0,
            runs.1
        );
        // nothing starves: whoever waits is overtaken for at most (4 - 1) minutes of aging, and every queue that
        // stands before it is served within an interval
        assert!(at(1.0) < f64::from(spec.interval_minutes) * 60.0 + 180.0, "{}", spec.name);
        assert!(runs.0 + 2 >= due, "{}: an agent ran {} times only, of {due}", spec.name, runs.0);
    }
}

/// The fewest and the most runs of an agent.
fn runs_of(seen: &Seen, name: &SyncType, scope: Scope, agents: &[String]) -> (u32, u32) {
    let agents: Vec<AgentId> = match scope {
        Scope::Agent => agents.iter().map(|agent| agent.as_str().into()).collect(),
        Scope::Shared => vec![AgentId::service_account()],
    };
    let runs = agents.iter().map(|agent| seen.starts.get(&(name.job_type(), agent.clone())).copied().unwrap_or(0));
    runs.fold((u32::MAX, 0), |(fewest, most), runs| (fewest.min(runs), most.max(runs)))
}

#[actix::test]
async fn nothing_starves_in_a_day_of_100_agents() {
    a_day(100, 1).await;
}

#[actix::test]
#[ignore = "takes minutes; run by `tests/run --long`"]
async fn nothing_starves_in_a_day_of_10_000_agents() {
    a_day(10_000, 100).await;
}

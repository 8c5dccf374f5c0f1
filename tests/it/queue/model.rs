//! Does the real board do what the reference model does, whatever happens in whatever order? Random commands
//! against both; every answer and the whole queue are compared after each step.

use std::{collections::BTreeMap, time::Duration};

use lockstep::{
    domain::{
        BreakerPolicy, Claim, ClaimedJob, Class, JobSelector, Mode, NewJob, NextStep, Outcome, Pause, Reason,
        SourceReport, Window,
    },
    testing::{End, TestBoard, last_seen},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::rig::{Rig, all_before, room, sync};

/// One thing that can happen.
#[derive(Debug, Clone)]
enum Command {
    Enqueue(Vec<Ask>),
    EnqueueAndClaim(Ask, usize),
    Claim {
        owner: usize,
        any: usize,
        urgent: usize,
        limited: bool,
    },
    End {
        pick: usize,
        how: How,
    },
    /// A process that had lost its lease says that it is done.
    EndLate {
        pick: usize,
    },
    Stop {
        pick: usize,
        only_waiting: bool,
    },
    StopType {
        name: usize,
    },
    StopAll {
        class: usize,
    },
    Rescue {
        pick: usize,
    },
    Retry {
        pick: usize,
        even_if_done: bool,
    },
    RemoveKey {
        pick: usize,
    },
    Pause {
        emergency: bool,
        seconds: Option<u8>,
    },
    Resume,
    Clean {
        seconds: u8,
    },
    HeartbeatReport {
        owner: usize,
    },
    Pass {
        seconds: u8,
    },
    Restart,
}

#[derive(Debug, Clone)]
struct Ask {
    name: usize,
    agent: usize,
    mode: usize,
    key: Option<u8>,
    body: u8,
    delay: u8,
    force: bool,
    reason: usize,
    release: bool,
    /// Behind the n-th active job, as its flow's child.
    child: bool,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Succeeded,
    Failed,
    Retry,
    SourceFailed,
    SourceFailedForGood,
    SourceAnswered,
    GivenBack,
}

const NAMES: [&str; 4] = ["orders", "customers", "submit-order", "download-ddt-pdf"];
const OWNERS: [&str; 2] = ["one", "two"];

fn asks() -> impl Strategy<Value = Ask> {
    let shape = (0..NAMES.len(), 0..3_usize, 0..4_usize, proptest::option::of(0..3_u8), 0..2_u8);
    let rest = (prop_oneof![4 => Just(0), 1 => 1..20_u8], any::<bool>(), 0..3_usize, any::<bool>(), any::<bool>());
    (shape, rest).prop_map(|((name, agent, mode, key, body), (delay, force, reason, release, child))| Ask {
        name,
        agent,
        mode,
        key,
        body,
        delay,
        force,
        reason,
        release,
        child,
    })
}

fn commands() -> impl Strategy<Value = Command> {
    let pick = 0..1_000_usize;
    let how = prop_oneof![
        4 => Just(How::Succeeded),
        2 => Just(How::Failed),
        2 => Just(How::Retry),
        2 => Just(How::SourceFailed),
        1 => Just(How::SourceFailedForGood),
        1 => Just(How::SourceAnswered),
        2 => Just(How::GivenBack),
    ];
    prop_oneof![
        6 => vec(asks(), 1..4).prop_map(Command::Enqueue),
        3 => (asks(), 0..3_usize).prop_map(|(ask, any)| Command::EnqueueAndClaim(ask, any)),
        6 => (0..2_usize, 0..3_usize, 0..2_usize, any::<bool>())
            .prop_map(|(owner, any, urgent, limited)| Command::Claim { owner, any, urgent, limited }),
        8 => (pick.clone(), how).prop_map(|(pick, how)| Command::End { pick, how }),
        1 => pick.clone().prop_map(|pick| Command::EndLate { pick }),
        2 => (pick.clone(), any::<bool>()).prop_map(|(pick, only_waiting)| Command::Stop { pick, only_waiting }),
        1 => (0..NAMES.len()).prop_map(|name| Command::StopType { name }),
        1 => (0..6_usize).prop_map(|class| Command::StopAll { class }),
        2 => pick.clone().prop_map(|pick| Command::Rescue { pick }),
        2 => (pick.clone(), any::<bool>()).prop_map(|(pick, even_if_done)| Command::Retry { pick, even_if_done }),
        1 => pick.prop_map(|pick| Command::RemoveKey { pick }),
        1 => (any::<bool>(), proptest::option::of(1..30_u8))
            .prop_map(|(emergency, seconds)| Command::Pause { emergency, seconds }),
        2 => Just(Command::Resume),
        1 => (0..120_u8).prop_map(|seconds| Command::Clean { seconds }),
        1 => (0..2_usize).prop_map(|owner| Command::HeartbeatReport { owner }),
        5 => (1..40_u8).prop_map(|seconds| Command::Pass { seconds }),
        1 => Just(Command::Restart),
    ]
}

/// Both boards, and the jobs that run or have run.
struct Pair {
    model: Rig,
    real: Rig,
    running: Vec<ClaimedJob>,
    over: Vec<ClaimedJob>,
}

impl Pair {
    async fn new() -> Self {
        Self { model: Rig::memory(), real: Rig::database().await, running: Vec::new(), over: Vec::new() }
    }

    fn job(&self, ask: &Ask) -> NewJob {
        let (name, agent) = (NAMES[ask.name], format!("agent-{}", ask.agent));
        let mut job = match ask.name {
            0 | 1 => sync(name, &agent),
            2 => NewJob::new(name.into(), Class::Write, agent.as_str().into(), 5, Reason::Operation),
            _ => NewJob::new(name.into(), Class::Download, agent.as_str().into(), 5, Reason::Operation),
        };
        let (wait, max_wait) = (Duration::from_secs(5), Duration::from_secs(12));
        job.mode = [Mode::Refuse, Mode::Refuse, Mode::KeepLast, Mode::Debounce { wait, max_wait }][ask.mode];
        job.delay = Duration::from_secs(ask.delay.into());
        job.force = ask.force;
        job.payload = Some(ask.body.into());
        if job.class == Class::Sync {
            job.reason = [Reason::Timer, Reason::Manual, Reason::Upload][ask.reason];
            job.payload = None;
        }
        if let Some(key) = ask.key {
            let key = format!("{name}:{agent}:{key}");
            job.dedup_key.get_or_insert_with(|| key.clone());
            job.window = Some(Window { key, length: Duration::from_secs(30), release_on_failure: ask.release });
        }
        if let Some(parent) = self.running.first().filter(|_| ask.child && job.class == Class::Sync) {
            (job.parent, job.reason) = (Some(parent.id), Reason::Flow);
        }
        job
    }

    fn take(&mut self, of_model: &[ClaimedJob], of_real: Vec<ClaimedJob>) {
        let seen = |jobs: &[ClaimedJob]| jobs.iter().map(|job| (job.id, job.lease, job.attempt)).collect::<Vec<_>>();
        assert_eq!(seen(of_model), seen(&of_real), "claimed");
        self.running.extend(of_real);
    }

    #[allow(clippy::too_many_lines, reason = "one arm a command, read from top to bottom")]
    async fn step(&mut self, command: &Command) {
        let now = self.real.now;
        let (model, real) = (self.model.board.clone(), self.real.board.clone());
        let meant = |job| JobSelector { job, ..JobSelector::default() };
        match command {
            Command::Enqueue(asks) => {
                let jobs: Vec<_> = asks.iter().map(|ask| self.job(ask)).collect();
                let answers = real.enqueue(jobs.clone(), None, now).await.unwrap().0;
                assert_eq!(model.enqueue(jobs, None, now).await.unwrap().0, answers);
            }
            Command::EnqueueAndClaim(ask, any) => {
                let (job, claim) = (self.job(ask), claim(0, *any, 1, false));
                let (answers, claimed) = real.enqueue(vec![job.clone()], Some(claim.clone()), now).await.unwrap();
                let (expected, of_model) = model.enqueue(vec![job], Some(claim), now).await.unwrap();
                assert_eq!(expected, answers);
                self.take(&of_model.unwrap().jobs, claimed.unwrap().jobs);
            }
            Command::Claim { owner, any, urgent, limited } => {
                let claim = claim(*owner, *any, *urgent, *limited);
                let of_model = model.claim(claim.clone(), now).await.unwrap();
                let claimed = real.claim(claim, now).await.unwrap();
                assert_eq!(of_model.next_due, claimed.next_due);
                self.take(&of_model.jobs, claimed.jobs);
            }
            Command::End { pick, how } if !self.running.is_empty() => {
                let job = self.running.remove(pick % self.running.len());
                let end = end(&job, *how);
                assert_eq!(
                    model.end(&job, end.clone(), now).await.is_ok(),
                    real.end(&job, end, now).await.is_ok(),
                    "is its lease still its own?"
                );
                self.over.push(job);
            }
            Command::EndLate { pick } if !self.over.is_empty() => {
                let job = &self.over[pick % self.over.len()];
                let end = end(job, How::Succeeded);
                assert!(real.end(job, end.clone(), now).await.is_err(), "a late word is refused");
                assert!(model.end(job, end, now).await.is_err());
            }
            Command::Stop { pick, only_waiting } => {
                let jobs = self.real.jobs().await;
                let Some(job) = jobs.get(pick % jobs.len().max(1)).map(|job| job.id) else { return };
                let meant = JobSelector { only_waiting: *only_waiting, ..meant(Some(job)) };
                self.stop(&model, &real, meant).await;
            }
            Command::StopType { name } => {
                let meant = JobSelector { job_type: Some(NAMES[*name].into()), ..JobSelector::default() };
                self.stop(&model, &real, meant).await;
            }
            Command::StopAll { class } => {
                let meant = JobSelector { class: Class::ALL.get(*class).copied(), ..JobSelector::default() };
                self.stop(&model, &real, meant).await;
            }
            Command::Rescue { pick } if !self.running.is_empty() => {
                let job = self.running.remove(pick % self.running.len());
                let seen = real.heartbeat("watcher".into(), Vec::new(), now).await.unwrap().active;
                let heartbeat = seen.iter().find(|beat| beat.lease.id == job.id).map_or(0, |beat| beat.heartbeat);
                let stale = heartbeat - 1;
                assert_eq!(real.rescue(last_seen(&job, stale), now).await.unwrap(), None, "it lives");
                assert_eq!(model.rescue(last_seen(&job, stale), now).await.unwrap(), None);
                let rescued = real.rescue(last_seen(&job, heartbeat), now).await.unwrap();
                assert_eq!(model.rescue(last_seen(&job, heartbeat), now).await.unwrap(), rescued);
                self.over.push(job);
            }
            Command::Retry { pick, even_if_done } => {
                let jobs = self.real.jobs().await;
                let Some(job) = jobs.get(pick % jobs.len().max(1)).map(|job| job.id) else { return };
                let retried = real.retry(job, *even_if_done, now).await.unwrap();
                assert_eq!(model.retry(job, *even_if_done, now).await.unwrap(), retried);
            }
            Command::RemoveKey { pick } => {
                let keyed: Vec<_> = self.real.jobs().await.into_iter().filter(|job| job.dedup_key.is_some()).collect();
                let Some(job) = keyed.get(pick % keyed.len().max(1)) else { return };
                let key = job.dedup_key.clone().unwrap();
                let removed = real.remove_key(key.clone(), job.id, now).await.unwrap();
                assert_eq!(model.remove_key(key.clone(), job.id, now).await.unwrap(), removed);
                let state = real.key(key.clone(), now).await.unwrap();
                assert_eq!(model.key(key, now).await.unwrap(), state);
            }
            Command::Pause { emergency, seconds } => {
                let until = seconds.map(|seconds| now + chrono::Duration::seconds(seconds.into()));
                let (reason, by) = ("test".to_owned(), "test".to_owned());
                let pause = Pause { reason, by, since: now, until, drain: false, emergency: *emergency };
                real.set_pause(Some(pause.clone())).await.unwrap();
                model.set_pause(Some(pause)).await.unwrap();
            }
            Command::Resume => {
                real.set_pause(None).await.unwrap();
                model.set_pause(None).await.unwrap();
            }
            Command::Clean { seconds } => {
                let before = now - chrono::Duration::seconds((*seconds).into());
                let cleaned = real.clean(all_before(before), now).await.unwrap();
                assert_eq!(model.clean(all_before(before), now).await.unwrap(), cleaned);
            }
            Command::HeartbeatReport { owner } => {
                let owner = OWNERS[*owner].to_owned();
                let ids: Vec<_> = self.running.iter().map(ClaimedJob::held).collect();
                let heard = real.heartbeat(owner.clone(), ids.clone(), now).await.unwrap();
                assert_eq!(model.heartbeat(owner, ids, now).await.unwrap(), heard);
            }
            Command::Pass { seconds } => {
                self.real.pass((*seconds).into());
                self.model.now = self.real.now;
            }
            Command::Restart => self.real.restart().await,
            Command::End { .. } | Command::EndLate { .. } | Command::Rescue { .. } => {}
        }
    }

    async fn stop(
        &self,
        model: &std::sync::Arc<dyn TestBoard>,
        real: &std::sync::Arc<dyn TestBoard>,
        meant: JobSelector,
    ) {
        let (mut expected, mut stopped) = (
            model.request_stop(meant.clone(), self.real.now).await.unwrap(),
            real.request_stop(meant, self.real.now).await.unwrap(),
        );
        for (a, b) in [&mut expected, &mut stopped] {
            a.sort_unstable();
            b.sort_unstable();
        }
        assert_eq!(expected, stopped);
    }
}

fn claim(owner: usize, any: usize, urgent: usize, limited: bool) -> Claim {
    let limits = if limited { BTreeMap::from([("orders".into(), 1)]) } else { BTreeMap::new() };
    Claim { owner: OWNERS[owner].to_owned(), limits, ..room(any, urgent) }
}

fn end(job: &ClaimedJob, how: How) -> End {
    let source = |failed: Option<&str>| {
        let policy = BreakerPolicy { failures: 2, ..BreakerPolicy::default() };
        Some(SourceReport { source: "folder".into(), failed: failed.map(str::to_owned), policy })
    };
    let retry = if job.attempt < job.max_attempts { NextStep::RetryIn(Duration::from_secs(5)) } else { NextStep::Done };
    let again = Outcome::Failed { retryable: true };
    match how {
        How::Succeeded => End { outcome: Outcome::Succeeded, next: NextStep::Done, source: None },
        How::Failed => End { outcome: Outcome::Failed { retryable: false }, next: NextStep::Done, source: None },
        How::Retry => End { outcome: again, next: retry, source: None },
        How::SourceFailed => End { outcome: again, next: retry, source: source(Some("away")) },
        How::SourceFailedForGood => End { outcome: again, next: NextStep::Done, source: source(Some("away")) },
        How::SourceAnswered => End { outcome: Outcome::Unchanged, next: NextStep::Done, source: source(None) },
        How::GivenBack => End { outcome: Outcome::Stopped, next: NextStep::GiveBack, source: None },
    }
}

/// Runs `cases` random stories of up to `longest` steps, and answers how many steps that were.
fn compare(cases: u32, longest: usize, seed: u64) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let steps = std::cell::Cell::new(0);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&vec(commands(), longest / 2..=longest), |story| {
        runtime.block_on(async {
            let mut pair = Pair::new().await;
            for (number, command) in story.iter().enumerate() {
                pair.step(command).await;
                steps.set(steps.get() + 1);
                let (model, real) = (pair.model.text().await, pair.real.text().await);
                prop_assert_eq!(model, real, "after step {}: {:?}", number, command);
            }
            Ok(())
        })
    });
    if let Err(failure) = outcome {
        panic!("seed {seed}: {failure}");
    }
    steps.get()
}

#[test]
fn the_real_queue_does_what_the_model_does() {
    let steps = compare(60, 120, 1);
    println!("{steps} steps");
    assert!(steps >= 5_000, "{steps} steps");
}

/// `MODEL_SEED=n` for other stories.
#[test]
#[ignore = "takes minutes; run by `tests/run --long`"]
fn the_real_queue_does_what_the_model_does_for_100_000_steps() {
    let seed = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2);
    let steps = compare(1_000, 200, seed);
    println!("{steps} steps, seed {seed}");
    assert!(steps >= 100_000, "{steps} steps");
}

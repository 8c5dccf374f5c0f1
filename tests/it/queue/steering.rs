//! Do pause, breaker, limits, stop and heartbeat say the same to admission and to claims? Over every board.

use std::{collections::BTreeMap, time::Duration};

use lockstep::{
    domain::{Admission, ClaimedJob, JobSelector, Lease, NewJob, NextStep, Outcome, Pause, Reason, queue::ALL},
    testing::last_seen,
};

use super::rig::{Rig, operation, over_every_board, sync};

over_every_board!(
    a_pause_refuses_and_claims_no_syncs_and_lets_writes_pass,
    a_forced_manual_run_passes_a_plain_pause_alone,
    a_pause_ends_by_itself,
    three_failures_open_the_breaker_and_what_waits_is_postponed,
    one_probe_passes_a_half_open_breaker,
    a_reset_breaker_lets_everything_pass,
    a_breaker_is_the_agents_own,
    a_stopped_job_is_not_tried_again,
    a_job_given_back_loses_no_attempt,
    a_heartbeat_tells_of_stops_preemptions_and_lost_jobs,
    a_rescued_job_is_over_after_its_last_attempt,
    limits_are_kept,
);

fn pause(rig: &Rig, emergency: bool, seconds: Option<i64>) -> Pause {
    let until = seconds.map(|seconds| rig.now + chrono::Duration::seconds(seconds));
    Pause { reason: "stocktaking".into(), by: "anna".into(), since: rig.now, until, drain: true, emergency }
}

async fn a_pause_refuses_and_claims_no_syncs_and_lets_writes_pass(rig: Rig) {
    let waiting = rig.add(sync("orders", "a")).await;
    rig.board.set_pause(Some(pause(&rig, false, None))).await.unwrap();
    assert_eq!(rig.ask(sync("orders", "b")).await, Admission::Paused { until: None });
    assert!(rig.claim(5).await.is_empty());
    rig.add(operation("submit-order", "b")).await;
    assert_eq!(rig.claim(5).await.len(), 1);
    rig.board.set_pause(Some(pause(&rig, true, None))).await.unwrap();
    assert_eq!(rig.ask(operation("submit-order", "c")).await, Admission::Paused { until: None });
    rig.board.set_pause(None).await.unwrap();
    assert_eq!(rig.claim(5).await[0].id, waiting);
}

async fn a_forced_manual_run_passes_a_plain_pause_alone(rig: Rig) {
    let forced = |agent| NewJob { force: true, reason: Reason::Manual, ..sync("orders", agent) };
    rig.add(sync("orders", "z")).await;
    rig.board.set_pause(Some(pause(&rig, false, None))).await.unwrap();
    let job = rig.add(forced("a")).await;
    let claimed = rig.claim(5).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [job]);
    rig.add(forced("b")).await;
    rig.board.set_pause(Some(pause(&rig, true, None))).await.unwrap();
    assert_eq!(rig.ask(forced("c")).await, Admission::Paused { until: None });
    assert!(rig.claim(5).await.is_empty());
}

async fn a_pause_ends_by_itself(mut rig: Rig) {
    rig.add(sync("orders", "a")).await;
    rig.board.set_pause(Some(pause(&rig, false, Some(10)))).await.unwrap();
    let until = Some(rig.now + chrono::Duration::seconds(10));
    assert_eq!(rig.ask(sync("orders", "b")).await, Admission::Paused { until });
    rig.pass(10);
    rig.add(sync("orders", "b")).await;
    assert_eq!(rig.claim(5).await.len(), 2);
}

/// Fails the source three times in a row for agent `a`, with other work waiting.
async fn open_breaker(rig: &mut Rig) {
    rig.add(sync("orders", "a")).await;
    rig.add(sync("customers", "a")).await;
    for attempt in 1..=3 {
        let job = rig.claim_one().await;
        assert_eq!(job.attempt, attempt);
        let next = if attempt < 3 { NextStep::RetryIn(Duration::ZERO) } else { NextStep::Done };
        rig.source_failed(&job, next).await;
    }
}

async fn three_failures_open_the_breaker_and_what_waits_is_postponed(mut rig: Rig) {
    open_breaker(&mut rig).await;
    let until = rig.now + chrono::Duration::seconds(60);
    assert_eq!(rig.ask(sync("orders", "a")).await, Admission::BreakerOpen { until });
    assert!(rig.claim(5).await.is_empty(), "admission and claims say the same");
    rig.add(operation("submit-order", "a")).await;
    assert_eq!(rig.claim(5).await.len(), 1, "a write does not ask the source");
    rig.pass(59);
    assert!(rig.claim(5).await.is_empty());
    rig.restart().await;
    assert_eq!(rig.ask(sync("orders", "a")).await, Admission::BreakerOpen { until }, "it survives a restart");
}

async fn one_probe_passes_a_half_open_breaker(mut rig: Rig) {
    open_breaker(&mut rig).await;
    rig.pass(60);
    rig.add(sync("orders", "a")).await;
    let probe = rig.claim(5).await;
    assert_eq!(probe.len(), 1, "one job an agent, so one probe");
    rig.source_failed(&probe[0], NextStep::Done).await;
    let until = rig.now + chrono::Duration::seconds(120);
    assert_eq!(rig.ask(sync("ddt", "a")).await, Admission::BreakerOpen { until }, "twice as long");
    assert!(rig.claim(5).await.is_empty());
    rig.pass(120);
    let probe = rig.claim_one().await;
    let source = lockstep::domain::SourceReport {
        source: "folder".into(),
        failed: None,
        policy: lockstep::domain::BreakerPolicy::default(),
    };
    let end = lockstep::testing::End { outcome: Outcome::Succeeded, next: NextStep::Done, source: Some(source) };
    rig.board.end(&probe, end, rig.now).await.unwrap();
    rig.add(sync("ddt", "a")).await;
}

async fn a_reset_breaker_lets_everything_pass(mut rig: Rig) {
    open_breaker(&mut rig).await;
    assert!(rig.board.reset_breaker(1, rig.now).await.unwrap());
    assert!(!rig.board.reset_breaker(77, rig.now).await.unwrap());
    assert_eq!(rig.claim_one().await.job_type.as_str(), "customers", "what was postponed may start now");
    rig.add(sync("orders", "a")).await;
}

async fn a_breaker_is_the_agents_own(mut rig: Rig) {
    open_breaker(&mut rig).await;
    rig.add(sync("orders", "b")).await;
    assert_eq!(rig.claim_one().await.agent.as_str(), "b");
}

async fn a_stopped_job_is_not_tried_again(rig: Rig) {
    let job = rig.add(sync("orders", "a")).await;
    let running = rig.claim_one().await;
    let meant = JobSelector { job: Some(job), ..JobSelector::default() };
    assert_eq!(rig.board.request_stop(meant, rig.now).await.unwrap(), (vec![job], vec![]));
    rig.end(&running, Outcome::Failed { retryable: true }, NextStep::RetryIn(Duration::from_secs(5))).await;
    assert_eq!(rig.job(job).await.state.as_str(), "done");
}

async fn a_job_given_back_loses_no_attempt(rig: Rig) {
    let job = rig.add(sync("orders", "a")).await;
    for _ in 0..10 {
        let running = rig.claim_one().await;
        assert_eq!((running.id, running.attempt), (job, 1));
        rig.end(&running, Outcome::Stopped, NextStep::GiveBack).await;
    }
}

async fn a_heartbeat_tells_of_stops_preemptions_and_lost_jobs(rig: Rig) {
    rig.ask_all(vec![sync("orders", "a"), sync("orders", "b"), sync("orders", "c")]).await;
    let running = rig.claim(3).await;
    let ids: Vec<_> = running.iter().map(|job| job.id).collect();
    let held: Vec<_> = running.iter().map(ClaimedJob::held).collect();
    rig.board.request_stop(JobSelector { job: Some(ids[0]), ..JobSelector::default() }, rig.now).await.unwrap();
    rig.add(operation("download-ddt-pdf", "b")).await;
    rig.board.rescue(last_seen(&running[2], 0), rig.now).await.unwrap();
    let heard = rig.board.heartbeat("one".into(), held.clone(), rig.now).await.unwrap();
    assert_eq!((heard.stop, heard.preempt, heard.lost), (vec![held[0]], vec![held[1]], vec![held[2]]));
    let beats: Vec<_> = heard.active.iter().map(|beat| (beat.lease.id, beat.heartbeat)).collect();
    assert_eq!(beats, [(ids[0], 1), (ids[1], 1)]);
    // the same job under its next lease is not the one that was lost
    let again = rig.claim(3).await;
    assert!(again.iter().any(|job| job.id == ids[2]), "{again:?}");
    let both = [held[2], Lease { id: ids[2], number: held[2].number + 2 }].to_vec();
    let heard = rig.board.heartbeat("one".into(), both, rig.now).await.unwrap();
    assert_eq!(heard.lost, [held[2]]);
}

async fn a_rescued_job_is_over_after_its_last_attempt(rig: Rig) {
    let job = rig.add(sync("orders", "a")).await;
    for attempt in 1..=3 {
        let dead = rig.claim_one().await;
        assert_eq!(dead.attempt, attempt);
        assert_eq!(rig.board.rescue(last_seen(&dead, 0), rig.now).await.unwrap(), Some(Outcome::Lost));
        assert_eq!(rig.board.rescue(last_seen(&dead, 0), rig.now).await.unwrap(), None, "once");
    }
    let over = rig.job(job).await;
    assert_eq!((over.state.as_str(), over.outcome.map(Outcome::as_str)), ("done", Some("lost")));
}

async fn limits_are_kept(mut rig: Rig) {
    let set = |name: &str, limit| BTreeMap::from([(name.to_owned(), limit)]);
    rig.board.set_limits(set("orders", Some(2)), rig.now).await.unwrap();
    rig.board.set_limits(set("ddt", Some(1)), rig.now).await.unwrap();
    rig.board.set_limits(set(ALL, Some(7)), rig.now).await.unwrap();
    rig.board.set_limits(set("ddt", None), rig.now).await.unwrap();
    rig.restart().await;
    let heard = rig.board.heartbeat("one".into(), vec![], rig.now).await.unwrap();
    assert_eq!(heard.limits, BTreeMap::from([(ALL.to_owned(), 7), ("orders".to_owned(), 2)]));
}

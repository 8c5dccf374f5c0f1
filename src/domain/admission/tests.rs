//! The rules of admission, one line each.

use chrono::TimeDelta;

use super::*;
use crate::domain::{Class, Reason};

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn write(body: i64) -> NewJob {
    let mut job = NewJob::new("submit-order".into(), Class::Write, "a".into(), 5, Reason::Operation);
    job.dedup_key = Some("k".into());
    job.window = Some(Window { key: "k".into(), length: seconds(30), release_on_failure: false });
    job.payload = Some(serde_json::json!({ "order": body, "note": "x" }));
    job
}

fn sync(mode: Mode) -> NewJob {
    NewJob { mode, ..NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Manual) }
}

fn owner(state: JobState, has_begun: bool) -> Owner {
    Owner { job: JobId(7), state, has_begun, latest_start: Some(at(100)), kept: None, digest: None }
}

#[test]
fn a_live_job_with_its_key_refuses_whatever_its_state() {
    for (state, has_begun) in
        [(JobState::Waiting, false), (JobState::Delayed, false), (JobState::Active, true), (JobState::Delayed, true)]
    {
        let decision = decide(&sync(Mode::Refuse), None, None, Some(&owner(state, has_begun)), at(0));
        assert_eq!(decision, Decision::Refuse(Admission::AlreadyQueued { job: JobId(7) }), "{state:?}");
    }
}

#[test]
fn a_window_counts_until_it_closes_and_the_body_must_be_the_same() {
    let open = OpenWindow { job: JobId(3), until: at(30), digest: write(1).digest() };
    let ask = |job: &NewJob, now| decide(job, Some(&open), None, None, now);
    let retry_in = seconds(1);
    assert_eq!(ask(&write(1), at(29)), Decision::Refuse(Admission::Throttled { job: JobId(3), retry_in }));
    assert_eq!(ask(&write(2), at(29)), Decision::Refuse(Admission::KeyReused { job: JobId(3) }));
    assert_eq!(ask(&write(2), at(30)), Decision::Insert { due: at(30), latest_start: None });
    let mut reordered = write(1);
    reordered.payload = Some(serde_json::json!({ "note": "x", "order": 1 }));
    assert_eq!(reordered.digest(), write(1).digest(), "the order of the fields is no other body");
}

#[test]
fn a_window_that_is_over_never_allows_two_at_once() {
    let closed = OpenWindow { job: JobId(3), until: at(30), digest: write(1).digest() };
    let running = Owner { digest: write(1).digest(), ..owner(JobState::Active, true) };
    let decision = decide(&write(1), Some(&closed), None, Some(&running), at(31));
    assert_eq!(decision, Decision::Refuse(Admission::AlreadyQueued { job: JobId(7) }));
    let decision = decide(&write(2), Some(&closed), None, Some(&running), at(31));
    assert_eq!(decision, Decision::Refuse(Admission::KeyReused { job: JobId(7) }));
}

#[test]
fn debounce_extends_and_replaces_up_to_its_longest_wait_and_keeps_once_it_has_begun() {
    let mode = Mode::Debounce { wait: seconds(10), max_wait: seconds(60) };
    let ask = |owner: Option<&Owner>, second| decide(&sync(mode), None, None, owner, at(second));
    assert_eq!(ask(None, 0), Decision::Insert { due: at(10), latest_start: Some(at(60)) });
    let winner = owner(JobState::Delayed, false);
    assert_eq!(ask(Some(&winner), 5), Decision::Replace { job: JobId(7), due: Some(at(15)) });
    assert_eq!(ask(Some(&winner), 95), Decision::Replace { job: JobId(7), due: Some(at(100)) });
    let due = owner(JobState::Waiting, false);
    assert_eq!(
        ask(Some(&due), 120),
        Decision::Replace { job: JobId(7), due: Some(at(120)) },
        "it does not wait longer"
    );
    for begun in [owner(JobState::Active, true), owner(JobState::Delayed, true)] {
        assert_eq!(ask(Some(&begun), 5), Decision::Keep { behind: JobId(7), over: None });
    }
}

#[test]
fn keep_last_keeps_the_newest_behind_whatever_the_winner_does() {
    for (state, has_begun) in
        [(JobState::Waiting, false), (JobState::Delayed, false), (JobState::Active, true), (JobState::Delayed, true)]
    {
        let winner = owner(state, has_begun);
        let ask = |owner: &Owner| decide(&sync(Mode::KeepLast), None, None, Some(owner), at(0));
        assert_eq!(ask(&winner), Decision::Keep { behind: JobId(7), over: None });
        assert_eq!(
            ask(&Owner { kept: Some(JobId(8)), ..winner }),
            Decision::Keep { behind: JobId(7), over: Some(JobId(8)) }
        );
    }
}

#[test]
fn what_is_shut_refuses_but_a_flow_waits() {
    let breaker = Some(Shut::BreakerOpen { until: at(60) });
    let ask = sync(Mode::Refuse);
    assert_eq!(decide(&ask, None, breaker, None, at(0)), Decision::Refuse(Admission::BreakerOpen { until: at(60) }));
    let paused = Some(Shut::Paused { until: None });
    assert_eq!(decide(&ask, None, paused, None, at(0)), Decision::Refuse(Admission::Paused { until: None }));
    let child = NewJob { reason: Reason::Flow, parent: Some(JobId(1)), ..ask };
    assert_eq!(decide(&child, None, breaker, None, at(0)), Decision::Insert { due: at(60), latest_start: None });
    assert_eq!(decide(&child, None, paused, None, at(0)), Decision::Insert { due: at(0), latest_start: None });
}

#[test]
fn a_delay_is_its_earliest_start() {
    let ask = NewJob { delay: seconds(5), ..sync(Mode::Refuse) };
    assert_eq!(
        decide(&ask, None, None, None, at(0)),
        Decision::Insert { due: at(0) + TimeDelta::seconds(5), latest_start: None }
    );
}

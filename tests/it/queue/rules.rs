//! Who is accepted? The rules of admission by name, over every board.

use std::time::Duration;

use lockstep::{
    domain::{Admission, JobId, JobSelector, Lease, Mode, NewJob, NextStep, Outcome, Reason, Retry},
    testing::last_seen,
};

use super::rig::{Rig, all_before, keyed, operation, over_every_board, sync};

over_every_board!(
    a_waiting_winner_refuses,
    a_prioritised_winner_refuses,
    a_delayed_winner_refuses,
    an_active_winner_refuses,
    a_backing_off_winner_refuses,
    a_completed_winner_is_no_winner,
    a_finally_failed_winner_is_no_winner,
    a_removal_frees_the_key_and_window_of_a_winner_that_never_ran,
    a_purge_frees_the_keys_of_winners_that_never_ran,
    cleaning_frees_no_key_and_opens_no_window,
    a_rescued_winner_keeps_its_key,
    a_claim_that_was_not_answered_is_given_back_without_a_trace,
    of_fifty_adds_at_once_one_is_accepted,
    fifty_adds_in_one_request_are_one_job,
    an_old_jobs_end_never_frees_a_newer_owners_key,
    removing_a_key_frees_it_and_never_a_later_owners,
    a_window_counts_from_the_first_accept_and_survives_completion,
    refused_adds_never_move_the_window,
    a_window_shorter_than_the_run_never_allows_two_in_parallel,
    a_failed_winner_releases_its_window_by_option,
    the_same_key_with_another_body_is_a_mistake,
    keys_are_of_type_and_agent,
    operations_without_a_key_are_never_duplicates,
    debounce_replaces_and_extends_up_to_its_longest_wait,
    a_debounced_winner_that_has_begun_keeps_the_newest_behind_it,
    keep_last_runs_only_the_newest_after_success,
    keep_last_runs_after_final_failure,
    keep_last_works_while_the_winner_waits_is_delayed_or_backs_off,
    keep_last_keeps_its_own_priority_and_delay,
    keep_last_runs_after_its_winner_is_removed,
    a_manual_retry_takes_the_key_again_or_is_refused,
    a_restart_forgets_nothing,
);

fn refused(job: JobId) -> Admission {
    Admission::AlreadyQueued { job }
}

async fn a_waiting_winner_refuses(rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
}

async fn a_prioritised_winner_refuses(rig: Rig) {
    let winner = rig.add(NewJob { priority: 9, ..sync("orders", "a") }).await;
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
}

async fn a_delayed_winner_refuses(rig: Rig) {
    let winner = rig.add(NewJob { delay: Duration::from_secs(60), ..sync("orders", "a") }).await;
    assert_eq!(rig.job(winner).await.state.as_str(), "delayed");
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
}

async fn an_active_winner_refuses(rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    rig.claim_one().await;
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
}

async fn a_backing_off_winner_refuses(mut rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    let job = rig.claim_one().await;
    rig.end(&job, Outcome::Failed { retryable: true }, NextStep::RetryIn(Duration::from_secs(5))).await;
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
    assert!(rig.claim(1).await.is_empty(), "its time has not come");
    rig.pass(5);
    assert_eq!((rig.claim_one().await.id, rig.job(winner).await.attempt), (winner, 2));
}

async fn a_completed_winner_is_no_winner(rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    rig.done(&rig.claim_one().await).await;
    assert!(rig.add(sync("orders", "a")).await > winner);
}

async fn a_finally_failed_winner_is_no_winner(rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    rig.fail(&rig.claim_one().await).await;
    assert!(rig.add(sync("orders", "a")).await > winner);
}

async fn a_removal_frees_the_key_and_window_of_a_winner_that_never_ran(rig: Rig) {
    let winner = rig.add(keyed("a", "k", 1)).await;
    let meant = JobSelector { job: Some(winner), ..JobSelector::default() };
    assert_eq!(rig.board.request_stop(meant, rig.now).await.unwrap(), (vec![], vec![winner]));
    assert_eq!(rig.job(winner).await.outcome.map(Outcome::as_str), Some("removed"));
    rig.add(keyed("a", "k", 1)).await;
}

async fn a_purge_frees_the_keys_of_winners_that_never_ran(rig: Rig) {
    let running = rig.add(sync("orders", "b")).await;
    rig.claim_one().await;
    let winner = rig.add(keyed("a", "k", 1)).await;
    let meant = JobSelector { only_waiting: true, ..JobSelector::default() };
    assert_eq!(rig.board.request_stop(meant, rig.now).await.unwrap(), (vec![], vec![winner]));
    assert!(!rig.job(running).await.stop_requested, "what runs goes on");
    rig.add(keyed("a", "k", 1)).await;
}

async fn cleaning_frees_no_key_and_opens_no_window(mut rig: Rig) {
    let winner = rig.add(keyed("a", "k", 1)).await;
    rig.done(&rig.claim_one().await).await;
    let waiting = rig.add(sync("orders", "a")).await;
    rig.pass(10);
    assert_eq!(rig.board.clean(all_before(rig.now), rig.now).await.unwrap(), 0, "its window is open");
    assert!(matches!(rig.ask(keyed("a", "k", 1)).await, Admission::Throttled { job, .. } if job == winner));
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(waiting));
    rig.pass(20);
    assert_eq!(rig.board.clean(all_before(rig.now), rig.now).await.unwrap(), 1);
    assert!(rig.jobs().await.iter().all(|job| job.id != winner));
    rig.add(keyed("a", "k", 1)).await;
}

async fn a_rescued_winner_keeps_its_key(rig: Rig) {
    let winner = rig.add(sync("orders", "a")).await;
    let dead = rig.claim_one().await;
    assert_eq!(rig.board.rescue(last_seen(&dead, 0), rig.now).await.unwrap(), Some(Outcome::Lost));
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
    let again = rig.claim_one().await;
    assert_eq!((again.id, again.attempt), (winner, 2));
    let late = lockstep::testing::End { outcome: Outcome::Succeeded, next: NextStep::Done, source: None };
    assert!(rig.board.end(&dead, late, rig.now).await.is_err(), "the dead process's late word is refused");
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(winner));
}

async fn a_claim_that_was_not_answered_is_given_back_without_a_trace(rig: Rig) {
    let job = rig.add(sync("orders", "a")).await;
    let unheard = rig.claim_one().await;
    let undo = async |owner: &str, lease: i64| {
        rig.board.undo_claim(Lease { id: job, number: lease }, owner.to_owned(), rig.now).await.unwrap()
    };
    assert!(!undo("another process", unheard.lease).await);
    assert!(!undo("one", unheard.lease + 1).await);
    assert!(undo("one", unheard.lease).await);
    assert!(!undo("one", unheard.lease).await, "only once");
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(job));
    let again = rig.claim_one().await;
    assert_eq!((again.id, again.attempt), (job, 1), "it costs no attempt");
    let late = lockstep::testing::End { outcome: Outcome::Succeeded, next: NextStep::Done, source: None };
    assert!(rig.board.end(&unheard, late, rig.now).await.is_err(), "and whoever heard after all is refused");
}

async fn of_fifty_adds_at_once_one_is_accepted(rig: Rig) {
    let asks = (0..50).map(|_| rig.ask(sync("orders", "a")));
    let answers = futures_util::future::join_all(asks).await;
    let accepted: Vec<_> = answers.iter().filter(|answer| answer.is_taken()).collect();
    assert_eq!(accepted.len(), 1);
    let winner = accepted[0].job().unwrap();
    assert_eq!(answers.iter().filter(|answer| **answer == refused(winner)).count(), 49);
}

async fn fifty_adds_in_one_request_are_one_job(rig: Rig) {
    let answers = rig.ask_all((0..50).map(|_| sync("orders", "a")).collect()).await;
    assert_eq!(answers[0], Admission::Accepted { job: JobId(1) });
    assert!(answers[1..].iter().all(|answer| *answer == refused(JobId(1))));
    assert_eq!(rig.jobs().await.len(), 1);
}

async fn an_old_jobs_end_never_frees_a_newer_owners_key(rig: Rig) {
    let old = rig.add(sync("orders", "a")).await;
    let running = rig.claim_one().await;
    assert!(rig.board.remove_key("orders:a".into(), old, rig.now).await.unwrap());
    let newer = rig.add(sync("orders", "a")).await;
    rig.done(&running).await;
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(newer));
    assert!(!rig.board.remove_key("orders:a".into(), old, rig.now).await.unwrap(), "it is not its key any more");
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(newer));
}

async fn removing_a_key_frees_it_and_never_a_later_owners(rig: Rig) {
    let first = rig.add(keyed("a", "k", 1)).await;
    let key = || "submit-order:a:k".to_owned();
    let state = rig.board.key(key(), rig.now).await.unwrap();
    assert_eq!((state.job_id, state.window_job_id), (Some(first), Some(first)));
    assert!(rig.board.remove_key(key(), first, rig.now).await.unwrap());
    let second = rig.add(keyed("a", "k", 2)).await;
    rig.board.remove_key(key(), first, rig.now).await.unwrap();
    let state = rig.board.key(key(), rig.now).await.unwrap();
    assert_eq!((state.job_id, state.window_job_id), (Some(second), Some(second)));
}

async fn a_window_counts_from_the_first_accept_and_survives_completion(mut rig: Rig) {
    let first = rig.add(keyed("a", "k", 1)).await;
    rig.pass(10);
    rig.done(&rig.claim_one().await).await;
    rig.pass(19);
    let retry_in = Duration::from_secs(1);
    assert_eq!(rig.ask(keyed("a", "k", 1)).await, Admission::Throttled { job: first, retry_in });
    rig.pass(1);
    assert!(rig.add(keyed("a", "k", 1)).await > first);
}

async fn refused_adds_never_move_the_window(mut rig: Rig) {
    rig.add(keyed("a", "k", 1)).await;
    for left in (1..30).rev() {
        rig.pass(1);
        let retry_in = Duration::from_secs(left);
        assert_eq!(rig.ask(keyed("a", "k", 1)).await, Admission::Throttled { job: JobId(1), retry_in });
    }
}

async fn a_window_shorter_than_the_run_never_allows_two_in_parallel(mut rig: Rig) {
    let first = rig.add(keyed("a", "k", 1)).await;
    let running = rig.claim_one().await;
    rig.pass(3_600);
    assert_eq!(rig.ask(keyed("a", "k", 1)).await, refused(first));
    rig.done(&running).await;
    rig.add(keyed("a", "k", 1)).await;
}

async fn a_failed_winner_releases_its_window_by_option(rig: Rig) {
    for (release, outcome) in [(false, Outcome::Failed { retryable: false }), (true, Outcome::Succeeded)] {
        let agent = format!("{release}");
        let mut ask = keyed(&agent, "k", 1);
        ask.window.as_mut().unwrap().release_on_failure = release;
        let first = rig.add(ask.clone()).await;
        rig.end(&rig.claim_one().await, outcome, NextStep::Done).await;
        assert!(matches!(rig.ask(ask).await, Admission::Throttled { job, .. } if job == first), "{release}");
    }
    let mut ask = keyed("c", "k", 1);
    ask.window.as_mut().unwrap().release_on_failure = true;
    rig.add(ask.clone()).await;
    rig.fail(&rig.claim_one().await).await;
    rig.add(ask).await;
}

async fn the_same_key_with_another_body_is_a_mistake(mut rig: Rig) {
    let first = rig.add(keyed("a", "k", 1)).await;
    assert_eq!(rig.ask(keyed("a", "k", 2)).await, Admission::KeyReused { job: first }, "while it is in its window");
    let running = rig.claim_one().await;
    rig.pass(31);
    assert_eq!(rig.ask(keyed("a", "k", 2)).await, Admission::KeyReused { job: first }, "while it is in flight");
    rig.done(&running).await;
    rig.add(keyed("a", "k", 2)).await;
}

async fn keys_are_of_type_and_agent(rig: Rig) {
    rig.add(sync("orders", "a")).await;
    rig.add(sync("orders", "b")).await;
    rig.add(sync("customers", "a")).await;
    rig.add(keyed("a", "k", 1)).await;
    rig.add(keyed("b", "k", 2)).await;
}

async fn operations_without_a_key_are_never_duplicates(rig: Rig) {
    let first = rig.add(operation("submit-order", "a")).await;
    assert!(rig.add(operation("submit-order", "a")).await > first);
}

fn debounced(body: i64) -> NewJob {
    let mode = Mode::Debounce { wait: Duration::from_secs(10), max_wait: Duration::from_secs(25) };
    NewJob { mode, payload: Some(body.into()), ..sync("orders", "a") }
}

async fn debounce_replaces_and_extends_up_to_its_longest_wait(mut rig: Rig) {
    let job = rig.add(debounced(1)).await;
    // seconds from the acceptance, and from then to the start: 10 s, but not beyond the 25th second
    for (body, second, start_in) in [(2, 8, 10), (3, 16, 9), (4, 24, 1)] {
        rig.pass(8);
        let start_in = Duration::from_secs(start_in);
        assert_eq!(rig.ask(debounced(body)).await, Admission::Replaced { job, start_in }, "after {second} s");
        assert!(rig.claim(1).await.is_empty(), "it waits");
    }
    rig.pass(1);
    let claimed = rig.claim_one().await;
    assert_eq!((claimed.id, claimed.payload), (job, Some(4.into())), "only the newest runs");
}

async fn a_debounced_winner_that_has_begun_keeps_the_newest_behind_it(mut rig: Rig) {
    let winner = rig.add(debounced(1)).await;
    rig.pass(10);
    let running = rig.claim_one().await;
    let Admission::Kept { job: kept, behind } = rig.ask(debounced(2)).await else { panic!("not kept") };
    assert_eq!(behind, winner);
    assert_eq!(rig.ask(debounced(3)).await, Admission::Kept { job: kept, behind: winner });
    rig.done(&running).await;
    assert!(rig.claim(1).await.is_empty(), "it waits for its own time");
    rig.pass(10);
    let claimed = rig.claim_one().await;
    assert_eq!((claimed.id, claimed.payload), (kept, Some(3.into())));
}

fn newest(body: i64) -> NewJob {
    NewJob { mode: Mode::KeepLast, payload: Some(body.into()), ..sync("orders", "a") }
}

async fn keep_last_runs_only_the_newest_after_success(rig: Rig) {
    let winner = rig.add(newest(1)).await;
    let running = rig.claim_one().await;
    let kept = rig.ask(newest(2)).await.job().unwrap();
    for body in [3, 4] {
        assert_eq!(rig.ask(newest(body)).await, Admission::Kept { job: kept, behind: winner });
    }
    assert!(rig.claim(1).await.is_empty(), "never beside its winner");
    rig.done(&running).await;
    let next = rig.claim_one().await;
    assert_eq!((next.id, next.payload.clone()), (kept, Some(4.into())));
    rig.done(&next).await;
    assert!(rig.claim(1).await.is_empty());
    assert_eq!(rig.jobs().await.len(), 2);
}

async fn keep_last_runs_after_final_failure(rig: Rig) {
    rig.add(newest(1)).await;
    let running = rig.claim_one().await;
    let kept = rig.ask(newest(2)).await.job().unwrap();
    rig.fail(&running).await;
    assert_eq!(rig.claim_one().await.id, kept);
}

async fn keep_last_works_while_the_winner_waits_is_delayed_or_backs_off(mut rig: Rig) {
    let winner = rig.add(NewJob { delay: Duration::from_secs(5), ..newest(1) }).await;
    assert!(matches!(rig.ask(newest(2)).await, Admission::Kept { .. }), "delayed");
    rig.pass(5);
    let running = rig.claim_one().await;
    assert_eq!((running.id, running.payload.clone()), (winner, Some(1.into())));
    rig.end(&running, Outcome::Failed { retryable: true }, NextStep::RetryIn(Duration::from_secs(5))).await;
    assert!(matches!(rig.ask(newest(3)).await, Admission::Kept { .. }), "backing off");
    rig.pass(5);
    rig.done(&rig.claim_one().await).await;
    assert!(
        matches!(rig.ask(newest(4)).await, Admission::Kept { .. }),
        "its follower waits: the newest is kept behind"
    );
    assert_eq!(rig.claim_one().await.payload, Some(3.into()));
}

async fn keep_last_keeps_its_own_priority_and_delay(mut rig: Rig) {
    rig.add(newest(1)).await;
    let running = rig.claim_one().await;
    let kept = rig.ask(NewJob { priority: 1, delay: Duration::from_secs(7), ..newest(2) }).await.job().unwrap();
    rig.pass(100);
    rig.done(&running).await;
    let job = rig.job(kept).await;
    assert_eq!((job.state.as_str(), job.priority, job.due_at - rig.now), ("delayed", 1, chrono::TimeDelta::seconds(7)));
    rig.pass(7);
    assert_eq!(rig.claim_one().await.id, kept);
}

async fn keep_last_runs_after_its_winner_is_removed(rig: Rig) {
    let winner = rig.add(newest(1)).await;
    let kept = rig.ask(newest(2)).await.job().unwrap();
    let meant = JobSelector { job: Some(winner), ..JobSelector::default() };
    rig.board.request_stop(meant, rig.now).await.unwrap();
    assert_eq!(rig.claim_one().await.id, kept);
    // and a stop of all removes it with its winner
    let last = rig.ask(newest(3)).await.job().unwrap();
    let (stopping, removed) = rig.board.request_stop(JobSelector::default(), rig.now).await.unwrap();
    assert_eq!((stopping, removed), (vec![kept], vec![last]));
}

async fn a_manual_retry_takes_the_key_again_or_is_refused(rig: Rig) {
    let first = rig.add(sync("orders", "a")).await;
    let running = rig.claim_one().await;
    assert_eq!(rig.board.retry(first, false, rig.now).await.unwrap(), Retry::NotOver);
    rig.fail(&running).await;
    let newer = rig.add(sync("orders", "a")).await;
    let retry = rig.board.retry(first, false, rig.now).await.unwrap();
    assert_eq!(retry, Retry::AlreadyQueued { job: newer });
    rig.done(&rig.claim_one().await).await;
    assert_eq!(rig.board.retry(newer, false, rig.now).await.unwrap(), Retry::Succeeded);
    assert_eq!(rig.board.retry(first, false, rig.now).await.unwrap(), Retry::Accepted);
    assert_eq!(rig.ask(sync("orders", "a")).await, refused(first), "it has its key again");
    assert_eq!((rig.claim_one().await.attempt, rig.job(first).await.outcome), (1, None));
    assert_eq!(rig.board.retry(JobId(99), false, rig.now).await.unwrap(), Retry::Unknown);
}

async fn a_restart_forgets_nothing(mut rig: Rig) {
    rig.add(keyed("a", "k", 1)).await;
    rig.add(NewJob { reason: Reason::Manual, ..newest(1) }).await;
    rig.claim_one().await;
    rig.ask(newest(2)).await;
    let before = rig.text().await;
    rig.restart().await;
    assert_eq!(rig.text().await, before);
    assert!(matches!(rig.ask(keyed("a", "k", 1)).await, Admission::Throttled { .. }));
    assert!(matches!(rig.ask(newest(3)).await, Admission::Kept { .. }));
    assert_eq!(rig.jobs().await.len(), 3);
}

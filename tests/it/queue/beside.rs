//! Do ends, which are written beside the queue's transactions, lose nothing that is decided meanwhile?

use std::sync::Arc;

use futures_util::future::join_all;
use lockstep::{
    domain::{Admission, Claim, ClaimedJob, JobSelector, Mode, NewJob, NextStep, Outcome, Reason, Timestamp},
    store::{Finish, Store, StoreError},
    testing::{Backend, last_seen, types},
};
use tokio::runtime::Handle;

const AGENTS: usize = 12;

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

async fn open(folder: &tempfile::TempDir) -> Store {
    let url = Backend::of_suite().database(folder.path()).await;
    let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn order(agent: usize, mode: Mode) -> NewJob {
    NewJob { mode, ..NewJob::sync(&"orders".into(), format!("agent-{agent}").into(), 4, Reason::Manual) }
}

async fn claim(store: &Store) -> Vec<ClaimedJob> {
    let known = vec!["orders".into()];
    let claim = Claim { owner: "one".to_owned(), any: 100, known, ..Claim::default() };
    store.claim(claim, at(0)).await.unwrap().jobs
}

/// Ends each by itself, as runs do.
async fn end(store: Store, jobs: Vec<ClaimedJob>) {
    let ends = jobs.into_iter().map(|job| {
        let store = store.clone();
        tokio::spawn(async move {
            let end = Finish { outcome: Some(Outcome::Unchanged), ..Finish::default() };
            store.finish(&job, end, NextStep::Done, at(1)).await.unwrap()
        })
    });
    for ended in join_all(ends).await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_comes_while_its_winner_ends_runs_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // as two processes
    let (store, other) = (open(&folder).await, open(&folder).await);
    let mut kept = 0;
    for _ in 0..40 {
        for agent in 0..AGENTS {
            store.enqueue(vec![order(agent, Mode::Refuse)], None, at(0)).await.unwrap();
        }
        let running = claim(&store).await;
        assert_eq!(running.len(), AGENTS);
        let ends = tokio::spawn(end(store.clone(), running));
        let wishes = (0..AGENTS).map(|agent| {
            let other = other.clone();
            tokio::spawn(async move { other.enqueue(vec![order(agent, Mode::KeepLast)], None, at(0)).await.unwrap().0 })
        });
        for answers in join_all(wishes).await {
            let answers = answers.unwrap();
            assert!(answers[0].is_taken(), "{answers:?}");
            kept += usize::from(matches!(answers[0], Admission::Kept { .. }));
        }
        ends.await.unwrap();
        // whether it was kept behind the winner or came after it
        let followers = claim(&store).await;
        assert_eq!(followers.len(), AGENTS);
        end(store.clone(), followers).await;
        assert_eq!(store.job_counts().await.unwrap(), []);
    }
    println!("{kept} of {} wishes came before their winners had ended", 40 * AGENTS);
    assert!(kept > 0, "nothing was tried");
    store.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_it_is_taken_over_does_one_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (open(&folder).await, open(&folder).await);
    let mut rescued = 0;
    for round in 0..25 {
        let asked = (0..AGENTS).map(|agent| order(agent, Mode::Refuse)).collect();
        store.enqueue(asked, None, at(0)).await.unwrap();
        let running = claim(&store).await;
        assert_eq!(running.len(), AGENTS);
        let fates = running.into_iter().map(async |job| {
            let end = Finish { outcome: Some(Outcome::Unchanged), ..Finish::default() };
            let ends = store.finish(&job, end, NextStep::Done, at(1));
            let rescue = other.rescue(last_seen(&job, 0), at(1));
            // whoever is asked first often wins
            let (ended, rescue) = if round % 2 == 0 {
                tokio::join!(ends, rescue)
            } else {
                let (rescue, ended) = tokio::join!(rescue, ends);
                (ended, rescue)
            };
            match (ended, rescue.unwrap()) {
                (Ok(_), None) => 0,
                (Err(StoreError::LeaseLost { .. }), Some(Outcome::Lost)) => 1,
                both => panic!("{both:?}"),
            }
        });
        let again: usize = join_all(fates).await.into_iter().sum();
        rescued += again;
        let followers = claim(&store).await;
        assert_eq!(followers.len(), again, "what was taken over waits again, and nothing else");
        end(store.clone(), followers).await;
        assert_eq!(store.job_counts().await.unwrap(), []);
    }
    println!("{rescued} of {} jobs were taken over before they ended", 25 * AGENTS);
    assert!((1..25 * AGENTS).contains(&rescued), "both have to happen: {rescued}");
    store.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_come_together_and_ends_that_come_together_do_not_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for _ in 0..25 {
        let orders = |mode| (0..AGENTS).map(move |agent| order(agent, mode));
        store.enqueue(orders(Mode::Refuse).collect(), None, at(0)).await.unwrap();
        let running = claim(&store).await;
        let ends = tokio::spawn(end(store.clone(), running));
        // the last first: the other way round than their winners end
        let (answers, _) = store.enqueue(orders(Mode::KeepLast).rev().collect(), None, at(0)).await.unwrap();
        assert!(answers.iter().all(|answer| answer.is_taken()), "{answers:?}");
        ends.await.unwrap();
        let followers = claim(&store).await;
        assert_eq!(followers.len(), AGENTS);
        end(store.clone(), followers).await;
    }
    assert_eq!(store.job_counts().await.unwrap(), []);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_ends_of_the_same_jobs_do_not_hinder_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for _ in 0..25 {
        let asked = (0..AGENTS).map(|agent| order(agent, Mode::Refuse)).collect();
        store.enqueue(asked, None, at(0)).await.unwrap();
        let running = claim(&store).await;
        assert_eq!(running.len(), AGENTS);
        let ends = tokio::spawn(end(store.clone(), running));
        let stops = (0..3).map(|_| store.request_stop(JobSelector::default(), at(1)));
        for stopped in join_all(stops).await {
            stopped.unwrap();
        }
        ends.await.unwrap();
        assert_eq!(store.job_counts().await.unwrap(), []);
    }
    store.close().await;
}

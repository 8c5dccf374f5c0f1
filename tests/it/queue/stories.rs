//! How does the queue look after each step of a story? Printed as text, and kept as snapshots; every board
//! must print the same.

use std::{fmt::Write as _, time::Duration};

use lockstep::{
    domain::{JobSelector, Mode, NewJob, NextStep, Outcome, Reason},
    testing::last_seen,
};

use super::rig::{Rig, keyed, operation, sync};

/// The queue after each step.
struct Story {
    rig: Rig,
    text: String,
}

impl Story {
    async fn step(&mut self, what: &str) {
        let jobs = self.rig.text().await;
        writeln!(self.text, "-- {what}\n{jobs}").unwrap();
    }
}

async fn a_day(rig: Rig) -> String {
    let mut story = Story { rig, text: String::new() };
    story.rig.ask_all(vec![sync("orders", "anna"), sync("customers", "anna"), sync("orders", "bruno")]).await;
    story.step("three syncs are due").await;
    let running = story.rig.claim(2).await;
    story.step("two slots").await;
    story.rig.ask(keyed("anna", "k1", 1)).await;
    story.step("Anna submits an order: her sync is to make room").await;
    story.rig.end(&running[0], Outcome::Stopped, NextStep::GiveBack).await;
    story.step("her sync has made room, and lost no attempt").await;
    let write = story.rig.claim_one().await;
    story.step("the order goes out first").await;
    story.rig.done(&write).await;
    let again = story.rig.claim_one().await;
    story.step("the sync goes on").await;
    story.rig.end(&again, Outcome::Failed { retryable: true }, NextStep::RetryIn(Duration::from_secs(5))).await;
    story.step("it failed and backs off").await;
    story.rig.pass(5);
    let third = story.rig.claim(2).await;
    story.rig.board.rescue(last_seen(&third[0], 0), story.rig.now).await.unwrap();
    story.step("its process died, another took it over").await;
    story.rig.board.request_stop(JobSelector::default(), story.rig.now).await.unwrap();
    story.step("someone stops everything").await;
    story.text
}

async fn newest_wins(rig: Rig) -> String {
    let mut story = Story { rig, text: String::new() };
    let newest = |body: i64| NewJob { mode: Mode::KeepLast, payload: Some(body.into()), ..sync("orders", "anna") };
    story.rig.add(newest(1)).await;
    let running = story.rig.claim_one().await;
    story.rig.ask(newest(2)).await;
    story.rig.ask(newest(3)).await;
    story.step("two newer requests while the first runs: the newest is kept").await;
    story.rig.fail(&running).await;
    story.step("the first failed for good: the newest follows").await;
    let following = story.rig.claim_one().await;
    story.rig.ask(newest(4)).await;
    story.rig.done(&following).await;
    story.step("and the next").await;
    story.text
}

async fn trouble(rig: Rig) -> String {
    let mut story = Story { rig, text: String::new() };
    let parent = story.rig.add(sync("orders", "anna")).await;
    let job = story.rig.claim_one().await;
    let child = |name: &str| NewJob { parent: Some(parent), reason: Reason::Flow, ..sync(name, "anna") };
    story.rig.ask_all(vec![child("ddt"), child("invoices"), operation("download-ddt-pdf", "anna")]).await;
    story.rig.done(&job).await;
    story.step("the parent is over, its flow is not").await;
    for _ in 0..3 {
        let job = story.rig.claim_one().await;
        story.rig.source_failed(&job, NextStep::Done).await;
    }
    story.step("the source failed three times: the breaker is open, the flow has errors").await;
    story.rig.ask(child("customers")).await;
    story.step("a follow-up waits for the breaker").await;
    story.rig.pass(60);
    let probe = story.rig.claim_one().await;
    story.rig.done(&probe).await;
    story.step("the probe ended well").await;
    story.text
}

/// Tells the same story over every board, and compares it with what is written down.
macro_rules! stories {
    ($($name:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (memory, database) = (super::$name(Rig::memory()).await, super::$name(Rig::database().await).await);
            assert_eq!(memory, database);
            insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(stringify!($name), database);
            });
        })+
    };
}

mod told {
    use super::*;

    stories!(a_day, newest_wins, trouble);
}

//! Are flows ended, whatever becomes of their jobs? Over every board.

use lockstep::domain::{Admission, FlowOutcome, JobId, JobSelector, NewJob, Reason, Retry};

use super::rig::{Rig, over_every_board, sync};

over_every_board!(
    a_flow_ends_with_its_last_job,
    a_job_that_is_queued_already_stands_for_the_child,
    a_failed_child_completes_its_flow_with_errors,
    a_failed_first_job_fails_its_flow,
    a_removed_child_is_not_waited_for,
    a_retried_child_opens_its_flow_again,
    children_know_the_first_job,
    children_wait_for_an_open_breaker_and_are_not_lost,
);

fn child(sync_type: &str, parent: JobId) -> NewJob {
    NewJob { parent: Some(parent), reason: Reason::Flow, ..sync(sync_type, "a") }
}

/// A parent that has run, with its two children waiting.
async fn family(rig: &Rig) -> (JobId, [JobId; 2]) {
    let parent = rig.add(sync("orders", "a")).await;
    let running = rig.claim_one().await;
    let children = [rig.add(child("ddt", parent)).await, rig.add(child("invoices", parent)).await];
    rig.done(&running).await;
    (parent, children)
}

async fn outcome(rig: &Rig, job: JobId) -> Option<FlowOutcome> {
    rig.job(job).await.flow_outcome
}

async fn a_flow_ends_with_its_last_job(rig: Rig) {
    let (parent, _) = family(&rig).await;
    assert_eq!(outcome(&rig, parent).await, None);
    rig.done(&rig.claim_one().await).await;
    assert_eq!(outcome(&rig, parent).await, None, "one child is not over");
    rig.done(&rig.claim_one().await).await;
    assert_eq!(outcome(&rig, parent).await.map(FlowOutcome::as_str), Some("completed"));
}

async fn a_job_that_is_queued_already_stands_for_the_child(mut rig: Rig) {
    let later = std::time::Duration::from_secs(60);
    let waiting = rig.add(NewJob { delay: later, ..sync("ddt", "a") }).await;
    let flows = [rig.add(sync("orders", "a")).await, rig.add(sync("orders", "b")).await];
    let children = flows.map(|parent| child("ddt", parent)).to_vec();
    assert_eq!(rig.ask_all(children).await, [Admission::AlreadyQueued { job: waiting }; 2]);
    for orders in rig.claim(5).await {
        rig.done(&orders).await;
    }
    assert_eq!((outcome(&rig, flows[0]).await, outcome(&rig, flows[1]).await), (None, None), "ddt is not over");
    rig.pass(60);
    rig.done(&rig.claim_one().await).await;
    for flow in flows {
        assert_eq!(outcome(&rig, flow).await.map(FlowOutcome::as_str), Some("completed"), "it stood in both");
    }
}

async fn a_failed_child_completes_its_flow_with_errors(rig: Rig) {
    let (parent, _) = family(&rig).await;
    rig.fail(&rig.claim_one().await).await;
    rig.done(&rig.claim_one().await).await;
    assert_eq!(outcome(&rig, parent).await.map(FlowOutcome::as_str), Some("completed_with_errors"));
}

async fn a_failed_first_job_fails_its_flow(rig: Rig) {
    let parent = rig.add(sync("orders", "a")).await;
    let running = rig.claim_one().await;
    rig.add(child("ddt", parent)).await;
    rig.fail(&running).await;
    rig.done(&rig.claim_one().await).await;
    assert_eq!(outcome(&rig, parent).await.map(FlowOutcome::as_str), Some("failed"));
}

async fn a_removed_child_is_not_waited_for(rig: Rig) {
    let (parent, [first, second]) = family(&rig).await;
    for job in [first, second] {
        let meant = JobSelector { job: Some(job), ..JobSelector::default() };
        rig.board.request_stop(meant, rig.now).await.unwrap();
    }
    assert_eq!(outcome(&rig, parent).await.map(FlowOutcome::as_str), Some("completed"));
}

async fn a_retried_child_opens_its_flow_again(rig: Rig) {
    let (parent, [first, _]) = family(&rig).await;
    rig.fail(&rig.claim_one().await).await;
    rig.done(&rig.claim_one().await).await;
    assert_eq!(rig.board.retry(first, false, rig.now).await.unwrap(), Retry::Accepted);
    assert_eq!(outcome(&rig, parent).await, None);
    rig.done(&rig.claim_one().await).await;
    assert_eq!(outcome(&rig, parent).await.map(FlowOutcome::as_str), Some("completed"));
}

async fn children_know_the_first_job(rig: Rig) {
    let (parent, [first, _]) = family(&rig).await;
    let grandchild = rig.add(NewJob { dedup_key: None, ..child("customers", first) }).await;
    let job = rig.job(grandchild).await;
    assert_eq!((job.parent_job_id, job.root_job_id), (Some(first), Some(parent)));
}

async fn children_wait_for_an_open_breaker_and_are_not_lost(mut rig: Rig) {
    let parent = rig.add(sync("orders", "a")).await;
    for _ in 0..3 {
        let job = rig.claim_one().await;
        rig.source_failed(&job, lockstep::domain::NextStep::GiveBack).await;
    }
    let children = rig.ask_all(vec![child("ddt", parent), sync("customers", "a")]).await;
    assert!(children[0].is_taken() && !children[1].is_taken(), "{children:?}");
    assert!(rig.claim(5).await.is_empty());
    rig.pass(60);
    assert_eq!(rig.claim(5).await.len(), 1, "one probe");
}

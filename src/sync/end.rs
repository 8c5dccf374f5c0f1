//! How is the end of an attempt recorded and told, whatever kind of work it was?

use crate::{
    domain::{ClaimedJob, NextStep, Outcome, Timestamp},
    event::{Bus, Event},
    store::{Finish, Store},
    sync::RunEnd,
};

/// Stores the end of an attempt, logs it once and publishes it.
pub async fn record_end(
    store: &Store,
    bus: &Bus,
    now: Timestamp,
    job: ClaimedJob,
    finish: Finish,
    next: NextStep,
) -> RunEnd {
    let outcome = finish.outcome.unwrap_or(Outcome::Panicked);
    let mut end = RunEnd {
        stage: finish.stage,
        error: finish.error.clone(),
        counts: finish.counts,
        ..RunEnd::new(&job, outcome, next)
    };
    match store.finish(&job, finish, next, now).await {
        Ok(finished) => {
            end.counts = finished.counts;
            end.follow_ups = finished.follow_ups;
        }
        Err(error) => {
            tracing::error!(%error, "the end of the run could not be stored");
            end.not_recorded = Some(error.to_string());
        }
    }
    tell(&end);
    bus.publish(Event::Finished {
        run: job.run,
        job: job.id,
        job_type: job.job_type,
        agent_id: job.agent,
        outcome,
        counts: end.counts,
        error: end.error.clone(),
    });
    end
}

fn tell(end: &RunEnd) {
    let counts = serde_json::json!(end.counts).to_string();
    let outcome = end.outcome.as_str();
    match end.outcome {
        applied if applied.is_applied() => tracing::info!(outcome, counts, "run finished"),
        Outcome::Stopped | Outcome::Skipped => tracing::info!(outcome, stage = ?end.stage, counts, "run stopped"),
        _ => tracing::warn!(outcome, stage = ?end.stage, error = end.error, next = ?end.next, "run did not succeed"),
    }
}

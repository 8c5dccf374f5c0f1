//! What follows from the end of an attempt, whatever kind of work it was, and how is it recorded and told?

use super::{
    context::Context,
    port::{RunEnd, StopHandle},
};
use crate::{
    domain::{BreakerPolicy, ClaimedJob, NextStep, Outcome, Reason, RetryPolicy, SourceReport, text::on_record},
    event::{Event, lines_of_this_run},
    source::SourceError,
    store::{Finish, StoreError},
};

/// Stores the end of an attempt and publishes it.
pub async fn record_end(
    context: &Context,
    job: ClaimedJob,
    stop: &StopHandle,
    mut finish: Finish,
    next: NextStep,
) -> RunEnd {
    let (store, now) = (&context.store, context.clock.now());
    let outcome = finish.outcome.unwrap_or(Outcome::Panicked);
    let said = finish.error.as_deref();
    tracing::debug!(outcome = outcome.as_str(), code = finish.error_code, said, ?next, "the attempt is over");
    let log = lines_of_this_run();
    if outcome != Outcome::Unchanged {
        // most runs change nothing, and nobody looks at their log
        finish.log = log;
    }
    let (finish, next, outcome, stored) = match store.finish(&job, finish.clone(), next, now).await {
        // what the database refuses for its content, it refuses again: that is how the attempt ended
        Err(error) if error.is_about_data() => {
            let (finish, outcome) = (refused(finish, &error), Outcome::Failed { retryable: false });
            let stored = store.finish(&job, finish.clone(), NextStep::Done, now).await;
            (finish, NextStep::Done, outcome, stored)
        }
        stored => (finish, next, outcome, stored),
    };
    let mut end =
        RunEnd { stage: finish.stage, error: finish.error, counts: finish.counts, ..RunEnd::new(&job, outcome, next) };
    match stored {
        Ok(finished) => {
            end.counts = finished.counts;
            for (job_type, admission) in finished.follow_ups {
                context.bus.publish(Event::enqueued(job_type, job.agent.clone(), Reason::Flow, admission));
            }
        }
        Err(error) => {
            // it has not ended for anybody else: the job is taken over when its lease runs out
            tracing::error!(%error, outcome = outcome.as_str(), "the end of the run could not be stored");
            end.not_recorded = Some(error.to_string());
            return end;
        }
    }
    context.bus.publish(Event::Finished {
        run: job.run,
        job: job.id,
        job_type: job.job_type,
        agent_id: job.agent,
        outcome,
        counts: end.counts,
        error_code: finish.error_code,
        error: end.error.clone(),
        duration_ms: (now - job.started_at).num_milliseconds().max(0).unsigned_abs(),
        stop_ms: stop.asked_ago().map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        stages: finish.stages,
    });
    end
}

/// An end that holds nothing of what the database refused.
fn refused(finish: Finish, error: &StoreError) -> Finish {
    Finish {
        outcome: Some(Outcome::Failed { retryable: false }),
        stage: finish.stage,
        error_code: Some("cannot_be_stored".to_owned()),
        error: Some(on_record(&error.to_string())),
        counts: finish.counts,
        source: finish.source,
        stages: finish.stages,
        spec_fingerprint: finish.spec_fingerprint,
        ..Finish::default()
    }
}

/// What becomes of a job after an attempt that ended so.
#[must_use]
pub fn next_step(outcome: Outcome, job: &ClaimedJob, stop: &StopHandle) -> NextStep {
    if outcome == Outcome::Stopped && stop.gives_back() {
        return NextStep::GiveBack;
    }
    // whoever asked for a stop does not want another attempt
    if stop.is_set() && !stop.gives_back() {
        return NextStep::Done;
    }
    let policy = RetryPolicy { max_attempts: job.max_attempts, ..job.class.retries() };
    policy.backoff(outcome, job.attempt, fastrand::f64()).map_or(NextStep::Done, NextStep::RetryIn)
}

/// What an answer of the source tells its breaker: nothing, if it was not asked.
#[must_use]
pub fn learnt(breaker: &SourceReport, answer: Result<(), &SourceError>) -> Option<SourceReport> {
    let failed = match answer {
        Ok(()) => None,
        Err(error) => Some(error.to_string()).filter(|_| error.is_failure_of_source() == Some(true)),
    };
    let was_asked = answer.err().is_none_or(|error| error.is_failure_of_source().is_some());
    // who asks to be left alone is: until then nothing is tried, whatever is scheduled
    let policy = match answer {
        Err(SourceError::Busy { after, .. }) => BreakerPolicy { failures: 1, open: *after, max_open: *after },
        _ => breaker.policy,
    };
    was_asked.then(|| SourceReport { failed, policy, ..breaker.clone() })
}

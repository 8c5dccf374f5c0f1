//! How does one attempt end, whatever happens in it? Panics, time-outs and lost leases become outcomes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::JoinError;
use tracing::Instrument;

use super::{
    pipeline::{Context, Pipeline, Problem},
    port::{RunEnd, RunJob, StopHandle, Watch},
};
use crate::{
    domain::{ClaimedJob, NextStep, Outcome, RetryPolicy},
    event::Event,
    store::Finish,
};

/// How long a run that took too long has to come to its next batch.
const GRACE: Duration = Duration::from_secs(5);

/// The real runner: the pipeline below it, the database as the record of its end.
#[derive(Clone)]
pub struct Runner {
    context: Arc<Context>,
    runtime: tokio::runtime::Handle,
    retries: RetryPolicy,
}

impl Runner {
    /// Runs on `runtime`, the app's IO runtime.
    #[must_use]
    pub fn new(context: Arc<Context>, runtime: tokio::runtime::Handle) -> Self {
        Self { context, runtime, retries: RetryPolicy::SYNC }
    }

    /// Tries each job once, for callers whom nobody follows.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.retries.max_attempts = 1;
        self
    }

    /// Runs the pipeline in a task of its own, so that a panic in it ends nothing but the run.
    async fn attempt(&self, job: &ClaimedJob, stop: &StopHandle, watch: &Watch) -> Finish {
        let Some(spec) = self.context.types.get(job.sync_type.as_str()).cloned() else {
            let text = format!("there is no sync type '{}'", job.sync_type);
            return ended(Finish::default(), Outcome::Failed { retryable: false }, "unknown_type", text);
        };
        let inner = stop.child();
        let mut pipeline = Pipeline {
            context: self.context.clone(),
            spec,
            job: job.clone(),
            stop: inner.clone(),
            watch: watch.clone(),
            finish: Finish::default(),
        };
        let work = async move {
            let outcome = pipeline.run().await;
            (outcome, pipeline.finish)
        };
        let mut task = self.runtime.spawn(work.in_current_span());
        let limit = self.context.time_limit;
        if let Ok(done) = tokio::time::timeout(limit, &mut task).await {
            return finished(done, watch);
        }
        // first as a stop, so that the run comes to its next batch and tells what it wrote
        inner.token().cancel();
        let text = format!("the run took longer than {} s", limit.as_secs_f64());
        let mut finish = Finish { outcome: Some(Outcome::Stopped), stage: watch.progress().stage, ..Finish::default() };
        if let Ok(done) = tokio::time::timeout(GRACE, &mut task).await {
            finish = finished(done, watch);
        }
        task.abort();
        match finish.outcome {
            Some(Outcome::Stopped) => ended(finish, Outcome::TimedOut, "timed_out", text),
            _ => finish,
        }
    }
}

/// What the end of the pipeline's task stores.
fn finished(done: Result<(Result<Outcome, Problem>, Finish), JoinError>, watch: &Watch) -> Finish {
    match done {
        Ok((Ok(outcome), finish)) => {
            let stage = finish.stage.filter(|_| outcome == Outcome::Held);
            Finish { outcome: Some(outcome), stage, ..finish }
        }
        Ok((Err(problem), mut finish)) => {
            // what was marked for the last transaction of a success is none of a failure's
            finish.missing.clear();
            finish.deleted.clear();
            match problem {
                Problem::Stopped => Finish { outcome: Some(Outcome::Stopped), ..finish },
                problem => {
                    let text = problem.to_string();
                    ended(finish, problem.outcome(), problem.code(), text)
                }
            }
        }
        Err(join) => {
            let panic = join.try_into_panic().ok();
            let text = panic.as_ref().and_then(|panic| {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                text.or_else(|| panic.downcast_ref::<String>().cloned())
            });
            let finish = Finish { stage: watch.progress().stage, ..Finish::default() };
            ended(finish, Outcome::Panicked, "panic", text.unwrap_or_else(|| "the run panicked".to_owned()))
        }
    }
}

fn ended(finish: Finish, outcome: Outcome, code: &str, text: String) -> Finish {
    Finish { outcome: Some(outcome), error_code: Some(code.to_owned()), error: Some(text), ..finish }
}

#[async_trait]
impl RunJob for Runner {
    async fn run(&self, job: ClaimedJob, stop: StopHandle, watch: Watch) -> RunEnd {
        let span = tracing::info_span!("run", run = job.run, job = job.id, r#type = %job.sync_type, agent = %job.agent);
        async move {
            tracing::info!(attempt = job.attempt, reason = job.reason.as_str(), "sync started");
            let finish = self.attempt(&job, &stop, &watch).await;
            let outcome = finish.outcome.unwrap_or(Outcome::Panicked);
            let next = next_step(self.retries, outcome, &job, &stop);
            let mut end = RunEnd {
                job: job.id,
                run: job.run,
                outcome,
                stage: finish.stage,
                error: finish.error.clone(),
                counts: finish.counts,
                next,
                follow_ups: Vec::new(),
                not_recorded: None,
            };
            match self.context.store.finish(&job, finish, next, self.context.clock.now()).await {
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
            self.context.bus.publish(Event::Finished {
                run: job.run,
                job: job.id,
                sync_type: job.sync_type,
                agent_id: job.agent,
                outcome,
                counts: end.counts,
                error: end.error.clone(),
            });
            end
        }
        .instrument(span)
        .await
    }
}

fn next_step(retries: RetryPolicy, outcome: Outcome, job: &ClaimedJob, stop: &StopHandle) -> NextStep {
    if outcome == Outcome::Stopped && stop.gives_back() {
        return NextStep::GiveBack;
    }
    // whoever asked for a stop does not want another attempt
    if stop.is_set() && !stop.gives_back() {
        return NextStep::Done;
    }
    retries.backoff(outcome, job.attempt, fastrand::f64()).map_or(NextStep::Done, NextStep::RetryIn)
}

fn tell(end: &RunEnd) {
    let counts = serde_json::json!(end.counts).to_string();
    let outcome = end.outcome.as_str();
    match end.outcome {
        outcome_ok if outcome_ok.is_applied() => tracing::info!(outcome, counts, "sync finished"),
        Outcome::Stopped => tracing::info!(outcome, stage = ?end.stage, counts, "sync stopped"),
        _ => tracing::warn!(outcome, stage = ?end.stage, error = end.error, next = ?end.next, "sync did not succeed"),
    }
}

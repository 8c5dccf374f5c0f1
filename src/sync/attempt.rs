//! How does one attempt end, whatever happens in it? Panics, time-outs and lost leases become outcomes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::{
    context::Context,
    end::{next_step, record_end},
    error::RunError,
    pipeline::Pipeline,
    port::{RunEnd, RunJob, StopHandle, StopReason, Watch},
};
use crate::{
    domain::{
        AgentId, ClaimedJob, Outcome, Reason,
        run::{GIVEN_UP, panic_text},
    },
    event::RUN,
    store::Finish,
};

/// The real runner: the pipeline below it, the database as the record of its end.
#[derive(Clone)]
pub struct Runner {
    context: Arc<Context>,
    runtime: tokio::runtime::Handle,
    once: bool,
}

impl Runner {
    /// Runs on `runtime`, the app's IO runtime.
    #[must_use]
    pub fn new(context: Arc<Context>, runtime: tokio::runtime::Handle) -> Self {
        Self { context, runtime, once: false }
    }

    /// Tries each job once, for callers whom nobody follows.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Runs the pipeline in a task of its own, so that a panic in it ends nothing but the run.
    async fn attempt(&self, job: &ClaimedJob, stop: &StopHandle, watch: &Watch) -> Finish {
        let types = match self.context.store.taught().await {
            Ok(taught) => taught.types,
            Err(error) => {
                let (outcome, text) = (Outcome::Failed { retryable: error.is_retryable() }, error.to_string());
                return ended(Finish::default(), outcome, "database", text);
            }
        };
        let Some(spec) = types.get(job.job_type.as_str()).cloned() else {
            let text = format!("there is no sync type '{}'", job.job_type);
            return ended(Finish::default(), Outcome::Failed { retryable: false }, "unknown_type", text);
        };
        let limit = spec.seconds.map_or(self.context.time_limit, Duration::from_secs);
        let inner = stop.child();
        let mut pipeline = Pipeline {
            context: self.context.clone(),
            types,
            job: job.clone(),
            stop: inner.clone(),
            watch: watch.clone(),
            finish: Finish { spec_fingerprint: Some(spec.fingerprint.clone()), ..Finish::default() },
            spec,
            entered: None,
        };
        let work = async move {
            let outcome = pipeline.run().await;
            pipeline.leave();
            (outcome, pipeline.finish)
        };
        // it ends with whoever waits for it
        let mut task = AbortOnDropHandle::new(self.runtime.spawn(work.in_current_span()));
        let text = tokio::select! {
            done = &mut task => return without_guess(finished(done, watch), stop),
            () = stop.token().cancelled() => None,
            () = tokio::time::sleep(limit) => Some(format!("the run took longer than {} s", limit.as_secs_f64())),
        };
        // too long is first a stop too, so that the run comes to its next batch and tells what it wrote
        inner.token().cancel();
        let mut finish = Finish { outcome: Some(Outcome::Stopped), stage: watch.progress().stage, ..Finish::default() };
        if let Ok(done) = tokio::time::timeout(self.context.grace, &mut task).await {
            finish = finished(done, watch);
        } else {
            tracing::warn!("the run did not come to its next batch in time and is given up");
            // a transaction under way ends first; later ones do not find their lease
            task.abort();
            finish.error_code = Some(GIVEN_UP.to_owned());
            finish.error = Some("the run did not come to its next batch in time; its counts are not known".to_owned());
        }
        if text.is_none() {
            finish = without_guess(finish, stop);
        }
        match (finish.outcome, text) {
            (Some(Outcome::Stopped), Some(text)) => ended(finish, Outcome::TimedOut, "timed_out", text),
            _ => finish,
        }
    }
}

/// A stop says nothing of the source that was being asked.
fn without_guess(mut finish: Finish, stop: &StopHandle) -> Finish {
    if stop.is_set() {
        finish.source = finish.source.filter(|source| source.failed.is_none());
    }
    finish
}

/// What the end of the pipeline's task stores.
fn finished(done: Result<(Result<Outcome, RunError>, Finish), JoinError>, watch: &Watch) -> Finish {
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
                RunError::Stopped => Finish { outcome: Some(Outcome::Stopped), ..finish },
                problem => {
                    let text = problem.to_string();
                    ended(finish, problem.outcome(), problem.code(), text)
                }
            }
        }
        Err(join) => {
            let text =
                join.try_into_panic().map_or("the run was cut off".to_owned(), |panic| panic_text(panic.as_ref()));
            let finish = Finish { stage: watch.progress().stage, ..Finish::default() };
            ended(finish, Outcome::Panicked, "panic", text)
        }
    }
}

fn ended(finish: Finish, outcome: Outcome, code: &str, text: String) -> Finish {
    Finish { outcome: Some(outcome), error_code: Some(code.to_owned()), error: Some(text), ..finish }
}

#[async_trait]
impl RunJob for Runner {
    async fn run(&self, mut job: ClaimedJob, stop: StopHandle, watch: Watch) -> RunEnd {
        if self.once {
            job.max_attempts = 1;
        }
        let span = tracing::info_span!(RUN, run_id = job.run.0, job_id = job.id.0, sync_type = %job.job_type, agent = %job.agent);
        async move {
            let mut finish = match self.skip(&job).await {
                Some(skipped) => skipped,
                None => self.attempt(&job, &stop, &watch).await,
            };
            let outcome = finish.outcome.unwrap_or(Outcome::Panicked);
            if outcome != Outcome::Held && stop.reason() != Some(StopReason::Preempted) {
                // only a sync that made room goes on from the same bytes
                finish.document = None;
            }
            let next = next_step(outcome, &job, &stop);
            record_end(&self.context, job, &stop, finish, next).await
        }
        .instrument(span)
        .await
    }
}

impl Runner {
    /// Is there nothing to do for this job any more? A timer's or flow's job whose agent was deactivated
    /// since is a skip: neither success nor failure.
    async fn skip(&self, job: &ClaimedJob) -> Option<Finish> {
        let is_asked = match job.reason {
            Reason::Timer | Reason::Flow => false,
            Reason::Manual | Reason::Upload | Reason::Replay | Reason::Approval | Reason::Operation => true,
        };
        if is_asked || job.agent == AgentId::service_account() {
            return None;
        }
        let agents = self.context.store.agents().await.ok()?;
        let is_inactive = agents.iter().any(|agent| agent.id == job.agent && !agent.active);
        let text = format!("agent {} was deactivated", job.agent);
        is_inactive.then(|| ended(Finish::default(), Outcome::Skipped, "agent_inactive", text))
    }
}

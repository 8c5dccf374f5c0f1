//! How does one attempt of an operation go? Phases are recorded, so that no effect happens twice.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;

use super::{
    OperationSpec, Operations,
    effect::{Effect, Turn},
};
use crate::{
    domain::{AgentId, ClaimedJob, Class, Outcome, SourceReport, run::panic_text, text::on_record},
    sink::{Delivered, Delivery, Routes},
    source::{Ask, Fetched, SourceError},
    store::Finish,
    sync::{Context, RunEnd, RunJob, StopHandle, Watch, learnt, next_step, record_end},
};

/// Runs writes and downloads.
pub struct OperationRunner {
    /// The database, the source, the clock, the bus.
    pub context: Arc<Context>,
    /// All operations.
    pub operations: Arc<Operations>,
    /// Who has the effects of writes.
    pub routes: Routes,
    /// The app's IO runtime.
    pub runtime: tokio::runtime::Handle,
}

/// How far an attempt's effect is, seen from outside of its task.
type Seen = Arc<Mutex<Effect>>;

impl OperationRunner {
    async fn attempt(self: &Arc<Self>, job: &ClaimedJob, stop: &StopHandle) -> Finish {
        let Some(spec) = self.operations.get(job.job_type.as_str()).cloned() else {
            let text = format!("there is no operation '{}'", job.job_type);
            return failed(Outcome::Failed { retryable: false }, "unknown_type", text);
        };
        match job.class {
            Class::Write => self.write(&spec, job, stop).await,
            Class::Download | Class::Sync => self.download(&spec, job, stop).await,
        }
    }

    /// A write is asked to stop only before its effect; afterwards its answer is waited for.
    async fn write(self: &Arc<Self>, spec: &Arc<OperationSpec>, job: &ClaimedJob, stop: &StopHandle) -> Finish {
        if stop.is_set() {
            return Finish { outcome: Some(Outcome::Stopped), ..Finish::default() };
        }
        let seen: Seen = Arc::new(Mutex::new(Effect::Before));
        let work = {
            let (runner, spec, job, seen) = (self.clone(), spec.clone(), job.clone(), seen.clone());
            async move { runner.deliver(&spec, &job, &seen).await }
        };
        let (turn, text, result) = match in_time(&self.runtime, spec.time_limit(), work).await {
            Ok(Ok(answer)) => (Turn::Confirmed, None, Some(answer)),
            Ok(Err((turn, code, text))) => (turn, Some((code, text)), None),
            Err(Cut::Panicked(text)) => (Turn::Cut, Some(("panic", text)), None),
            Err(Cut::TimedOut(text)) => (Turn::Cut, Some(("timed_out", text)), None),
        };
        let effect = *seen.lock();
        let outcome = effect.outcome(turn, job.repeatable);
        match text {
            Some((code, text)) => Finish { result, ..failed(outcome, code, text) },
            None => Finish { outcome: Some(outcome), result, ..Finish::default() },
        }
    }

    async fn deliver(
        &self,
        spec: &OperationSpec,
        job: &ClaimedJob,
        seen: &Seen,
    ) -> Result<Json, (Turn, &'static str, String)> {
        use crate::sink::SinkError as E;
        let data = job.payload.clone().unwrap_or(Json::Null);
        let delivery = Delivery {
            // a database that was set up anew gives the same numbers again
            id: format!("lockstep-{}-{}", job.id, job.enqueued_at.timestamp_millis()),
            operation: Some(spec.name.clone()),
            agent: Some(job.agent.clone()),
            action: spec.action,
            model: spec.model.clone(),
            record: spec.record_of(&data),
            row: None,
            is_repeat: job.attempt > 1,
            data,
        };
        let note = |effect| *seen.lock() = effect;
        self.context.store.begin_effect(job).await.map_err(|error| (Turn::Cut, "database", error.to_string()))?;
        note(Effect::Sending);
        let sink = self.routes.for_operations(&spec.model);
        let Delivered { answer, row: _ } = sink.deliver_one(delivery).await.map_err(|error| {
            let turn = match error {
                E::NotSent(_) | E::Unavailable { .. } | E::NotThere(_) => Turn::NotSent,
                E::Refused(_) | E::NotConfigured => Turn::Refused,
                E::Unknown(_) => Turn::Cut,
            };
            (turn, error.code(), on_record(&error.to_string()))
        })?;
        note(Effect::Done);
        Ok(answer)
    }

    async fn download(self: &Arc<Self>, spec: &Arc<OperationSpec>, job: &ClaimedJob, stop: &StopHandle) -> Finish {
        let work = {
            let (runner, spec, job) = (self.clone(), spec.clone(), job.clone());
            async move {
                runner.context.may_fetch().await;
                let number = spec.record_of(job.payload.as_ref().unwrap_or(&Json::Null));
                runner.document(&spec, &job.agent, &number).await
            }
        };
        let fetched = tokio::select! {
            () = stop.token().cancelled() => {
                return Finish { outcome: Some(Outcome::Stopped), ..Finish::default() };
            }
            fetched = in_time(&self.runtime, spec.time_limit(), work) => fetched,
        };
        let failing = |text: String| Some(SourceReport { failed: Some(text), ..self.context.breaker.clone() });
        match fetched {
            Ok(Ok(bytes)) => Finish {
                outcome: Some(Outcome::Succeeded),
                result: Some(json!({ "sha256": hex::encode(Sha256::digest(&*bytes)), "bytes": bytes.len() })),
                document: Some(bytes),
                source: learnt(&self.context.breaker, Ok(())),
                ..Finish::default()
            },
            Ok(Err(error)) => {
                let source = learnt(&self.context.breaker, Err(&error));
                let outcome = Outcome::Failed { retryable: error.is_retryable() };
                Finish { source, ..failed(outcome, error.code(), error.to_string()) }
            }
            Err(Cut::Panicked(text)) => failed(Outcome::Panicked, "panic", text),
            Err(Cut::TimedOut(text)) => {
                Finish { source: failing(text.clone()), ..failed(Outcome::TimedOut, "timed_out", text) }
            }
        }
    }
}

impl OperationRunner {
    /// Fetches one document, and keeps it for those who ask for it soon.
    async fn document(&self, spec: &OperationSpec, agent: &AgentId, number: &str) -> Result<Arc<Vec<u8>>, SourceError> {
        let Fetched::New { bytes, .. } = self.context.source.fetch(&Ask::document(&spec.model, agent, number)).await?
        else {
            return Err(SourceError::NotAReport("unchanged, which nobody asked".to_owned()));
        };
        let bytes = Arc::new(bytes);
        let (store, keep, now) = (&self.context.store, self.context.keep, self.context.clock.now());
        if let Err(error) = store.keep_single((&spec.model, agent, number), bytes.clone(), keep, now).await {
            tracing::warn!(%error, "a document could not be kept for those who ask for it next");
        }
        Ok(bytes)
    }
}

/// Why work has no result.
enum Cut {
    /// It panicked, saying this.
    Panicked(String),
    /// It took too long.
    TimedOut(String),
}

/// Runs `work` in a task of its own, and aborts that when it takes too long or nobody waits any more. The
/// task has ended when this returns: what it did, it did before.
async fn in_time<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    limit: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Cut> {
    let mut task = AbortOnDropHandle::new(runtime.spawn(work));
    let ended = if let Ok(ended) = tokio::time::timeout(limit, &mut task).await {
        ended
    } else {
        task.abort();
        // it may still have come to its end
        (&mut task).await
    };
    ended.map_err(|join| match join.try_into_panic() {
        Ok(panic) => Cut::Panicked(panic_text(panic.as_ref())),
        Err(_) => Cut::TimedOut(format!("the attempt took longer than {} s", limit.as_secs_f64())),
    })
}

fn failed(outcome: Outcome, code: &str, text: String) -> Finish {
    Finish { outcome: Some(outcome), error_code: Some(code.to_owned()), error: Some(text), ..Finish::default() }
}

#[async_trait]
impl RunJob for Arc<OperationRunner> {
    async fn run(&self, job: ClaimedJob, stop: StopHandle, _: Watch) -> RunEnd {
        let finish = self.attempt(&job, &stop).await;
        let next = next_step(finish.outcome.unwrap_or(Outcome::Panicked), &job, &stop);
        record_end(&self.context, job, &stop, finish, next).await
    }
}

//! How does one attempt of an operation go? Phases are recorded, so that no effect happens twice.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{
    effect::{Effect, Turn},
    sink::{Delivery, Sink},
};
use crate::{
    domain::{ClaimedJob, Class, Clock, NextStep, Outcome},
    event::Bus,
    operation::{OperationSpec, Operations},
    source::{Source, SourceError},
    store::{Finish, SourceReport, Store},
    sync::{RunEnd, RunJob, StopHandle, Watch, record_end},
};

/// Runs writes and downloads.
pub struct OperationRunner {
    /// The database.
    pub store: Store,
    /// All operations.
    pub operations: Arc<Operations>,
    /// Who has the effects of writes.
    pub sink: Arc<dyn Sink>,
    /// Where documents come from.
    pub source: Arc<dyn Source>,
    /// The source's name and breaker rule.
    pub breaker: SourceReport,
    /// Where events go.
    pub bus: Bus,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
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
            Err(cut) => (Turn::Cut, Some(("cut", cut)), None),
        };
        let effect = *seen.lock().unwrap_or_else(PoisonError::into_inner);
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
        use super::sink::SinkError as E;
        let data = job.payload.clone().unwrap_or(Json::Null);
        let delivery = Delivery {
            id: format!("lockstep-{}", job.id),
            operation: spec.name.clone(),
            agent: job.agent.clone(),
            model: spec.model.clone(),
            record: spec.record_of(&data),
            data,
        };
        let note = |effect| *seen.lock().unwrap_or_else(PoisonError::into_inner) = effect;
        self.store.begin_effect(job).await.map_err(|error| (Turn::Cut, "database", error.to_string()))?;
        note(Effect::Sending);
        let answer = self.sink.deliver(delivery).await.map_err(|error| {
            let turn = match error {
                E::NotSent(_) => Turn::NotSent,
                E::Refused(_) | E::NotConfigured => Turn::Refused,
                E::Unknown(_) => Turn::Cut,
            };
            (turn, error.code(), error.to_string())
        })?;
        note(Effect::Done);
        Ok(answer)
    }

    async fn download(self: &Arc<Self>, spec: &Arc<OperationSpec>, job: &ClaimedJob, stop: &StopHandle) -> Finish {
        let work = {
            let (runner, spec, job) = (self.clone(), spec.clone(), job.clone());
            async move {
                let number = spec.record_of(job.payload.as_ref().unwrap_or(&Json::Null));
                runner.source.document(&spec.model, &job.agent, &number).await
            }
        };
        let fetched = tokio::select! {
            () = stop.token().cancelled() => {
                return Finish { outcome: Some(Outcome::Stopped), ..Finish::default() };
            }
            fetched = in_time(&self.runtime, spec.time_limit(), work) => fetched,
        };
        let learnt = |failed: Option<String>| Some(SourceReport { failed, ..self.breaker.clone() });
        match fetched {
            Ok(Ok(bytes)) => self.keep(bytes, learnt(None)).await,
            Ok(Err(error)) => {
                let source = match &error {
                    SourceError::Unreachable(text) => learnt(Some(text.clone())),
                    SourceError::NotConfigured => None,
                    SourceError::NotFound(_) | SourceError::TooLarge { .. } | SourceError::BadName(_) => learnt(None),
                };
                let outcome = Outcome::Failed { retryable: error.is_retryable() };
                Finish { source, ..failed(outcome, error.code(), error.to_string()) }
            }
            Err(cut) => Finish { source: learnt(Some(cut.clone())), ..failed(Outcome::TimedOut, "timed_out", cut) },
        }
    }

    async fn keep(&self, bytes: Vec<u8>, source: Option<SourceReport>) -> Finish {
        if let Err(refusal) = crate::report::check_is_pdf(&bytes) {
            let outcome = Outcome::Failed { retryable: false };
            return Finish { source, ..failed(outcome, refusal.code.as_str(), refusal.to_string()) };
        }
        let (sha256, size) = (hex::encode(Sha256::digest(&bytes)), bytes.len());
        match self.store.keep_document(bytes, self.clock.now()).await {
            Ok(document) => {
                let result = Some(json!({ "documentId": document, "sha256": sha256, "bytes": size }));
                Finish { outcome: Some(Outcome::Succeeded), result, source, ..Finish::default() }
            }
            Err(error) => failed(Outcome::Failed { retryable: error.is_retryable() }, "database", error.to_string()),
        }
    }
}

/// Runs `work` in a task of its own; a panic or too long a wait is told as text.
async fn in_time<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    limit: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let mut task = runtime.spawn(work);
    match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err("the attempt panicked".to_owned()),
        Err(_) => {
            task.abort();
            Err(format!("the attempt took longer than {} s", limit.as_secs_f64()))
        }
    }
}

fn failed(outcome: Outcome, code: &str, text: String) -> Finish {
    Finish { outcome: Some(outcome), error_code: Some(code.to_owned()), error: Some(text), ..Finish::default() }
}

#[async_trait]
impl RunJob for Arc<OperationRunner> {
    async fn run(&self, job: ClaimedJob, stop: StopHandle, _: Watch) -> RunEnd {
        let finish = self.attempt(&job, &stop).await;
        let outcome = finish.outcome.unwrap_or(Outcome::Panicked);
        let next = match outcome {
            Outcome::Stopped if stop.gives_back() => NextStep::GiveBack,
            _ if stop.is_set() && !stop.gives_back() => NextStep::Done,
            _ => {
                let policy = crate::domain::RetryPolicy { max_attempts: job.max_attempts, ..job.class.retries() };
                let pause = policy.backoff(outcome, job.attempt, fastrand::f64());
                pause.map_or(NextStep::Done, NextStep::RetryIn)
            }
        };
        record_end(&self.store, &self.bus, self.clock.now(), job, finish, next).await
    }
}

//! What happens to requests? They are gathered, stored together, answered and told.

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::{
    actor::{QueueActor, storage},
    message::{Approve, Enqueue, EnqueueMany, EnqueueTick, QueueError},
};
use crate::{
    domain::{Admission, NewJob, Reason, Window},
    event::Event,
};

/// How long a refusal from memory may wait for the database's word.
const DOUBT: Duration = Duration::from_millis(100);

type Reply = oneshot::Sender<Result<Admission, QueueError>>;

/// A request that waits for the next transaction; without a reply, it was refused from memory and is asked
/// once more.
pub(super) struct Waiting {
    pub job: NewJob,
    pub reply: Option<Reply>,
}

impl QueueActor {
    /// The job that a message asks for.
    fn job(&self, ask: Enqueue) -> Result<NewJob, QueueError> {
        if self.board.is_draining() {
            return Err(QueueError::ShuttingDown);
        }
        let mut job = match self.parts.types.get(ask.job_type.as_str()) {
            Some(spec) => spec.job(&ask.agent, ask.reason),
            None => self.operation(&ask)?,
        };
        job.force = ask.force;
        job.mode = ask.mode;
        job.delay = ask.delay;
        if let Some((document, sha256)) = ask.document {
            // an upload has its own key, so that its bytes are never dropped for a waiting sync
            job.dedup_key = Some(format!("{}:{}:{sha256}", job.job_type, job.agent));
            job.document = Some(document);
        }
        if let Some(key) = ask.idempotency_key {
            // keys are scoped: the same key for another type or agent is another key
            let key = format!("{}:{}:{key}", job.job_type, job.agent);
            let release_on_failure =
                self.parts.operations.get(job.job_type.as_str()).is_some_and(|spec| spec.release_window_on_failure);
            job.dedup_key.get_or_insert_with(|| key.clone());
            job.window = Some(Window { key, length: self.settings.throttle, release_on_failure });
        }
        Ok(job)
    }

    fn operation(&self, ask: &Enqueue) -> Result<NewJob, QueueError> {
        let operation = ask.job_type.clone();
        let spec = self.parts.operations.get(operation.as_str());
        let spec = spec.ok_or_else(|| QueueError::UnknownType(operation.clone()))?;
        let data = ask.data.clone().unwrap_or_default();
        if let Some(field) = spec.missing(&data) {
            return Err(QueueError::MissingField { operation, field: field.to_owned() });
        }
        Ok(spec.job(ask.agent.clone(), data))
    }

    /// Refuses a duplicate by what this process knows, without a look at the database. Should the winner
    /// have ended meanwhile (another process can end it), the request is admitted after all: nothing that was
    /// asked for is lost by the shortcut.
    fn refuse_from_memory(&mut self, job: &NewJob, ctx: &mut Context<Self>) -> Option<Admission> {
        if self.pause.as_ref().is_some_and(|pause| pause.holds(self.parts.clock.now())) {
            return None;
        }
        let key = job.dedup_key.as_ref().filter(|_| job.is_plain())?;
        let winner = self.parts.jobs.known_owner(key)?;
        let admission = Admission::AlreadyQueued { job: winner };
        if self.doubted.is_empty() {
            ctx.run_later(DOUBT, Self::ask_again);
        }
        if !self.doubted.contains_key(key) {
            self.doubted.insert(key.clone(), NewJob { refused_for: Some(winner), ..job.clone() });
        }
        Some(admission)
    }

    fn ask_again(&mut self, ctx: &mut Context<Self>) {
        let doubted = std::mem::take(&mut self.doubted).into_values();
        self.waiting.extend(doubted.map(|job| Waiting { job, reply: None }));
        self.store_waiting(ctx);
    }

    /// Stores what waits to be admitted in one transaction, and again until nothing waits. What can start at
    /// once is claimed in the same transaction.
    pub(super) fn store_waiting(&mut self, ctx: &mut Context<Self>) {
        if self.storing || self.waiting.is_empty() {
            return;
        }
        self.storing = true;
        let (jobs, replies): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().map(|waiting| (waiting.job, waiting.reply)).unzip();
        let room = self.board.begin_claim();
        let claim = room.map(|room| self.claim_for(room));
        let (board, now, asked) = (self.parts.jobs.clone(), self.parts.clock.now(), jobs.clone());
        let stored = async move { board.enqueue(asked, claim, now).await }.into_actor(self);
        ctx.spawn(stored.map(move |stored, actor, ctx| {
            actor.storing = false;
            let (answers, claimed) = match stored {
                Ok((answers, claimed)) => (Ok(answers), Ok(claimed.unwrap_or_default())),
                Err(error) => {
                    tracing::error!(%error, jobs = jobs.len(), "jobs could not be admitted");
                    (Err(storage(&error)), Err(error))
                }
            };
            actor.answer(&jobs, replies, answers);
            if let Some(room) = room {
                actor.claimed(room, claimed, ctx);
            } else {
                actor.claim(ctx);
            }
            actor.store_waiting(ctx);
        }));
    }

    fn answer(&mut self, jobs: &[NewJob], replies: Vec<Option<Reply>>, answers: Result<Vec<Admission>, QueueError>) {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                for reply in replies.into_iter().flatten() {
                    drop(reply.send(Err(error.clone())));
                }
                return;
            }
        };
        for ((job, reply), admission) in jobs.iter().zip(replies).zip(answers) {
            // a refusal that was told already is not told twice
            if reply.is_some() || admission.is_taken() {
                self.announce(job, admission);
            }
            if let Some(reply) = reply {
                // whoever asked may have stopped waiting
                drop(reply.send(Ok(admission)));
            }
        }
    }

    /// Tells what became of a request, and makes room for urgent work.
    fn announce(&mut self, job: &NewJob, admission: Admission) {
        self.parts.bus.publish(Event::Enqueued {
            job_type: job.job_type.clone(),
            agent_id: job.agent.clone(),
            reason: job.reason,
            admission,
        });
        if admission.is_taken() && !job.class.is_preemptible() && job.delay.is_zero() {
            let in_the_way = self.board.preemptible(&job.agent);
            self.preempt(&in_the_way);
            if self.board.is_claiming() {
                self.just_asked.insert(job.agent.clone());
            }
        }
    }
}

impl Handler<Enqueue> for QueueActor {
    type Result = ResponseFuture<Result<Admission, QueueError>>;

    fn handle(&mut self, ask: Enqueue, ctx: &mut Self::Context) -> Self::Result {
        let job = match self.job(ask) {
            Ok(job) => job,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        if let Some(refused) = self.refuse_from_memory(&job, ctx) {
            self.announce(&job, refused);
            return Box::pin(std::future::ready(Ok(refused)));
        }
        let (reply, answer) = oneshot::channel();
        self.waiting.push(Waiting { job, reply: Some(reply) });
        self.store_waiting(ctx);
        Box::pin(async { answer.await.unwrap_or(Err(QueueError::ShuttingDown)) })
    }
}

impl Handler<EnqueueMany> for QueueActor {
    type Result = ResponseFuture<Result<Vec<Admission>, QueueError>>;

    fn handle(&mut self, EnqueueMany(asks): EnqueueMany, ctx: &mut Self::Context) -> Self::Result {
        let jobs = match asks.into_iter().map(|ask| self.job(ask)).collect::<Result<Vec<_>, _>>() {
            Ok(jobs) => jobs,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (reply, answer) = oneshot::channel();
            if let Some(refused) = self.refuse_from_memory(&job, ctx) {
                self.announce(&job, refused);
                drop(reply.send(Ok(refused)));
            } else {
                self.waiting.push(Waiting { job, reply: Some(reply) });
            }
            answers.push(async { answer.await.unwrap_or(Err(QueueError::ShuttingDown)) });
        }
        self.store_waiting(ctx);
        Box::pin(async {
            let mut told = Vec::with_capacity(answers.len());
            for answer in answers {
                told.push(answer.await?);
            }
            Ok(told)
        })
    }
}

impl Handler<EnqueueTick> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Option<Vec<Admission>>, QueueError>>;

    fn handle(&mut self, EnqueueTick { slot, agents }: EnqueueTick, _: &mut Self::Context) -> Self::Result {
        let ask = |agent| self.job(Enqueue::new(slot.sync_type.job_type(), agent, Reason::Timer));
        let jobs = match agents.into_iter().map(ask).collect::<Result<Vec<_>, _>>() {
            Ok(jobs) => jobs,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let (board, now, asked) = (self.parts.jobs.clone(), self.parts.clock.now(), jobs.clone());
        let stored = async move { board.enqueue_slot(slot, asked, now).await }.into_actor(self);
        Box::pin(stored.map(move |answers, actor, ctx| {
            let answers = answers.map_err(|error| storage(&error))?;
            for (job, admission) in jobs.iter().zip(answers.iter().flatten()) {
                actor.announce(job, *admission);
            }
            actor.claim(ctx);
            Ok(answers)
        }))
    }
}

impl Handler<Approve> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Option<Admission>, QueueError>>;

    fn handle(&mut self, Approve { run, sync_type, agent }: Approve, _: &mut Self::Context) -> Self::Result {
        let job = match self.job(Enqueue::new(sync_type.job_type(), agent, Reason::Approval)) {
            Ok(job) => job,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let (board, now, asked) = (self.parts.jobs.clone(), self.parts.clock.now(), job.clone());
        let stored = async move { board.approve(run, asked, now).await }.into_actor(self);
        Box::pin(stored.map(move |answer, actor, ctx| {
            let answer = answer.map_err(|error| storage(&error))?;
            if let Some(admission) = answer {
                actor.announce(&job, admission);
            }
            actor.claim(ctx);
            Ok(answer)
        }))
    }
}

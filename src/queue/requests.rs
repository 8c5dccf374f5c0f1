//! What happens to requests? They are gathered, stored together, answered and told.

use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{
    actor::{QueueActor, storage},
    intake::{Answer, Request},
    message::{Approve, Enqueue, EnqueueMany, EnqueueTick, QueueError},
};
use crate::{
    coordination::KnownWindow,
    domain::{Admission, NewJob, Reason, Timestamp, Window, clock::after, text::nul_in},
    event::Event,
    supervisor::By,
};

/// So long after a refusal by what is known, the database is asked whether it was right.
const RECHECK: Duration = Duration::from_millis(100);

fn nul_in_request(ask: &Enqueue) -> Option<String> {
    let data = ask.data.iter().flatten().find_map(|(name, value)| {
        let at = format!("/data/{name}");
        if name.contains('\0') { Some(at) } else { nul_in(value, &at) }
    });
    let of = |is_bad: bool, pointer: &str| is_bad.then(|| pointer.to_owned());
    data.or_else(|| of(ask.idempotency_key.as_ref().is_some_and(|key| key.contains('\0')), "/idempotencyKey"))
        .or_else(|| of(ask.agent.as_str().contains('\0'), "/agentId"))
}

impl QueueActor {
    /// The job that a message asks for.
    fn job(&self, ask: Enqueue) -> Result<NewJob, QueueError> {
        if self.board.is_draining() {
            return Err(QueueError::ShuttingDown);
        }
        if let Some(pointer) = nul_in_request(&ask) {
            return Err(QueueError::NulInText { pointer });
        }
        let mut job = match self.parts.types.get(ask.job_type.as_str()) {
            Some(spec) => spec.job(&ask.agent, ask.reason),
            None => self.operation(&ask)?,
        };
        job.force = ask.force;
        job.mode = ask.mode;
        job.delay = ask.delay;
        job.by = ask.by;
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
        let winner = self.parts.jobs.cached_holder(key, self.parts.clock.now())?;
        let admission = Admission::AlreadyQueued { job: winner };
        if !self.intake.is_rechecked(key) {
            self.recheck(key, NewJob { refused_for: Some(winner), ..job.clone() }, None, ctx);
        }
        Some(admission)
    }

    /// What was refused by what is known is asked of the database a moment later.
    fn recheck(&mut self, key: &str, job: NewJob, window_until: Option<Timestamp>, ctx: &mut Context<Self>) {
        if self.intake.recheck(key, Request { job, reply: None, window_until }) {
            ctx.run_later(RECHECK, |actor, ctx| {
                actor.intake.begin_rechecks();
                actor.store_waiting(ctx);
            });
        }
    }

    /// Admits a job: by what is known, or with the next transaction.
    fn admit(&mut self, job: NewJob, reply: oneshot::Sender<Answer>, ctx: &mut Context<Self>) {
        match self.refuse_from_memory(&job, ctx) {
            Some(refused) => {
                self.announce(&job, refused);
                // whoever asked may have stopped waiting
                drop(reply.send(Ok(refused)));
            }
            None => self.intake.push(Request { job, reply: Some(reply), window_until: None }),
        }
    }

    /// The windows that some process has told of, one a job; none are looked for while the queue is paused.
    fn known_windows(&self, requests: &[Request]) -> impl Future<Output = Vec<Option<KnownWindow>>> + 'static {
        let (coordination, now) = (self.parts.coordination.clone(), self.parts.clock.now());
        let is_paused = self.pause.as_ref().is_some_and(|pause| pause.holds(now));
        // what is rechecked is the database's to judge
        let asked = requests.iter().map(|request| {
            let window = request.job.window.as_ref().filter(|_| !is_paused && request.reply.is_some());
            (window.cloned(), request.job.digest())
        });
        let asked: Vec<_> = asked.collect();
        let look = move |(window, digest): (Option<Window>, Option<String>)| {
            let coordination = coordination.clone();
            async move {
                let known = coordination.window(&window?.key, now).await;
                // the same body is a repetition; another one is the database's to judge
                known.filter(|known| known.digest == digest)
            }
        };
        join_all(asked.into_iter().map(look))
    }

    /// Stores what waits to be admitted in one transaction, and again until nothing waits. What can start at
    /// once is claimed in the same transaction.
    pub(super) fn store_waiting(&mut self, ctx: &mut Context<Self>) {
        // the same moment by which the database judges windows
        let now = self.parts.clock.now();
        let requests = self.intake.begin(now);
        if requests.is_empty() {
            return;
        }
        let room = self.begin_claim();
        let claim = room.map(|room| self.claim_for(room));
        let (board, asked) = (self.parts.jobs.clone(), requests.iter().map(|one| one.job.clone()).collect::<Vec<_>>());
        let windows = self.known_windows(&requests);
        let stored = async move {
            let windows = windows.await;
            let open = asked.into_iter().zip(&windows).filter(|(_, known)| known.is_none()).map(|(job, _)| job);
            (board.enqueue(open.collect(), claim, now).await, windows)
        };
        ctx.spawn(stored.into_actor(self).map(move |(stored, windows), actor, ctx| {
            let (answers, claimed) = match stored {
                Ok((answers, claimed)) => {
                    let merged = actor.merge(&requests, answers, windows, ctx);
                    (merged.into_iter().map(Ok).collect(), Ok(claimed.unwrap_or_default()))
                }
                Err(error) => {
                    tracing::error!(%error, jobs = requests.len(), "jobs could not be admitted");
                    (vec![Err(storage(&error)); requests.len()], Err(error))
                }
            };
            actor.answer(requests, answers, now);
            if let Some(room) = room {
                actor.claimed(room, claimed, ctx);
            } else {
                actor.claim(ctx);
            }
            // whoever was answered may ask for more at once: that shares the next transaction with what came meanwhile
            ctx.spawn(tokio::task::yield_now().into_actor(actor).map(|(), actor, ctx| {
                actor.intake.end();
                actor.store_waiting(ctx);
            }));
        }));
    }

    /// The database's answers, and between them those that a known window gives.
    fn merge(
        &mut self,
        requests: &[Request],
        answers: Vec<Admission>,
        windows: Vec<Option<KnownWindow>>,
        ctx: &mut Context<Self>,
    ) -> Vec<Admission> {
        let mut answers = answers.into_iter();
        let mut all = Vec::with_capacity(requests.len());
        for (Request { job, .. }, known) in requests.iter().zip(windows) {
            let (Some(known), Some(window)) = (known, &job.window) else {
                all.extend(answers.next());
                continue;
            };
            let retry_in = (known.until - self.parts.clock.now()).to_std().unwrap_or_default();
            all.push(Admission::Throttled { job: known.job, retry_in });
            self.recheck(&window.key.clone(), job.clone(), Some(known.until), ctx);
        }
        all
    }

    fn answer(&mut self, requests: Vec<Request>, answers: Vec<Answer>, now: Timestamp) {
        for (Request { job, reply, .. }, answer) in requests.into_iter().zip(answers) {
            // a refusal that was told already is not told twice
            if let Ok(admission) = answer
                && (reply.is_some() || admission.is_taken())
            {
                self.open_window(&job, admission, now);
                self.announce(&job, admission);
            }
            if let Some(reply) = reply {
                // whoever asked may have stopped waiting
                drop(reply.send(answer));
            }
        }
    }

    /// Tells the processes of a window that was opened at `now`, the moment that the database has noted.
    fn open_window(&self, job: &NewJob, admission: Admission, now: Timestamp) {
        let (Some(window), Admission::Accepted { job: id }) = (job.window.clone(), admission) else { return };
        let until = after(now, window.length);
        let (coordination, open) =
            (self.parts.coordination.clone(), KnownWindow { job: id, digest: job.digest(), until });
        actix_rt::spawn(async move { coordination.open_window(&window.key, open, now).await });
    }

    /// Tells what became of a request, and makes room for urgent work.
    fn announce(&mut self, job: &NewJob, admission: Admission) {
        self.parts.bus.publish(Event::enqueued(job.job_type.clone(), job.agent.clone(), job.reason, admission));
        if admission.is_taken() && !job.class.is_preemptible() && job.delay.is_zero() {
            let in_the_way = self.board.preemptible(&job.agent);
            self.preempt(&in_the_way);
            if self.board.is_claiming() {
                self.preemption.accepted(&job.agent);
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
        let (reply, answer) = oneshot::channel();
        self.admit(job, reply, ctx);
        self.store_waiting(ctx);
        Box::pin(async { answer.await.unwrap_or(Err(QueueError::Unanswered)) })
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
            self.admit(job, reply, ctx);
            answers.push(async { answer.await.unwrap_or(Err(QueueError::Unanswered)) });
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

impl Handler<By<Approve>> for QueueActor {
    type Result = ResponseActFuture<Self, Result<Option<Admission>, QueueError>>;

    fn handle(&mut self, By(by, approve): By<Approve>, _: &mut Self::Context) -> Self::Result {
        let Approve { run, sync_type, agent } = approve;
        let ask = Enqueue { by: Some(by.clone()), ..Enqueue::new(sync_type.job_type(), agent, Reason::Approval) };
        let job = match self.job(ask) {
            Ok(job) => job,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let ((board, now, _), asked) = (self.signed(by), job.clone());
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

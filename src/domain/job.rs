//! What is a job, and which states does it pass?

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{
    AgentId, Cause, Class, DocumentId, JobId, JobType, Lease, Mode, Reason, RunId, SyncType, Timestamp, Window,
};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// May be claimed now.
    Waiting,
    /// May be claimed later: asked for with a delay, debounced, in retry backoff, or its breaker is open.
    Delayed,
    /// Runs after the job that has its dedup key now.
    Kept,
    /// Claimed under a lease.
    Active,
    /// Over, with an outcome.
    Done,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// Its delay is over.
    Due,
    /// A process took it.
    Claimed,
    /// Its run is over for good.
    Finished,
    /// Its run failed and will be tried again later.
    Backoff,
    /// Its process died or shut down: another takes it.
    Released,
    /// It was taken out before it started.
    Removed,
    /// Its start was moved into the future.
    Postponed,
    /// The job before it is over.
    Followed,
    /// A person asked for it again.
    Retried,
}

/// An event that its state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state:?} cannot be {event:?}")]
pub struct Illegal {
    /// The state it was in.
    pub state: JobState,
    /// What was tried.
    pub event: JobEvent,
}

impl JobState {
    /// All.
    pub const ALL: [JobState; 5] =
        [JobState::Waiting, JobState::Delayed, JobState::Kept, JobState::Active, JobState::Done];

    /// The state after an event.
    ///
    /// # Errors
    /// [`Illegal`] where the state does not allow the event.
    pub fn on(self, event: JobEvent) -> Result<JobState, Illegal> {
        use JobEvent as E;
        use JobState as S;
        match (self, event) {
            (S::Delayed, E::Due) | (S::Active, E::Released) | (S::Kept, E::Followed) | (S::Done, E::Retried) => {
                Ok(S::Waiting)
            }
            (S::Waiting | S::Delayed, E::Claimed) => Ok(S::Active),
            (S::Active, E::Finished) | (S::Waiting | S::Delayed | S::Kept, E::Removed) => Ok(S::Done),
            (S::Active, E::Backoff) | (S::Waiting | S::Delayed, E::Postponed) => Ok(S::Delayed),
            (
                S::Waiting | S::Delayed | S::Kept | S::Active | S::Done,
                E::Due
                | E::Claimed
                | E::Finished
                | E::Backoff
                | E::Released
                | E::Removed
                | E::Postponed
                | E::Followed
                | E::Retried,
            ) => Err(Illegal { state: self, event }),
        }
    }

    /// The state that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Delayed => "delayed",
            JobState::Kept => "kept",
            JobState::Active => "active",
            JobState::Done => "done",
        }
    }
}

/// A job as it is asked for. A run takes no other input than this.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// What to do: a sync type, or an operation's type.
    pub job_type: JobType,
    /// Which kind of work that is.
    pub class: Class,
    /// For whom; `service-account` for shared types.
    pub agent: AgentId,
    pub reason: Reason,
    /// 1 (lowest) to 9, within its class.
    pub priority: u8,
    /// It starts at the earliest so long after its acceptance.
    pub delay: Duration,
    /// Read the report even if its bytes are the same as last time.
    pub force: bool,
    /// At most one live job has this key; `None` switches in-flight dedup off.
    pub dedup_key: Option<String>,
    /// What becomes of it if one has.
    pub mode: Mode,
    /// The window of its idempotency key.
    pub window: Option<Window>,
    /// What an operation is to do.
    pub payload: Option<Json>,
    /// A stored document to read instead of fetching one.
    pub document: Option<DocumentId>,
    /// The held run whose approval this job carries out.
    pub approves: Option<RunId>,
    /// The job whose run asked for this one.
    pub parent: Option<JobId>,
    /// All attempts together, the first included.
    pub max_attempts: u32,
    /// May an effect that may have happened be repeated?
    pub repeatable: bool,
    /// It was refused for this job by what the process remembered: it is admitted only if that job had ended
    /// already, by another process.
    pub refused_for: Option<JobId>,
    /// Who asks, where it is a person or a program.
    pub by: Option<Cause>,
}

impl NewJob {
    /// A job of any class without a key, at its class's rules.
    #[must_use]
    pub fn new(job_type: JobType, class: Class, agent: AgentId, priority: u8, reason: Reason) -> Self {
        Self {
            job_type,
            class,
            agent,
            reason,
            priority,
            delay: Duration::ZERO,
            force: false,
            dedup_key: None,
            mode: Mode::Refuse,
            window: None,
            payload: None,
            document: None,
            approves: None,
            parent: None,
            max_attempts: class.retries().max_attempts,
            repeatable: class != Class::Write,
            refused_for: None,
            by: None,
        }
    }

    /// A sync of one type for one agent, one at a time (`type:agent`).
    #[must_use]
    pub fn sync(sync_type: &SyncType, agent: AgentId, priority: u8, reason: Reason) -> Self {
        let dedup_key = Some(format!("{sync_type}:{agent}"));
        Self { dedup_key, ..Self::new(sync_type.job_type(), Class::Sync, agent, priority, reason) }
    }

    /// SHA-256 of the payload, whatever the order of its fields: does a key come again with the same body?
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        self.payload.as_ref().map(|payload| hex::encode(Sha256::digest(sorted(payload).to_string())))
    }

    /// Was it asked for under an idempotency key?
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.window.is_some()
    }

    /// Does it ask the source for something?
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.class != Class::Write && self.document.is_none()
    }

    /// Is it stored although it cannot start now, because nobody would ask for it again?
    #[must_use]
    pub fn waits_where_shut(&self) -> bool {
        self.reason == Reason::Flow
    }

    /// Would it be refused or accepted by its in-flight key alone?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.mode == Mode::Refuse && self.window.is_none() && self.document.is_none() && self.parent.is_none()
    }
}

/// The same JSON with the fields of all objects in order.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(fields.into_iter().collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
    }
}

/// How far the effect of a write is, as it was last recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It may have happened.
    Sending,
    /// It has happened.
    Done,
}

impl Phase {
    /// The phase that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Phase::Sending, Phase::Done].into_iter().find(|phase| phase.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Sending => "sending",
            Phase::Done => "done",
        }
    }
}

/// What becomes of a job whose attempt is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// It is over.
    Done,
    /// It is tried again after a pause.
    RetryIn(Duration),
    /// It goes back to the queue as it was, without losing an attempt.
    GiveBack,
}

/// A job that this process holds under a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    pub id: JobId,
    /// The history entry of this attempt.
    pub run: RunId,
    /// The lease number that every write of this job must still find in the row.
    pub lease: i64,
    /// What to do: a sync type, or an operation's type.
    pub job_type: JobType,
    /// Which kind of work that is.
    pub class: Class,
    pub agent: AgentId,
    pub reason: Reason,
    /// Read the report even if its bytes are the same as last time.
    pub force: bool,
    /// This attempt's number, from 1.
    pub attempt: u32,
    /// All attempts together.
    pub max_attempts: u32,
    /// May an effect that may have happened be repeated?
    pub repeatable: bool,
    /// What an operation is to do.
    pub payload: Option<Json>,
    /// Its in-flight key.
    pub dedup_key: Option<String>,
    /// A stored document to read instead of fetching one (upload, approval).
    pub document: Option<DocumentId>,
    /// The held run whose approval this job carries out.
    pub approves: Option<RunId>,
    /// When it was asked for.
    pub enqueued_at: Timestamp,
    /// When this attempt began.
    pub started_at: Timestamp,
}

impl ClaimedJob {
    /// The lease under which it is held.
    #[must_use]
    pub fn held(&self) -> Lease<JobId> {
        Lease { id: self.id, number: self.lease }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobEvent as E, JobState as S, *};

    #[test]
    fn every_state_answers_every_event() {
        let legal = [
            (S::Delayed, E::Due, S::Waiting),
            (S::Active, E::Released, S::Waiting),
            (S::Waiting, E::Claimed, S::Active),
            (S::Delayed, E::Claimed, S::Active),
            (S::Active, E::Finished, S::Done),
            (S::Active, E::Backoff, S::Delayed),
            (S::Waiting, E::Removed, S::Done),
            (S::Delayed, E::Removed, S::Done),
            (S::Kept, E::Removed, S::Done),
            (S::Waiting, E::Postponed, S::Delayed),
            (S::Delayed, E::Postponed, S::Delayed),
            (S::Kept, E::Followed, S::Waiting),
            (S::Done, E::Retried, S::Waiting),
        ];
        let events = [E::Due, E::Claimed, E::Finished, E::Backoff, E::Released, E::Removed];
        for state in S::ALL {
            for event in events.into_iter().chain([E::Postponed, E::Followed, E::Retried]) {
                let expected = legal
                    .iter()
                    .find(|(from, on, _)| (*from, *on) == (state, event))
                    .map(|(_, _, to)| *to)
                    .ok_or(Illegal { state, event });
                assert_eq!(state.on(event), expected, "{state:?} on {event:?}");
            }
        }
    }
}

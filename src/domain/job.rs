//! What is a job, which states does it pass, and when is it tried again?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AgentId, JobId, Outcome, RunId, SyncType, Timestamp};

/// Why a job was asked for. It is told, and it decides nothing but whether the run was `manual`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its type's timer.
    Timer,
    /// A person, through the API or the command line.
    Manual,
    /// A parent type changed something.
    Flow,
    /// A report was uploaded or named as a file.
    Upload,
    /// A held run was approved.
    Approval,
}

impl Reason {
    /// The reason that `name` stands for; an unknown one reads as manual.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        [Reason::Timer, Reason::Flow, Reason::Upload, Reason::Approval]
            .into_iter()
            .find(|reason| reason.as_str() == name)
            .unwrap_or(Reason::Manual)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Timer => "timer",
            Reason::Manual => "manual",
            Reason::Flow => "flow",
            Reason::Upload => "upload",
            Reason::Approval => "approval",
        }
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// May be claimed now.
    Waiting,
    /// May be claimed later: in retry backoff.
    Delayed,
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
    /// The state after an event.
    ///
    /// # Errors
    /// [`Illegal`] where the state does not allow the event.
    pub fn on(self, event: JobEvent) -> Result<JobState, Illegal> {
        use JobEvent as E;
        use JobState as S;
        match (self, event) {
            (S::Delayed, E::Due) | (S::Active, E::Released) => Ok(S::Waiting),
            (S::Waiting | S::Delayed, E::Claimed) => Ok(S::Active),
            (S::Active, E::Finished) | (S::Waiting | S::Delayed, E::Removed) => Ok(S::Done),
            (S::Active, E::Backoff) => Ok(S::Delayed),
            (
                S::Waiting | S::Delayed | S::Active | S::Done,
                E::Due | E::Claimed | E::Finished | E::Backoff | E::Released | E::Removed,
            ) => Err(Illegal { state: self, event }),
        }
    }

    /// The state that `name` stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [JobState::Waiting, JobState::Delayed, JobState::Active, JobState::Done]
            .into_iter()
            .find(|state| state.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Delayed => "delayed",
            JobState::Active => "active",
            JobState::Done => "done",
        }
    }
}

/// A job as it is asked for. A run takes no other input than this and is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What to sync.
    pub sync_type: SyncType,
    /// For whom; `service-account` for shared types.
    pub agent: AgentId,
    /// Why.
    pub reason: Reason,
    /// 1 (lowest) to 9.
    pub priority: u8,
    /// Read the report even if its bytes are the same as last time.
    pub force: bool,
    /// At most one live job has this key; `None` switches in-flight dedup off.
    pub dedup_key: Option<String>,
    /// A key that is refused for this long after its acceptance, also when the job is done.
    pub throttle: Option<(String, Duration)>,
    /// A stored document to read instead of fetching one.
    pub document: Option<i64>,
    /// The held run whose approval this job carries out.
    pub approves: Option<RunId>,
    /// The job whose run asked for this one.
    pub parent: Option<JobId>,
}

impl NewJob {
    /// A sync of one type for one agent, one at a time (`type:agent`).
    #[must_use]
    pub fn sync(sync_type: SyncType, agent: AgentId, priority: u8, reason: Reason) -> Self {
        let dedup_key = Some(format!("{sync_type}:{agent}"));
        Self {
            sync_type,
            agent,
            reason,
            priority,
            force: false,
            dedup_key,
            throttle: None,
            document: None,
            approves: None,
            parent: None,
        }
    }
}

/// What the queue answers to a job that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub enum Admission {
    /// It is stored and will run.
    Accepted {
        /// The new job.
        job: JobId,
    },
    /// A live job has the same dedup key.
    AlreadyQueued {
        /// The winner.
        job: JobId,
    },
    /// A job with the same throttle key was accepted a moment ago.
    Throttled {
        /// The winner.
        job: JobId,
        /// How long the key stays refused.
        retry_in: Duration,
    },
}

impl Admission {
    /// The job that will do, or did, the work.
    #[must_use]
    pub fn job(self) -> JobId {
        match self {
            Admission::Accepted { job } | Admission::AlreadyQueued { job } | Admission::Throttled { job, .. } => job,
        }
    }

    /// Was another job named instead of a new one?
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        match self {
            Admission::Accepted { .. } => false,
            Admission::AlreadyQueued { .. } | Admission::Throttled { .. } => true,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedJob {
    /// The job.
    pub id: JobId,
    /// The history entry of this attempt.
    pub run: RunId,
    /// The lease number that every write of this job must still find in the row.
    pub lease: i64,
    /// What to sync.
    pub sync_type: SyncType,
    /// For whom.
    pub agent: AgentId,
    /// Why.
    pub reason: Reason,
    /// Read the report even if its bytes are the same as last time.
    pub force: bool,
    /// This attempt's number, from 1.
    pub attempt: u32,
    /// A stored document to read instead of fetching one (upload, approval).
    pub document: Option<i64>,
    /// The held run whose approval this job carries out.
    pub approves: Option<RunId>,
    /// When it was asked for.
    pub enqueued_at: Timestamp,
}

/// How often and how soon failed work is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// All attempts together, the first included.
    pub max_attempts: u32,
    /// The pause before the second attempt; doubled before each further one.
    pub first_delay: Duration,
}

impl RetryPolicy {
    /// Syncs: three attempts, 5 s and 10 s apart.
    pub const SYNC: RetryPolicy = RetryPolicy { max_attempts: 3, first_delay: Duration::from_secs(5) };

    /// The pause before the next attempt, or `None` if this outcome ends the job. `jitter` is in
    /// 0..1 and lengthens the pause by at most a fifth.
    #[must_use]
    pub fn backoff(self, outcome: Outcome, attempt: u32, jitter: f64) -> Option<Duration> {
        if !outcome.is_retryable() || attempt >= self.max_attempts {
            return None;
        }
        let doubled = self.first_delay * 2_u32.saturating_pow(attempt.saturating_sub(1));
        Some(doubled.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0))
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
        ];
        for state in [S::Waiting, S::Delayed, S::Active, S::Done] {
            for event in [E::Due, E::Claimed, E::Finished, E::Backoff, E::Released, E::Removed] {
                let expected = legal
                    .iter()
                    .find(|(from, on, _)| (*from, *on) == (state, event))
                    .map(|(_, _, to)| *to)
                    .ok_or(Illegal { state, event });
                assert_eq!(state.on(event), expected, "{state:?} on {event:?}");
            }
        }
    }

    #[test]
    fn retries_double_and_end() {
        let policy = RetryPolicy::SYNC;
        let delay = |attempt, jitter| policy.backoff(Outcome::Failed { retryable: true }, attempt, jitter);
        assert_eq!(delay(1, 0.0), Some(Duration::from_secs(5)));
        assert_eq!(delay(2, 0.0), Some(Duration::from_secs(10)));
        assert_eq!(delay(2, 1.0), Some(Duration::from_secs(12)));
        assert_eq!(delay(3, 0.0), None);
        for outcome in [Outcome::Succeeded, Outcome::Failed { retryable: false }, Outcome::Held, Outcome::Stopped] {
            assert_eq!(policy.backoff(outcome, 1, 0.0), None);
        }
    }
}

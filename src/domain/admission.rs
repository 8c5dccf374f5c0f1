//! Is a job that is asked for accepted? The rules of the queue, pure: what was found, and what follows.

use std::time::Duration;

use serde::Serialize;

use super::{JobId, JobState, NewJob, Timestamp, gate::Shut};

/// What becomes of a job whose dedup key a live job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is refused, naming the winner.
    #[default]
    Refuse,
    /// Until the winner has started, the newer payload replaces the winner's and its start moves back to
    /// `wait` from now, at most `max_wait` after its acceptance. Once it has started, as `KeepLast`.
    Debounce {
        /// From the last request to the start.
        wait: Duration,
        /// From the first request to the start, at most.
        max_wait: Duration,
    },
    /// The newest one is kept and runs after the winner, however that ends.
    KeepLast,
}

/// A throttle window that a job opens: its key is refused from the acceptance on, also when the job is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The key, scoped by type and agent.
    pub key: String,
    /// How long.
    pub length: Duration,
    /// Does a final failure of the job close the window?
    pub release_on_failure: bool,
}

/// What the queue answers to a job that is asked for. Refusals are values with their reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase", tag = "answer")]
pub enum Admission {
    /// It is stored and will run.
    Accepted {
        /// The new job.
        job: JobId,
    },
    /// Its payload has replaced that of a job that had not started (debounce).
    Replaced {
        /// The job that will run with it.
        job: JobId,
        /// How long until then.
        start_in: Duration,
    },
    /// It is kept and runs after the job that has its key now (keep-last).
    Kept {
        /// The kept job; a newer request replaces its payload.
        job: JobId,
        /// The winner.
        behind: JobId,
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
    /// The same idempotency key came with another body: a mistake of the caller.
    KeyReused {
        /// The job that has the key.
        job: JobId,
    },
    /// Someone paused the service.
    Paused {
        /// When the pause ends by itself.
        until: Option<Timestamp>,
    },
    /// The source failed for this agent again and again.
    BreakerOpen {
        /// When it is tried again.
        until: Timestamp,
    },
}

impl Admission {
    /// The job that will do, or did, the work; `None` if there is none.
    #[must_use]
    pub fn job(self) -> Option<JobId> {
        match self {
            Admission::Accepted { job }
            | Admission::Replaced { job, .. }
            | Admission::Kept { job, .. }
            | Admission::AlreadyQueued { job }
            | Admission::Throttled { job, .. }
            | Admission::KeyReused { job } => Some(job),
            Admission::Paused { .. } | Admission::BreakerOpen { .. } => None,
        }
    }

    /// The same answer, where jobs have other numbers.
    #[must_use]
    pub fn renumbered(self, real: impl Fn(JobId) -> JobId) -> Self {
        match self {
            Admission::Accepted { job } => Admission::Accepted { job: real(job) },
            Admission::Replaced { job, start_in } => Admission::Replaced { job: real(job), start_in },
            Admission::Kept { job, behind } => Admission::Kept { job: real(job), behind: real(behind) },
            Admission::AlreadyQueued { job } => Admission::AlreadyQueued { job: real(job) },
            Admission::Throttled { job, retry_in } => Admission::Throttled { job: real(job), retry_in },
            Admission::KeyReused { job } => Admission::KeyReused { job: real(job) },
            Admission::Paused { .. } | Admission::BreakerOpen { .. } => self,
        }
    }

    /// Was another job named instead of a new one?
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        match self {
            Admission::AlreadyQueued { .. } | Admission::Throttled { .. } => true,
            Admission::Accepted { .. }
            | Admission::Replaced { .. }
            | Admission::Kept { .. }
            | Admission::KeyReused { .. }
            | Admission::Paused { .. }
            | Admission::BreakerOpen { .. } => false,
        }
    }

    /// Will what was asked for be done?
    #[must_use]
    pub fn is_taken(self) -> bool {
        matches!(self, Admission::Accepted { .. } | Admission::Replaced { .. } | Admission::Kept { .. })
    }

    /// A short name of the reason, for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Admission::Accepted { .. } => "accepted",
            Admission::Replaced { .. } => "replaced",
            Admission::Kept { .. } => "kept",
            Admission::AlreadyQueued { .. } => "already_queued",
            Admission::Throttled { .. } => "throttled",
            Admission::KeyReused { .. } => "key_reused",
            Admission::Paused { .. } => "paused",
            Admission::BreakerOpen { .. } => "breaker_open",
        }
    }
}

/// The live job that has a dedup key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub job: JobId,
    pub state: JobState,
    /// Has an attempt of it ever begun?
    pub has_begun: bool,
    /// The latest start of a debounced job.
    pub latest_start: Option<Timestamp>,
    /// The job that is kept behind it.
    pub kept: Option<JobId>,
    /// Digest of its payload.
    pub digest: Option<String>,
}

/// A throttle window that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWindow {
    /// The job that opened it.
    pub job: JobId,
    /// When it closes.
    pub until: Timestamp,
    /// Digest of that job's payload.
    pub digest: Option<String>,
}

/// What is to be done with a job that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Store it; it may start at `due`.
    Insert {
        /// Its earliest start.
        due: Timestamp,
        /// How far further requests may move that.
        latest_start: Option<Timestamp>,
    },
    /// Give `job` its payload, and start that at `due`.
    Replace {
        /// The job that has not started.
        job: JobId,
        /// Its new start; `None` leaves it as it is.
        due: Option<Timestamp>,
    },
    /// Store it behind `behind`, or replace the payload of the job that is kept there.
    Keep {
        /// The winner.
        behind: JobId,
        /// The job that is kept already.
        over: Option<JobId>,
    },
    /// Store nothing.
    Refuse(Admission),
}

/// Decides. The order: an open window (an idempotent repetition is answered even while paused), then what
/// is `shut`, then the live job with its key.
#[must_use]
pub fn decide(
    ask: &NewJob,
    window: Option<&OpenWindow>,
    shut: Option<Shut>,
    owner: Option<&Owner>,
    now: Timestamp,
) -> Decision {
    if let Some(open) = window.filter(|open| open.until > now) {
        let retry_in = (open.until - now).to_std().unwrap_or_default();
        return Decision::Refuse(if open.digest == ask.digest() {
            Admission::Throttled { job: open.job, retry_in }
        } else {
            Admission::KeyReused { job: open.job }
        });
    }
    let postponed = match shut {
        None => now,
        // a flow's children are not asked for again: they wait until it opens
        Some(shut) if ask.waits_where_shut() => shut.until().unwrap_or(now),
        Some(Shut::Paused { until }) => return Decision::Refuse(Admission::Paused { until }),
        Some(Shut::BreakerOpen { until }) => return Decision::Refuse(Admission::BreakerOpen { until }),
    };
    let Some(owner) = owner else {
        return match ask.mode {
            Mode::Debounce { wait, max_wait } => {
                Decision::Insert { due: now + wait.min(max_wait), latest_start: Some(now + max_wait) }
            }
            Mode::Refuse | Mode::KeepLast => {
                Decision::Insert { due: postponed.max(now + ask.delay), latest_start: None }
            }
        };
    };
    match ask.mode {
        Mode::Refuse if ask.is_keyed() && owner.digest != ask.digest() => {
            Decision::Refuse(Admission::KeyReused { job: owner.job })
        }
        Mode::Refuse => Decision::Refuse(Admission::AlreadyQueued { job: owner.job }),
        Mode::Debounce { wait, .. } if !owner.has_begun && owner.state != JobState::Active => {
            let latest = owner.latest_start;
            Decision::Replace { job: owner.job, due: latest.map(|latest| (now + wait).min(latest).max(now)) }
        }
        Mode::Debounce { .. } | Mode::KeepLast => Decision::Keep { behind: owner.job, over: owner.kept },
    }
}

#[cfg(test)]
mod tests;

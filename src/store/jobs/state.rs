//! To which state does a job come? Every change of a state asks here.

use crate::{
    domain::{Class, JobId, JobState, Reason, job::JobEvent},
    store::{StoreError, db::error::known},
};

/// The class of a job's row.
pub(crate) fn known_class(job: JobId, rank: i16) -> Result<Class, StoreError> {
    known(("job", job, "class"), &rank.to_string(), |_| Class::from_rank(rank))
}

/// The reason of a job's row.
pub(crate) fn known_reason(job: JobId, name: &str) -> Result<Reason, StoreError> {
    known(("job", job, "reason"), name, Reason::from_name)
}

/// The state of this name.
pub(crate) fn known_state(name: &str) -> Result<JobState, StoreError> {
    JobState::from_name(name).ok_or_else(|| StoreError::Missing(format!("job state '{name}'")))
}

/// The name of the state that a job in `state` comes to; every change of a job's state asks here.
pub(crate) fn state_after(state: &str, event: JobEvent) -> Result<&'static str, StoreError> {
    Ok(known_state(state)?.on(event)?.as_str())
}

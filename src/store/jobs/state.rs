//! To which state does a job come? Every change of a state asks here.

use crate::{
    domain::{JobState, job::JobEvent},
    store::StoreError,
};

/// The state of this name.
pub(crate) fn known_state(name: &str) -> Result<JobState, StoreError> {
    JobState::from_name(name).ok_or_else(|| StoreError::Missing(format!("job state '{name}'")))
}

/// The name of the state that a job in `state` comes to; every change of a job's state asks here.
pub(crate) fn state_after(state: &str, event: JobEvent) -> Result<&'static str, StoreError> {
    Ok(known_state(state)?.on(event)?.as_str())
}

//! What happened in which run, what waits for a person, and what is old enough to be forgotten?

pub(crate) mod ending;
pub(crate) mod holds;
pub(crate) mod log;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod retention;

pub use ending::Finish;
pub use holds::OpenHold;
pub use query::{Run, RunQuery};

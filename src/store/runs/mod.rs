//! What happened in which run, what waits for a person, and what is old enough to be forgotten?

pub(crate) mod ending;
pub(crate) mod holds;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod retention;
pub(crate) mod state;

pub use ending::Finish;
pub use query::{Run, RunQuery};
pub use state::RunTotals;

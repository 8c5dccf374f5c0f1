//! Who is told of what? Follows what needs a person from its beginning to its end, each once, over all processes.

mod actor;
mod follow;

pub use actor::{AlertActor, AlertSnapshot, LookForTrouble, Parts, Snapshot};

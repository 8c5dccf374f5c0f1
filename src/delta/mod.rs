//! What changed? Hashes, the plan of a run, and the guards that hold it: pure, with `now` given.

mod difference;
pub mod guard;
pub mod hash;
pub mod plan;
mod similar;

pub use difference::{FieldChange, Line, differing};
pub use guard::{Verdict, judge};
pub use plan::{Change, ChangeKind, OpenBlanks, Plan, Seen, Snapshot, Stored, plan};
pub use similar::SimilarKey;

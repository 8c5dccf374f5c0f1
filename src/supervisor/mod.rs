//! Do the actors live? Each is watched, started anew when it ends, and reached through a handle that outlives it.

mod actor;
mod by;
mod child;
mod handle;
mod policy;

pub use actor::{Escalate, Retire, Snapshot, SupervisorActor};
pub use by::By;
pub(crate) use by::also_unsigned;
pub(crate) use child::supervised;
#[cfg(feature = "testing")]
pub use child::{Freeze, Panic};
pub use child::{Supervised, UntilEnd, start};
pub use handle::{CallError, Handle};
pub use policy::{GaveUp, Policy, Restarts};

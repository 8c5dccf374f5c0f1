//! Where are files kept? Uploads until they are read, reports of held runs, what downloads brought, and the last
//! reports, compressed: all in rows of a bounded size.

mod archive;
mod of_run;
mod parts;
mod size;
mod space;
mod unclaimed;

pub use archive::{KeepLimits, KeptReport};
pub use of_run::NotKept;
pub(crate) use parts::insert;

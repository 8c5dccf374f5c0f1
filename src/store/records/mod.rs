//! Which records are stored, and how are they written and read?

pub(crate) mod changes;
pub(crate) mod missing;
pub(crate) mod parents;
pub(crate) mod query;
pub(crate) mod snapshot;
pub(crate) mod upsert;
pub(crate) mod value;

pub use changes::{ChangeQuery, RecordChange};
pub use query::{DataPage, DataQuery, ValueChange};

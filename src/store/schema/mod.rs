//! Which tables are there? The control tables, by migrations; the record tables, by the sync types' files.

mod column;
pub(crate) mod entity;
pub(crate) mod migrate;
pub(crate) mod probe;
pub(crate) mod record_table;

pub use probe::Trouble;

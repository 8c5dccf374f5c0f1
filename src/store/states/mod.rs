//! What have the runs of each type and agent come to? Written with the end of each run, read for all at once.

pub(crate) mod count_in;
mod query;
mod row;

pub use query::RunTotals;

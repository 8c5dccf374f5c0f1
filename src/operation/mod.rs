//! What can be asked for besides syncs, and how does an attempt of it go? Each operation is one TOML file: what it needs,
//! and how it is tried.

mod effect;
mod registry;
mod runner;
mod spec;

pub use registry::{OperationError, Operations};
pub use runner::OperationRunner;
pub use spec::OperationSpec;

//! What can be asked for besides syncs? Each operation is one TOML file: what it needs, and how it is tried.

mod registry;
mod spec;

pub use registry::{OperationError, Operations};
pub use spec::OperationSpec;

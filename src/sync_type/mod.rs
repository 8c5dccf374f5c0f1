//! What is synced? Each sync type is one TOML file: read, checked once, and handed round as data.

pub mod header;
pub mod registry;
pub mod spec;
mod taught;
mod validate;

pub use registry::{SpecError, SyncTypes};
pub use spec::{Field, HashAlgorithm, Scope, SyncTypeSpec, ValueType};
pub use taught::{NotTaught, TaughtHeader};
#[cfg(test)]
pub(crate) use validate::CONTROL_TABLES;

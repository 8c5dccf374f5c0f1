//! What have people set? Agents and their credentials, tokens, and how often each type runs.

pub(crate) mod agents;
pub(crate) mod credentials;
pub(crate) mod schedule;
pub(crate) mod tokens;

pub use agents::{Agent, UnknownAgent};
pub use credentials::SealedCredential;
pub use schedule::{Amendments, Setting};
pub use tokens::token_hash;

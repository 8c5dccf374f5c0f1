//! What have people set? Agents and their credentials, tokens, how often each type runs; who is let in, who changed
//! what, and which requests were answered.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod request_keys;
pub(crate) mod schedule;
pub(crate) mod sessions;
pub(crate) mod taught;
pub(crate) mod tokens;

pub use agents::{Agent, UnknownAgent};
pub use audit::{AuditEntry, AuditQuery, Change as AuditedChange};
pub use credentials::SealedCredential;
pub use request_keys::{Begun, GivenAnswer};
pub use schedule::{Amendments, Setting};
pub use sessions::PageSession;
pub use taught::Taught;
pub use tokens::{NewToken, token_hash};

//! Do reports come from where they are, and is what goes wrong there told as what it is?

mod app;
mod forms;
mod http;
mod kept;
mod objects;

use async_trait::async_trait;
use lockstep::{
    domain::AgentId,
    source::{Credential, Credentials, Fetched, SourceError},
};

/// Everybody has these.
pub struct Everybody(pub Option<Credential>);

#[async_trait]
impl Credentials for Everybody {
    async fn of(&self, _: &AgentId) -> Result<Option<Credential>, SourceError> {
        Ok(self.0.clone())
    }
}

/// The bytes, or in a word what came instead.
pub fn told(fetched: &Result<Fetched, SourceError>) -> &'static str {
    match fetched {
        Ok(Fetched::New { .. }) => "new",
        Ok(Fetched::Unchanged) => "unchanged",
        Err(error) => error.code(),
    }
}

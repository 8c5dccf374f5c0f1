//! Which credentials did a source refuse lately? They are not shown again for a while: that locks accounts.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Credential, SourceError};
use crate::domain::AgentId;

/// For so long.
const REST: Duration = Duration::from_mins(10);

/// What this process remembers of refusals.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<AgentId, ([u8; 32], Instant)>>);

impl Refused {
    /// Refuses credentials of `agent` that were refused within the last ten minutes, and have not changed since.
    pub(crate) fn check(&self, agent: &AgentId, credential: &Credential) -> Result<(), SourceError> {
        let refused = self.0.lock();
        match refused.get(agent) {
            Some((digest, at)) if *digest == credential.digest() && at.elapsed() < REST => {
                let text = format!("the credentials of agent {agent} were refused before: set others, or wait");
                Err(SourceError::Refused(text))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Remembers that they were refused just now.
    pub(crate) fn note(&self, agent: &AgentId, credential: &Credential) {
        let one = (credential.digest(), Instant::now());
        self.0.lock().insert(agent.clone(), one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_rest_until_they_change_or_time_has_passed() {
        let refused = Refused::default();
        let (anna, wrong, other) = (AgentId::from("anna"), Credential::token("wrong"), Credential::token("other"));
        assert!(refused.check(&anna, &wrong).is_ok());
        refused.note(&anna, &wrong);
        assert!(refused.check(&anna, &wrong).is_err());
        assert!(refused.check(&anna, &other).is_ok());
        assert!(refused.check(&"bruno".into(), &wrong).is_ok());
        tokio::time::advance(REST).await;
        assert!(refused.check(&anna, &wrong).is_ok());
    }
}

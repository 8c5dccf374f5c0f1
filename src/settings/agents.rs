//! Can the agents of the settings be added?

use std::collections::BTreeSet;

use super::SettingsError;
use crate::{
    domain::{
        AgentId,
        text::{NAME, plain_text},
    },
    store::Agent,
};

/// # Errors
/// [`SettingsError::Invalid`] for the first that cannot.
pub(super) fn check(agents: &[Agent]) -> Result<(), SettingsError> {
    if let Some(agent) = agents.iter().find(|agent| !agent.id.is_usable()) {
        let wrong = format!("'{}': {}", agent.id.as_str().escape_debug(), AgentId::RULE);
        return Err(SettingsError::Invalid { key: "agents.id", wrong });
    }
    if let Some((agent, wrong)) = agents.iter().find_map(|agent| Some((agent, plain_text(&agent.name, NAME).err()?))) {
        let wrong = format!("of agent '{}': {wrong}", agent.id);
        return Err(SettingsError::Invalid { key: "agents.name", wrong });
    }
    let mut ids = BTreeSet::new();
    if let Some(twice) = agents.iter().find(|agent| !ids.insert(&agent.id)) {
        let wrong = format!("'{}' is there twice", twice.id);
        return Err(SettingsError::Invalid { key: "agents.id", wrong });
    }
    Ok(())
}

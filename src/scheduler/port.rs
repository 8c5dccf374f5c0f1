//! What does the scheduler need of a database? The port that the store implements and tests replace.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    domain::{AgentId, Cause, Timestamp},
    store::{Amendments, Setting, Store, StoreError},
};

/// The stored switch that turns all timers on.
const AUTO_SYNC: &str = "auto_sync";

/// Schedules and active agents, durable.
#[async_trait]
pub trait SettingsBoard: Send + Sync + 'static {
    /// The same board, where what people can change is noted as changed by `by` at `at`.
    fn by(self: Arc<Self>, by: Cause, at: Timestamp) -> Arc<dyn SettingsBoard>;
    /// All types' settings.
    async fn settings(&self) -> Result<Vec<Setting>, StoreError>;
    /// Changes the stored settings of several types, all or none; answers them as they are then.
    async fn amend_settings(&self, amendments: Amendments, now: Timestamp) -> Result<Vec<Setting>, StoreError>;
    /// Is auto-sync on? It is until someone turns it off.
    async fn auto_sync(&self) -> Result<bool, StoreError>;
    /// Turns auto-sync on or off.
    async fn set_auto_sync(&self, on: bool, now: Timestamp) -> Result<(), StoreError>;
    /// The agents whose syncs are scheduled.
    async fn active_agents(&self) -> Result<Vec<AgentId>, StoreError>;
}

#[async_trait]
impl SettingsBoard for Store {
    fn by(self: Arc<Self>, by: Cause, at: Timestamp) -> Arc<dyn SettingsBoard> {
        Arc::new(Store::by(&self, by, at))
    }

    async fn settings(&self) -> Result<Vec<Setting>, StoreError> {
        Store::settings(self).await
    }

    async fn amend_settings(&self, amendments: Amendments, now: Timestamp) -> Result<Vec<Setting>, StoreError> {
        Store::amend_settings(self, amendments, now).await
    }

    async fn auto_sync(&self) -> Result<bool, StoreError> {
        self.switch(AUTO_SYNC, true).await
    }

    async fn set_auto_sync(&self, on: bool, now: Timestamp) -> Result<(), StoreError> {
        self.set_switch(AUTO_SYNC, on, now).await
    }

    async fn active_agents(&self) -> Result<Vec<AgentId>, StoreError> {
        Ok(self.agents().await?.into_iter().filter(|agent| agent.active).map(|agent| agent.id).collect())
    }
}

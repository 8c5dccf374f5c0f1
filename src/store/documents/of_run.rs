//! Which report was a run's? A held one is there until it is decided on, others as long as reports are kept.

use crate::{
    domain::{AgentId, Hold, RunId, SyncType},
    store::{Run, Store, StoreError},
};

/// The report of a run is not kept, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the report of run {run} is not kept{}", others(.kept, .sync_type, .agent))]
pub struct NotKept {
    pub run: RunId,
    pub sync_type: SyncType,
    pub agent: AgentId,
    /// The runs of that type and agent whose reports are.
    pub kept: Vec<RunId>,
}

fn others(kept: &[RunId], sync_type: &SyncType, agent: &AgentId) -> String {
    if kept.is_empty() {
        return format!(", nor is another of {sync_type} of {agent}");
    }
    let runs: Vec<String> = kept.iter().map(ToString::to_string).collect();
    format!("; kept are those of the runs {}", runs.join(", "))
}

impl Store {
    /// Is the report of this run there?
    ///
    /// # Errors
    /// [`StoreError`] if a query fails.
    pub async fn has_report(&self, run: &Run) -> Result<bool, StoreError> {
        if run.hold == Some(Hold::Open) {
            return Ok(true);
        }
        let kept = self.kept_reports(&run.sync_type, &run.agent_id).await?;
        Ok(kept.iter().any(|report| Some(&report.sha256) == run.document_sha256.as_ref()))
    }

    /// The bytes of a run's report.
    ///
    /// # Errors
    /// [`StoreError`] if a query fails; [`NotKept`] inside.
    pub async fn report_of(&self, run: &Run) -> Result<Result<Vec<u8>, NotKept>, StoreError> {
        if let Some(document) = run.document {
            // given up where the hold is not open any more
            match self.document(document).await {
                Err(StoreError::Missing(_)) => {}
                bytes => return bytes.map(Ok),
            }
        }
        let kept = self.kept_reports(&run.sync_type, &run.agent_id).await?;
        if let Some(report) = kept.iter().rfind(|report| Some(&report.sha256) == run.document_sha256.as_ref()) {
            return self.kept_bytes(report.id).await.map(Ok);
        }
        Ok(Err(NotKept {
            run: run.id,
            sync_type: run.sync_type.clone(),
            agent: run.agent_id.clone(),
            kept: kept.iter().filter_map(|report| report.run).collect(),
        }))
    }
}

//! How does a state stand in its table?

use sea_orm::ActiveValue::Set;

use crate::{
    domain::{Recent, SyncState, sync_state::Applied},
    store::schema::entity::sync_state,
};

impl SyncState {
    pub(super) fn read(row: sync_state::Model) -> Self {
        let applied = (row.applied_run_id, row.applied_at, row.fetched_at);
        Self {
            sync_type: row.sync_type.into(),
            agent: row.agent_id.into(),
            last_run: row.last_run_id,
            last_outcome: row.last_outcome,
            last_at: row.last_at,
            applied: match applied {
                (Some(run), Some(at), Some(fetched_at)) => Some(Applied { run, at, fetched_at }),
                _ => None,
            },
            failures: row.failures.unsigned_abs(),
            failing_since: row.failing_since,
            error_code: row.error_code,
            error: row.error,
            refusals: row.refusals.unsigned_abs(),
            refused: row.refused_run_id.zip(row.refused_at),
            quarantined: row.quarantined.unsigned_abs(),
            records_run: row.records_run_id,
            rows: row.rows.unsigned_abs(),
            orphans: row.orphans.unsigned_abs(),
            read_run: row.read_run_id,
            approved_at: row.approved_at,
            layout_changed: row.layout_run_id.zip(row.layout_changed_at),
            recent: Recent::read(&row.recent),
        }
    }

    pub(super) fn row(self) -> sync_state::ActiveModel {
        let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        sync_state::ActiveModel {
            sync_type: Set(self.sync_type.to_string()),
            agent_id: Set(self.agent.to_string()),
            last_run_id: Set(self.last_run),
            last_outcome: Set(self.last_outcome),
            last_at: Set(self.last_at),
            applied_run_id: Set(self.applied.map(|applied| applied.run)),
            applied_at: Set(self.applied.map(|applied| applied.at)),
            fetched_at: Set(self.applied.map(|applied| applied.fetched_at)),
            failures: Set(small(self.failures)),
            failing_since: Set(self.failing_since),
            error_code: Set(self.error_code),
            error: Set(self.error),
            refusals: Set(small(self.refusals)),
            refused_run_id: Set(self.refused.map(|(run, _)| run)),
            refused_at: Set(self.refused.map(|(_, at)| at)),
            quarantined: Set(count(self.quarantined)),
            records_run_id: Set(self.records_run),
            rows: Set(count(self.rows)),
            orphans: Set(count(self.orphans)),
            read_run_id: Set(self.read_run),
            approved_at: Set(self.approved_at),
            layout_run_id: Set(self.layout_changed.map(|(run, _)| run)),
            layout_changed_at: Set(self.layout_changed.map(|(_, at)| at)),
            recent: Set(self.recent.text()),
        }
    }
}

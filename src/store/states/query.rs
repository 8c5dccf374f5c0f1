//! How do all types of all agents stand, and how did their runs end within some time? One query each.

use std::collections::BTreeMap;

use chrono::{DurationRound as _, TimeDelta};
use sea_orm::{
    ConnectionTrait, EntityTrait, QueryOrder, QueryResult,
    prelude::*,
    sea_query::{ExprTrait, Func, Query, SelectStatement},
};
use serde::Serialize;

use crate::{
    domain::{AgentId, Outcome, SyncState, SyncType, Timestamp},
    store::{
        Store, StoreError,
        schema::entity::{run_hour, sync_state},
    },
};

use run_hour::Column as H;

/// How the runs of one type and agent ended within some time; reports that a person gave are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTotals {
    pub runs: u64,
    /// Of them, those that applied their report.
    pub applied: u64,
    /// Of them, those that someone should know of.
    pub failed: u64,
    /// Rows that their reports held.
    pub rows: u64,
    /// Records that runs which came to their end added, changed, brought back or deleted; those that applied a report
    /// which a person gave or approved are among them here.
    pub changed: u64,
    /// How long those took that applied their report, together.
    pub applied_ms: u64,
}

impl RunTotals {
    /// How long a run takes that applies its report; none did, none is known.
    #[must_use]
    pub fn average_ms(&self) -> Option<u64> {
        self.applied_ms.checked_div(self.applied)
    }

    /// The share of runs that applied their report among those that did or failed.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let judged = self.applied + self.failed;
        (judged > 0).then(|| self.applied as f64 / judged as f64)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            applied: self.applied + other.applied,
            failed: self.failed + other.failed,
            rows: self.rows + other.rows,
            changed: self.changed + other.changed,
            applied_ms: self.applied_ms + other.applied_ms,
        }
    }
}

impl Store {
    /// The states of all types and agents that have ever run, in one query.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn sync_states(&self) -> Result<Vec<SyncState>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = sync_state::Entity::find()
                    .order_by_asc(sync_state::Column::SyncType)
                    .order_by_asc(sync_state::Column::AgentId)
                    .all(db)
                    .await
                    .map_err(StoreError::while_doing("read how the types stand"))?;
                Ok(rows.into_iter().map(SyncState::read).collect())
            })
        })
        .await
    }

    /// The state of one type and agent; none before its first run.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn sync_state(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Option<SyncState>, StoreError> {
        let key = (sync_type.to_string(), agent.to_string());
        self.read(move |db| {
            Box::pin(async move {
                let row = sync_state::Entity::find_by_id(key).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read how a type stands"))?.map(SyncState::read))
            })
        })
        .await
    }

    /// How runs that began in the hour of `since` or later ended, by type and agent.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn run_totals(&self, since: Timestamp) -> Result<BTreeMap<(SyncType, AgentId), RunTotals>, StoreError> {
        let mut query = sums(&[H::SyncType, H::AgentId], since);
        self.summed(&mut query, |row| {
            let text = |name: &str| row.try_get::<String>("", name);
            Ok((text("sync_type")?.into(), text("agent_id")?.into()))
        })
        .await
    }

    /// How runs of a type ended that began in the hour of `since` or later, by hour; of these agents, or of all.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn run_hours(
        &self,
        sync_type: &SyncType,
        agents: Option<Vec<String>>,
        since: Timestamp,
    ) -> Result<BTreeMap<Timestamp, RunTotals>, StoreError> {
        let mut query = sums(&[H::Hour], since);
        query.and_where(Expr::col(H::SyncType).eq(sync_type.as_str()));
        if let Some(agents) = agents {
            query.and_where(Expr::col(H::AgentId).is_in(agents));
        }
        self.summed(&mut query, |row| row.try_get("", "hour")).await
    }

    async fn summed<K: Ord + Send + 'static>(
        &self,
        query: &mut SelectStatement,
        key: impl Fn(&QueryResult) -> Result<K, DbErr> + Send + Sync + 'static,
    ) -> Result<BTreeMap<K, RunTotals>, StoreError> {
        let query = query.take();
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("sum the runs up");
                let mut totals = BTreeMap::<K, RunTotals>::new();
                for row in db.query_all(&query).await.map_err(&failed)? {
                    let number = |name: &str| row.try_get::<i64>("", name).map(i64::unsigned_abs).map_err(&failed);
                    let outcome: Outcome = row.try_get("", "outcome").map_err(&failed)?;
                    let (runs, applied) = (number("runs")?, outcome.is_applied());
                    let one = RunTotals {
                        runs,
                        applied: if applied { runs } else { 0 },
                        failed: if outcome.is_failure() { runs } else { 0 },
                        rows: number("rows")?,
                        changed: number("changed")?,
                        applied_ms: if applied { number("milliseconds")? } else { 0 },
                    };
                    let of = totals.entry(key(&row).map_err(&failed)?).or_default();
                    *of = of.plus(&one);
                }
                Ok(totals)
            })
        })
        .await
    }
}

/// The runs since then, summed by these and by how they ended.
fn sums(by: &[H], since: Timestamp) -> SelectStatement {
    let since = since.duration_trunc(TimeDelta::hours(1)).unwrap_or(since);
    let sum = |column: H| Func::sum(Expr::col(column)).cast_as("bigint");
    let mut query = Query::select();
    query
        .from(run_hour::Entity)
        .columns(by.iter().copied())
        .column(H::Outcome)
        .expr_as(sum(H::Runs), "runs")
        .expr_as(sum(H::Milliseconds), "milliseconds")
        .expr_as(sum(H::Rows), "rows")
        .expr_as(sum(H::Changed), "changed")
        .and_where(Expr::col(H::Hour).gte(since))
        .group_by_columns(by.iter().copied().chain([H::Outcome]));
    query
}

//! What have the runs of each type and agent come to? Written with the end of each run, read for all at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DurationRound as _, TimeDelta};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    prelude::*,
    sea_query::{ExprTrait, Func, Query},
};
use serde::Serialize;

use crate::{
    domain::{AgentId, Ended, Outcome, SyncState, SyncType, Timestamp, sync_state::Applied},
    store::{
        Store, StoreError,
        db::{
            arrays::among,
            bulk::{self, Conflict},
        },
        schema::entity::{run_hour, sync_state},
    },
    sync_type::ValueType,
};

/// How the runs of one type and agent ended within some time; reports that a person gave are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunTotals {
    pub runs: u64,
    /// Of them, those that applied their report.
    pub applied: u64,
    /// Of them, those that someone should know of.
    pub failed: u64,
    /// Rows that their reports held.
    pub rows: u64,
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
            applied_ms: self.applied_ms + other.applied_ms,
        }
    }
}

impl SyncState {
    fn read(row: sync_state::Model) -> Self {
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
            quarantined: row.quarantined.unsigned_abs(),
            quarantine_run: row.quarantine_run_id,
            orphans: row.orphans.unsigned_abs(),
        }
    }

    fn row(self) -> sync_state::ActiveModel {
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
            quarantined: Set(count(self.quarantined)),
            quarantine_run_id: Set(self.quarantine_run),
            orphans: Set(count(self.orphans)),
        }
    }
}

/// Counts runs that have ended in, in the transaction of their end. At most one of a type and agent, since an agent
/// runs one job at a time; which is also why nobody else writes these rows meanwhile.
pub(crate) async fn count_in(tx: &DatabaseTransaction, ends: Vec<Ended>) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("count a run in");
    let mut before = before(tx, &ends).await.map_err(&failed)?;
    let (mut states, mut hours) = (Vec::new(), BTreeMap::<_, [i64; 3]>::new());
    for ended in ends {
        let key = (ended.sync_type.to_string(), ended.agent.to_string());
        if ended.is_of_source() {
            let hour = ended.started_at.duration_trunc(TimeDelta::hours(1)).unwrap_or(ended.started_at);
            let sums = hours.entry((key.clone(), hour, ended.outcome.as_str())).or_default();
            let rows = i64::try_from(ended.rows).unwrap_or(i64::MAX);
            let took = (ended.at - ended.started_at).num_milliseconds();
            *sums = [sums[0] + 1, sums[1] + took, sums[2].saturating_add(rows)];
        }
        states.push((key.clone(), SyncState::after(before.remove(&key), ended).row()));
    }
    let hours: Vec<run_hour::ActiveModel> = hours
        .into_iter()
        .map(|(((sync_type, agent), hour, outcome), [runs, milliseconds, rows])| run_hour::ActiveModel {
            sync_type: Set(sync_type),
            agent_id: Set(agent),
            hour: Set(hour),
            outcome: Set(outcome.to_owned()),
            runs: Set(runs),
            milliseconds: Set(milliseconds),
            rows: Set(rows),
        })
        .collect();
    states.sort_by(|one, other| one.0.cmp(&other.0));
    let states = states.into_iter().map(|(_, row)| row).collect();
    bulk::upsert(tx, states, &["sync_type", "agent_id"], Conflict::Replace).await.map_err(&failed)?;
    let key = ["sync_type", "agent_id", "hour", "outcome"];
    bulk::upsert(tx, hours, &key, Conflict::Add(&["runs", "milliseconds", "rows"])).await.map_err(failed)
}

/// The states before these ends, as far as they matter: a run that read its report and applied it leaves nothing of
/// what was.
async fn before(
    tx: &DatabaseTransaction,
    ends: &[Ended],
) -> Result<BTreeMap<(String, String), SyncState>, DbErr> {
    let wanted = || ends.iter().filter(|ended| !replaces(ended));
    if wanted().next().is_none() {
        return Ok(BTreeMap::new());
    }
    let types: BTreeSet<&str> = wanted().map(|ended| ended.sync_type.as_str()).collect();
    let agents: BTreeSet<&str> = wanted().map(|ended| ended.agent.as_str()).collect();
    let backend = tx.get_database_backend();
    let rows = sync_state::Entity::find()
        .filter(among(Expr::col(sync_state::Column::SyncType), ValueType::Text, types, backend))
        .filter(among(Expr::col(sync_state::Column::AgentId), ValueType::Text, agents, backend))
        .all(tx)
        .await?;
    let keyed = |row: sync_state::Model| ((row.sync_type.clone(), row.agent_id.clone()), SyncState::read(row));
    Ok(rows.into_iter().map(keyed).collect())
}

/// Is what was before of no matter after this run?
fn replaces(ended: &Ended) -> bool {
    ended.outcome.is_applied() && ended.rows > 0 && ended.is_of_source()
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
        use run_hour::Column as H;
        let since = since.duration_trunc(TimeDelta::hours(1)).unwrap_or(since);
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("sum the runs up");
                let mut query = Query::select();
                let sum = |column: H| Func::sum(Expr::col(column)).cast_as("bigint");
                query
                    .from(run_hour::Entity)
                    .columns([H::SyncType, H::AgentId, H::Outcome])
                    .expr_as(sum(H::Runs), "runs")
                    .expr_as(sum(H::Milliseconds), "milliseconds")
                    .expr_as(sum(H::Rows), "rows")
                    .and_where(Expr::col(H::Hour).gte(since))
                    .group_by_columns([H::SyncType, H::AgentId, H::Outcome]);
                let mut totals = BTreeMap::<_, RunTotals>::new();
                for row in db.query_all(&query).await.map_err(&failed)? {
                    let number = |name: &str| row.try_get::<i64>("", name).map(i64::unsigned_abs).map_err(&failed);
                    let text = |name: &str| row.try_get::<String>("", name).map_err(&failed);
                    let outcome: Outcome = row.try_get("", "outcome").map_err(&failed)?;
                    let (runs, applied) = (number("runs")?, outcome.is_applied());
                    let one = RunTotals {
                        runs,
                        applied: if applied { runs } else { 0 },
                        failed: if outcome.is_failure() { runs } else { 0 },
                        rows: number("rows")?,
                        applied_ms: if applied { number("milliseconds")? } else { 0 },
                    };
                    let of = totals.entry((text("sync_type")?.into(), text("agent_id")?.into())).or_default();
                    *of = of.plus(&one);
                }
                Ok(totals)
            })
        })
        .await
    }
}

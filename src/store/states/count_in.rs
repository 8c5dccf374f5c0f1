//! How is a run counted in? In the transaction of its end.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DurationRound as _, TimeDelta};
use sea_orm::{ActiveValue::Set, DatabaseTransaction, EntityTrait, QueryFilter, prelude::*};

use crate::{
    domain::{Ended, SyncState},
    store::{
        StoreError,
        db::{
            arrays::among,
            bulk::{self, Conflict},
        },
        schema::entity::{run_hour, sync_state},
    },
    sync_type::ValueType,
};

/// Counts runs that have ended in, in the transaction of their end. At most one of a type and agent, since an agent
/// runs one job at a time; which is also why nobody else writes these rows meanwhile.
pub(crate) async fn count_in(tx: &DatabaseTransaction, ends: Vec<Ended>) -> Result<(), StoreError> {
    if ends.is_empty() {
        return Ok(());
    }
    let failed = StoreError::while_doing("count a run in");
    let mut before = before(tx, &ends).await.map_err(&failed)?;
    let (mut states, mut hours) = (Vec::new(), BTreeMap::<_, [i64; 4]>::new());
    for ended in ends {
        let key = (ended.sync_type.to_string(), ended.agent.to_string());
        let hour = ended.started_at.duration_trunc(TimeDelta::hours(1)).unwrap_or(ended.started_at);
        let took = Ord::max((ended.at - ended.started_at).num_milliseconds(), 0);
        let [rows, changed] = [ended.rows, ended.changed].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        // a report that a person gave says nothing of the source, but it changes records
        let of_run = if ended.is_of_source() { [1, took, rows, changed] } else { [0, 0, 0, changed] };
        if of_run != [0; 4] {
            let sums = hours.entry((key.clone(), hour, ended.outcome.as_str())).or_default();
            *sums = std::array::from_fn(|at| sums[at].saturating_add(of_run[at]));
        }
        states.push((key.clone(), SyncState::after(before.remove(&key), ended).row()));
    }
    let hours: Vec<run_hour::ActiveModel> = hours
        .into_iter()
        .map(|(((sync_type, agent), hour, outcome), [runs, milliseconds, rows, changed])| run_hour::ActiveModel {
            sync_type: Set(sync_type),
            agent_id: Set(agent),
            hour: Set(hour),
            outcome: Set(outcome.to_owned()),
            runs: Set(runs),
            milliseconds: Set(milliseconds),
            rows: Set(rows),
            changed: Set(changed),
        })
        .collect();
    states.sort_by(|one, other| one.0.cmp(&other.0));
    let states = states.into_iter().map(|(_, row)| row).collect();
    bulk::upsert(tx, states, &["sync_type", "agent_id"], Conflict::Replace).await.map_err(&failed)?;
    let key = ["sync_type", "agent_id", "hour", "outcome"];
    bulk::upsert(tx, hours, &key, Conflict::Add(&["runs", "milliseconds", "rows", "changed"])).await.map_err(failed)
}

/// The states before these ends, if there are some.
async fn before(tx: &DatabaseTransaction, ends: &[Ended]) -> Result<BTreeMap<(String, String), SyncState>, DbErr> {
    let types: BTreeSet<&str> = ends.iter().map(|ended| ended.sync_type.as_str()).collect();
    let agents: BTreeSet<&str> = ends.iter().map(|ended| ended.agent.as_str()).collect();
    let backend = tx.get_database_backend();
    let rows = sync_state::Entity::find()
        .filter(among(Expr::col(sync_state::Column::SyncType), ValueType::Text, types, backend))
        .filter(among(Expr::col(sync_state::Column::AgentId), ValueType::Text, agents, backend))
        .all(tx)
        .await?;
    let keyed = |row: sync_state::Model| ((row.sync_type.clone(), row.agent_id.clone()), SyncState::read(row));
    Ok(rows.into_iter().map(keyed).collect())
}

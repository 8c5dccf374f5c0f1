//! How does each type of each agent stand? A cell for each, with all that a person asks of it.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;

use super::Known;
use crate::{
    domain::{
        AgentId, Breaker, Outcome, Recent, RunId, Standing, SyncState, SyncType, Timestamp,
        standing::{Action, Facts},
    },
    sync::port::Progress,
    sync_type::{Scope, SyncTypeSpec},
};

/// Data may be so many intervals old, where the type's file does not say otherwise.
const INTERVALS: u32 = 3;

/// One type of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    #[serde(rename = "agentId")]
    pub agent: AgentId,
    #[serde(flatten)]
    pub standing: Standing,
    /// Why, in a sentence.
    pub reason: String,
    /// What a person can do, the likeliest first.
    pub actions: &'static [Action],
    /// Its run, if one is under way; that changes nothing of how it stands.
    pub running: Option<RunningNow>,
    /// When the report was fetched that the data is from.
    pub fetched_at: Option<Timestamp>,
    pub age_seconds: Option<i64>,
    /// How old the data may be.
    pub target_seconds: u64,
    pub last_run: Option<LastRun>,
    /// When its timer fires next, if it will.
    pub next_run: Option<Timestamp>,
    /// Failures since a report of the source was last applied.
    pub consecutive_failures: u32,
    /// Rows that wait in quarantine, and the run whose report has them.
    pub quarantined: u64,
    pub quarantine_run: Option<RunId>,
    /// How the last runs ended, the oldest first: 30 at most.
    pub recent: Recent,
}

/// The last run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    pub id: RunId,
    pub outcome: Outcome,
    pub at: Timestamp,
}

/// A run that is under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningNow {
    pub run_id: RunId,
    pub since: Option<Timestamp>,
    /// How far it is; not known of another process's.
    pub progress: Option<Progress>,
}

/// Every type of every active agent, and the shared types once; by type, then agent.
#[must_use]
pub fn cells(known: &Known) -> Vec<Cell> {
    let states: HashMap<(&str, &str), &SyncState> =
        known.states.iter().map(|state| ((state.sync_type.as_str(), state.agent.as_str()), state)).collect();
    let service = AgentId::service_account();
    let active: Vec<&AgentId> = known.agents.iter().filter(|agent| agent.active).map(|agent| &agent.id).collect();
    let mut cells = Vec::new();
    for spec in known.types.iter() {
        let agents = match spec.scope {
            Scope::Agent => active.as_slice(),
            Scope::Shared => &[&service],
        };
        let of =
            |agent: &&AgentId| cell(known, spec, agent, states.get(&(spec.name.as_str(), agent.as_str())).copied());
        cells.extend(agents.iter().map(of));
    }
    cells
}

/// How old a type's data may be.
fn target(known: &Known, spec: &SyncTypeSpec, interval: u32) -> Duration {
    known.minute * spec.freshness_minutes.unwrap_or(interval.saturating_mul(INTERVALS))
}

fn cell(known: &Known, spec: &SyncTypeSpec, agent: &AgentId, state: Option<&SyncState>) -> Cell {
    let timer = known.schedule.types.iter().find(|timer| timer.sync_type == spec.name);
    // a database that no service has used yet has no timers: they begin turned on
    let is_on = timer.is_none_or(|timer| timer.enabled);
    let paused = !known.schedule.running || known.pause.is_some();
    let next_run = timer.filter(|_| is_on && known.schedule.running).and_then(|timer| timer.next_run);
    let open = known.breakers.iter().find_map(|one| match one.breaker {
        Breaker::Open { until, .. } if one.agent_id == *agent => Some((one, until)),
        Breaker::Open { .. } | Breaker::Closed { .. } => None,
    });
    let hold = known.holds.iter().find(|hold| hold.sync_type == spec.name && hold.agent == *agent);
    let minutes = timer.map_or(spec.interval_minutes, |timer| timer.interval_minutes);
    let (target, interval) = (target(known, spec, minutes), known.minute * minutes);
    let standing = Standing::of(&Facts {
        now: known.now,
        state,
        hold: hold.map(|hold| (hold.run, hold.since)),
        breaker: open.map(|(one, until)| (until, one.updated_at)),
        target,
        enabled: is_on,
        paused,
        next_run,
        not_read_before: state.and_then(|state| state.not_read_before(interval)),
    });
    let error = match &standing {
        Standing::Failing { in_a_row: 0, .. } => open.and_then(|(one, _)| one.last_error.as_deref()),
        _ => state.and_then(|state| state.error.as_deref()),
    };
    let fetched_at = state.and_then(|state| state.applied).map(|applied| applied.fetched_at);
    Cell {
        sync_type: spec.name.clone(),
        agent: agent.clone(),
        reason: standing.reason(error),
        actions: standing.actions(),
        standing,
        running: running(known, spec, agent),
        fetched_at,
        age_seconds: fetched_at.map(|at| (known.now - at).num_seconds().max(0)),
        target_seconds: target.as_secs(),
        last_run: state.map(|state| LastRun { id: state.last_run, outcome: state.last_outcome, at: state.last_at }),
        next_run,
        consecutive_failures: state.map_or(0, |state| state.failures),
        quarantined: state.map_or(0, |state| state.quarantined),
        recent: state.map(|state| state.recent.clone()).unwrap_or_default(),
        quarantine_run: state.filter(|state| state.quarantined > 0).and_then(|state| state.records_run),
    }
}

fn running(known: &Known, spec: &SyncTypeSpec, agent: &AgentId) -> Option<RunningNow> {
    let is_its = |job_type: &str, of: &AgentId| job_type == spec.name.as_str() && of == agent;
    let here = known.running.iter().find(|one| is_its(one.job_type.as_str(), &one.agent_id));
    let run = known.runs.iter().find(|run| is_its(run.sync_type.as_str(), &run.agent_id));
    let run_id = here.map(|one| one.run_id).or(run.map(|run| run.id))?;
    Some(RunningNow { run_id, since: run.map(|run| run.started_at), progress: here.map(|one| one.progress) })
}

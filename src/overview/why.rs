//! Why is a record as it is, or not there at all? In sentences, each with a code; the record first, then what keeps it
//! from being newer.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Cell, Known, cells};
use crate::{
    domain::{AgentId, RunId, Standing, SyncState, SyncType, Timestamp},
    report::Quarantined,
    store::{ChangeQuery, DataQuery, RecordChange, Store, StoreError},
    sync_type::{Scope, SyncTypeSpec},
};

/// One thing that is so.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Because {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub text: String,
    /// The run that says more.
    pub run_id: Option<RunId>,
    pub since: Option<Timestamp>,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    pub agent_id: AgentId,
    pub key: String,
    /// All that is so, the likeliest answer first.
    pub because: Vec<Because>,
}

/// What is known of one record.
#[derive(Debug, Clone, Default)]
struct Found {
    record: Option<Map<String, Json>>,
    /// The last that was kept of what became of it.
    last: Option<RecordChange>,
    quarantined: Option<(RunId, Quarantined)>,
}

/// Looks a record up and says why it is as it is.
///
/// # Errors
/// [`StoreError`] if a query fails.
pub async fn why(
    store: &Store,
    known: &Known,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    key: &str,
) -> Result<Why, StoreError> {
    let wanted = DataQuery {
        agent: Some(agent.to_string()),
        key: Some(key.to_owned()),
        deleted: true,
        limit: 1,
        ..DataQuery::default()
    };
    let last = ChangeQuery {
        sync_type: Some(spec.name.to_string()),
        agent: Some(agent.to_string()),
        key: Some(key.to_owned()),
        limit: 1,
        ..ChangeQuery::default()
    };
    let state = known.states.iter().find(|state| state.sync_type == spec.name && state.agent == *agent);
    let run = state.filter(|state| state.quarantined > 0).and_then(|state| state.records_run);
    let rows = match run {
        Some(run) => store.quarantined(run).await?,
        None => Vec::new(),
    };
    let quarantined = rows.into_iter().find(|row| row.key.as_deref() == Some(key));
    let found = Found {
        record: store.data(spec, wanted).await?.items.pop(),
        last: store.changes(last).await?.pop(),
        quarantined: run.zip(quarantined),
    };
    let mut because = of_record(&found, state);
    because.extend(of_agent(known, spec, agent));
    let cell = cells(known).into_iter().find(|cell| cell.sync_type == spec.name && cell.agent == *agent);
    because.extend(cell.iter().flat_map(|cell| of_standing(known, cell)));
    Ok(Why { sync_type: spec.name.clone(), agent_id: agent.clone(), key: key.to_owned(), because })
}

fn because(code: &'static str, text: String, run_id: Option<RunId>, since: Option<Timestamp>) -> Because {
    Because { code, text, run_id, since }
}

fn day(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn of_record(found: &Found, state: Option<&SyncState>) -> Vec<Because> {
    let mut answer = Vec::new();
    if let Some((run, row)) = &found.quarantined {
        let text = format!(
            "Its row in the report of run {run} (page {}, row {}) is in quarantine: column {} holds '{}': {}. What is \
             stored is from an older report.",
            row.page, row.row, row.column, row.text, row.why
        );
        answer.push(because("quarantined", text, Some(*run), None));
    }
    let Some(record) = &found.record else {
        let read = state.and_then(|state| state.records_run);
        let text = match read {
            Some(run) => {
                format!("No such record is stored: the report of run {run}, the last that was applied, has none.")
            }
            None => "No such record is stored: no report was read and applied yet.".to_owned(),
        };
        answer.push(because("not_stored", text, read, None));
        return answer;
    };
    let moment = |name: &str| record.get(name).and_then(|at| serde_json::from_value::<Timestamp>(at.clone()).ok());
    let run = record.get("run_id").and_then(Json::as_i64).map(RunId);
    if let Some(at) = moment("deleted_at") {
        let text = format!("It was deleted on {}: two reports in a row did not have it.", day(at));
        answer.push(because("deleted", text, None, Some(at)));
    } else if let Some(at) = moment("missing_since") {
        let text = format!(
            "The report of {} did not have it. It is deleted if the next report, at least one interval later, lacks it \
             too; it comes back with the first that has it.",
            day(at)
        );
        answer.push(because("missing", text, None, Some(at)));
    }
    if let (Some(first), Some(written)) = (moment("first_seen_at"), moment("updated_at")) {
        let by = run.map(|run| format!(" by run {run}")).unwrap_or_default();
        let text = format!("It is stored since {}, and was last written on {}{by}.", day(first), day(written));
        answer.push(because("stored", text, run, Some(first)));
    }
    if let Some(change) = &found.last {
        let fields: Vec<String> =
            change.fields.iter().map(|one| format!("{} from {} to {}", one.field, one.old, one.new)).collect();
        let what =
            if fields.is_empty() { change.action.clone() } else { format!("{}: {}", change.action, fields.join(", ")) };
        let printed = match (change.page, change.row) {
            (Some(page), Some(row)) => format!(" (page {page}, row {row} of its report)"),
            _ => String::new(),
        };
        let text = format!("What became of it last, on {}, in run {}{printed}: {what}.", day(change.at), change.run_id);
        answer.push(because("changed", text, Some(change.run_id), Some(change.at)));
    }
    answer
}

fn of_agent(known: &Known, spec: &SyncTypeSpec, agent: &AgentId) -> Option<Because> {
    if spec.scope == Scope::Shared {
        return None;
    }
    match known.agents.iter().find(|one| one.id == *agent) {
        None => Some(because("agent_unknown", format!("There is no agent '{agent}'."), None, None)),
        Some(one) if !one.active => {
            let text = format!("Agent {agent} is not active: no timer asks for their reports.");
            Some(because("agent_inactive", text, None, None))
        }
        Some(_) => None,
    }
}

/// What keeps newer data away.
fn of_standing(known: &Known, cell: &Cell) -> Vec<Because> {
    let mut answer = Vec::new();
    let last = cell.last_run.as_ref().map(|run| run.id);
    let code = cell.standing.as_str();
    match &cell.standing {
        Standing::Fresh => {
            if let Some(at) = cell.fetched_at {
                let text = format!("The data is as young as it is to be: its report was fetched on {}.", day(at));
                answer.push(because(code, text, last, Some(at)));
            }
        }
        Standing::Held { run, since } => answer.push(because(code, cell.reason.clone(), Some(*run), Some(*since))),
        standing => answer.push(because(code, cell.reason.clone(), last, standing.since())),
    }
    if let Some(pause) = &known.pause {
        let end = pause.until.map_or("until someone resumes it".to_owned(), |until| format!("until {}", day(until)));
        let text = format!("{} paused the service {end}: {}.", pause.by, pause.reason);
        answer.push(because("service_paused", text, None, Some(pause.since)));
    } else if !known.schedule.running {
        answer.push(because(
            "timers_off",
            "The timers are off: nothing runs unless it is asked for.".to_owned(),
            None,
            None,
        ));
    }
    answer
}

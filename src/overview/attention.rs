//! What needs a person? Typed items, each with its words and what can be done.

use std::collections::HashSet;

use serde::Serialize;

use super::{Cell, Known};
use crate::domain::{
    AgentId, Breaker, ItemStatus, RunId, Standing, SyncState, SyncType, Timestamp,
    attention::{Kind, Severity},
    standing::Action,
};

/// A change of a report's layout is told for so long.
const LAYOUT_TOLD_HOURS: i64 = 24;

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub kind: Kind,
    pub severity: Severity,
    #[serde(rename = "type")]
    pub sync_type: Option<SyncType>,
    #[serde(rename = "agentId")]
    pub agent: Option<AgentId>,
    /// The run that says more.
    pub run_id: Option<RunId>,
    /// The outbox's model.
    pub model: Option<String>,
    pub since: Option<Timestamp>,
    pub text: String,
    pub actions: &'static [Action],
}

fn item(kind: Kind, since: Option<Timestamp>, text: String, actions: &'static [Action]) -> Item {
    let severity = kind.severity();
    Item { kind, severity, sync_type: None, agent: None, run_id: None, model: None, since, text, actions }
}

/// Problems first, by kind, the oldest first.
pub(super) fn items(known: &Known, cells: &[Cell]) -> Vec<Item> {
    let mut items: Vec<Item> = cells.iter().filter_map(of_standing).collect();
    items.extend(breakers(known, cells));
    items.extend(outbox(known));
    let shown: HashSet<(&str, &str)> =
        cells.iter().map(|cell| (cell.sync_type.as_str(), cell.agent.as_str())).collect();
    let is_shown = |state: &&SyncState| shown.contains(&(state.sync_type.as_str(), state.agent.as_str()));
    items.extend(known.states.iter().filter(is_shown).flat_map(|state| of_records(known, state)));
    items.sort_by(|one, other| {
        let key = |item: &Item| (item.severity, item.kind, item.since);
        key(one).cmp(&key(other))
    });
    items
}

fn of_standing(cell: &Cell) -> Option<Item> {
    let last = cell.last_run.as_ref().map(|run| run.id);
    let (kind, run_id) = match &cell.standing {
        Standing::Refused { .. } => (Kind::Refused, last),
        Standing::Failing { .. } => (Kind::Failing, last),
        Standing::Held { run, .. } => (Kind::Held, Some(*run)),
        Standing::Late { .. } => (Kind::Late, last),
        Standing::Never | Standing::Paused | Standing::Off | Standing::Fresh => return None,
    };
    Some(Item {
        sync_type: Some(cell.sync_type.clone()),
        agent: Some(cell.agent.clone()),
        run_id,
        ..item(kind, cell.standing.since(), cell.reason.clone(), cell.actions)
    })
}

/// Open breakers of active agents: which types fail for one is said besides.
fn breakers(known: &Known, cells: &[Cell]) -> Vec<Item> {
    let mut items = Vec::new();
    for one in &known.breakers {
        let Breaker::Open { until, times } = one.breaker else { continue };
        let is_shown = cells.iter().any(|cell| cell.agent == one.agent_id);
        let said = one.last_error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let next = if until <= known.now {
            "the next run is a probe".to_owned()
        } else {
            format!("a probe may start at {}", until.format("%H:%M:%S UTC"))
        };
        let text = format!(
            "The source '{}' does not answer for {}{said}. Nothing is asked of it; {next} (opened {times} times in a row).",
            one.source, one.agent_id
        );
        if is_shown {
            items.push(Item {
                agent: Some(one.agent_id.clone()),
                ..item(Kind::BreakerOpen, Some(one.updated_at), text, &[Action::ResetBreaker])
            });
        }
    }
    items
}

fn outbox(known: &Known) -> Vec<Item> {
    let mut items = Vec::new();
    for depth in known.outbox.models.iter().filter(|depth| depth.items > 0) {
        let of_model = |item: Item| Item { model: Some(depth.model.clone()), ..item };
        let count = if depth.items == 1 { "1 change".to_owned() } else { format!("{} changes", depth.items) };
        if depth.status == ItemStatus::Failed {
            let text = format!("{count} of {} could not be delivered, and will not be tried again.", depth.model);
            items.push(of_model(item(Kind::WriteBackFailed, depth.oldest, text, &[Action::Retry])));
        } else if depth.status == ItemStatus::Pending && !depth.is_configured {
            let text = format!("{count} of {} wait, and no sink is configured for this model.", depth.model);
            items.push(of_model(item(Kind::ModelNotConfigured, depth.oldest, text, &[Action::Configure])));
        }
    }
    if known.doubtful > 0 {
        let text =
            format!("{} changes may have been delivered or not: nobody knows, and none is sent twice.", known.doubtful);
        items.push(item(Kind::WriteBackDoubtful, None, text, &[Action::Retry]));
    }
    items
}

/// What the last reports left to be known.
fn of_records(known: &Known, state: &SyncState) -> Vec<Item> {
    let whose = |run_id: Option<RunId>, item: Item| Item {
        sync_type: Some(state.sync_type.clone()),
        agent: Some(state.agent.clone()),
        run_id,
        ..item
    };
    let since = state.applied.map(|applied| applied.at);
    let mut items = Vec::new();
    if state.quarantined > 0 {
        let text = match state.quarantined {
            1 => "1 row is in quarantine: what is stored of it is from an older report.".to_owned(),
            rows => format!("{rows} rows are in quarantine: what is stored of them is from an older report."),
        };
        items.push(whose(state.records_run, item(Kind::Quarantine, since, text, &[Action::ShowQuarantine])));
    }
    // a few are always under way between two reports
    if state.orphans * 2 > state.rows {
        let percent = state.orphans * 100 / state.rows.max(state.orphans).max(1);
        let text = format!(
            "{} records ({percent} % of the last report's rows) have no known record that they belong to.",
            state.orphans
        );
        let run = state.applied.map(|applied| applied.run);
        items.push(whose(run, item(Kind::Orphans, since, text, &[Action::ShowRecords])));
    }
    if let Some((run, at)) =
        state.layout_changed.filter(|(_, at)| known.now - *at < chrono::Duration::hours(LAYOUT_TOLD_HOURS))
    {
        let text =
            "The report is laid out otherwise than before: look whether its columns are what they were.".to_owned();
        items.push(whose(Some(run), item(Kind::LayoutChanged, Some(at), text, &[Action::ShowRun])));
    }
    items
}

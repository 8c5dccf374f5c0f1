//! What would a report change, and is that believable? The plan and the evidence for the guards.

use std::{sync::Arc, time::Duration};

use super::{context::Context, error::RunError};
use crate::{
    delta::{self, ChangeKind, OpenBlanks, Plan, Seen, Snapshot, guard::Evidence},
    domain::{AgentId, Timestamp},
    report::{Report, sandbox::Job},
    store::StoreError,
    sync_type::SyncTypeSpec,
};

/// Guards look back so far: a wipe that goes slowly is one, too.
const LOOKS_BACK: Duration = Duration::from_hours(24);

/// The least time between a first miss and a deletion: the type's present interval, less what two
/// runs of one timer may start apart (a twentieth, at most half a minute).
pub(super) async fn second_miss(context: &Context, spec: &SyncTypeSpec) -> Result<Duration, StoreError> {
    let settings = context.store.settings().await?;
    let saved = settings.iter().find(|setting| setting.sync_type == spec.name);
    let interval = context.minute * saved.map_or(spec.interval_minutes, |setting| setting.interval_minutes);
    Ok(interval.saturating_sub((interval / 20).min(Duration::from_secs(30))))
}

pub(super) async fn make_plan(
    context: &Context,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    report: &Report,
    now: Timestamp,
    second_miss: Option<Duration>,
) -> Result<Plan, StoreError> {
    let open_blanks = open_blanks(spec, report);
    let needed = Snapshot::needed(spec, &report.present, &open_blanks);
    let snapshot = context.store.snapshot(spec, agent, needed).await?;
    let keys: Vec<String> = report.quarantined.iter().filter_map(|row| row.key.clone()).collect();
    let seen = Seen {
        records: &report.records,
        printed: &report.printed,
        present: &report.present,
        // a page that was not understood to its last token may have held any key
        unreadable_key: keys.len() < report.quarantined.len() || report.unclean > 0,
        quarantined_keys: &keys,
        open_blanks: &open_blanks,
    };
    let approved = context.store.sync_state(&spec.name, agent).await?.and_then(|state| state.approved_at);
    let gone_lately = snapshot.gone_since(now - LOOKS_BACK, approved);
    Ok(Plan { gone_lately, ..delta::plan(spec, seen, &snapshot, now, second_miss) })
}

/// Where the reader could not tell whether a blank stood.
fn open_blanks(spec: &SyncTypeSpec, report: &Report) -> OpenBlanks {
    let mut open = OpenBlanks::new();
    for place in &report.uncertain {
        if let Some(field) = spec.field(&place.field) {
            open.entry((place.key.clone(), field)).or_default().push(place.at);
        }
    }
    open
}

pub(super) async fn evidence(
    context: &Context,
    spec: &SyncTypeSpec,
    agent: &AgentId,
    report: &Report,
    plan: &Plan,
) -> Result<Evidence, StoreError> {
    let inserted = plan.changes.iter().filter(|change| change.kind == ChangeKind::Insert).count() as u64;
    let known_here = report.records.len() as u64 - inserted;
    // only a report of mostly unknown keys can be another agent's
    let (known_here, known_elsewhere) = if known_here * 5 < report.rows() {
        let keys = report.records.iter().map(|record| record.text(spec.key)).collect();
        context.store.known_under(spec, agent, keys).await?
    } else {
        (known_here, 0)
    };
    Ok(Evidence {
        // garbage rows are no rows: a report of blank keys alone is an empty one
        rows: report.rows() - report.skipped,
        quarantined: report.quarantined.len() as u64,
        live: plan.live,
        newly_missing: plan.unseen.len() as u64,
        gone_lately: plan.gone_lately,
        similar: plan.similar.len() as u64,
        known_here,
        known_elsewhere,
    })
}

/// What a run over `bytes` would do, without doing it: the report and its plan. `approves` plans as
/// an approved run does, where a second miss deletes nothing.
///
/// # Errors
/// [`RunError`] if the report is refused or the database fails.
pub async fn preview(
    context: &Context,
    spec: &Arc<SyncTypeSpec>,
    agent: &AgentId,
    bytes: Vec<u8>,
    approves: bool,
) -> Result<(Report, Plan, Vec<delta::Verdict>), RunError> {
    // as a run would read it now
    let types = context.store.taught().await?.types;
    let spec = types.get(spec.name.as_str()).unwrap_or(spec).clone();
    let job = Job { bytes: Arc::new(bytes), spec: spec.clone(), types, progress: Arc::new(|_, _| {}) };
    let report = context.reader.read(job).await?;
    let spec = &spec;
    let second_miss = if approves { None } else { Some(second_miss(context, spec).await?) };
    let plan = make_plan(context, spec, agent, &report, context.clock.now(), second_miss).await?;
    let evidence = evidence(context, spec, agent, &report, &plan).await?;
    let verdicts = delta::judge(evidence, &spec.guards.unwrap_or(context.guards));
    Ok((report, plan, verdicts))
}

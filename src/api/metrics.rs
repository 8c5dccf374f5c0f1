//! What do those who watch see? `GET /metrics`, in the OpenMetrics text format.

use std::collections::{BTreeMap, HashMap};

use actix_web::{HttpResponse, http::StatusCode, web};

use super::{Api, Problem};
use crate::{
    domain::{AgentId, Breaker, Class, ItemStatus, JobState, SyncType, Timestamp},
    event::{Depth, Now, TypeAgent},
    outbox::Stats,
    overview::{Cell, Known, cells},
};

/// The states of jobs that are not over.
const STATES: [JobState; 4] = [JobState::Waiting, JobState::Delayed, JobState::Kept, JobState::Active];

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").route(web::get().to(show)));
}

/// Metrics in the OpenMetrics text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics_show",
    tag = "system",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text")),
)]
pub(super) async fn show(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let known = api.look().await?;
    let coordination = api.context.coordination.health();
    let source = api.context.breaker.source.as_str();
    let mut now = standings(&known, &cells(&known), source, api.metric_agents);
    now.coordination_up = coordination.trouble.is_none();
    now.words_dropped = coordination.dropped;
    now.outbox = depths(&known.outbox, known.now);
    now.jobs = jobs(&api).await?;
    api.metrics.set(&now);
    let failed =
        |error: std::fmt::Error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no_metrics", error.to_string());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(kind).body(api.metrics.text().map_err(failed)?))
}

/// How the types stand: of each, the agents with the oldest data one by one, `most` of them, and the oldest of the rest
/// as `other`.
fn standings(known: &Known, cells: &[Cell], source: &str, most: usize) -> Now {
    let mut now = Now { open_holds: known.holds.len() as u64, ..Now::default() };
    let added: HashMap<&AgentId, Option<Timestamp>> =
        known.agents.iter().map(|agent| (&agent.id, agent.added_at)).collect();
    let first = added.values().copied().flatten().min();
    let applied: HashMap<(&SyncType, &AgentId), Timestamp> =
        known.states.iter().filter_map(|state| Some(((&state.sync_type, &state.agent), state.applied?.at))).collect();
    let mut by_type: BTreeMap<&SyncType, Vec<(f64, &Cell)>> = BTreeMap::new();
    for cell in cells {
        let since = cell.fetched_at.or(added.get(&cell.agent).copied().unwrap_or(first)).unwrap_or(known.now);
        let age = (known.now - since).num_milliseconds().max(0) as f64 / 1_000.0;
        by_type.entry(&cell.sync_type).or_default().push((age, cell));
    }
    for (name, mut of_type) in by_type {
        of_type.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (place, (age, cell)) in of_type.iter().enumerate().take(most + 1) {
            let agent = if place < most { cell.agent.to_string() } else { "other".to_owned() };
            let of = TypeAgent { r#type: name.to_string(), agent };
            let last = applied.get(&(name, &cell.agent)).map_or(0.0, |at| at.timestamp_millis() as f64 / 1_000.0);
            now.age.push((of.clone(), *age));
            now.last_success.push((of, last));
        }
        if let Some((_, cell)) = of_type.first() {
            now.target.push((name.to_string(), cell.target_seconds as f64));
        }
        let states = || known.states.iter().filter(|state| state.sync_type == *name);
        now.quarantined.push((name.to_string(), states().map(|state| state.quarantined).sum()));
        now.orphans.push((name.to_string(), states().map(|state| state.orphans).sum()));
    }
    // also before any of its breakers has moved
    let mut breakers = BTreeMap::from([(source, 0_u64)]);
    for one in &known.breakers {
        let is_open = matches!(one.breaker, Breaker::Open { .. });
        *breakers.entry(&one.source).or_default() += u64::from(is_open);
    }
    now.breakers = breakers.into_iter().map(|(source, open)| (source.to_owned(), open)).collect();
    now
}

/// Every class and state, also where nothing waits.
async fn jobs(api: &Api) -> Result<Vec<(&'static str, &'static str, u64)>, Problem> {
    let mut jobs: BTreeMap<(&'static str, &'static str), u64> =
        Class::ALL.iter().flat_map(|class| STATES.map(|state| ((class.as_str(), state.as_str()), 0))).collect();
    for (job_type, state, count) in api.store().job_counts().await? {
        let class = api.operations.get(job_type.as_str()).map_or(Class::Sync, |operation| operation.class);
        *jobs.entry((class.as_str(), state.as_str())).or_default() += count.unsigned_abs();
    }
    Ok(jobs.into_iter().map(|((class, state), count)| (class, state, count)).collect())
}

/// The outbox by sink and status.
fn depths(outbox: &Stats, now: Timestamp) -> Vec<(Depth, u64, i64)> {
    let mut depths: BTreeMap<(&str, ItemStatus), (u64, i64)> = BTreeMap::new();
    for one in &outbox.models {
        let (items, oldest) = depths.entry((one.sink.as_deref().unwrap_or("none"), one.status)).or_default();
        *items += one.items;
        *oldest = one.oldest.map_or(*oldest, |since| (now - since).num_seconds().max(*oldest));
    }
    let depth = |((sink, status), (items, oldest)): ((&str, ItemStatus), (u64, i64))| {
        (Depth { sink: sink.to_owned(), status: status.as_str() }, items, oldest)
    };
    depths.into_iter().map(depth).collect()
}

//! What do the routes of the API get to work with? The parts of this process, and the bounds of its doors.

use std::{collections::HashMap, path::Path, sync::Arc};

use actix::Addr;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use super::vault;
use crate::{
    api::{self, Api, Connections, Glances, LogLevel, Rates, Spool},
    domain::SyncType,
    event::{Liveness, Metrics},
    operation::Operations,
    outbox::OutboxActor,
    queue::QueueActor,
    report::sandbox::Confinement,
    scheduler::SchedulerActor,
    settings::Settings,
    store::{sqlite_file, token_hash},
    supervisor::{Handle, SupervisorActor},
    sync::{Context, SyncActor},
};

/// Files, pipes and connections of other parts.
const OTHER_DESCRIPTORS: usize = 256;

/// Uploads are received beside SQLite's file, or in the system's folder for temporary files.
fn spool(settings: &Settings) -> Spool {
    let beside = sqlite_file(settings.database.url.expose_secret()).and_then(Path::parent);
    let folder = beside.map_or_else(std::env::temp_dir, Path::to_path_buf);
    Spool::new(folder, settings.limits.report_bytes, settings.limits.waiting_bytes)
}

/// As many connections as are asked for, and as the system lets this process have: each takes two descriptors.
fn connections(settings: &Settings) -> Connections {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let room = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let room = (room.saturating_sub(OTHER_DESCRIPTORS) / 2).max(16);
    let most = settings.limits.connections.min(room);
    if most < settings.limits.connections {
        tracing::warn!(
            most,
            asked = settings.limits.connections,
            "fewer connections: the system allows too few open files"
        );
    }
    Connections::new(most, settings.limits.connections_per_address.min(most))
}

/// The actors that requests are handed to.
pub(super) type Actors<'a> = (
    &'a Handle<SchedulerActor>,
    &'a Handle<QueueActor>,
    &'a Handle<OutboxActor>,
    &'a HashMap<SyncType, Handle<SyncActor>>,
    &'a Addr<SupervisorActor>,
);

/// What is counted, what turns, what ends, what readers may do, how much is logged and what many ask for, in this
/// process.
pub(super) type OfProcess = (Metrics, Liveness, CancellationToken, Option<Confinement>, Option<LogLevel>, Arc<Glances>);

/// What the routes talk to.
///
/// # Errors
/// Settings that make no sense.
pub(super) fn api(
    settings: &Settings,
    context: &Arc<Context>,
    operations: Arc<Operations>,
    (scheduler, queue, outbox, syncs, supervisor): Actors<'_>,
    (metrics, liveness, closing, confinement, log, glances): OfProcess,
) -> anyhow::Result<Api> {
    Ok(Api {
        context: context.clone(),
        operations,
        liveness,
        metrics,
        closing,
        scheduler: scheduler.clone(),
        queue: queue.clone(),
        outbox: outbox.clone(),
        syncs: syncs.clone(),
        supervisor: supervisor.clone(),
        vault: vault(settings)?,
        admin_token: settings.auth.admin_token.as_ref().map(|token| token_hash(token.expose_secret())),
        started_at: context.clock.now(),
        site: settings.server.site()?,
        proxy_login: settings.auth.proxy_login()?,
        wrong_tokens: Arc::default(),
        listeners: Arc::default(),
        known_tokens: Arc::default(),
        connections: Arc::new(connections(settings)),
        tls: settings.server.tls.files(),
        confinement,
        log,
        glances,
        changing: Arc::default(),
        rates: Arc::new(Rates::per_minute(settings.limits.requests_per_minute)),
        metric_agents: settings.metrics.agents,
        json_bytes: settings.sink.payload_bytes.saturating_add(api::JSON_BYTES),
        spool: Arc::new(spool(settings)),
        previews: Arc::new(api::previews()),
    })
}

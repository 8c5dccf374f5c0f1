//! How do admins and programs steer it? A thin HTTP layer: extract, ask an actor or read, show.

mod agents;
mod answer;
mod auth;
mod breakers;
mod credentials;
mod data;
mod documents;
mod events;
mod health;
mod jobs;
mod json_body;
mod keys;
mod limits;
mod metrics;
mod operations;
mod outbox;
mod page;
mod pause;
mod problem;
mod reports;
mod runs;
mod schedule;
mod spool;
mod sync;
mod trace;
mod turns;
mod upload;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix::prelude::*;
use actix_web::{App, HttpServer, dev::ServerHandle, middleware::from_fn, web};
use actix_web_httpauth::middleware::HttpAuthentication;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

use json_body::JsonBody;
pub use problem::Problem;
pub use runs::previews;
pub use spool::Spool;
use turns::Turns;

use crate::{
    domain::{AgentId, SyncType},
    event::{Liveness, Metrics},
    operation::Operations,
    outbox::OutboxActor,
    overview::{self, Known, Sources},
    queue::QueueActor,
    scheduler::SchedulerActor,
    source::Vault,
    store::{Agent, Store},
    supervisor::{Handle, SupervisorActor},
    sync::{Context, SyncActor},
    sync_type::SyncTypeSpec,
};

/// A JSON body of a request may have so many bytes, besides the payload of an item.
pub const JSON_BYTES: usize = 256 << 10;

/// What the routes talk to.
#[derive(Clone)]
pub struct Api {
    /// The parts of a run: the store and the sync types among them.
    pub context: Arc<Context>,
    /// All operations.
    pub operations: Arc<Operations>,
    /// The loops of this process.
    pub liveness: Liveness,
    /// What has been counted.
    pub metrics: Metrics,
    /// The timers.
    pub scheduler: Handle<SchedulerActor>,
    pub queue: Handle<QueueActor>,
    /// The write-back queue.
    pub outbox: Handle<OutboxActor>,
    /// One actor a sync type.
    pub syncs: HashMap<SyncType, Handle<SyncActor>>,
    /// Starts actors anew.
    pub supervisor: Addr<SupervisorActor>,
    /// Set when the service ends: streams end then.
    pub closing: CancellationToken,
    /// Seals the agents' credentials, where a key is configured.
    pub vault: Option<Arc<Vault>>,
    /// Hash of the configured admin token.
    pub admin_token: Option<String>,
    /// Receives uploads.
    pub spool: Arc<Spool>,
    /// Agents that metrics show one by one.
    pub metric_agents: usize,
    /// The largest JSON body.
    pub json_bytes: usize,
    /// Whose turn it is to have a held report read once more.
    pub previews: Arc<Turns>,
}

impl Api {
    fn store(&self) -> &Store {
        &self.context.store
    }

    /// The sync type called `name`, or a 404 that names the known ones.
    fn sync_type(&self, name: &str) -> Result<Arc<SyncTypeSpec>, Problem> {
        self.context.types.get(name).cloned().ok_or_else(|| {
            Problem::not_found(
                "unknown_type",
                format!("there is no sync type '{name}'; known are {}", self.context.types.names()),
            )
        })
    }

    /// The agents for which a type runs: the one asked for, else every active one. A 404 names the
    /// known ones.
    ///
    /// # Errors
    /// [`Problem`] if there is no such agent, or the database cannot be asked.
    pub async fn agents_for(&self, spec: &SyncTypeSpec, asked: Option<&str>) -> Result<Vec<AgentId>, Problem> {
        if spec.agent_for(&AgentId::from("")) == AgentId::service_account() {
            return Ok(vec![AgentId::service_account()]);
        }
        let agents = self.store().agents().await?;
        let Some(asked) = asked else {
            return Ok(agents.into_iter().filter(|agent| agent.active).map(|agent| agent.id).collect());
        };
        Ok(vec![Agent::find(&agents, asked)?])
    }

    /// How everything stands.
    ///
    /// # Errors
    /// [`Problem`] if the database or an actor cannot be asked.
    pub async fn look(&self) -> Result<Known, Problem> {
        let sources = Sources {
            store: self.store(),
            clock: &self.context.clock,
            minute: self.context.minute,
            scheduler: &self.scheduler,
            outbox: &self.outbox,
            syncs: &self.syncs,
        };
        Ok(overview::look(&sources).await?)
    }

    /// The agent called `asked`, or a 404 that names the known ones.
    async fn agent(&self, asked: &str) -> Result<AgentId, Problem> {
        Ok(Agent::find(&self.store().agents().await?, asked)?)
    }
}

/// Starts the server, with `pages` beside its own routes; answers where it listens and how it is stopped.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(
    api: Api,
    listener: TcpListener,
    pages: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<(SocketAddr, ServerHandle)> {
    let json_bytes = api.json_bytes;
    let state = web::Data::new(api);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(TracingLogger::<trace::Requests>::new())
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(json_bytes))
            .app_data(web::JsonConfig::default().limit(json_bytes).error_handler(|error, _| problem::bad_body(&error)))
            .app_data(web::QueryConfig::default().error_handler(|error, _| problem::bad_query(&error)))
            .app_data(web::PathConfig::default().error_handler(|error, _| problem::bad_path(&error)))
            .configure(health::routes)
            .configure(pages.clone())
            .service(web::scope("/metrics").wrap(HttpAuthentication::with_fn(auth::check)).configure(metrics::routes))
            .service(
                web::scope("/api")
                    .wrap(from_fn(problem::without_nul))
                    .wrap(HttpAuthentication::with_fn(auth::check))
                    .configure(sync::routes)
                    .configure(schedule::routes)
                    .configure(runs::routes)
                    .configure(reports::routes)
                    .configure(jobs::routes)
                    .configure(operations::routes)
                    .configure(outbox::routes)
                    .configure(pause::routes)
                    .configure(limits::routes)
                    .configure(breakers::routes)
                    .configure(keys::routes)
                    .configure(credentials::routes)
                    .configure(agents::routes)
                    .configure(documents::routes)
                    .configure(data::routes)
                    .configure(events::routes)
                    .configure(upload::routes)
                    .default_service(web::to(problem::no_route)),
            )
            .default_service(web::to(problem::no_route))
    })
    .workers(2)
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(5)
    .disable_signals()
    .listen(listener)?;
    let addr = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok((addr, handle))
}

//! How do admins and programs steer it? A thin HTTP layer: extract, ask an actor or read, show.

mod access;
mod agents;
mod alerts;
mod answer;
mod audit;
mod auth;
mod breakers;
mod compression;
mod connections;
mod credentials;
mod csv_file;
mod data;
mod docs;
mod documents;
mod etag;
mod events;
mod fetchers;
mod front;
mod glance;
mod headers;
mod health;
mod idempotency;
mod identity;
mod jobs;
mod json_body;
mod keys;
mod limits;
mod log;
mod manners;
mod metrics;
mod openapi;
mod operations;
mod outbox;
mod page;
mod pause;
mod problem;
mod rate;
mod reports;
mod runs;
mod schedule;
mod schemas;
mod server;
mod site;
mod spool;
mod sync;
mod system;
mod tls;
mod tokens;
mod trace;
mod turns;
mod types;
mod upload;
mod wording;
mod wrong_tokens;

use std::{collections::HashMap, sync::Arc};

use actix::prelude::*;
use actix_web::http::StatusCode;
use tokio_util::sync::CancellationToken;

pub use access::{RULES, Rule, Scope};
pub use connections::Connections;
pub use events::Listeners;
pub use glance::Glances;
pub use identity::{KnownTokens, ProxyLogin, Visitor};
use json_body::{JsonBody, OneOrMany, OptionalBody};
pub use log::LogLevel;
pub use openapi::document;
pub use problem::Problem;
pub use rate::Rates;
pub use reports::Planned;
pub use runs::previews;
pub use server::serve;
pub use site::{Origin, Site};
pub use spool::Spool;
pub use tls::TlsFiles;
use turns::Turns;
pub use wrong_tokens::WrongTokens;

use crate::{
    domain::{AgentId, Caller, SERVICE_ACCOUNT, SyncType, Timestamp},
    event::{Liveness, Metrics},
    operation::Operations,
    outbox::OutboxActor,
    overview::{self, Known, Sources},
    queue::QueueActor,
    report::sandbox::Confinement,
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
    /// When this process began to serve.
    pub started_at: Timestamp,
    /// How the service is reached.
    pub site: Site,
    /// Whom a proxy lets in.
    pub proxy_login: Option<ProxyLogin>,
    /// Where wrong tokens came from.
    pub wrong_tokens: Arc<WrongTokens>,
    /// Tokens that were looked up a moment ago.
    pub known_tokens: Arc<KnownTokens>,
    /// Who listens to events.
    pub listeners: Arc<Listeners>,
    /// Answers that many ask for.
    pub glances: Arc<Glances>,
    /// How often each caller has asked.
    pub rates: Arc<Rates>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// How much this process logs, where that is up to it.
    pub log: Option<LogLevel>,
    /// One change of a setting at a time, of those that ask whether it is still what they saw.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    /// What the processes that read reports may do, as they found it; `None` where this one reads.
    pub confinement: Option<Confinement>,
    /// The certificate of this process, where it speaks TLS.
    pub tls: Option<TlsFiles>,
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
    ///
    /// # Errors
    /// [`Problem`] if there is none.
    pub fn sync_type(&self, name: &str) -> Result<Arc<SyncTypeSpec>, Problem> {
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
    pub async fn agents_for(
        &self,
        caller: &Caller,
        spec: &SyncTypeSpec,
        asked: Option<&str>,
    ) -> Result<Vec<AgentId>, Problem> {
        if spec.agent_for(&AgentId::from("")) == AgentId::service_account() {
            return if caller.is_for_all() {
                Ok(vec![AgentId::service_account()])
            } else {
                let text = format!("all agents share {}; {} is for some of them", spec.name, caller.name);
                Err(Problem::new(StatusCode::FORBIDDEN, "for_all_agents", text))
            };
        }
        let agents = self.agents(caller).await?;
        let Some(asked) = asked else {
            return Ok(agents.into_iter().filter(|agent| agent.active).map(|agent| agent.id).collect());
        };
        Ok(vec![Agent::find(&agents, asked)?])
    }

    /// What a list is filtered by: refused, naming those that there are, where it would be no filter but a mistake.
    ///
    /// # Errors
    /// [`Problem`] for a type or an agent that nobody knows.
    async fn check_filter(&self, caller: &Caller, name: Option<&str>, agent: Option<&str>) -> Result<(), Problem> {
        if let Some(name) =
            name.filter(|name| self.operations.get(name).is_none() && self.context.types.get(name).is_none())
        {
            let (types, operations) = (self.context.types.names(), self.operations.names());
            let text = format!("there is no type '{name}'; known are {types}, and the operations {operations}");
            return Err(Problem::not_found("unknown_type", text));
        }
        match agent {
            Some(asked) if asked != SERVICE_ACCOUNT => self.agent(caller, asked).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// How everything stands that this caller may see.
    ///
    /// # Errors
    /// [`Problem`] if the database or an actor cannot be asked.
    pub async fn look_for(&self, caller: &Caller) -> Result<Known, Problem> {
        Ok(self.look().await?.seen_by(caller))
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

    /// The agents that this caller may touch.
    async fn agents(&self, caller: &Caller) -> Result<Vec<Agent>, Problem> {
        let mut agents = self.store().agents().await?;
        agents.retain(|agent| caller.touches(&agent.id));
        Ok(agents)
    }

    /// The agent called `asked`, if this caller may touch it, or a 404 that names those that it may.
    async fn agent(&self, caller: &Caller, asked: &str) -> Result<AgentId, Problem> {
        Ok(Agent::find(&self.agents(caller).await?, asked)?)
    }
}

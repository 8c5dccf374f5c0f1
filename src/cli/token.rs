//! `lockstep token`: who may use the API, and for what? Without the server.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    database::{known_agent, with_store},
    output::say,
};
use crate::{
    domain::{
        AgentId, Cause, Role, Timestamp,
        caller::new_token,
        text::{NAME, plain_text},
    },
    settings::Settings,
    store::{NewToken, Store, token_hash},
};

/// Makes, lists and revokes the tokens of the API.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep token create 'nightly export' --role viewer --agent anna --expires 2027-12-31T00:00:00Z
  lockstep token list
  lockstep token revoke 3

Roles: metrics reads the metrics alone; viewer reads; operator also runs, stops, approves and rejects; admin also
changes settings, agents, credentials and tokens. The token is printed once; only its hash is stored.")]
pub(crate) struct Tokens {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a new token.
    Create {
        /// What it is for, for people.
        name: String,
        /// metrics, viewer, operator or admin.
        #[arg(long)]
        role: Role,
        /// Only for this agent; may be given several times.
        #[arg(long = "agent", value_name = "AGENT")]
        agents: Vec<String>,
        /// When it ends, as 2027-12-31T00:00:00Z.
        #[arg(long, value_name = "MOMENT")]
        expires: Option<Timestamp>,
    },
    /// Print all tokens, as JSON, one a line; never the tokens themselves.
    List,
    /// Revoke one: it opens nothing from now on.
    Revoke {
        /// Its number.
        id: i64,
    },
}

/// Whoever gives a command on this machine.
pub(super) fn cause() -> Cause {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok();
    let user = name.filter(|name| plain_text(name, NAME).is_ok());
    Cause::named(format!("cli:{}", user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))))
}

impl Tokens {
    /// Runs the command.
    ///
    /// # Errors
    /// Settings, a database, a name or an agent that cannot be used.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        with_store(settings, async |store| self.ask(store).await)
    }

    async fn ask(&self, store: &Store) -> anyhow::Result<Exit> {
        let now = chrono::Utc::now();
        match &self.command {
            What::Create { name, role, agents, expires } => {
                plain_text(name, NAME).map_err(|wrong| anyhow::anyhow!("the name: {wrong}"))?;
                anyhow::ensure!(expires.is_none_or(|end| end > now), "--expires: this moment is over");
                let mut known: Vec<AgentId> = Vec::new();
                for agent in agents {
                    known.push(known_agent(store, Some(agent)).await?);
                }
                let agents = (!known.is_empty()).then(|| known.into_iter().collect());
                anyhow::ensure!(
                    *role != Role::Metrics || agents.is_none(),
                    "--agent: the metrics tell of all agents, leave it out"
                );
                anyhow::ensure!(
                    !store.tokens().await?.iter().any(|one| one.name == *name && one.is_valid(now)),
                    "there is a token '{name}' already: the log and the audit could not tell them apart"
                );
                let secret = new_token()?;
                let new = NewToken {
                    name: name.clone(),
                    role: *role,
                    agents,
                    expires_at: *expires,
                    hash: token_hash(&secret),
                };
                let token = store.by(cause(), now).add_token(new, now).await?;
                eprintln!("token {} of role {}, shown this once:", token.id, token.role);
                say!("{secret}");
            }
            What::List => {
                for token in store.tokens().await? {
                    say!("{}", json!(token));
                }
            }
            What::Revoke { id } => {
                anyhow::ensure!(
                    store.by(cause(), now).revoke_token(*id, now).await?,
                    "there is no token {id}, or it is revoked already"
                );
                eprintln!("token {id} is revoked");
            }
        }
        Ok(Exit::Done)
    }
}

//! `lockstep credentials`: with which credentials is the source asked for an agent? Without the server.

use std::{io::BufRead as _, sync::Arc};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    database::{known_agent, with_store},
    output::say,
};
use crate::{
    app,
    domain::AgentId,
    settings::Settings,
    source::{Credential, Vault},
    store::{SealedCredential, Store},
};

/// Sets, lists and forgets the credentials of agents; they are never shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep credentials new-key > /run/secrets/lockstep-credentials
  lockstep credentials set anna --username anna < password.txt
  lockstep credentials set service-account --token < token.txt
  lockstep credentials reseal

A new key: put it as the first line into the file, start every process anew, then reseal, and only when that is
done take the old line out.")]
pub(crate) struct Credentials {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a new key, a line for the file of `source.credentials_key_file`.
    NewKey,
    /// Set or replace an agent's credentials: the password or token is the first line of standard input.
    Set {
        /// The agent, or service-account.
        agent: String,
        /// The name; the line is its password.
        #[arg(long, required_unless_present = "token", conflicts_with = "token")]
        username: Option<String>,
        /// The line is a token.
        #[arg(long)]
        token: bool,
    },
    /// Print who has some, as JSON, one a line.
    List,
    /// Forget an agent's credentials.
    Remove {
        /// The agent.
        agent: String,
    },
    /// Seal all anew with the first key of the file.
    Reseal,
}

impl Credentials {
    /// Runs the command.
    ///
    /// # Errors
    /// A key, a database or an input that cannot be used.
    pub(crate) fn run(&self, settings: impl FnOnce() -> anyhow::Result<Settings>) -> anyhow::Result<Exit> {
        if let What::NewKey = self.command {
            say!("{}", Vault::new_key()?);
            return Ok(Exit::Done);
        }
        let settings = settings()?;
        with_store(&settings, async |store| self.ask(&settings, store).await)
    }

    async fn ask(&self, settings: &Settings, store: &Store) -> anyhow::Result<Exit> {
        let vault = || -> anyhow::Result<Arc<Vault>> {
            app::vault(settings)?.context("source.credentials_key_file names no key: see new-key")
        };
        match &self.command {
            What::NewKey => {}
            What::Set { agent, username, token: _ } => {
                let agent = holder(store, agent).await?;
                let secret = std::io::stdin().lock().lines().next().transpose()?.unwrap_or_default();
                let credential = match username {
                    Some(username) => Credential::password(username, secret),
                    None => Credential::token(secret),
                };
                if let Some(field) = credential.wrong() {
                    bail!("the {field} is empty: a password or token is the first line of standard input");
                }
                store
                    .by(super::token::cause(), chrono::Utc::now())
                    .put_credential(seal(&*vault()?, &agent, &credential)?)
                    .await?;
            }
            What::List => {
                for one in store.credentials().await? {
                    say!("{}", json!({ "agentId": one.agent, "updatedAt": one.updated_at, "key": one.key_name }));
                }
            }
            What::Remove { agent } => {
                if !store
                    .by(super::token::cause(), chrono::Utc::now())
                    .forget_credential(&AgentId::from(agent.as_str()))
                    .await?
                {
                    bail!("agent '{agent}' has no credentials");
                }
            }
            What::Reseal => {
                let vault = vault()?;
                let mut resealed = 0;
                for old in store.credentials().await?.into_iter().filter(|old| old.key_name != vault.key_name()) {
                    let opened = vault.open(&old.agent, &old.sealed);
                    let credential = opened.with_context(|| format!("the credentials of agent {}", old.agent))?;
                    let new = seal(&vault, &old.agent, &credential)?;
                    resealed += u64::from(store.reseal_credential(old.sealed, new).await?);
                }
                say!("{}", json!({ "resealed": resealed }));
            }
        }
        Ok(Exit::Done)
    }
}

fn seal(vault: &Vault, agent: &AgentId, credential: &Credential) -> anyhow::Result<SealedCredential> {
    let sealed = vault.seal(agent, credential)?;
    let key_name = vault.key_name().to_owned();
    Ok(SealedCredential { agent: agent.clone(), key_name, sealed, updated_at: chrono::Utc::now() })
}

/// An agent, or who fetches the shared reports.
async fn holder(store: &Store, asked: &str) -> anyhow::Result<AgentId> {
    match AgentId::from(asked) {
        shared if shared == AgentId::service_account() => Ok(shared),
        _ => known_agent(store, Some(asked)).await,
    }
}

//! How does the source come together? As the settings name it, within limits, with credentials from the database.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;

use crate::{
    domain::AgentId,
    settings::{Settings, SourceKind},
    source::{
        Command, Credential, Credentials, Folder, Guarded, HttpSource, NoCredentials, NoSource, ResponseLimits, Source,
        SourceError, Vault,
    },
    store::{KeepLimits, Store},
};

/// The keys of the agents' credentials, if the settings name some.
///
/// # Errors
/// A key that is none.
pub fn vault(settings: &Settings) -> anyhow::Result<Option<Arc<Vault>>> {
    let Some(keys) = &settings.source.credentials_key else { return Ok(None) };
    Ok(Some(Arc::new(Vault::new(keys).context("configuration: source.credentials_key")?)))
}

/// Judges the settings of the source and its keys, without a database.
///
/// # Errors
/// As [`source`].
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    vault(settings)?;
    inner(settings, Arc::new(NoCredentials)).map(|_| ())
}

/// What answers fetches: `given`, or what the settings name; within the settings' limits.
///
/// # Errors
/// A source whose settings make no sense, with its key.
pub(super) fn source(
    settings: &Settings,
    store: &Store,
    given: Option<Arc<dyn Source>>,
) -> anyhow::Result<Arc<dyn Source>> {
    let own = &settings.source;
    let inner = match given {
        Some(given) => given,
        None => inner(settings, Arc::new(StoredCredentials { store: store.clone(), vault: vault(settings)? }))?,
    };
    let limits = ResponseLimits {
        parallel: own.parallel,
        pause: Duration::from_millis(own.pause_ms),
        agent_parallel: own.agent_parallel,
        agent_pause: Duration::from_millis(own.agent_pause_ms),
        time: Duration::from_millis(own.timeout_ms),
    };
    Ok(Arc::new(Guarded::new(inner, limits)))
}

fn inner(settings: &Settings, credentials: Arc<dyn Credentials>) -> anyhow::Result<Arc<dyn Source>> {
    let (own, limit) = (&settings.source, settings.limits.report_bytes);
    Ok(match own.kind {
        SourceKind::None => Arc::new(NoSource),
        SourceKind::Folder => {
            let folder = Folder::new(&own.folder, std::env::vars(), limit);
            Arc::new(folder.map_err(|wrong| anyhow!("configuration: source.folder.{wrong}"))?)
        }
        SourceKind::Http => {
            let http = HttpSource::new(own.http.clone(), credentials, limit);
            Arc::new(http.map_err(|wrong| anyhow!("configuration: source.http.{wrong}"))?)
        }
        SourceKind::Command => Arc::new(Command::new(own.command.clone(), credentials, limit)),
    })
}

/// How many fetched documents are kept.
pub(super) fn keep(settings: &Settings) -> KeepLimits {
    KeepLimits {
        reports: settings.source.keep_reports,
        single_bytes: settings.source.cache_bytes,
        fresh: Duration::from_secs(settings.source.cache_minutes.saturating_mul(60)),
        age: Duration::from_secs(settings.source.keep_days.saturating_mul(86_400)),
    }
}

/// Credentials that rest sealed in the database.
struct StoredCredentials {
    store: Store,
    vault: Option<Arc<Vault>>,
}

#[async_trait]
impl Credentials for StoredCredentials {
    async fn of(&self, agent: &AgentId) -> Result<Option<Credential>, SourceError> {
        let stored = self.store.credential(agent).await;
        let stored = stored.map_err(|error| SourceError::Unreachable(format!("credentials: {error}")))?;
        let Some(stored) = stored else { return Ok(None) };
        let none = |why: String| SourceError::NoCredentials(format!("those of agent {agent} cannot be opened: {why}"));
        let vault = self.vault.as_ref().ok_or_else(|| none("source.credentials_key is not set".to_owned()))?;
        vault.open(agent, &stored.sealed).map(Some).map_err(|error| none(error.to_string()))
    }
}

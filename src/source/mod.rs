//! Where do reports come from? One trait, and the sources behind it.

mod ask;
mod command;
mod credential;
mod error;
mod folder;
mod guarded;
mod http;
mod refused;
mod vault;

use async_trait::async_trait;

pub use ask::{Ask, Fetched, Progress, Wanted};
pub use command::{Command, CommandConfig};
pub use credential::{Credential, Credentials, NoCredentials};
pub use error::SourceError;
pub use folder::{Folder, FolderConfig};
pub use guarded::{Guarded, ResponseLimits};
pub use http::{Auth, HttpConfig, HttpSource, LoginConfig};
pub use vault::{Vault, VaultError};

/// Fetches reports and single documents.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// What was asked for, as the ERP prints it now: raw bytes of at most the configured size. Dropping the
    /// future gives the fetch up, and ends whatever works for it.
    ///
    /// # Errors
    /// [`SourceError`] saying what was asked for and what came.
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, SourceError>;
}

/// No source: reports are only uploaded.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

#[async_trait]
impl Source for NoSource {
    async fn fetch(&self, _: &Ask) -> Result<Fetched, SourceError> {
        Err(SourceError::NotConfigured)
    }
}

//! A folder of reports: `{root}/{agent}/{type}.pdf`.

use std::{
    io::{ErrorKind, Read},
    path::PathBuf,
};

use async_trait::async_trait;

use super::{Source, SourceError};
use crate::domain::{AgentId, SyncType};

/// Reports as files in a local folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    limit: u64,
}

impl Folder {
    /// Reports below `root`, of at most `limit` bytes each.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, limit: u64) -> Self {
        Self { root: root.into(), limit }
    }

    /// The file of these names below the root. Each is a single path part, so nothing outside can be named.
    fn path(&self, folders: &[&str], file: &str) -> Result<PathBuf, SourceError> {
        for name in folders.iter().chain([&file]) {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
                return Err(SourceError::BadName((*name).to_owned()));
            }
        }
        let folder = folders.iter().fold(self.root.clone(), |path, name| path.join(name));
        Ok(folder.join(format!("{file}.pdf")))
    }
}

#[async_trait]
impl Source for Folder {
    async fn fetch(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Vec<u8>, SourceError> {
        read(self.path(&[agent.as_str()], sync_type.as_str())?, self.limit).await
    }

    /// `{root}/{agent}/{folder}/{number}.pdf`; a slash in a number is a dash in its file's name.
    async fn document(&self, folder: &str, agent: &AgentId, number: &str) -> Result<Vec<u8>, SourceError> {
        read(self.path(&[agent.as_str(), folder], &number.replace('/', "-"))?, self.limit).await
    }
}

async fn read(path: PathBuf, limit: u64) -> Result<Vec<u8>, SourceError> {
    let reading = tokio::task::spawn_blocking(move || {
        let place = path.display().to_string();
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => SourceError::NotFound(place.clone()),
            _ => SourceError::Unreachable(format!("{place}: {error}")),
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(failed)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
        let read = bytes.len() as u64;
        if read > limit {
            let bytes = std::fs::metadata(&path).map_or(read, |metadata| metadata.len());
            return Err(SourceError::TooLarge { place, bytes, limit });
        }
        Ok(bytes)
    });
    reading.await.unwrap_or_else(|error| Err(SourceError::Unreachable(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reports_are_found_by_agent_and_type_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("anna")).unwrap();
        std::fs::write(root.path().join("anna/orders.pdf"), b"12345").unwrap();
        std::fs::write(root.path().join("secret.pdf"), b"x").unwrap();
        let fetch = async |limit, sync_type: &str, agent: &str| {
            Folder::new(root.path(), limit).fetch(&sync_type.into(), &agent.into()).await
        };
        assert_eq!(fetch(5, "orders", "anna").await.unwrap(), b"12345");
        assert!(matches!(fetch(5, "ddt", "anna").await, Err(SourceError::NotFound(_))));
        assert!(matches!(fetch(4, "orders", "anna").await, Err(SourceError::TooLarge { bytes: 5, limit: 4, .. })));
        for (sync_type, agent) in [("secret", ".."), ("secret", "../x"), ("../secret", "anna"), ("orders", "")] {
            assert!(matches!(fetch(5, sync_type, agent).await, Err(SourceError::BadName(_))), "{sync_type} {agent}");
        }
    }
}

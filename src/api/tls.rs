//! Which certificate is shown? The one of the files, read anew when they change.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(5);

/// The files of a certificate, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the own certificate first.
    pub cert: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug)]
struct Shown {
    files: TlsFiles,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    key: Arc<CertifiedKey>,
    changed: Option<(SystemTime, SystemTime)>,
    looked: Instant,
}

impl TlsFiles {
    fn changed(&self) -> io::Result<(SystemTime, SystemTime)> {
        let of = |path: &Path| fs::metadata(path)?.modified();
        Ok((of(&self.cert)?, of(&self.key)?))
    }

    fn read(&self) -> io::Result<CertifiedKey> {
        let bad =
            |path: &Path, wrong: String| io::Error::new(ErrorKind::InvalidData, format!("{}: {wrong}", path.display()));
        let of_cert = |error: rustls_pki_types::pem::Error| bad(&self.cert, error.to_string());
        let chain = CertificateDer::pem_file_iter(&self.cert).map_err(of_cert)?.collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(of_cert)?;
        if chain.is_empty() {
            return Err(bad(&self.cert, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| bad(&self.key, error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| bad(&self.key, error.to_string()))
    }

    /// What the server speaks TLS with.
    ///
    /// # Errors
    /// Files that cannot be read, or a key that is not the certificate's.
    pub fn config(&self) -> io::Result<ServerConfig> {
        let now = Now { changed: self.changed().ok(), key: Arc::new(self.read()?), looked: Instant::now() };
        let shown = Shown { files: self.clone(), now: Mutex::new(now) };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(config.with_no_client_auth().with_cert_resolver(Arc::new(shown)))
    }
}

impl Shown {
    fn at(&self, instant: Instant) -> Arc<CertifiedKey> {
        let mut now = self.now.lock();
        if instant.duration_since(now.looked) < LOOK {
            return now.key.clone();
        }
        now.looked = instant;
        let changed = self.files.changed().ok();
        if changed != now.changed {
            match self.files.read() {
                Ok(key) => {
                    tracing::info!(file = %self.files.cert.display(), "the certificate was read anew");
                    now.key = Arc::new(key);
                    now.changed = changed;
                }
                // half of it is written, perhaps: the one before is shown, and it is tried again
                Err(error) => tracing::warn!(%error, "the certificate cannot be read anew; the one before is shown"),
            }
        }
        now.key.clone()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
        assert!(files.config().unwrap_err().to_string().contains("tls.crt"));
        fs::write(&files.cert, "nothing").unwrap();
        assert!(files.config().unwrap_err().to_string().contains("no certificate in it"));
    }
}

//! Where does an upload wait until it is stored? In a file without a name, which ends with whoever holds it.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{http::StatusCode, web};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    Problem,
    turns::{Turns, busy},
};
use crate::report;

/// Uploads that are received or wait to be stored.
const MOST: usize = 18;
/// Uploads that are stored at once.
const STORED_AT_ONCE: usize = 2;
/// A client that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// ... and so is one that is slower than this, in bytes a second, after that time.
const LEAST_RATE: f64 = 16_384.0;

/// Receives uploads.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    report_bytes: u64,
    waiting_bytes: u64,
    /// Bytes in the files of all uploads.
    received: Arc<AtomicU64>,
    /// Whose turn it is to be stored.
    pub turns: Turns,
}

/// A whole upload.
#[derive(Debug)]
pub struct Spooled {
    /// Its bytes, from their beginning.
    pub file: File,
    pub size: u64,
    /// SHA-256 of them, in hexadecimal.
    pub sha256: String,
    /// Its part of what all uploads may have.
    pub share: Share,
}

/// What one upload takes of the bytes that all may have; ends with it.
#[derive(Debug)]
pub struct Share {
    of: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Spool {
    /// Files in `folder`, each of at most `report_bytes`; with the reports that wait to be read, all are at most
    /// `waiting_bytes`.
    #[must_use]
    pub fn new(folder: PathBuf, report_bytes: u64, waiting_bytes: u64) -> Self {
        Self {
            folder,
            report_bytes,
            waiting_bytes,
            received: Arc::default(),
            turns: Turns::new("uploads", STORED_AT_ONCE, MOST),
        }
    }

    /// Receives a report; `waiting` bytes of others are stored and not read yet.
    ///
    /// # Errors
    /// [`Problem`] if it is too large or no PDF, if all together would be too much, if the client goes silent, or if
    /// the file cannot be written.
    pub async fn receive(&self, mut payload: web::Payload, waiting: u64) -> Result<Spooled, Problem> {
        let folder = self.folder.clone();
        let opened = blocking(move || tempfile::tempfile_in(&folder)).await?;
        let mut file = opened.map_err(|error| self.cannot_write(&error))?;
        let mut share = Share { of: self.received.clone(), bytes: 0 };
        let begun = std::time::Instant::now();
        let (mut hash, mut head) = (Sha256::new(), Vec::new());
        loop {
            let next = tokio::time::timeout(SILENCE, payload.next()).await.map_err(|_| {
                let text = format!("nothing has come for {} s", SILENCE.as_secs());
                Problem::new(StatusCode::REQUEST_TIMEOUT, "bad_body", text)
            })?;
            let Some(bytes) = next else { break };
            let bytes = bytes.map_err(|error| {
                Problem::new(StatusCode::BAD_REQUEST, "bad_body", format!("the body broke off: {error}"))
            })?;
            share.bytes += bytes.len() as u64;
            let all = self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
            if share.bytes > self.report_bytes {
                let limit = self.report_bytes;
                let text = format!("the body has more than the {limit} bytes that limits.report_bytes allows");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_body", text));
            }
            if waiting.saturating_add(all) > self.waiting_bytes {
                let limit = self.waiting_bytes;
                return Err(busy(&format!(
                    "the reports that wait have the {limit} bytes that limits.waiting_bytes allows"
                )));
            }
            let least = share.bytes as f64 / LEAST_RATE;
            if begun.elapsed().as_secs_f64() > SILENCE.as_secs_f64() + least {
                let text =
                    format!("{} bytes came within {} s, which is too slow", share.bytes, begun.elapsed().as_secs());
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "bad_body", text));
            }
            head.extend_from_slice(&bytes[..bytes.len().min(report::HEAD - head.len())]);
            hash.update(&bytes);
            let written = blocking(move || file.write_all(&bytes).map(|()| file)).await?;
            file = written.map_err(|error| self.cannot_write(&error))?;
        }
        report::check_head(&head, share.bytes)?;
        file.rewind().map_err(|error| self.cannot_write(&error))?;
        Ok(Spooled { file, size: share.bytes, sha256: hex::encode(hash.finalize()), share })
    }

    fn cannot_write(&self, error: &io::Error) -> Problem {
        let folder = self.folder.display();
        let text = format!("an upload cannot be kept in {folder}: {error}");
        tracing::error!(%error, %folder, "an upload cannot be kept");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_space", text)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let failed = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "the service ends".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

//! What is a source asked for, and what does it answer?

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::domain::{AgentId, SyncType};

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The whole report of a type.
    Report(SyncType),
    /// The PDF of one delivery note or invoice.
    Document {
        /// Which kind: `ddt` or `invoices`.
        folder: String,
        /// Its number, as printed.
        number: String,
    },
}

/// Told the bytes that have come, and how many there will be if that is known.
pub type Progress = Arc<dyn Fn(u64, Option<u64>) + Send + Sync>;

/// One question to a source.
#[derive(Clone)]
pub struct Ask {
    pub wanted: Wanted,
    pub agent: AgentId,
    /// The version that the asker has: if it is still that, the source may say so instead of sending it.
    pub known: Option<String>,
    /// Told how far the fetch is.
    pub progress: Progress,
    /// Does it wait for its turn before the source is asked at all?
    waits: Arc<AtomicBool>,
}

impl Ask {
    /// The report of `sync_type` for `agent`.
    #[must_use]
    pub fn report(sync_type: &SyncType, agent: &AgentId) -> Self {
        Self::new(Wanted::Report(sync_type.clone()), agent)
    }

    /// The delivery note or invoice `number` of `agent`.
    #[must_use]
    pub fn document(folder: &str, agent: &AgentId, number: &str) -> Self {
        Self::new(Wanted::Document { folder: folder.to_owned(), number: number.to_owned() }, agent)
    }

    fn new(wanted: Wanted, agent: &AgentId) -> Self {
        Self { wanted, agent: agent.clone(), known: None, progress: Arc::new(|_, _| {}), waits: Arc::default() }
    }

    /// Says which version the asker has.
    #[must_use]
    pub fn knowing(mut self, version: Option<String>) -> Self {
        self.known = version;
        self
    }

    /// Does it wait for its turn at lockstep's own gates? What happens meanwhile says nothing of the source.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn wait(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Tells `progress` how far the fetch is.
    #[must_use]
    pub fn telling(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Report(sync_type) => write!(f, "the {sync_type} report of agent {}", self.agent),
            Wanted::Document { folder, number } => write!(f, "document {folder}/{number} of agent {}", self.agent),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({self}, knowing {:?})", self.known)
    }
}

/// A source's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The document.
    New {
        /// Its bytes.
        bytes: Vec<u8>,
        /// Equal for equal documents of this source, if it has such a thing.
        version: Option<String>,
    },
    /// It is the version that the asker has.
    Unchanged,
}

impl Fetched {
    /// Bytes without a version.
    #[must_use]
    pub fn unversioned(bytes: Vec<u8>) -> Self {
        Self::New { bytes, version: None }
    }
}

//! What does every run of a process work with?

use std::{sync::Arc, time::Duration};

use crate::{
    coordination::Coordination,
    domain::{Clock, SourceReport},
    event::Bus,
    report::sandbox::ReadReports,
    source::Source,
    store::{KeepLimits, Store},
    sync_type::{SyncTypes, spec::Guards},
};

/// Everything a run needs from the process it runs in.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// All sync types.
    pub types: Arc<SyncTypes>,
    /// Where reports come from.
    pub source: Arc<dyn Source>,
    pub reader: Arc<dyn ReadReports>,
    /// This process's name, different from every other's.
    pub owner: String,
    /// What the processes tell each other, and limits that they share.
    pub coordination: Arc<dyn Coordination>,
    /// How often all processes together may ask the source in a minute; no limit if `None`.
    pub fetches_per_minute: Option<u32>,
    /// Where events go.
    pub bus: Bus,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Records a batch, 1 to 10.
    pub batch: usize,
    /// How long a minute of the schedule lasts.
    pub minute: Duration,
    /// Thresholds for types that set none.
    pub guards: Guards,
    /// How long one attempt may take.
    pub time_limit: Duration,
    /// How long a run that is to stop has to come to its next batch before it is given up.
    pub grace: Duration,
    /// How many fetched documents are kept.
    pub keep: KeepLimits,
    /// The source's name, and when its breakers open.
    pub breaker: SourceReport,
}

//! How often did what happen? Counters fed by events alone, in the OpenMetrics text format.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Event, Observer};
use crate::domain::{Admission, Counts};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    r#type: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSink {
    sink: String,
    what: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfActor {
    actor: String,
}

fn of_sink(sink: &str, what: &str) -> OfSink {
    OfSink { sink: sink.to_owned(), what: what.to_owned() }
}

/// Where changes wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Depth {
    /// Their sink; `none` if they wait to be fetched.
    pub sink: String,
    /// Their status.
    pub status: &'static str,
}

/// All metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    jobs: Family<Labels, Counter>,
    runs: Family<Labels, Counter>,
    records: Family<Labels, Counter>,
    rescued: Counter,
    preempted: Counter,
    deliveries: Family<OfSink, Counter>,
    items_rescued: Counter,
    actor_restarts: Family<OfActor, Counter>,
    depth: Family<Depth, Gauge>,
    oldest: Family<Depth, Gauge>,
    coordination_up: Gauge,
    words_dropped: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lockstep");
        let metrics = Self {
            registry: Arc::default(),
            jobs: Family::default(),
            runs: Family::default(),
            records: Family::default(),
            rescued: Counter::default(),
            preempted: Counter::default(),
            deliveries: Family::default(),
            items_rescued: Counter::default(),
            actor_restarts: Family::default(),
            depth: Family::default(),
            oldest: Family::default(),
            coordination_up: Gauge::default(),
            words_dropped: Gauge::default(),
        };
        registry.register("jobs", "Requests for a job, by the queue's answer", metrics.jobs.clone());
        registry.register("runs", "Runs that ended, by outcome", metrics.runs.clone());
        registry.register("records", "Rows of reports, by what became of them", metrics.records.clone());
        registry.register("jobs_rescued", "Jobs taken over from processes that died", metrics.rescued.clone());
        registry.register("jobs_preempted", "Syncs that made room for a write", metrics.preempted.clone());
        registry.register(
            "deliveries",
            "Changes that went out, by sink and how that ended",
            metrics.deliveries.clone(),
        );
        registry.register(
            "outbox_rescued",
            "Changes taken over from processes that died",
            metrics.items_rescued.clone(),
        );
        registry.register(
            "actor_restarts",
            "Actors that had ended and were started anew",
            metrics.actor_restarts.clone(),
        );
        registry.register("outbox_items", "Changes in the write-back queue", metrics.depth.clone());
        registry.register("outbox_oldest_seconds", "Age of the oldest of them", metrics.oldest.clone());
        let (up, dropped) = (metrics.coordination_up.clone(), metrics.words_dropped.clone());
        registry.register("coordination_up", "1 while the processes hear each other, 0 while Redis is away", up);
        registry.register("coordination_words_dropped", "Words that reached no other process", dropped);
        Self { registry: Arc::new(Mutex::new(registry)), ..metrics }
    }
}

impl Metrics {
    /// Counts what the bus tells.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let metrics = self.clone();
        Arc::new(move |event| metrics.count(event))
    }

    fn count(&self, event: &Event) {
        match event {
            Event::Enqueued { job_type, admission, .. } => {
                self.jobs.get_or_create(&labels(job_type.as_str(), answer(admission))).inc();
            }
            Event::Finished { job_type, outcome, counts, .. } => {
                self.runs.get_or_create(&labels(job_type.as_str(), outcome.as_str())).inc();
                for (what, rows) in rows(counts).into_iter().filter(|(_, rows)| *rows > 0) {
                    self.records.get_or_create(&labels(job_type.as_str(), what)).inc_by(rows);
                }
            }
            Event::Rescued { .. } => {
                self.rescued.inc();
            }
            Event::ActorRestarted { actor, .. } => {
                self.actor_restarts.get_or_create(&OfActor { actor: actor.clone() }).inc();
            }
            Event::Preempted { .. } => {
                self.preempted.inc();
            }
            Event::ItemsDelivered { sink, items } => {
                self.deliveries.get_or_create(&of_sink(sink, "delivered")).inc_by(items.len() as u64);
            }
            Event::DeliveryFailed { sink, code, is_over, is_doubtful, .. } => {
                self.deliveries.get_or_create(&of_sink(sink, code)).inc();
                if *is_over {
                    let how = if *is_doubtful { "doubtful" } else { "given_up" };
                    self.deliveries.get_or_create(&of_sink(sink, how)).inc();
                }
            }
            Event::SinkUnavailable { sink, .. } => {
                self.deliveries.get_or_create(&of_sink(sink, "sink_unavailable")).inc();
            }
            Event::ItemsRescued { items } => {
                self.items_rescued.inc_by(items.len() as u64);
            }
            Event::Started { .. }
            | Event::ItemsQueued { .. }
            | Event::ItemsSteered { .. }
            | Event::Progressed { .. }
            | Event::LayoutChanged { .. }
            | Event::Ticked { .. }
            | Event::Rescheduled { .. }
            | Event::StopAsked { .. }
            | Event::Retried { .. }
            | Event::LimitsChanged { .. }
            | Event::BreakerReset { .. }
            | Event::AutoSyncChanged { .. }
            | Event::PauseChanged { .. } => {}
        }
    }

    /// How the coordination between processes is, at this moment.
    pub fn set_coordination(&self, is_up: bool, words_dropped: u64) {
        self.coordination_up.set(is_up.into());
        self.words_dropped.set(i64::try_from(words_dropped).unwrap_or(i64::MAX));
    }

    /// How many changes wait where, and for how many seconds the oldest has.
    pub fn set_outbox(&self, depths: impl Iterator<Item = (Depth, u64, i64)>) {
        self.depth.clear();
        self.oldest.clear();
        for (depth, items, seconds) in depths {
            self.depth.get_or_create(&depth).inc_by(i64::try_from(items).unwrap_or(i64::MAX));
            let oldest = self.oldest.get_or_create(&depth);
            oldest.set(oldest.get().max(seconds));
        }
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never: text can always be written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

fn labels(name: &str, what: &'static str) -> Labels {
    Labels { r#type: name.to_owned(), what }
}

fn answer(admission: &Admission) -> &'static str {
    match admission {
        Admission::Accepted { .. } => "accepted",
        Admission::Replaced { .. } => "replaced",
        Admission::Kept { .. } => "kept",
        Admission::AlreadyQueued { .. } => "already_queued",
        Admission::Throttled { .. } => "throttled",
        Admission::KeyReused { .. } => "key_reused",
        Admission::Paused { .. } => "paused",
        Admission::BreakerOpen { .. } => "breaker_open",
    }
}

fn rows(counts: &Counts) -> [(&'static str, u64); 12] {
    let Counts {
        read,
        inserted,
        updated,
        refreshed,
        unchanged,
        restored,
        quarantined,
        skipped,
        not_applied,
        missing,
        deleted,
        orphans,
    } = *counts;
    [
        ("read", read),
        ("inserted", inserted),
        ("updated", updated),
        ("refreshed", refreshed),
        ("unchanged", unchanged),
        ("restored", restored),
        ("quarantined", quarantined),
        ("skipped", skipped),
        ("not_applied", not_applied),
        ("missing", missing),
        ("deleted", deleted),
        ("orphans", orphans),
    ]
}

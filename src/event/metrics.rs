//! How often did what happen, and how long did it take? Counters and histograms fed by events alone, in the OpenMetrics
//! text format.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

use super::{Event, Now, Observer, gauges::Gauges};
use crate::domain::{Admission, Class, Counts, Outcome, Stage};

/// Bounds of durations, in seconds.
const SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];
/// How a process that reads a report may end without having read it: the codes of such runs.
const READER_EXITS: [&str; 4] = ["out_of_memory", "cpu", "timeout", "crash"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    r#type: String,
    answer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    r#type: String,
    outcome: &'static str,
    /// Empty where all went well.
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rows {
    r#type: String,
    became: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    r#type: String,
    /// `all` for the whole run.
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCause {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSink {
    sink: String,
    ended: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfActor {
    actor: String,
}

fn of_sink(sink: &str, ended: &str) -> OfSink {
    OfSink { sink: sink.to_owned(), ended: ended.to_owned() }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// All metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    jobs: Family<Asked, Counter>,
    runs: Family<Ended, Counter>,
    records: Family<Rows, Counter>,
    durations: Family<OfStage, Histogram>,
    waits: Family<OfClass, Histogram>,
    stops: Histogram,
    reader_exits: Family<OfCause, Counter>,
    rescued: Counter,
    preempted: Counter,
    deliveries: Family<OfSink, Counter>,
    items_rescued: Counter,
    actor_restarts: Family<OfActor, Counter>,
    gauges: Gauges,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            registry: Arc::default(),
            jobs: Family::default(),
            runs: Family::default(),
            records: Family::default(),
            durations: Family::new_with_constructor(seconds),
            waits: Family::new_with_constructor(seconds),
            stops: seconds(),
            reader_exits: Family::default(),
            rescued: Counter::default(),
            preempted: Counter::default(),
            deliveries: Family::default(),
            items_rescued: Counter::default(),
            actor_restarts: Family::default(),
            gauges: Gauges::default(),
        };
        metrics.gauges.register_process(&mut registry);
        let own = registry.sub_registry_with_prefix("lockstep");
        own.register("jobs", "Requests for a job, by the queue's answer", metrics.jobs.clone());
        own.register("runs", "Runs that ended, by outcome and code", metrics.runs.clone());
        own.register("records", "Rows of reports, by what became of them", metrics.records.clone());
        let (text, durations) = ("How long runs take, by stage", metrics.durations.clone());
        own.register_with_unit("run_duration", text, Unit::Seconds, durations);
        let (text, waits) = ("How long jobs wait until they start", metrics.waits.clone());
        own.register_with_unit("queue_wait", text, Unit::Seconds, waits);
        let (text, stops) = ("How long running jobs take to end once they are asked to stop", metrics.stops.clone());
        own.register_with_unit("stop", text, Unit::Seconds, stops);
        let exits = metrics.reader_exits.clone();
        own.register("reader_exits", "Reader processes that did not read their report", exits);
        own.register("jobs_rescued", "Jobs taken over from processes that died", metrics.rescued.clone());
        own.register("jobs_preempted", "Syncs that made room for a write", metrics.preempted.clone());
        own.register("deliveries", "Changes that went out, by sink and how that ended", metrics.deliveries.clone());
        own.register("outbox_rescued", "Changes taken over from processes that died", metrics.items_rescued.clone());
        own.register("actor_restarts", "Actors that had ended and were started anew", metrics.actor_restarts.clone());
        metrics.gauges.register(own);
        Self { registry: Arc::new(Mutex::new(registry)), ..metrics }
    }
}

impl Metrics {
    /// Shows durations, too, that are kept elsewhere, in seconds.
    #[must_use]
    pub fn with_durations(self, name: &str, text: &str, durations: impl Metric) -> Self {
        self.registry.lock().register_with_unit(format!("lockstep_{name}"), text, Unit::Seconds, durations);
        self
    }

    /// Counts what the bus tells.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let metrics = self.clone();
        Arc::new(move |event| metrics.count(event))
    }

    fn count(&self, event: &Event) {
        match event {
            Event::Enqueued { job_type, admission, .. } => {
                self.jobs.get_or_create(&Asked { r#type: job_type.to_string(), answer: answer(admission) }).inc();
            }
            Event::Started { class, waited_ms, .. } => {
                self.waits.get_or_create(&OfClass { class: class.as_str() }).observe(*waited_ms as f64 / 1_000.0);
            }
            Event::Finished { job_type, outcome, counts, error_code, duration_ms, stop_ms, stages, .. } => {
                let code = error_code.clone().unwrap_or_default();
                if let Some(cause) = READER_EXITS.into_iter().find(|cause| *cause == code) {
                    self.reader_exits.get_or_create(&OfCause { cause }).inc();
                }
                self.runs.get_or_create(&ended(job_type.as_str(), *outcome, code)).inc();
                for (became, rows) in rows(counts) {
                    self.records.get_or_create(&Rows { r#type: job_type.to_string(), became }).inc_by(rows);
                }
                let times = stages.iter().map(|(stage, took)| (stage.as_str(), *took));
                if let Some(took) = stop_ms {
                    self.stops.observe(*took as f64 / 1_000.0);
                }
                for (stage, took) in times.chain([("all", *duration_ms)]) {
                    let of = OfStage { r#type: job_type.to_string(), stage };
                    self.durations.get_or_create(&of).observe(took as f64 / 1_000.0);
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
            Event::ItemsQueued { .. }
            | Event::ItemsSteered { .. }
            | Event::Progressed { .. }
            | Event::LayoutChanged { .. }
            | Event::Ticked { .. }
            | Event::Rescheduled { .. }
            | Event::StopAsked { .. }
            | Event::Retried { .. }
            | Event::LimitsChanged { .. }
            | Event::BreakerReset { .. }
            | Event::AlertBegan { .. }
            | Event::AlertEnded { .. }
            | Event::AutoSyncChanged { .. }
            | Event::PauseChanged { .. } => {}
        }
    }

    /// Shows every series from the start, so that nobody takes one that has not happened for one that is not watched.
    #[must_use]
    pub fn showing<'t>(self, types: impl Iterator<Item = &'t str>) -> Self {
        for name in types {
            for outcome in Outcome::ALL {
                drop(self.runs.get_or_create(&ended(name, outcome, String::new())));
            }
            for stage in [Stage::Fetch, Stage::Read, Stage::Plan, Stage::Apply].map(Stage::as_str) {
                drop(self.durations.get_or_create(&OfStage { r#type: name.to_owned(), stage }));
            }
            drop(self.durations.get_or_create(&OfStage { r#type: name.to_owned(), stage: "all" }));
            for (became, _) in rows(&Counts::default()) {
                drop(self.records.get_or_create(&Rows { r#type: name.to_owned(), became }));
            }
        }
        for class in Class::ALL {
            drop(self.waits.get_or_create(&OfClass { class: class.as_str() }));
        }
        for cause in READER_EXITS {
            drop(self.reader_exits.get_or_create(&OfCause { cause }));
        }
        self
    }

    /// How everything stands at this moment.
    pub fn set(&self, now: &Now) {
        self.gauges.set(now);
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

fn ended(name: &str, outcome: Outcome, code: String) -> Ended {
    Ended { r#type: name.to_owned(), outcome: outcome.as_str(), code }
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

/// Orphans are no rows of a report: a gauge tells of them.
fn rows(counts: &Counts) -> [(&'static str, u64); 11] {
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
        orphans: _,
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
    ]
}

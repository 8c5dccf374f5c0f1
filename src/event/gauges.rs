//! How does it stand at this moment? Gauges that are set when somebody asks for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Where changes wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Depth {
    /// Their sink; `none` if they wait to be fetched.
    pub sink: String,
    /// Their status.
    pub status: &'static str,
}

/// One type of one agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct TypeAgent {
    pub r#type: String,
    /// `other` for all those that are not shown one by one.
    pub agent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfType {
    r#type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSource {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Waiting {
    class: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// How everything stands, in numbers.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// How old the data is, in seconds; since its agent was added where none has come yet.
    pub age: Vec<(TypeAgent, f64)>,
    /// When a report was last applied, as seconds of the epoch; 0 where none was.
    pub last_success: Vec<(TypeAgent, f64)>,
    /// How old data may be, in seconds, by type.
    pub target: Vec<(String, f64)>,
    /// Rows in quarantine by type, and records without a parent.
    pub quarantined: Vec<(String, u64)>,
    pub orphans: Vec<(String, u64)>,
    pub open_holds: u64,
    /// Open breakers, by source.
    pub breakers: Vec<(String, u64)>,
    /// Jobs by class and state.
    pub jobs: Vec<(&'static str, &'static str, u64)>,
    /// Changes in the outbox, and for how many seconds the oldest waits.
    pub outbox: Vec<(Depth, u64, i64)>,
    pub coordination_up: bool,
    pub words_dropped: u64,
}

/// The gauges of a registry.
#[derive(Clone, Default)]
pub(super) struct Gauges {
    age: Family<TypeAgent, Seconds>,
    last_success: Family<TypeAgent, Seconds>,
    target: Family<OfType, Seconds>,
    quarantined: Family<OfType, Gauge>,
    orphans: Family<OfType, Gauge>,
    open_holds: Gauge,
    breakers: Family<OfSource, Gauge>,
    jobs: Family<Waiting, Gauge>,
    depth: Family<Depth, Gauge>,
    oldest: Family<Depth, Gauge>,
    coordination_up: Gauge,
    words_dropped: Gauge,
    memory: Gauge,
    cpu: Counter<f64, AtomicU64>,
    started: Seconds,
    descriptors: Gauge,
    threads: Gauge,
}

impl Gauges {
    /// Registers those of lockstep, whose names have its prefix.
    pub(super) fn register(&self, own: &mut Registry) {
        own.register_with_unit("data_age", "How old the data is", Unit::Seconds, self.age.clone());
        own.register_with_unit("freshness_target", "How old it may be", Unit::Seconds, self.target.clone());
        let (text, last) = ("When a report was last applied; 0 if none was", self.last_success.clone());
        own.register_with_unit("last_success_timestamp", text, Unit::Seconds, last);
        own.register("quarantined_rows", "Rows in quarantine", self.quarantined.clone());
        own.register("orphans", "Records without a known record that they belong to", self.orphans.clone());
        own.register("open_holds", "Reports that wait for a person's decision", self.open_holds.clone());
        own.register("breaker_open", "Agents that the source does not answer for", self.breakers.clone());
        own.register("queue_jobs", "Jobs that are not over", self.jobs.clone());
        own.register("outbox_items", "Changes in the write-back queue", self.depth.clone());
        own.register("outbox_oldest_seconds", "Age of the oldest of them", self.oldest.clone());
        let (up, dropped) = (self.coordination_up.clone(), self.words_dropped.clone());
        own.register("coordination_up", "1 while the processes hear each other, 0 while Redis is away", up);
        own.register("coordination_words_dropped", "Words that reached no other process", dropped);
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        own.register("build_info", "Which version this is", build);
    }

    /// Registers those that every process has.
    pub(super) fn register_process(&self, process: &mut Registry) {
        process.register("process_resident_memory_bytes", "Memory of this process", self.memory.clone());
        process.register("process_cpu_seconds", "Processor time that it has used", self.cpu.clone());
        process.register("process_start_time_seconds", "When it began", self.started.clone());
        process.register("process_open_fds", "Its open descriptors", self.descriptors.clone());
        process.register("process_threads", "Its threads", self.threads.clone());
    }

    /// Shows what is so now, and nothing else.
    pub(super) fn set(&self, now: &Now) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for (family, values) in [(&self.age, &now.age), (&self.last_success, &now.last_success)] {
            family.clear();
            for (of, value) in values {
                family.get_or_create(of).set(*value);
            }
        }
        for (name, seconds) in &now.target {
            self.target.get_or_create(&OfType { r#type: name.clone() }).set(*seconds);
        }
        for (family, values) in [(&self.quarantined, &now.quarantined), (&self.orphans, &now.orphans)] {
            for (name, rows) in values {
                family.get_or_create(&OfType { r#type: name.clone() }).set(number(*rows));
            }
        }
        self.open_holds.set(number(now.open_holds));
        for (source, open) in &now.breakers {
            self.breakers.get_or_create(&OfSource { source: source.clone() }).set(number(*open));
        }
        for (class, state, jobs) in &now.jobs {
            self.jobs.get_or_create(&Waiting { class, state }).set(number(*jobs));
        }
        self.depth.clear();
        self.oldest.clear();
        for (depth, items, seconds) in &now.outbox {
            self.depth.get_or_create(depth).set(number(*items));
            self.oldest.get_or_create(depth).set(*seconds);
        }
        self.coordination_up.set(now.coordination_up.into());
        self.words_dropped.set(number(now.words_dropped));
        self.look_at_process();
    }

    /// What the kernel says of this process; where it says nothing, what it said last stays.
    fn look_at_process(&self) {
        let Ok(process) = procfs::process::Process::myself() else { return };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            self.memory.set(i64::try_from(stat.rss * procfs::page_size()).unwrap_or(i64::MAX));
            let used = (stat.utime + stat.stime) as f64 / ticks;
            self.cpu.inner().store(used.to_bits(), Ordering::Relaxed);
            self.threads.set(stat.num_threads);
            if let Ok(boot) = procfs::boot_time_secs() {
                self.started.set(boot as f64 + stat.starttime as f64 / ticks);
            }
        }
        if let Ok(open) = process.fd_count() {
            self.descriptors.set(i64::try_from(open).unwrap_or(i64::MAX));
        }
    }
}

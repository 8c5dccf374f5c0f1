//! Between what does every number of the settings lie? Checked once, here; a number outside names its key.

use std::ops::RangeInclusive;

use super::{Settings, SettingsError};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// A hundred years of days.
const CENTURY: u64 = 36_500;
const MIB: u64 = 1 << 20;

/// # Errors
/// [`SettingsError::Invalid`] for the first number that is out of its bounds.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let Settings { queue, sync, scheduler, limits, guards, source, sink, .. } = settings;
    let size = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let numbers: [(&'static str, u64, RangeInclusive<u64>); 39] = [
        ("database.connections", settings.database.connections.into(), 3..=200),
        ("queue.concurrency", size(queue.concurrency), 1..=1_000),
        ("queue.throttle_ms", queue.throttle_ms, 0..=30 * DAY),
        ("queue.heartbeat_ms", queue.heartbeat_ms, 1..=HOUR),
        ("queue.lease_ms", queue.lease_ms, 2..=DAY),
        ("queue.grace_ms", queue.grace_ms, 0..=HOUR),
        ("queue.breaker_failures", queue.breaker_failures.into(), 1..=1_000),
        ("queue.breaker_open_ms", queue.breaker_open_ms, 1..=30 * DAY),
        ("queue.keep_jobs_days", queue.keep_jobs_days, 0..=CENTURY),
        ("queue.keep_runs_days", queue.keep_runs_days, 0..=CENTURY),
        ("history.keep_days", settings.history.keep_days, 0..=CENTURY),
        ("alerts.look_seconds", settings.alerts.look_seconds, 1..=3_600),
        ("audit.keep_days", settings.audit.keep_days, 1..=CENTURY),
        ("metrics.agents", size(settings.metrics.agents), 0..=10_000),
        ("sync.batch", size(sync.batch), 1..=10),
        ("scheduler.minute_ms", scheduler.minute_ms, 1..=HOUR),
        ("limits.report_bytes", limits.report_bytes, 1..=1_024 * MIB),
        ("limits.waiting_bytes", limits.waiting_bytes, 1..=(1 << 20) * MIB),
        ("limits.sync_seconds", limits.sync_seconds, 1..=86_400),
        ("limits.read_memory_bytes", limits.read_memory_bytes, MIB..=(1 << 20) * MIB),
        ("limits.read_seconds", limits.read_seconds, 1..=86_400),
        ("limits.shutdown_seconds", limits.shutdown_seconds, 0..=3_600),
        ("limits.requests_per_minute", limits.requests_per_minute.get().into(), 1..=10_000_000),
        ("limits.status_ms", limits.status_ms, 0..=60 * SECOND),
        ("limits.connections", size(limits.connections), 16..=100_000),
        ("limits.connections_per_address", size(limits.connections_per_address), 8..=100_000),
        ("guards.from_rows", guards.from_rows, 0..=1_000_000),
        ("source.fetches_per_minute", source.fetches_per_minute.into(), 0..=1_000_000),
        ("source.timeout_ms", source.timeout_ms, 1..=DAY),
        ("source.parallel", size(source.parallel), 1..=1_000),
        ("source.pause_ms", source.pause_ms, 0..=HOUR),
        ("source.agent_parallel", size(source.agent_parallel), 1..=1_000),
        ("source.agent_pause_ms", source.agent_pause_ms, 0..=HOUR),
        ("source.keep_reports", source.keep_reports, 0..=10_000),
        ("source.keep_days", source.keep_days, 0..=CENTURY),
        ("source.cache_bytes", source.cache_bytes, 0..=(1 << 20) * MIB),
        ("source.cache_minutes", source.cache_minutes, 0..=CENTURY * 1_440),
        ("sink.batch", sink.batch, 1..=100),
        ("sink.payload_bytes", size(sink.payload_bytes), 1..=8 * MIB),
    ];
    let invalid = |key, wrong| Err(SettingsError::Invalid { key, wrong });
    for (key, number, bounds) in numbers {
        if !bounds.contains(&number) {
            return invalid(key, format!("{number} is not {} to {}", bounds.start(), bounds.end()));
        }
    }
    for (key, percent) in [
        ("guards.min_rows_percent", guards.min_rows_percent),
        ("guards.max_missing_percent", guards.max_missing_percent),
        ("guards.max_quarantined_percent", guards.max_quarantined_percent),
        ("guards.max_similar_percent", guards.max_similar_percent),
    ] {
        if !(0.0..=100.0).contains(&percent) {
            return invalid(key, format!("{percent} is no percentage from 0 to 100"));
        }
    }
    Ok(())
}

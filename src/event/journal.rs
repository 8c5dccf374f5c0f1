//! What does the log say of what people ask for and what the service decides? One line each, with the names that the
//! API has.

use std::sync::Arc;

use super::{Event, Observer};
use crate::domain::{Outcome, Severity, Stage};

/// Writes what the bus tells to the log.
#[must_use]
pub fn journal() -> Observer {
    Arc::new(note)
}

fn note(event: &Event) {
    match event {
        Event::Enqueued { job_type, agent_id, reason, admission, .. } => tracing::debug!(
            sync_type = %job_type,
            agent = %agent_id,
            reason = reason.as_str(),
            job_id = admission.job().map(|job| job.0),
            answer = admission.as_str(),
            "asked for"
        ),
        Event::Started { run, job, job_type, agent_id, attempt, waited_ms, .. } => tracing::debug!(
            sync_type = %job_type,
            agent = %agent_id,
            run_id = run.0,
            job_id = job.0,
            attempt,
            waited_ms,
            "run started"
        ),
        Event::Finished { .. } => finished(event),
        Event::LayoutChanged { run, job_type, agent_id, gone, added, reordered, .. } => tracing::warn!(
            sync_type = %job_type,
            agent = %agent_id,
            run_id = run.0,
            gone = (!gone.is_empty()).then(|| gone.join(", ")),
            added = (!added.is_empty()).then(|| added.join(", ")),
            reordered,
            "the report is laid out otherwise than before"
        ),
        Event::PauseChanged { pause: Some(pause), by } => tracing::info!(
            by,
            reason = pause.reason,
            until = pause.until.map(|until| until.to_rfc3339()),
            drain = pause.drain,
            emergency = pause.emergency,
            "paused"
        ),
        Event::PauseChanged { pause: None, by } => tracing::info!(by, "resumed"),
        Event::AutoSyncChanged { on, by } => tracing::info!(by, on, "the timers were switched"),
        Event::Rescheduled { sync_type, interval_minutes, next_run, by } => tracing::info!(
            by,
            %sync_type,
            interval_minutes,
            next_run = next_run.map(|next| next.to_rfc3339()),
            "a timer was set"
        ),
        Event::LimitsChanged { limits, by } => {
            let limits: Vec<String> = limits.iter().map(|(name, jobs)| format!("{name} {jobs}")).collect();
            tracing::info!(by, limits = limits.join(", "), "limits were set");
        }
        Event::BreakerReset { id, by } => tracing::info!(by, breaker_id = id, "a breaker was closed by hand"),
        Event::StopAsked { stopping, removed, by } => {
            tracing::info!(by, stopping = stopping.len(), removed = removed.len(), "a stop was asked for");
        }
        Event::Retried { job, by } => tracing::info!(by, job_id = job.0, "a job was asked for again"),
        Event::Preempted { job, agent_id } => {
            tracing::info!(job_id = job.0, agent = %agent_id, "a sync makes room for a write or download");
        }
        Event::AlertBegan { .. } | Event::AlertEnded { .. } => alert(event),
        Event::ItemsSteered { items, by } => tracing::info!(by, items, "items of the outbox were moved by hand"),
        // told where they happen, with what is known there
        Event::Rescued { .. }
        | Event::ActorRestarted { .. }
        | Event::DeliveryFailed { .. }
        | Event::SinkUnavailable { .. }
        | Event::ItemsRescued { .. }
        // too many to be told one by one
        | Event::Progressed { .. }
        | Event::Ticked { .. }
        | Event::ItemsQueued { .. }
        | Event::ItemsDelivered { .. } => {}
    }
}

/// One line when it begins, one when it is over.
fn alert(event: &Event) {
    macro_rules! line {
        ($level:ident, $subject:ident, $($rest:tt)*) => {
            tracing::$level!(
                alert_id = $subject.alert,
                kind = $subject.kind.as_str(),
                severity = $subject.severity.as_str(),
                sync_type = $subject.sync_type.as_ref().map(|name| name.as_str()),
                agent = $subject.agent_id.as_ref().map(|agent| agent.as_str()),
                model = $subject.model,
                $($rest)*
            )
        };
    }
    match event {
        Event::AlertBegan { subject, text } if subject.severity == Severity::Problem => {
            line!(warn, subject, text, "somebody is needed");
        }
        Event::AlertBegan { subject, text } => line!(info, subject, text, "something is to be known"),
        Event::AlertEnded { subject, lasted_seconds } => line!(info, subject, lasted_seconds, "it is over"),
        _ => {}
    }
}

/// A run is one line at its end; one that someone should know of is a warning.
fn finished(event: &Event) {
    let Event::Finished {
        run,
        job,
        job_type,
        agent_id,
        outcome,
        counts,
        error_code,
        error,
        duration_ms,
        stop_ms,
        stages,
    } = event
    else {
        return;
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                sync_type = %job_type,
                agent = %agent_id,
                run_id = run.0,
                job_id = job.0,
                outcome = outcome.as_str(),
                stage = stages.last().map(|(stage, _)| Stage::as_str(*stage)),
                error_code,
                error,
                duration_ms,
                stop_ms,
                counts.read = counts.read,
                counts.inserted = counts.inserted,
                counts.updated = counts.updated,
                counts.refreshed = counts.refreshed,
                counts.unchanged = counts.unchanged,
                counts.restored = counts.restored,
                counts.quarantined = counts.quarantined,
                counts.skipped = counts.skipped,
                counts.not_applied = counts.not_applied,
                counts.missing = counts.missing,
                counts.deleted = counts.deleted,
                counts.orphans = counts.orphans,
                "run finished"
            )
        };
    }
    if outcome.is_failure() || *outcome == Outcome::Held { line!(warn) } else { line!(info) }
}

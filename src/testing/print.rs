//! How does a queue look as text? For snapshots and for comparing boards.

use std::fmt::Write as _;

use crate::{
    domain::{FlowOutcome, JobState, Outcome, Timestamp},
    store::Job,
};

/// All jobs, one a line, oldest first; moments as seconds from `now`.
#[must_use]
pub fn print_jobs(mut jobs: Vec<Job>, now: Timestamp) -> String {
    jobs.sort_by_key(|job| job.id);
    let mut text = String::new();
    for job in jobs {
        let class = job.class.as_str();
        write!(text, "#{} {}:{} {class} p{} {}", job.id, job.job_type, job.agent_id, job.priority, job.state.as_str())
            .unwrap();
        if job.state == JobState::Delayed {
            write!(text, " in {} s", (job.due_at - now).as_seconds_f64()).unwrap();
        }
        if job.attempt > 0 {
            write!(text, " attempt {}/{}", job.attempt, job.max_attempts).unwrap();
        }
        let outcome = job.outcome.map(Outcome::as_str);
        for (name, value) in [
            ("outcome", outcome),
            ("flow", job.flow_outcome.map(FlowOutcome::as_str)),
            ("key", job.dedup_key.as_deref()),
        ] {
            if let Some(value) = value {
                write!(text, " {name}={value}").unwrap();
            }
        }
        if let Some(root) = job.root_job_id {
            write!(text, " root=#{root}").unwrap();
        }
        if job.stop_requested {
            text.push_str(" stop");
        }
        text.push('\n');
    }
    text
}

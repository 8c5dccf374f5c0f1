//! How is a job that is asked for written?

use sea_orm::{ActiveValue::NotSet, Set};

use crate::{
    domain::{JobId, JobState, Mode, NewJob, Timestamp},
    store::schema::entity,
};

/// How long it waits before its start, when it has to start later than now or after another.
pub(crate) fn delay_ms(job: &NewJob) -> i64 {
    let delay = match job.mode {
        Mode::Debounce { wait, .. } => wait,
        Mode::Refuse | Mode::KeepLast => job.delay,
    };
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}

/// The row of a new job; its place in its lane is not decided yet.
pub(crate) fn row(
    job: &NewJob,
    state: JobState,
    (due, latest_start): (Timestamp, Option<Timestamp>),
    root: Option<JobId>,
    now: Timestamp,
) -> entity::job::ActiveModel {
    let window = job.window.as_ref();
    let length = window.and_then(|window| chrono::Duration::from_std(window.length).ok());
    entity::job::ActiveModel {
        id: NotSet,
        job_type: Set(job.job_type.to_string()),
        class: Set(job.class),
        agent_id: Set(job.agent.to_string()),
        reason: Set(job.reason),
        // timers and flows ask by themselves
        requested_by: Set(Some(job.by.as_ref().map_or_else(|| job.reason.as_str().to_owned(), |by| by.who.clone()))),
        state: Set(state),
        outcome: Set(None),
        error: Set(None),
        dedup_key: Set(job.dedup_key.clone()),
        throttle_key: Set(window.map(|window| window.key.clone())),
        throttle_until: Set(length.map(|length| now + length)),
        priority: Set(i32::from(job.priority)),
        order_key: Set(job.class.order_key(job.priority, now)),
        is_next: Set(false),
        due_at: Set(due),
        delay_ms: Set(delay_ms(job)),
        latest_start: Set(latest_start),
        force: Set(job.force),
        payload: Set(job.payload.clone()),
        payload_digest: Set(job.digest()),
        release_window: Set(window.is_some_and(|window| window.release_on_failure)),
        document_id: Set(job.document),
        approves_run_id: Set(job.approves),
        parent_job_id: Set(job.parent),
        root_job_id: Set(root),
        flow_outcome: Set(None),
        flow_finished_at: Set(None),
        attempt: Set(0),
        run_id: Set(None),
        max_attempts: Set(i32::try_from(job.max_attempts).unwrap_or(i32::MAX)),
        repeatable: Set(job.repeatable),
        phase: Set(None),
        result: Set(None),
        lease: Set(0),
        heartbeat: Set(0),
        heartbeat_at: Set(None),
        owner: Set(None),
        stop_requested: Set(false),
        follow_up_due: Set(false),
        enqueued_at: Set(now),
        started_at: Set(None),
        finished_at: Set(None),
    }
}

//! What does the database hold of the jobs that are asked for, and how is a new one written?

use std::collections::HashMap;

use sea_orm::{ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Set, prelude::*};

use super::{
    StoreError, entity,
    lane::{self, is_live},
};
use crate::domain::{
    JobId, JobState, Mode, NewJob, Timestamp,
    admission::{OpenWindow, Owner},
};

use entity::job::Column as C;

/// Keys in one `IN (...)`.
const CHUNK: usize = 200;

/// How long it waits before its start, when it has to start later than now or after another.
pub(super) fn delay_ms(job: &NewJob) -> i64 {
    let delay = match job.mode {
        Mode::Debounce { wait, .. } => wait,
        Mode::Refuse | Mode::KeepLast => job.delay,
    };
    i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
}

/// The row of a new job; its place in its lane is not decided yet.
pub(super) fn row(
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
        class: Set(job.class.rank()),
        agent_id: Set(job.agent.to_string()),
        reason: Set(job.reason.as_str().to_owned()),
        state: Set(state.as_str().to_owned()),
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
        max_attempts: Set(i32::try_from(job.max_attempts).unwrap_or(i32::MAX)),
        repeatable: Set(job.repeatable),
        phase: Set(None),
        result: Set(None),
        lease: Set(0),
        heartbeat: Set(0),
        owner: Set(None),
        stop_requested: Set(false),
        follow_up_due: Set(false),
        enqueued_at: Set(now),
        started_at: Set(None),
        finished_at: Set(None),
    }
}

/// The live jobs that have the keys of these jobs.
pub(super) async fn owners(tx: &DatabaseTransaction, jobs: &[NewJob]) -> Result<HashMap<String, Owner>, StoreError> {
    let keys: Vec<&str> = jobs.iter().filter_map(|job| job.dedup_key.as_deref()).collect();
    let failed = StoreError::while_doing("look for live jobs");
    let mut owners = HashMap::new();
    for chunk in keys.chunks(CHUNK) {
        let find = || entity::job::Entity::find().filter(C::DedupKey.is_in(chunk.iter().copied()));
        for row in find().filter(is_live()).all(tx).await.map_err(&failed)? {
            let owner = Owner {
                job: row.id,
                state: JobState::from_name(&row.state).unwrap_or(JobState::Waiting),
                has_begun: row.started_at.is_some(),
                latest_start: row.latest_start,
                kept: None,
                digest: row.payload_digest,
            };
            owners.insert(row.dedup_key.unwrap_or_default(), owner);
        }
        if owners.is_empty() {
            // nobody is kept behind nobody
            continue;
        }
        for row in find().filter(lane::is(JobState::Kept)).all(tx).await.map_err(&failed)? {
            if let Some(owner) = row.dedup_key.and_then(|key| owners.get_mut(&key)) {
                owner.kept = Some(row.id);
            }
        }
    }
    Ok(owners)
}

/// The windows that are open for the keys of these jobs: of several, the one that closes last.
pub(super) async fn windows(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    now: Timestamp,
) -> Result<HashMap<String, OpenWindow>, StoreError> {
    let keys: Vec<&str> = jobs.iter().filter_map(|job| Some(job.window.as_ref()?.key.as_str())).collect();
    let mut windows = HashMap::new();
    for chunk in keys.chunks(CHUNK) {
        let rows = entity::job::Entity::find()
            .filter(Expr::cust("throttle_key IS NOT NULL"))
            .filter(C::ThrottleKey.is_in(chunk.iter().copied()))
            .filter(C::ThrottleUntil.gt(now))
            .order_by_asc(C::ThrottleUntil)
            .all(tx)
            .await
            .map_err(StoreError::while_doing("look for throttle windows"))?;
        for row in rows {
            let open = OpenWindow { job: row.id, until: row.throttle_until.unwrap_or(now), digest: row.payload_digest };
            windows.insert(row.throttle_key.unwrap_or_default(), open);
        }
    }
    Ok(windows)
}

/// The first job of each parent's flow.
pub(super) async fn roots(tx: &DatabaseTransaction, jobs: &[NewJob]) -> Result<HashMap<JobId, JobId>, StoreError> {
    let parents: Vec<JobId> = jobs.iter().filter_map(|job| job.parent).collect();
    if parents.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = entity::job::Entity::find().filter(C::Id.is_in(parents)).all(tx).await;
    let rows = rows.map_err(StoreError::while_doing("look for a flow's first job"))?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, row.root_job_id?))).collect())
}

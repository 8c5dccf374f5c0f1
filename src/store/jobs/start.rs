//! Which of the jobs that are asked for start at once? Where nothing else waits, they need not wait for a claim: they
//! are written as the ones that their agents run.

use std::collections::HashSet;

use sea_orm::Set;

use super::admission_snapshot::AdmissionSnapshot;
use crate::{
    domain::{
        Claim, ClaimedJob, Class, JobId, JobState, RunId, Timestamp,
        job::{Illegal, JobEvent},
    },
    store::schema::entity::job::ActiveModel,
};

/// The places of those that start, best first; `claim` loses the room that they take. A job for an agent that another
/// one here comes before is left to the next claim, which knows all rules.
pub(crate) fn startable(
    claim: &mut Claim,
    facts: &AdmissionSnapshot,
    rows: &[ActiveModel],
    now: Timestamp,
) -> Vec<usize> {
    let is_alone = facts.first.is_none() && facts.next_due.is_none_or(|due| due > now);
    if !is_alone || facts.pause.is_some() || !facts.open.is_empty() || !claim.limits.is_empty() {
        return Vec::new();
    }
    let is_waiting = |place: &usize| *rows[*place].state.as_ref() == JobState::Waiting;
    let mut places: Vec<usize> = (0..rows.len()).filter(is_waiting).collect();
    places.sort_by_key(|place| (*rows[*place].order_key.as_ref(), *place));
    let mut agents: HashSet<&str> = HashSet::new();
    places.retain(|place| {
        let row = &rows[*place];
        let agent = row.agent_id.as_ref().as_str();
        let is_free = agents.insert(agent) && !facts.busy.contains(agent);
        if !is_free || !claim.known.iter().any(|known| known.as_str() == row.job_type.as_ref()) {
            return false;
        }
        // the place that is for writes and downloads alone is kept for as long as there is another
        let room = match row.class.as_ref() {
            _ if claim.any > 0 => &mut claim.any,
            Class::Write | Class::Download => &mut claim.urgent,
            Class::Sync => return false,
        };
        let has_room = *room > 0;
        *room = room.saturating_sub(1);
        has_room
    });
    places
}

/// The row is that of a job's first attempt, under way.
pub(crate) fn start(row: &mut ActiveModel, run: RunId, owner: &str, now: Timestamp) -> Result<(), Illegal> {
    row.state = Set(row.state.as_ref().on(JobEvent::Claimed)?);
    row.lease = Set(1);
    row.attempt = Set(1);
    row.run_id = Set(Some(run));
    row.owner = Set(Some(owner.to_owned()));
    row.started_at = Set(Some(now));
    Ok(())
}

/// What whoever asked for room is told of a row that was started.
pub(crate) fn claimed(id: JobId, run: RunId, row: &ActiveModel, now: Timestamp) -> ClaimedJob {
    ClaimedJob {
        id,
        run,
        lease: 1,
        job_type: row.job_type.as_ref().as_str().into(),
        class: *row.class.as_ref(),
        agent: row.agent_id.as_ref().as_str().into(),
        reason: *row.reason.as_ref(),
        force: *row.force.as_ref(),
        attempt: 1,
        max_attempts: row.max_attempts.as_ref().unsigned_abs(),
        repeatable: *row.repeatable.as_ref(),
        payload: row.payload.as_ref().clone(),
        dedup_key: row.dedup_key.as_ref().clone(),
        document: *row.document_id.as_ref(),
        approves: *row.approves_run_id.as_ref(),
        enqueued_at: *row.enqueued_at.as_ref(),
        started_at: now,
    }
}

//! Which jobs may start now? The best of the first of each lane, never two for one agent, within the limits.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    prelude::*,
    sea_query::{ExprTrait, Query},
};

use super::{
    Store, StoreError,
    control::pause_at,
    entity,
    lane::{self, is, is_next},
};
use crate::{
    domain::{ClaimedJob, Class, JobState, JobType, Reason, Timestamp, job::JobEvent},
    sync_type::SyncTypes,
};

use entity::job::Column as C;

/// Delayed jobs that become due are moved so many at a time.
const DUE_AT_ONCE: u64 = 500;

/// What a process can start now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The process.
    pub owner: String,
    /// Jobs of any class that it has room for.
    pub any: usize,
    /// Writes and downloads that it has room for besides.
    pub urgent: usize,
    /// The types that it can run.
    pub known: Vec<JobType>,
    /// The most jobs of a type that run at once, in all processes.
    pub limits: BTreeMap<JobType, usize>,
}

/// What was claimed, and when to look again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claimed {
    /// Jobs that the process holds now, in the order of their start.
    pub jobs: Vec<ClaimedJob>,
    /// When the next delayed job becomes due.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Claims jobs for a process, best order key first. Takes the agents' rows and begins the runs'
    /// history in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then nothing was claimed.
    pub async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        let types = self.types().clone();
        self.write(move |tx| Box::pin(async move { claim_in(tx, &types, &claim, now).await })).await
    }
}

/// Claims within a transaction.
pub(super) async fn claim_in(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    claim: &Claim,
    now: Timestamp,
) -> Result<Claimed, StoreError> {
    let mut next = next_due(tx).await?;
    if next.is_some_and(|due| due <= now) {
        // what is more than one statement's worth is for the next claim, which follows at once
        promote_due(tx, now).await?;
        next = next_due(tx).await?;
    }
    let chosen = choose(tx, claim, now).await?;
    Ok(Claimed { jobs: take(tx, types, chosen, &claim.owner, now).await?, next_due: next })
}

/// Delayed jobs whose time has come wait from now on; many at a time.
async fn promote_due(tx: &DatabaseTransaction, now: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("look for due jobs");
    let due = entity::job::Entity::find()
        .filter(is(JobState::Delayed))
        .filter(C::DueAt.lte(now))
        .order_by_asc(C::DueAt)
        .limit(DUE_AT_ONCE)
        .all(tx)
        .await
        .map_err(&failed)?;
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(state_after(JobState::Delayed.as_str(), JobEvent::Due)?))
        .filter(C::Id.is_in(due.iter().map(|row| row.id)))
        .exec(tx)
        .await
        .map_err(&failed)?;
    let lanes: HashSet<_> = due.iter().map(|row| (row.job_type.as_str(), row.agent_id.as_str())).collect();
    for (job_type, agent) in lanes {
        lane::refresh(tx, job_type, agent).await?;
    }
    Ok(())
}

/// The jobs to start: the rules beyond the order of the index are here.
async fn choose(
    tx: &DatabaseTransaction,
    claim: &Claim,
    now: Timestamp,
) -> Result<Vec<entity::job::Model>, StoreError> {
    let pause = pause_at(tx, now).await?;
    if pause.as_ref().is_some_and(|pause| pause.emergency) {
        return Ok(Vec::new());
    }
    let mut choice = Choice { any: claim.any, urgent: claim.urgent, room: rooms(tx, claim).await?, chosen: Vec::new() };
    // writes and downloads have negative keys; a plain pause leaves these, and the few syncs that are forced
    let urgent = || Look::Only(C::OrderKey.lt(0_i64));
    if pause.is_some() {
        choice.fill(tx, claim, now, &urgent()).await?;
        choice.fill(tx, claim, now, &Look::Forced).await?;
    } else if choice.any > 0 {
        choice.fill(tx, claim, now, &Look::All).await?;
    }
    choice.fill(tx, claim, now, &urgent()).await?;
    Ok(choice.chosen)
}

/// Which candidates are looked at.
enum Look {
    /// All.
    All,
    /// Those that are so.
    Only(Expr),
    /// Syncs that a person forces: few, with an index of their own.
    Forced,
}

/// What has been chosen so far, and for what there is room.
struct Choice {
    any: usize,
    urgent: usize,
    room: HashMap<String, usize>,
    chosen: Vec<entity::job::Model>,
}

impl Choice {
    /// Chooses among the candidates that are `only` so, until there is no room or nothing more.
    async fn fill(
        &mut self,
        tx: &DatabaseTransaction,
        claim: &Claim,
        now: Timestamp,
        look: &Look,
    ) -> Result<(), StoreError> {
        while self.any + self.urgent > 0 {
            let wanted = self.any + self.urgent;
            let mut found = self.find(tx, claim, now, look).await?;
            found.sort_by_key(|row| (row.order_key, row.id));
            let (is_last, before) = (found.len() < wanted, self.chosen.len());
            for row in found.into_iter().take(wanted) {
                self.consider(row);
            }
            if is_last || self.chosen.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// The next candidates. Where a type is at its limit, each other type is looked at by itself: the first of
    /// the full type's lanes, thousands perhaps, are not even passed by.
    async fn find(
        &self,
        tx: &DatabaseTransaction,
        claim: &Claim,
        now: Timestamp,
        look: &Look,
    ) -> Result<Vec<entity::job::Model>, StoreError> {
        let has_room = |name: &&JobType| self.room.get(name.as_str()).is_none_or(|room| *room > 0);
        let open: Vec<&str> = claim.known.iter().filter(has_room).map(JobType::as_str).collect();
        if let Look::Forced = look {
            let forced =
                candidates(now).filter(Expr::cust("force")).filter(Expr::cust("class = 2 AND reason = 'manual'"));
            let rows = forced.all(tx).await.map_err(StoreError::while_doing("claim a job"))?;
            let is_free = |row: &entity::job::Model| self.chosen.iter().all(|one| one.agent_id != row.agent_id);
            return Ok(rows.into_iter().filter(|row| open.contains(&row.job_type.as_str()) && is_free(row)).collect());
        }
        let looks: Vec<Vec<&str>> = if open.len() == claim.known.len() {
            vec![open]
        } else {
            open.into_iter().map(|name| vec![name]).collect()
        };
        let taken: Vec<&str> = self.chosen.iter().map(|row| row.agent_id.as_str()).collect();
        let only = if let Look::Only(only) = look { Some(only.clone()) } else { None };
        let mut found = Vec::new();
        for types in looks {
            let rows = candidates(now)
                .filter(match types[..] {
                    [one] => C::JobType.eq(one),
                    _ => C::JobType.is_in(types),
                })
                .apply_if((!taken.is_empty()).then_some(taken.clone()), |query, taken| {
                    query.filter(C::AgentId.is_not_in(taken))
                })
                .apply_if(only.clone(), QueryFilter::filter)
                .limit((self.any + self.urgent) as u64)
                .all(tx)
                .await;
            found.extend(rows.map_err(StoreError::while_doing("claim a job"))?);
        }
        Ok(found)
    }

    fn consider(&mut self, row: entity::job::Model) {
        let has_place = self.any > 0 || (Class::from_rank(row.class) != Class::Sync && self.urgent > 0);
        let has_room = self.room.get(&row.job_type).is_none_or(|room| *room > 0);
        if !has_place || !has_room || self.chosen.iter().any(|one| one.agent_id == row.agent_id) {
            return;
        }
        if let Some(room) = self.room.get_mut(&row.job_type) {
            *room -= 1;
        }
        // the place that is for writes and downloads alone is kept for as long as there is another
        if self.any > 0 {
            self.any -= 1;
        } else {
            self.urgent -= 1;
        }
        self.chosen.push(row);
    }
}

/// The first of each lane whose agent is free; a sync only if no write or download waits for its agent.
fn candidates(now: Timestamp) -> Select<entity::job::Entity> {
    let mut busy = Query::select();
    busy.column(entity::agent_lock::Column::AgentId).from(entity::agent_lock::Entity);
    // what asks the source of an agent whose breaker is open was postponed when that opened; here is the rest
    let shut = Expr::cust("class > 0 AND document_id IS NULL").and(lane::breaker_is_open(now));
    entity::job::Entity::find()
        .filter(is_next())
        .filter(shut.not())
        .filter(C::AgentId.not_in_subquery(busy))
        .filter(lane::is_overtaken(now).not())
        .order_by_asc(C::OrderKey)
        .order_by_asc(C::Id)
}

/// How many more jobs of each limited type may run.
async fn rooms(tx: &DatabaseTransaction, claim: &Claim) -> Result<HashMap<String, usize>, StoreError> {
    if claim.limits.is_empty() {
        return Ok(HashMap::new());
    }
    let running = entity::job::Entity::find()
        .filter(is(JobState::Active))
        .select_only()
        .column(C::JobType)
        .into_tuple::<String>()
        .all(tx)
        .await
        .map_err(StoreError::while_doing("count what runs"))?;
    let room = |(name, limit): (&JobType, &usize)| {
        let used = running.iter().filter(|running| running.as_str() == name.as_str()).count();
        (name.to_string(), limit.saturating_sub(used))
    };
    Ok(claim.limits.iter().map(room).collect())
}

/// The name of the state that a job in `state` comes to; every change of a job's state asks here.
pub(super) fn state_after(state: &str, event: JobEvent) -> Result<&'static str, StoreError> {
    let known = JobState::from_name(state).ok_or_else(|| StoreError::Missing(format!("job state '{state}'")))?;
    Ok(known.on(event)?.as_str())
}

/// Takes the agents' rows and raises the leases.
pub(super) async fn take(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    rows: Vec<entity::job::Model>,
    owner: &str,
    now: Timestamp,
) -> Result<Vec<ClaimedJob>, StoreError> {
    let failed = StoreError::while_doing("claim a job");
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let locks = rows.iter().map(|row| entity::agent_lock::ActiveModel {
        agent_id: Set(row.agent_id.clone()),
        job_id: Set(row.id),
        lease: Set(row.lease + 1),
    });
    entity::agent_lock::Entity::insert_many(locks).exec_without_returning(tx).await.map_err(&failed)?;
    for row in &rows {
        state_after(&row.state, JobEvent::Claimed)?;
    }
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(JobState::Active.as_str()))
        .col_expr(C::IsNext, Expr::val(false))
        .col_expr(C::Lease, Expr::col(C::Lease).add(1))
        .col_expr(C::Attempt, Expr::col(C::Attempt).add(1))
        .col_expr(C::Owner, Expr::val(owner))
        .col_expr(C::StartedAt, Expr::val(now))
        .col_expr(C::Outcome, Expr::val(Option::<String>::None))
        .col_expr(C::Error, Expr::val(Option::<String>::None))
        .filter(C::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(tx)
        .await
        .map_err(&failed)?;
    let runs = begin_runs(tx, types, &rows, now).await?;
    lane::advance(tx, rows.iter().map(|row| row.id)).await?;
    let claim = |(row, run): (entity::job::Model, i64)| ClaimedJob {
        id: row.id,
        run,
        lease: row.lease + 1,
        job_type: row.job_type.into(),
        class: Class::from_rank(row.class),
        agent: row.agent_id.into(),
        reason: Reason::from_name(&row.reason),
        force: row.force,
        attempt: (row.attempt + 1).unsigned_abs(),
        max_attempts: row.max_attempts.unsigned_abs(),
        repeatable: row.repeatable,
        payload: row.payload,
        dedup_key: row.dedup_key,
        document: row.document_id,
        approves: row.approves_run_id,
        enqueued_at: row.enqueued_at,
    };
    Ok(rows.into_iter().zip(runs).map(claim).collect())
}

/// Begins the attempts' entries in the history; all that is not said here comes with their end.
async fn begin_runs(
    tx: &DatabaseTransaction,
    types: &SyncTypes,
    jobs: &[entity::job::Model],
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let mut insert = Query::insert();
    insert
        .into_table(entity::sync_run::Entity)
        .columns(["job_id", "sync_type", "agent_id", "reason", "attempt", "spec_fingerprint", "started_at"])
        .returning_col("id");
    for job in jobs {
        let fingerprint = types.get(&job.job_type).map_or("", |spec| spec.fingerprint.as_str());
        insert.values_panic([
            Expr::val(job.id),
            Expr::val(job.job_type.as_str()),
            Expr::val(job.agent_id.as_str()),
            Expr::val(job.reason.as_str()),
            Expr::val(job.attempt + 1),
            Expr::val(fingerprint),
            Expr::val(now),
        ]);
    }
    let failed = StoreError::while_doing("begin a run");
    let rows = tx.query_all(&insert).await.map_err(&failed)?;
    let mut ids = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<Vec<i64>, _>>().map_err(failed)?;
    // numbers are given in the order of the rows; answers may come in any
    ids.sort_unstable();
    Ok(ids)
}

/// When the earliest job that is not yet due becomes so.
async fn next_due(tx: &DatabaseTransaction) -> Result<Option<Timestamp>, StoreError> {
    let row = entity::job::Entity::find()
        .filter(is(JobState::Delayed))
        .select_only()
        .column(C::DueAt)
        .order_by_asc(C::DueAt)
        .into_tuple::<Timestamp>()
        .one(tx)
        .await;
    row.map_err(StoreError::while_doing("look for the next job"))
}

//! Which jobs may start now? The best of the first of each lane, never two for one agent, within the limits.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::*, sea_query::ExprTrait,
};

use super::{
    admission_snapshot::AdmissionSnapshot,
    lane::{self, is, is_next},
    take::Candidate,
};
use crate::{
    domain::{Claim, Class, JobState, JobType, Timestamp},
    store::{
        StoreError,
        db::{arrays::among, dialect},
        schema::entity,
    },
    sync_type::ValueType,
};

use entity::job::Column as C;

/// May a claim bring anything? Nothing does where nothing waits, or only syncs and the one free slot is not for them.
pub(crate) fn may_bring(claim: &Claim, found: &AdmissionSnapshot, now: Timestamp) -> bool {
    let has_room = claim.any > 0 || (claim.urgent > 0 && found.urgent_waits());
    (found.first.is_some() && has_room) || found.next_due.is_some_and(|due| due <= now)
}

/// The jobs to start: the rules beyond the order of the index are here.
pub(crate) async fn choose(
    tx: &DatabaseTransaction,
    claim: &Claim,
    facts: &AdmissionSnapshot,
    now: Timestamp,
) -> Result<Vec<Candidate>, StoreError> {
    let pause = facts.pause.as_ref();
    if pause.is_some_and(|pause| pause.emergency) {
        return Ok(Vec::new());
    }
    let mut choice = Choice {
        any: claim.any,
        urgent: claim.urgent,
        urgent_waits: facts.urgent_waits(),
        room: rooms(tx, claim).await?,
        chosen: Vec::new(),
    };
    if pause.is_some() {
        // a plain pause leaves these, and the few syncs that are forced
        choice.fill(tx, claim, now, Scope::Urgent).await?;
        choice.fill(tx, claim, now, Scope::Forced).await?;
    } else if choice.any > 0 && choice.fill(tx, claim, now, Scope::All).await? {
        // no write or download is left that was not looked at
        return Ok(choice.chosen);
    }
    choice.fill(tx, claim, now, Scope::Urgent).await?;
    Ok(choice.chosen)
}

/// Which candidates are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All.
    All,
    /// Writes and downloads: their order keys are negative.
    Urgent,
    /// Syncs that a person forces: few, with an index of their own.
    Forced,
}

/// What has been chosen so far, and for what there is room.
struct Choice {
    any: usize,
    urgent: usize,
    /// Does any write or download wait, so that a sync may have to?
    urgent_waits: bool,
    room: HashMap<String, usize>,
    chosen: Vec<Candidate>,
}

impl Choice {
    /// Chooses among these candidates, until there is no room or nothing more. Answers whether every write and
    /// download that could start was among them: they come first.
    async fn fill(
        &mut self,
        tx: &DatabaseTransaction,
        claim: &Claim,
        now: Timestamp,
        scope: Scope,
    ) -> Result<bool, StoreError> {
        while self.any + self.urgent > 0 {
            let wanted = self.any + self.urgent;
            let mut found = self.find(tx, claim, now, scope).await?;
            found.sort_by_key(|row| (row.order_key, row.id));
            let (is_last, before) = (found.len() < wanted, self.chosen.len());
            found.truncate(wanted);
            let is_past_urgent = is_last || found.last().is_some_and(|row| row.order_key >= 0);
            for row in found {
                self.consider(row);
            }
            if is_last || self.chosen.len() == before || (is_past_urgent && self.any == 0) {
                return Ok(is_past_urgent);
            }
        }
        Ok(true)
    }

    /// The next candidates. Where a type is at its limit, each other type is looked at by itself: the first of
    /// the full type's lanes, thousands perhaps, are not even passed by.
    async fn find(
        &self,
        tx: &DatabaseTransaction,
        claim: &Claim,
        now: Timestamp,
        scope: Scope,
    ) -> Result<Vec<Candidate>, StoreError> {
        let backend = tx.get_database_backend();
        let has_room = |name: &&JobType| self.room.get(name.as_str()).is_none_or(|room| *room > 0);
        let open: Vec<&str> = claim.known.iter().filter(has_room).map(JobType::as_str).collect();
        if scope == Scope::Forced {
            let forced = self
                .candidates(backend, now)
                .filter(Expr::cust("force"))
                .filter(Expr::cust("class = 2 AND reason = 'manual'"));
            let rows: Vec<Candidate> =
                forced.into_partial_model().all(tx).await.map_err(StoreError::while_doing("claim a job"))?;
            let is_free = |row: &Candidate| self.chosen.iter().all(|one| one.agent_id != row.agent_id);
            return Ok(rows.into_iter().filter(|row| open.contains(&row.job_type.as_str()) && is_free(row)).collect());
        }
        let looks: Vec<Vec<&str>> = if open.len() == claim.known.len() {
            vec![open]
        } else {
            open.into_iter().map(|name| vec![name]).collect()
        };
        let taken: Vec<&str> = self.chosen.iter().map(|row| row.agent_id.as_str()).collect();
        let mut found: Vec<Candidate> = Vec::new();
        for types in looks {
            let rows = self
                .candidates(backend, now)
                .filter(match types[..] {
                    [one] => C::JobType.eq(one),
                    _ => C::JobType.is_in(types),
                })
                .apply_if((!taken.is_empty()).then_some(&taken), |query, taken| {
                    query.filter(among(Expr::col(C::AgentId), ValueType::Text, taken, backend).not())
                })
                .apply_if((scope == Scope::Urgent).then(|| C::OrderKey.lt(0_i64)), QueryFilter::filter)
                .limit((self.any + self.urgent) as u64)
                .into_partial_model()
                .all(tx)
                .await;
            found.extend(rows.map_err(StoreError::while_doing("claim a job"))?);
        }
        Ok(found)
    }

    /// The first of each lane whose agent is free; a sync only if no write or download waits for its agent.
    fn candidates(&self, backend: DbBackend, now: Timestamp) -> Select<entity::job::Entity> {
        let running = "SELECT 1 FROM job AS other WHERE other.state = 'active' AND other.agent_id = job.agent_id";
        let busy = dialect::exists_for_each(running, backend);
        // what asks the source of an agent whose breaker is open was postponed when that opened; here is the rest
        let shut = Expr::cust("class > 0 AND document_id IS NULL").and(lane::breaker_is_open(now));
        entity::job::Entity::find()
            .filter(is_next())
            .filter(shut.not())
            .filter(busy.not())
            .apply_if(self.urgent_waits.then(|| lane::is_overtaken(now).not()), QueryFilter::filter)
            .order_by_asc(C::OrderKey)
            .order_by_asc(C::Id)
    }

    fn consider(&mut self, row: Candidate) {
        let has_place = self.any > 0 || (row.class != Class::Sync && self.urgent > 0);
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

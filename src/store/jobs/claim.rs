//! How are jobs claimed? What became due waits, the best are chosen, and each becomes the one that its agent runs.

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};

use super::{
    admission_snapshot::{AdmissionSnapshot, load},
    choose::{choose, may_bring},
    lane::{self, is},
    take::take,
};
use crate::{
    domain::{Claim, Claimed, JobId, JobState, Timestamp, job::JobEvent},
    store::{Store, StoreError, db::arrays::among_ids, schema::entity},
};

use entity::job::Column as C;

/// Delayed jobs that become due are moved so many at a time.
const DUE_AT_ONCE: u64 = 500;

impl Store {
    /// Claims jobs for a process, best order key first. Each becomes the one that its agent runs, and its
    /// run's history begins, in the same transaction.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then nothing was claimed.
    pub async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Claimed, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let facts = load(tx, now).await?;
                claim_in(tx, &claim, facts, now).await
            })
        })
        .await
    }
}

/// Claims within a transaction, by what a look has found in it.
pub(crate) async fn claim_in(
    tx: &DatabaseTransaction,
    claim: &Claim,
    mut facts: AdmissionSnapshot,
    now: Timestamp,
) -> Result<Claimed, StoreError> {
    if facts.next_due.is_some_and(|due| due <= now) {
        // what is more than one statement's worth is for the next claim, which follows at once
        promote_due(tx, now).await?;
        facts = load(tx, now).await?;
    }
    if !may_bring(claim, &facts, now) {
        return Ok(Claimed { jobs: Vec::new(), next_due: facts.next_due });
    }
    let chosen = choose(tx, claim, &facts, now).await?;
    Ok(Claimed { jobs: take(tx, chosen, &claim.owner, now).await?, next_due: facts.next_due })
}

/// Delayed jobs whose time has come wait from now on; many at a time.
async fn promote_due(tx: &DatabaseTransaction, now: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("look for due jobs");
    let due: Vec<JobId> = entity::job::Entity::find()
        .filter(is(JobState::Delayed))
        .filter(C::DueAt.lte(now))
        .order_by_asc(C::DueAt)
        .limit(DUE_AT_ONCE)
        .select_only()
        .column(C::Id)
        .into_tuple()
        .all(tx)
        .await
        .map_err(&failed)?;
    entity::job::Entity::update_many()
        .col_expr(C::State, Expr::val(JobState::Delayed.on(JobEvent::Due)?))
        .filter(among_ids(Expr::col(C::Id), due.iter().copied(), tx.get_database_backend()))
        .exec(tx)
        .await
        .map_err(&failed)?;
    lane::refresh(tx, due).await
}

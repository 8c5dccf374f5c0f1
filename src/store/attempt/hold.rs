//! What does a run's end make of the open hold of its type and agent, and is it held itself?

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, prelude::*};

use crate::{
    domain::{ClaimedJob, DocumentId, Hold, Outcome, Timestamp},
    store::{
        StoreError, documents,
        runs::{ending::Finish, holds::close_hold},
        schema::entity,
    },
};

use entity::sync_run::Column as R;

/// At most one open hold per type and agent: a newer one supersedes it, an applied run closes it.
/// Answers the document that this run keeps.
pub(crate) async fn settle_holds(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    end: &Finish,
    (is_applied, is_over): (bool, bool),
    now: Timestamp,
) -> Result<Option<DocumentId>, StoreError> {
    let failed = StoreError::while_doing("settle holds");
    let is_held = end.outcome == Some(Outcome::Held);
    if is_applied || is_held {
        let hold = if is_held { Hold::Superseded } else { Hold::Closed };
        let open = entity::sync_run::Entity::find()
            .filter(R::SyncType.eq(job.job_type.as_str()))
            .filter(R::AgentId.eq(job.agent.as_str()))
            .filter(Expr::cust("hold IN ('open', 'approved')"))
            .all(tx)
            .await
            .map_err(&failed)?;
        for row in open {
            let hold = if job.approves == Some(row.id) && is_applied { Hold::Applied } else { hold };
            close_hold(tx, &row, hold).await?;
        }
    }
    if let Some(approved) = job.approves.filter(|_| is_over && !is_applied) {
        // its plan is half done or no longer the one that was shown: the next run judges anew
        let row = entity::sync_run::Entity::find_by_id(approved).one(tx).await.map_err(&failed)?;
        if let Some(row) = row.filter(|row| row.hold == Some(Hold::Approved)) {
            close_hold(tx, &row, Hold::Closed).await?;
        }
    }
    match &end.document {
        Some(bytes) if is_held => Ok(Some(documents::insert(tx, bytes, now).await.map_err(&failed)?)),
        _ => Ok(None),
    }
}

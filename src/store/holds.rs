//! What does a run leave for a person to look at? Its hold, with the document, and its quarantined rows.

use sea_orm::{ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, Set, prelude::*};

use super::{StoreError, entity, finish::Finish, runs::close_hold};
use crate::{
    domain::{ClaimedJob, Outcome, Timestamp},
    report::Quarantined,
};

/// More quarantined rows of one run than these are counted, but not kept one by one.
const MAX_QUARANTINED: usize = 1_000;
/// Rows in one statement.
const CHUNK: usize = 500;

/// At most one open hold per type and agent: a newer one supersedes it, an applied run closes it.
/// Answers the document that this run keeps.
pub(super) async fn settle_holds(
    tx: &DatabaseTransaction,
    job: &ClaimedJob,
    end: &Finish,
    (is_applied, is_over): (bool, bool),
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    use entity::sync_run::Column as C;
    let failed = StoreError::while_doing("settle holds");
    let is_held = end.outcome == Some(Outcome::Held);
    if is_applied || is_held {
        let hold = if is_held { "superseded" } else { "closed" };
        let open = entity::sync_run::Entity::find()
            .filter(C::SyncType.eq(job.job_type.as_str()))
            .filter(C::AgentId.eq(job.agent.as_str()))
            .filter(Expr::cust("hold IN ('open', 'approved')"))
            .all(tx)
            .await
            .map_err(&failed)?;
        for row in open {
            let hold = if job.approves == Some(row.id) && is_applied { "applied" } else { hold };
            close_hold(tx, &row, hold).await?;
        }
    }
    if let Some(approved) = job.approves.filter(|_| is_over && !is_applied) {
        // its plan is half done or no longer the one that was shown: the next run judges anew
        let row = entity::sync_run::Entity::find_by_id(approved).one(tx).await.map_err(&failed)?;
        if let Some(row) = row.filter(|row| row.hold.as_deref() == Some("approved")) {
            close_hold(tx, &row, "closed").await?;
        }
    }
    match &end.document {
        Some(bytes) if is_held => {
            let row = entity::document::ActiveModel {
                id: NotSet,
                sha256: Set(end.sha256.clone().unwrap_or_default()),
                bytes: Set(bytes.to_vec()),
                created_at: Set(now),
            };
            Ok(Some(entity::document::Entity::insert(row).exec(tx).await.map_err(&failed)?.last_insert_id))
        }
        _ => Ok(None),
    }
}

pub(super) async fn quarantine(tx: &DatabaseTransaction, job: &ClaimedJob, rows: &[Quarantined]) -> Result<(), DbErr> {
    let small = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    for chunk in rows[..rows.len().min(MAX_QUARANTINED)].chunks(CHUNK) {
        let models = chunk.iter().map(|row| entity::quarantine::ActiveModel {
            id: NotSet,
            run_id: Set(job.run),
            sync_type: Set(job.job_type.to_string()),
            agent_id: Set(job.agent.to_string()),
            page: Set(small(row.page)),
            row_number: Set(small(row.row)),
            column_header: Set(row.column.clone()),
            printed: Set(row.text.clone()),
            why: Set(row.why.clone()),
            record_key: Set(row.key.clone()),
        });
        entity::quarantine::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
}

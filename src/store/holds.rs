//! What does a run leave for a person to look at, and what becomes of it? Its hold, with the document, and its
//! quarantined rows.

use sea_orm::{
    ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, prelude::*,
};

use super::{Store, StoreError, admit::admit, documents, entity, finish::Finish};
use crate::{
    domain::{Admission, ClaimedJob, NewJob, Outcome, RunId, Timestamp},
    report::Quarantined,
};

use entity::sync_run::Column as R;

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
    let failed = StoreError::while_doing("settle holds");
    let is_held = end.outcome == Some(Outcome::Held);
    if is_applied || is_held {
        let hold = if is_held { "superseded" } else { "closed" };
        let open = entity::sync_run::Entity::find()
            .filter(R::SyncType.eq(job.job_type.as_str()))
            .filter(R::AgentId.eq(job.agent.as_str()))
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
        Some(bytes) if is_held => Ok(Some(documents::insert(tx, bytes, now).await.map_err(&failed)?)),
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

impl Store {
    /// The quarantined rows of a run.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn quarantined(&self, run: RunId) -> Result<Vec<Quarantined>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = entity::quarantine::Entity::find()
                    .filter(entity::quarantine::Column::RunId.eq(run))
                    .order_by_asc(entity::quarantine::Column::Id)
                    .all(db)
                    .await
                    .map_err(StoreError::while_doing("read the quarantine"))?;
                let number = |number: i32| usize::try_from(number).unwrap_or_default();
                let row = |row: entity::quarantine::Model| Quarantined {
                    page: number(row.page),
                    row: number(row.row_number),
                    column: row.column_header,
                    text: row.printed,
                    why: row.why,
                    key: row.record_key,
                };
                Ok(rows.into_iter().map(row).collect())
            })
        })
        .await
    }

    /// The runs that wait for a person.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn open_holds(&self) -> Result<Vec<RunId>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let ids = entity::sync_run::Entity::find()
                    .filter(R::Hold.eq("open"))
                    .select_only()
                    .column(R::Id)
                    .into_tuple::<i64>()
                    .all(db)
                    .await;
                ids.map_err(StoreError::while_doing("list the holds"))
            })
        })
        .await
    }

    /// Rejects an open hold and drops its document; false if it is not open (any more).
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn reject(&self, run: RunId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = open_hold(tx, run).await? else { return Ok(false) };
                close_hold(tx, &row, "rejected").await.map(|()| true)
            })
        })
        .await
    }

    /// Approves an open hold and admits the job that applies it, in one transaction. `None` if the
    /// hold is not open (any more); a refused job leaves the hold open.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn approve(&self, run: RunId, job: NewJob, now: Timestamp) -> Result<Option<Admission>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = open_hold(tx, run).await? else { return Ok(None) };
                let job = NewJob { document: row.document_id, approves: Some(run), ..job };
                let admission = admit(tx, job, now).await?;
                if admission.is_taken() {
                    set_hold(tx, run, "approved").await?;
                }
                Ok(Some(admission))
            })
        })
        .await
    }
}

async fn open_hold(tx: &DatabaseTransaction, run: RunId) -> Result<Option<entity::sync_run::Model>, StoreError> {
    let row = entity::sync_run::Entity::find_by_id(run).one(tx).await;
    let row = row.map_err(StoreError::while_doing("look for a hold"))?;
    Ok(row.filter(|row| row.hold.as_deref() == Some("open")))
}

async fn set_hold(tx: &DatabaseTransaction, run: RunId, hold: &str) -> Result<(), StoreError> {
    entity::sync_run::Entity::update_many()
        .col_expr(R::Hold, Expr::val(hold))
        .filter(R::Id.eq(run))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("move a hold"))
}

/// Ends a hold and drops its document.
async fn close_hold(tx: &DatabaseTransaction, row: &entity::sync_run::Model, hold: &str) -> Result<(), StoreError> {
    set_hold(tx, row.id, hold).await?;
    if let Some(document) = row.document_id {
        let dropped = entity::document::Entity::delete_by_id(document).exec(tx).await;
        dropped.map_err(StoreError::while_doing("drop a held document"))?;
    }
    Ok(())
}

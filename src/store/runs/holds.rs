//! Which runs wait for a person, and what becomes of their reports?

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, prelude::*};

use serde_json::json;

use crate::{
    domain::{Admission, AgentId, Hold, NewJob, RunId, SyncType, Timestamp},
    store::{Store, StoreError, jobs::admit::admit, schema::entity, settings::audit::Change},
};

use entity::sync_run::Column as R;

/// A run that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHold {
    pub run: RunId,
    pub sync_type: SyncType,
    pub agent: AgentId,
    /// When it was held.
    pub since: Timestamp,
    /// What the guards said.
    pub why: Option<String>,
}

impl Store {
    /// The runs that wait for a person, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn open_holds(&self) -> Result<Vec<OpenHold>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = entity::sync_run::Entity::find()
                    .filter(R::Hold.eq(Hold::Open))
                    // so that the index of open and approved holds is used; with an order by number SQLite goes through
                    // all runs instead
                    .filter(Expr::cust("hold IN ('open', 'approved')"))
                    .all(db)
                    .await;
                let mut rows = rows.map_err(StoreError::while_doing("list the holds"))?;
                rows.sort_unstable_by_key(|row| row.id);
                let hold = |row: entity::sync_run::Model| OpenHold {
                    run: row.id,
                    sync_type: row.sync_type.into(),
                    agent: row.agent_id.into(),
                    since: row.finished_at.unwrap_or(row.started_at),
                    why: row.error,
                };
                Ok(rows.into_iter().map(hold).collect())
            })
        })
        .await
    }

    /// Rejects an open hold and drops its document; false if it is not open (any more).
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn reject(&self, run: RunId) -> Result<bool, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = open_hold(tx, run).await? else { return Ok(false) };
                signer.note(tx, Change::new("run.reject", format!("run:{run}"))).await?;
                close_hold(tx, &row, Hold::Rejected).await.map(|()| true)
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
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = open_hold(tx, run).await? else { return Ok(None) };
                let job = NewJob { document: row.document_id, approves: Some(run), ..job };
                let admission = admit(tx, job, now).await?;
                if admission.is_taken() {
                    set_hold(tx, run, Hold::Approved).await?;
                    let after = json!({ "jobId": admission.job(), "planDigest": row.plan_digest });
                    signer.note(tx, Change::new("run.approve", format!("run:{run}")).to(after)).await?;
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
    Ok(row.filter(|row| row.hold == Some(Hold::Open)))
}

async fn set_hold(tx: &DatabaseTransaction, run: RunId, hold: Hold) -> Result<(), StoreError> {
    entity::sync_run::Entity::update_many()
        .col_expr(R::Hold, Expr::val(hold))
        .filter(R::Id.eq(run))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("move a hold"))
}

/// Ends a hold and drops its document.
pub(crate) async fn close_hold(
    tx: &DatabaseTransaction,
    row: &entity::sync_run::Model,
    hold: Hold,
) -> Result<(), StoreError> {
    set_hold(tx, row.id, hold).await?;
    if let Some(document) = row.document_id {
        let dropped = entity::document::Entity::delete_by_id(document).exec(tx).await;
        dropped.map_err(StoreError::while_doing("drop a held document"))?;
    }
    Ok(())
}

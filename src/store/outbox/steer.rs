//! What can people do with what waits to go out? Take back, try anew, give up, forget.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};
use serde_json::json;

use super::{
    C, Entity, Model, advance,
    end::{died, fail_in},
    is, status_after,
};
use crate::{
    domain::{ItemId, ItemStatus, Lease, Timestamp, item::ItemEvent, text::on_record},
    store::{Store, StoreError, settings::audit::Change},
};

/// Items that one transaction forgets.
const FORGOTTEN_AT_ONCE: u64 = 1_000;
/// Items that one call takes back.
const RESET_AT_ONCE: u64 = 1_000;
/// Items that one transaction redrives.
const REDRIVEN_AT_ONCE: u64 = 500;

impl Store {
    /// Takes back what was claimed before `before` and never ended, by a person's word, except what the caller has
    /// `in_hand`; each counts as an attempt whose outcome nobody knows. At most 1,000 at once. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was taken back.
    pub async fn reset_stuck_items(
        &self,
        before: Timestamp,
        in_hand: Vec<Lease<ItemId>>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let alive: Vec<ItemId> = in_hand.into_iter().map(|held| held.id).collect();
                let stuck = Entity::find()
                    .filter(is(ItemStatus::Processing))
                    .filter(C::ClaimedAt.lt(before))
                    .filter(C::Id.is_not_in(alive))
                    .order_by_asc(C::Id)
                    .limit(RESET_AT_ONCE);
                let stuck = stuck.all(tx).await.map_err(StoreError::while_doing("look for stuck items"))?;
                for row in &stuck {
                    fail_in(tx, row, &died(row), 0.0, now).await?;
                }
                let ids: Vec<ItemId> = stuck.iter().map(|row| row.id).collect();
                signer.note(tx, Change::new("items.reset_stuck", "items").from(json!({ "ids": ids }))).await?;
                Ok(stuck.len() as u64)
            })
        })
        .await
    }

    /// Tries a FAILED item anew, with all its attempts. One that may have been delivered and must not be
    /// twice is refused unless `even_if_done`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none, [`StoreError::IllegalItem`] if it is not FAILED,
    /// [`StoreError::Doubtful`] if it needs a person's word.
    pub async fn redrive_item(&self, id: ItemId, even_if_done: bool, now: Timestamp) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let row = find(tx, id).await?;
                let status = status_after(row.status, ItemEvent::Redriven)?;
                if row.doubtful && !row.repeatable && !even_if_done {
                    return Err(StoreError::Doubtful { item: id });
                }
                let before = json!({ "error": row.last_error, "doubtful": row.doubtful });
                let after = json!({ "evenIfDone": even_if_done });
                signer.note(tx, Change::new("item.retry", format!("item:{id}")).from(before).to(after)).await?;
                redrive(tx, vec![id], status, now).await
            })
        })
        .await
    }

    /// Tries all FAILED items of a model (or of all) anew, except those that may have been
    /// delivered and must not be twice. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was redriven before stays so.
    pub async fn redrive_items(&self, model: Option<String>, now: Timestamp) -> Result<u64, StoreError> {
        let mut redriven = 0;
        loop {
            let (model, signer) = (model.clone(), self.signer.clone());
            let done = self
                .write(move |tx| {
                    Box::pin(async move {
                        let ids = Entity::find()
                            .filter(is(ItemStatus::Failed))
                            .filter(Expr::cust("(repeatable OR NOT doubtful)"))
                            .filter(model.map_or(Expr::cust("TRUE"), |model| C::Model.eq(model)))
                            .order_by_asc(C::Id)
                            .limit(REDRIVEN_AT_ONCE)
                            .select_only()
                            .column(C::Id)
                            .into_tuple::<ItemId>()
                            .all(tx)
                            .await
                            .map_err(StoreError::while_doing("look for failed items"))?;
                        let count = ids.len() as u64;
                        let status = status_after(ItemStatus::Failed, ItemEvent::Redriven)?;
                        signer.note(tx, Change::new("items.retry", "items").from(json!({ "ids": ids }))).await?;
                        redrive(tx, ids, status, now).await?;
                        Ok(count)
                    })
                })
                .await?;
            redriven += done;
            if done < REDRIVEN_AT_ONCE {
                return Ok(redriven);
            }
        }
    }

    /// Gives an item up for good that is FAILED, or still PENDING: later items of its record go on without it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none, [`StoreError::IllegalItem`] if it is neither.
    pub async fn discard_item(&self, id: ItemId, by: String, now: Timestamp) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let row = find(tx, id).await?;
                let before = row.last_error.as_deref().unwrap_or("no error");
                let change = Change::new("item.discard", format!("item:{id}")).from(json!({ "error": row.last_error }));
                signer.note(tx, change).await?;
                let note = on_record(&format!("discarded by {by}; before: {before}"));
                Entity::update_many()
                    .col_expr(C::Status, Expr::val(status_after(row.status, ItemEvent::Discarded)?))
                    .col_expr(C::IsNext, Expr::val(false))
                    .col_expr(C::LastError, Expr::val(note))
                    .col_expr(C::ProcessedAt, Expr::val(now))
                    .filter(C::Id.eq(id))
                    .exec(tx)
                    .await
                    .map_err(StoreError::while_doing("discard an item"))?;
                advance(tx, BTreeSet::from([(row.model, row.record_id)])).await
            })
        })
        .await
    }

    /// Forgets what was completed before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn cleanup_items(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let signer = self.signer.clone();
            let done = self
                .write(move |tx| {
                    Box::pin(async move {
                        let failed = StoreError::while_doing("forget old items");
                        let old = Entity::find()
                            .filter(is(ItemStatus::Completed))
                            .filter(C::ProcessedAt.lt(before))
                            .order_by_asc(C::ProcessedAt)
                            .limit(FORGOTTEN_AT_ONCE)
                            .select_only()
                            .column(C::Id)
                            .into_tuple::<ItemId>();
                        let ids = old.all(tx).await.map_err(&failed)?;
                        let gone = Entity::delete_many().filter(C::Id.is_in(ids)).exec(tx).await;
                        let gone = gone.map_err(failed)?.rows_affected;
                        let told = json!({ "before": before, "items": gone });
                        signer.note(tx, Change::new("items.cleanup", "items").from(told)).await?;
                        Ok(gone)
                    })
                })
                .await?;
            forgotten += done;
            if done < FORGOTTEN_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

async fn find(tx: &DatabaseTransaction, id: ItemId) -> Result<Model, StoreError> {
    let row = Entity::find_by_id(id).one(tx).await.map_err(StoreError::while_doing("look for an item"))?;
    row.ok_or_else(|| StoreError::Missing(format!("item {id}")))
}

async fn redrive(
    tx: &DatabaseTransaction,
    ids: Vec<ItemId>,
    status: ItemStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(C::Status, Expr::val(status))
        .col_expr(C::Retries, Expr::val(0))
        .col_expr(C::Doubtful, Expr::val(false))
        .col_expr(C::DueAt, Expr::val(now))
        .filter(C::Id.is_in(ids))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("redrive items"))
}

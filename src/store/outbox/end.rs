//! How did a delivery end? Completed, to be tried again, given up, handed back, rescued; always under its lease.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, Set,
    prelude::*,
    sea_query::{ExprTrait, OnConflict},
};
use serde_json::json;

use super::{C, CHUNK, Entity, Key, Model, advance, is, status_after, still_held};
use crate::{
    domain::{
        Action, Heartbeat, ItemId, ItemStatus, Lease, Timestamp,
        clock::after,
        item::{AfterFailure, Failure, ItemEvent, after_failure},
        text::on_record,
    },
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

/// The other side may ask for so much time.
const LONGEST_WAIT: chrono::Duration = chrono::Duration::days(7);
const DIED: &str = "the process that delivered it died or froze";

/// What the other side has, each under the lease that it was claimed with; and where its record is there, if
/// that was told.
pub type ItemsDone = Vec<(Lease<ItemId>, Option<i64>)>;

/// A delivery that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The item, and the lease that it was claimed with.
    pub held: Lease<ItemId>,
    /// What is known.
    pub failure: Failure,
    /// Why; it is kept as [`on_record`] has it.
    pub error: String,
    /// The other side asks not to be tried before.
    pub not_before: Option<Timestamp>,
}

fn lost(Lease { id, number }: Lease<ItemId>) -> StoreError {
    StoreError::ItemLost { item: id, lease: number }
}

/// Held under just this lease.
fn held(Lease { id, number }: Lease<ItemId>) -> Expr {
    C::Id.eq(id).and(C::Lease.eq(number)).and(is(ItemStatus::Processing))
}

impl Store {
    /// Marks items as delivered. Answers those that were not held under their lease any more: someone else has
    /// taken them over, and nothing was changed of them.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was marked.
    pub async fn complete_items(&self, done: ItemsDone, now: Timestamp) -> Result<Vec<Lease<ItemId>>, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let meant = if signer.notes() { done.clone() } else { Vec::new() };
                let late = complete_in(tx, done, now).await?;
                for (held, row) in meant.into_iter().filter(|(held, _)| !late.contains(held)) {
                    let change = Change::new("item.complete", format!("item:{}", held.id));
                    signer.note(tx, change.to(json!({ "sheetRowIndex": row }))).await?;
                }
                Ok(late)
            })
        })
        .await
    }

    /// Records a delivery that failed: the item waits for its next attempt, or is given up. `jitter` is in 0..1.
    ///
    /// # Errors
    /// [`StoreError::ItemLost`] if the item was not held under that lease any more; other [`StoreError`]s if a
    /// statement fails.
    pub async fn fail_item(&self, end: Undelivered, jitter: f64, now: Timestamp) -> Result<AfterFailure, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("record a failed delivery");
                let row = Entity::find().filter(held(end.held)).one(tx).await.map_err(failed)?;
                let row = row.ok_or_else(|| lost(end.held))?;
                let next = fail_in(tx, &row, &end, jitter, now).await?;
                let change = Change::new("item.fail", format!("item:{}", row.id));
                signer.note(tx, change.to(json!({ "error": on_record(&end.error) }))).await?;
                Ok(next)
            })
        })
        .await
    }

    /// Hands items back that were not sent: they wait until `until`, and no attempt is counted. `why` is shown with
    /// them.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn release_items(
        &self,
        items: Vec<Lease<ItemId>>,
        why: Option<String>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for chunk in still_held(tx, &items).await?.chunks(CHUNK) {
                    Entity::update_many()
                        .col_expr(C::Status, Expr::val(status_after(ItemStatus::Processing, ItemEvent::Postponed)?))
                        .col_expr(C::Owner, Expr::val(Option::<String>::None))
                        .col_expr(C::DueAt, Expr::val(until))
                        .col_expr(C::LastError, Expr::val(why.clone()))
                        .filter(C::Id.is_in(chunk.to_vec()))
                        .exec(tx)
                        .await
                        .map_err(StoreError::while_doing("hand items back"))?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Takes an item from a process that died; it counts as an attempt whose outcome nobody knows. False if
    /// lease or heartbeat were no longer these: the process lives.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn rescue_item(&self, dead: Heartbeat<ItemId>, jitter: f64, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("rescue an item");
                let found = Entity::find().filter(held(dead.lease)).filter(C::Heartbeat.eq(dead.heartbeat));
                let Some(row) = found.one(tx).await.map_err(failed)? else { return Ok(false) };
                fail_in(tx, &row, &died(&row), jitter, now).await?;
                Ok(true)
            })
        })
        .await
    }
}

pub(super) fn died(row: &Model) -> Undelivered {
    let held = Lease { id: row.id, number: row.lease };
    let error = DIED.to_owned();
    Undelivered { held, failure: Failure::Unknown, error, not_before: None }
}

async fn complete_in(
    tx: &DatabaseTransaction,
    done: ItemsDone,
    now: Timestamp,
) -> Result<Vec<Lease<ItemId>>, StoreError> {
    let failed = StoreError::while_doing("complete items");
    let mut completed: BTreeMap<ItemId, Model> = BTreeMap::new();
    let meant: Vec<Lease<ItemId>> = done.iter().map(|(held, _)| *held).collect();
    for chunk in still_held(tx, &meant).await?.chunks(CHUNK) {
        let rows = Entity::update_many()
            .col_expr(C::Status, Expr::val(status_after(ItemStatus::Processing, ItemEvent::Delivered)?))
            .col_expr(C::IsNext, Expr::val(false))
            .col_expr(C::Owner, Expr::val(Option::<String>::None))
            .col_expr(C::LastError, Expr::val(Option::<String>::None))
            .col_expr(C::ProcessedAt, Expr::val(now))
            .filter(C::Id.is_in(chunk.to_vec()))
            .exec_with_returning(tx)
            .await
            .map_err(&failed)?;
        completed.extend(rows.into_iter().map(|row| (row.id, row)));
    }
    for (held, told) in &done {
        if let Some(row) = completed.get(&held.id) {
            keep_row(tx, row, *told).await?;
        }
    }
    advance(tx, completed.values().map(|row| (row.model.clone(), row.record_id.clone())).collect::<BTreeSet<Key>>())
        .await?;
    Ok(done.into_iter().map(|(held, _)| held).filter(|held| !completed.contains_key(&held.id)).collect())
}

/// Remembers where a record is at the other side, for its later items; a deleted one is nowhere.
async fn keep_row(tx: &DatabaseTransaction, row: &Model, told: Option<i64>) -> Result<(), StoreError> {
    use entity::sheet_row::{ActiveModel, Column, Entity as Rows};
    let failed = StoreError::while_doing("remember the row of a record");
    if row.action == Action::Delete {
        let key = (row.model.clone(), row.record_id.clone());
        return Rows::delete_by_id(key).exec(tx).await.map(|_| ()).map_err(failed);
    }
    let Some(told) = told else { return Ok(()) };
    let place =
        ActiveModel { model: Set(row.model.clone()), record_id: Set(row.record_id.clone()), row_index: Set(told) };
    let over = OnConflict::columns([Column::Model, Column::RecordId]).update_column(Column::RowIndex).to_owned();
    Rows::insert(place).on_conflict(over).exec_without_returning(tx).await.map_err(&failed)?;
    let own = Entity::update_many().col_expr(C::SheetRowIndex, Expr::val(told)).filter(C::Id.eq(row.id));
    own.exec(tx).await.map(|_| ()).map_err(failed)
}

pub(super) async fn fail_in(
    tx: &DatabaseTransaction,
    row: &Model,
    end: &Undelivered,
    jitter: f64,
    now: Timestamp,
) -> Result<AfterFailure, StoreError> {
    let retries = row.retries.unsigned_abs() + 1;
    let next = after_failure(end.failure, retries, row.max_retries.unsigned_abs(), row.repeatable, jitter);
    let (event, due, doubtful) = match next {
        AfterFailure::Again(pause) => {
            let due = after(now, pause);
            let asked = end.not_before.map_or(due, |asked| asked.clamp(due, now + LONGEST_WAIT));
            (ItemEvent::Postponed, asked, false)
        }
        AfterFailure::Failed { doubtful } => (ItemEvent::GivenUp, row.due_at, doubtful),
    };
    Entity::update_many()
        .col_expr(C::Status, Expr::val(status_after(ItemStatus::Processing, event)?))
        .col_expr(C::Retries, Expr::val(i64::from(retries)))
        .col_expr(C::LastError, Expr::val(on_record(&end.error)))
        .col_expr(C::Doubtful, Expr::val(doubtful))
        .col_expr(C::Owner, Expr::val(Option::<String>::None))
        .col_expr(C::ProcessedAt, Expr::val(now))
        .col_expr(C::DueAt, Expr::val(due))
        .filter(held(end.held))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("record a failed delivery"))?;
    Ok(next)
}

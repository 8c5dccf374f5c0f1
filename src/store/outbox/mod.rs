//! Where does the write-back queue live? Its statements: what is queued, who delivers it, how that ended.

mod claim;
mod end;
mod enqueue;
mod look;
mod steer;

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    prelude::*,
    sea_query::{ExprTrait, Query},
};

pub use claim::{ClaimedItems, ItemClaim};
pub use end::{ItemsDone, Undelivered};
pub use enqueue::enqueue_items_in;
pub use look::{ItemDepth, ItemQuery};

use crate::{
    domain::{Item, ItemId, ItemStatus, Lease, item::ItemEvent},
    store::{StoreError, schema::entity},
};

use entity::sync_queue::{Column as C, Entity, Model};

/// Rows, or keys, in one statement.
const CHUNK: usize = 200;

/// Every column but the queue's own as the domain has them.
fn item(row: Model) -> Item {
    Item {
        id: row.id,
        action: row.action,
        model: row.model,
        record_id: row.record_id,
        sheet_row_index: row.sheet_row_index,
        payload: row.payload,
        status: row.status,
        retries: row.retries.unsigned_abs(),
        max_retries: row.max_retries.unsigned_abs(),
        last_error: row.last_error,
        doubtful: row.doubtful,
        created_at: row.created_at,
        processed_at: row.processed_at,
        due_at: row.due_at,
        delivery_id: row.delivery_id,
        repeatable: row.repeatable,
        lease: row.lease,
    }
}

/// Of this status.
fn is(status: ItemStatus) -> Expr {
    // as text, so that the planner knows that a partial index fits
    Expr::cust(format!("status = '{}'", status.as_str()))
}

/// The status that an item comes to; every change of a status asks here.
fn status_after(status: ItemStatus, event: ItemEvent) -> Result<ItemStatus, StoreError> {
    Ok(status.on(event)?)
}

/// A record of a model.
type Key = (String, String);

/// The rows of these records. By model and then by record: SQLite looks through the whole table for pairs.
fn of_keys(keys: &[Key]) -> Expr {
    let mut by_model: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (model, record) in keys {
        by_model.entry(model).or_default().push(record);
    }
    let of_model =
        |(model, records)| Expr::col(C::Model).eq(model).and(Expr::col(C::RecordId).is_in::<&str, Vec<&str>>(records));
    by_model.into_iter().map(of_model).reduce(ExprTrait::or).unwrap_or_else(|| Expr::val(false))
}

/// Those of `held` that are being delivered under just that lease. Decisions over the queue are made one after the
/// other, so it stays so until the transaction ends.
async fn still_held(tx: &DatabaseTransaction, held: &[Lease<ItemId>]) -> Result<Vec<ItemId>, StoreError> {
    let mut found = Vec::with_capacity(held.len());
    for chunk in held.chunks(CHUNK) {
        let rows = Entity::find()
            .filter(is(ItemStatus::Processing))
            .filter(C::Id.is_in(chunk.iter().map(|held| held.id)))
            .select_only()
            .columns([C::Id, C::Lease])
            .into_tuple::<(ItemId, i64)>()
            .all(tx)
            .await
            .map_err(StoreError::while_doing("look who holds items"))?;
        let rows = rows.into_iter().map(|(id, number)| Lease { id, number });
        found.extend(rows.filter(|row| chunk.contains(row)).map(|row| row.id));
    }
    Ok(found)
}

/// After items were completed: the next of each of their records may be delivered.
async fn advance(tx: &DatabaseTransaction, keys: BTreeSet<Key>) -> Result<(), StoreError> {
    let keys: Vec<Key> = keys.into_iter().collect();
    for chunk in keys.chunks(CHUNK) {
        let mut first = Query::select();
        first
            .expr(Expr::col(C::Id).min())
            .from(Entity)
            .and_where(Expr::cust("status <> 'COMPLETED'"))
            .and_where(of_keys(chunk))
            .group_by_columns([C::Model, C::RecordId]);
        let failed = StoreError::while_doing("look for the next item of a record");
        let rows = tx.query_all(&first).await.map_err(&failed)?;
        let ids =
            rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<ItemId>, _>>().map_err(&failed)?;
        if ids.is_empty() {
            continue;
        }
        Entity::update_many()
            .col_expr(C::IsNext, Expr::val(true))
            .filter(C::Id.is_in(ids))
            .filter(Expr::cust("NOT is_next"))
            .exec(tx)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

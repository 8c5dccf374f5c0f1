//! How is a change queued? In a transaction of its own, or in its caller's.

use std::collections::{BTreeSet, HashSet};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    prelude::*,
};

use serde_json::json;

use super::{C, CHUNK, Entity, Key, Model, of_keys};
use crate::{
    domain::{
        ItemId, ItemStatus, Timestamp,
        item::{CheckedItem, Repeat},
        random,
    },
    store::{
        Store, StoreError,
        db::{dialect, statistics::Queue},
        schema::entity,
        settings::audit::Change,
    },
};

impl Store {
    /// Queues changes in one durable transaction; answers their numbers, in order.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then none was queued.
    pub async fn enqueue_items(&self, items: Vec<CheckedItem>, now: Timestamp) -> Result<Vec<ItemId>, StoreError> {
        self.enqueue_items_once(None, items, now).await
    }

    /// As [`Store::enqueue_items`]; changes that were queued under this key before are not queued again, and their
    /// numbers are answered.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if those were others; [`StoreError`] if a statement fails.
    pub async fn enqueue_items_once(
        &self,
        key: Option<String>,
        items: Vec<CheckedItem>,
        now: Timestamp,
    ) -> Result<Vec<ItemId>, StoreError> {
        self.note_growth(Queue::Items, items.len());
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(key) = &key {
                    dialect::lock_queue(tx).await.map_err(StoreError::while_doing("queue changes"))?;
                    if let Some(known) = known_under(tx, key, &items).await? {
                        return Ok(known);
                    }
                }
                let ids = insert(tx, key.as_deref(), items, now).await?;
                signer.note(tx, Change::new("items.add", "items").to(json!({ "ids": ids }))).await?;
                Ok(ids)
            })
        })
        .await
    }
}

/// Queues changes in the caller's transaction: they are queued if that is committed, and never otherwise.
/// Answers their numbers, in order. On PostgreSQL it holds the queue's lock until that transaction ends.
///
/// # Errors
/// [`StoreError`] if a statement fails; the transaction is to be rolled back then.
pub async fn enqueue_items_in(
    tx: &DatabaseTransaction,
    items: Vec<CheckedItem>,
    now: Timestamp,
) -> Result<Vec<ItemId>, StoreError> {
    insert(tx, None, items, now).await
}

/// The numbers of the changes that were queued under this key, if any were.
async fn known_under(
    tx: &DatabaseTransaction,
    key: &str,
    items: &[CheckedItem],
) -> Result<Option<Vec<ItemId>>, StoreError> {
    let keys = (0..items.len()).map(|place| place_of(key, place));
    let rows = Entity::find().filter(C::IdempotencyKey.is_in(keys)).order_by_asc(C::Id).all(tx).await;
    let rows = rows.map_err(StoreError::while_doing("look for a key"))?;
    if rows.is_empty() {
        return Ok(None);
    }
    let is_same = |(row, CheckedItem { item, .. }): (&Model, &CheckedItem)| {
        row.action == item.action
            && row.model == item.model
            && row.record_id == item.record_id
            && row.payload == item.payload
    };
    if rows.len() != items.len() || !rows.iter().zip(items).all(is_same) {
        return Err(StoreError::KeyReused { key: key.to_owned() });
    }
    Ok(Some(rows.into_iter().map(|row| row.id).collect()))
}

/// The key of one change of a request.
fn place_of(key: &str, place: usize) -> String {
    format!("{place}:{key}")
}

async fn insert(
    tx: &DatabaseTransaction,
    key: Option<&str>,
    items: Vec<CheckedItem>,
    now: Timestamp,
) -> Result<Vec<ItemId>, StoreError> {
    let failed = StoreError::while_doing("queue changes");
    dialect::lock_queue(tx).await.map_err(&failed)?;
    let keys: BTreeSet<Key> = items.iter().map(|one| (one.item.model.clone(), one.item.record_id.clone())).collect();
    let mut taken: HashSet<Key> = HashSet::new();
    for chunk in keys.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
        let open = Entity::find()
            .filter(Expr::cust("status <> 'COMPLETED'"))
            .filter(of_keys(chunk))
            .select_only()
            .columns([C::Model, C::RecordId])
            .distinct()
            .into_tuple::<Key>()
            .all(tx)
            .await;
        taken.extend(open.map_err(&failed)?);
    }
    let mut ids = Vec::with_capacity(items.len());
    let mut rows: Vec<_> = items.into_iter().map(|one| row(one, &mut taken, now)).collect::<Result<_, _>>()?;
    for (place, row) in rows.iter_mut().enumerate() {
        row.idempotency_key = Set(key.map(|key| place_of(key, place)));
    }
    for chunk in rows.chunks(CHUNK) {
        let mut insert = Entity::insert_many(chunk.to_vec()).into_query();
        let rows = tx.query_all(insert.returning_col(C::Id)).await.map_err(&failed)?;
        let new = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<Vec<ItemId>, _>>();
        ids.extend(new.map_err(&failed)?);
    }
    // numbers are given in the order of the rows; answers may come in any
    ids.sort_unstable();
    Ok(ids)
}

fn row(
    one: CheckedItem,
    taken: &mut HashSet<Key>,
    now: Timestamp,
) -> Result<entity::sync_queue::ActiveModel, StoreError> {
    let CheckedItem { item, model } = one;
    Ok(entity::sync_queue::ActiveModel {
        action: Set(item.action),
        // the first of its record, if no other is open
        is_next: Set(taken.insert((item.model.clone(), item.record_id.clone()))),
        model: Set(item.model),
        record_id: Set(item.record_id),
        sheet_row_index: Set(item.sheet_row_index),
        payload: Set(item.payload),
        status: Set(ItemStatus::Pending),
        max_retries: Set(i32::try_from(model.max_retries).unwrap_or(i32::MAX)),
        created_at: Set(now),
        due_at: Set(now),
        repeatable: Set(model.repeat == Repeat::Safe),
        delivery_id: Set(delivery_id()?),
        ..Default::default()
    })
}

/// A name that no item of any database has: a database that was set up anew gives the same numbers again.
fn delivery_id() -> Result<String, StoreError> {
    let token = random::token::<12>().map_err(|error| StoreError::Interrupted(error.to_string()))?;
    Ok(format!("lockstep-{token}"))
}

//! Which items may be delivered now, and by whom? The first of each record, oldest first, each to one process.

use std::collections::HashMap;

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::ExprTrait,
};
use serde_json::json;

use super::{C, CHUNK, Entity, Key, Model, is, item, of_keys, status_after, still_held};
use crate::{
    domain::{Action, Heartbeat, Item, ItemId, ItemStatus, Lease, Timestamp, item::ItemEvent},
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

/// What a process can deliver now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemClaim {
    /// The process; every item that it holds gets its heartbeats.
    pub owner: String,
    /// Of these models.
    pub models: Vec<String>,
    /// So many at most.
    pub most: u64,
}

/// What was claimed, and when to look again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimedItems {
    /// The items, oldest first. Never two of one record.
    pub items: Vec<Item>,
    /// When the next item of these models becomes due; `None` if none waits, or if there may be more now.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Takes items for a process: PENDING, due, the first of their record; oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; then nothing was taken.
    pub async fn dequeue_items(&self, claim: ItemClaim, now: Timestamp) -> Result<ClaimedItems, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let claimed = claim_in(tx, &claim, now).await?;
                if signer.notes() && !claimed.items.is_empty() {
                    let ids: Vec<ItemId> = claimed.items.iter().map(|item| item.id).collect();
                    signer.note(tx, Change::new("items.dequeue", "items").to(json!({ "ids": ids }))).await?;
                }
                Ok(claimed)
            })
        })
        .await
    }

    /// Moves the heartbeat of what `owner` delivers now, and reads everyone's. What it holds but does not deliver
    /// gets none, and is taken over.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn item_heartbeat(
        &self,
        owner: String,
        in_hand: Vec<Lease<ItemId>>,
    ) -> Result<Vec<Heartbeat<ItemId>>, StoreError> {
        if in_hand.is_empty() {
            // nothing to write: nothing waits for a commit
            return self.read(|db| Box::pin(beats(db))).await;
        }
        self.write(move |tx| {
            Box::pin(async move {
                for chunk in still_held(tx, &in_hand).await?.chunks(CHUNK) {
                    Entity::update_many()
                        .col_expr(C::Heartbeat, Expr::col(C::Heartbeat).add(1))
                        .filter(C::Owner.eq(owner.as_str()))
                        .filter(C::Id.is_in(chunk.to_vec()))
                        .exec(tx)
                        .await
                        .map_err(StoreError::while_doing("send a heartbeat"))?;
                }
                beats(tx).await
            })
        })
        .await
    }
}

/// Everyone's heartbeats; what the items are about is not looked at.
async fn beats(db: &impl ConnectionTrait) -> Result<Vec<Heartbeat<ItemId>>, StoreError> {
    let rows = Entity::find()
        .filter(is(ItemStatus::Processing))
        .order_by_asc(C::Id)
        .select_only()
        .columns([C::Id, C::Lease, C::Owner, C::Heartbeat])
        .into_tuple::<(ItemId, i64, Option<String>, i64)>()
        .all(db)
        .await
        .map_err(StoreError::while_doing("look who delivers items"))?;
    let beat = |(id, number, owner, heartbeat): (_, _, Option<String>, _)| Heartbeat {
        lease: Lease { id, number },
        owner: owner.unwrap_or_default(),
        heartbeat,
    };
    Ok(rows.into_iter().map(beat).collect())
}

/// Pending, and the first of its record: the planner knows these from their index.
fn waiting(model: &str) -> Select<Entity> {
    Entity::find().filter(Expr::cust("is_next")).filter(is(ItemStatus::Pending)).filter(C::Model.eq(model))
}

async fn claim_in(tx: &DatabaseTransaction, claim: &ItemClaim, now: Timestamp) -> Result<ClaimedItems, StoreError> {
    let failed = StoreError::while_doing("claim items");
    let most = usize::try_from(claim.most).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for model in &claim.models {
        let due = waiting(model).filter(C::DueAt.lte(now)).order_by_asc(C::DueAt).order_by_asc(C::Id);
        found.extend(due.limit(claim.most).all(tx).await.map_err(&failed)?);
    }
    found.sort_by_key(|row| (row.due_at, row.id));
    found.truncate(most);
    let next_due = if found.len() < most { next_due(tx, claim, now).await? } else { None };
    if found.is_empty() {
        return Ok(ClaimedItems { items: Vec::new(), next_due });
    }
    for chunk in found.chunks(CHUNK) {
        Entity::update_many()
            .col_expr(C::Status, Expr::val(status_after(ItemStatus::Pending, ItemEvent::Claimed)?))
            .col_expr(C::Lease, Expr::col(C::Lease).add(1))
            .col_expr(C::Owner, Expr::val(claim.owner.as_str()))
            .col_expr(C::ClaimedAt, Expr::val(now))
            .filter(C::Id.is_in(chunk.iter().map(|row| row.id)))
            .exec(tx)
            .await
            .map_err(&failed)?;
    }
    let rows = rows_of(tx, &found).await?;
    let claimed = |row: Model| {
        let known = rows.get(&(row.model.clone(), row.record_id.clone())).copied();
        let (lease, sheet_row_index) = (row.lease + 1, row.sheet_row_index.or(known));
        Item { status: ItemStatus::Processing, lease, sheet_row_index, ..item(row) }
    };
    let mut items: Vec<Item> = found.into_iter().map(claimed).collect();
    items.sort_by_key(|item| (item.created_at, item.id));
    Ok(ClaimedItems { items, next_due })
}

/// Where the records of these items are at the other side, as far as earlier deliveries have told.
async fn rows_of(tx: &DatabaseTransaction, found: &[Model]) -> Result<HashMap<Key, i64>, StoreError> {
    let asks = |row: &&Model| row.sheet_row_index.is_none() && row.action != Action::Create;
    let keys: Vec<Key> = found.iter().filter(asks).map(|row| (row.model.clone(), row.record_id.clone())).collect();
    let mut rows = HashMap::new();
    for chunk in keys.chunks(CHUNK) {
        let known = entity::sheet_row::Entity::find().filter(of_keys(chunk)).all(tx).await;
        let known = known.map_err(StoreError::while_doing("look for the rows of records"))?;
        rows.extend(known.into_iter().map(|row| ((row.model, row.record_id), row.row_index)));
    }
    Ok(rows)
}

async fn next_due(
    tx: &DatabaseTransaction,
    claim: &ItemClaim,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut next = None;
    for model in &claim.models {
        let due = waiting(model)
            .filter(C::DueAt.gt(now))
            .order_by_asc(C::DueAt)
            .select_only()
            .column(C::DueAt)
            .into_tuple::<Timestamp>()
            .one(tx)
            .await
            .map_err(StoreError::while_doing("look for the next item"))?;
        next = next.into_iter().chain(due).min();
    }
    Ok(next)
}

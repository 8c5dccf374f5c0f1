//! What is in the write-back queue? Items for people, depth and age for those who watch.

use sea_orm::{EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait, prelude::*};

use super::{C, Entity, item};
use crate::{
    domain::{Item, ItemId, ItemStatus, Timestamp},
    store::{Store, StoreError},
};

/// Which items are wanted; all conditions together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemQuery {
    /// Only of this status.
    pub status: Option<ItemStatus>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only of this record.
    pub record_id: Option<String>,
    /// Only those that may have been delivered, and nobody knows.
    pub doubtful: bool,
    /// Only those before this one: newest first.
    pub before: Option<ItemId>,
    /// So many at most.
    pub limit: u64,
}

/// How many items of a model have a status, and since when the oldest waits.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct ItemDepth {
    pub model: String,
    pub status: ItemStatus,
    pub items: i64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// An item.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn item(&self, id: ItemId) -> Result<Option<Item>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = Entity::find_by_id(id).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read an item"))?.map(item))
            })
        })
        .await
    }

    /// Items, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn items(&self, wanted: ItemQuery) -> Result<Vec<Item>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = Entity::find()
                    .apply_if(wanted.status, |query, status| query.filter(super::is(status)))
                    .apply_if(wanted.model, |query, model| query.filter(C::Model.eq(model)))
                    .apply_if(wanted.record_id, |query, record| query.filter(C::RecordId.eq(record)))
                    .apply_if(wanted.doubtful.then_some(()), |query, ()| query.filter(Expr::cust("doubtful")))
                    .apply_if(wanted.before, |query, before| query.filter(C::Id.lt(before)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                Ok(rows.map_err(StoreError::while_doing("list items"))?.into_iter().map(item).collect())
            })
        })
        .await
    }

    /// How many items may have been delivered, and nobody knows.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn doubtful_items(&self) -> Result<u64, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let doubtful = Entity::find()
                    .filter(super::is(ItemStatus::Failed))
                    .filter(Expr::cust("doubtful"))
                    .select_only()
                    .column_as(C::Id.count(), "items")
                    .into_tuple::<i64>();
                let counted = doubtful.one(db).await.map_err(StoreError::while_doing("count doubtful items"))?;
                Ok(counted.unwrap_or_default().unsigned_abs())
            })
        })
        .await
    }

    /// How deep the queue is, by model and status.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn item_depths(&self) -> Result<Vec<ItemDepth>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                Entity::find()
                    .select_only()
                    .column(C::Model)
                    .column(C::Status)
                    .column_as(C::Id.count(), "items")
                    .column_as(C::CreatedAt.min(), "oldest")
                    .group_by(C::Model)
                    .group_by(C::Status)
                    .order_by_asc(C::Model)
                    .order_by_asc(C::Status)
                    .into_model::<ItemDepth>()
                    .all(db)
                    .await
                    .map_err(StoreError::while_doing("count items"))
            })
        })
        .await
    }
}

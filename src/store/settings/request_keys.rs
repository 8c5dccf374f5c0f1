//! Which requests were answered already, and how? By the key that their senders gave them.

use sea_orm::{
    ActiveValue::{NotSet, Unchanged},
    Condition, EntityTrait, QueryFilter, Set,
    prelude::*,
    sea_query::OnConflict,
};
use serde_json::Value as Json;

use crate::{
    domain::Timestamp,
    store::{Store, StoreError, schema::entity},
};

use entity::request_key::{ActiveModel, Column as C, Entity};

/// For so long a key stands for its first request.
pub(crate) const KEPT: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// A request that was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenAnswer {
    pub status: u16,
    /// Its headers, by name.
    pub headers: Json,
    pub body: Vec<u8>,
}

/// What a key says of a request that comes with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// It is the first; under this number it is to be answered.
    First(i64),
    /// The first was answered so.
    Answered(GivenAnswer),
    /// The first came then and was not answered yet, or its answer was lost.
    UnderWay(Timestamp),
    /// The first was another request.
    Another,
}

impl Store {
    /// Notes that a caller's request with this key begins; `digest` tells it from others.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn begin_request(
        &self,
        (caller, key): (String, String),
        digest: String,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("note a request's key");
                let same =
                    || Condition::all().add(C::Caller.eq(caller.as_str())).add(C::IdempotencyKey.eq(key.as_str()));
                let old = same().add(C::BegunAt.lte(now - KEPT));
                Entity::delete_many().filter(old).exec(tx).await.map_err(&failed)?;
                let row = ActiveModel {
                    id: NotSet,
                    caller: Set(caller.clone()),
                    idempotency_key: Set(key.clone()),
                    digest: Set(digest.clone()),
                    begun_at: Set(now),
                    status: Set(None),
                    headers: Set(None),
                    body: Set(None),
                };
                let is_taken = OnConflict::columns([C::Caller, C::IdempotencyKey]).do_nothing().to_owned();
                let added =
                    Entity::insert(row).on_conflict(is_taken).exec_without_returning(tx).await.map_err(&failed)?;
                let found = Entity::find().filter(same()).one(tx).await.map_err(&failed)?;
                let found = found.ok_or_else(|| StoreError::Missing("request of this key".to_owned()))?;
                Ok(match (added, found.status, found.headers) {
                    (1, _, _) => Begun::First(found.id),
                    _ if found.digest != digest => Begun::Another,
                    (_, Some(status), Some(headers)) => Begun::Answered(GivenAnswer {
                        status: u16::try_from(status).unwrap_or(500),
                        headers,
                        body: found.body.unwrap_or_default(),
                    }),
                    _ => Begun::UnderWay(found.begun_at),
                })
            })
        })
        .await
    }

    /// Keeps a request's answer.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn answer_request(&self, id: i64, answer: GivenAnswer) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let row = ActiveModel {
                    id: Unchanged(id),
                    caller: NotSet,
                    idempotency_key: NotSet,
                    digest: NotSet,
                    begun_at: NotSet,
                    status: Set(Some(answer.status.into())),
                    headers: Set(Some(answer.headers)),
                    body: Set(Some(answer.body)),
                };
                Entity::update(row).exec(tx).await.map(|_| ()).map_err(StoreError::while_doing("keep an answer"))
            })
        })
        .await
    }

    /// Gives a request's key back: it changed nothing.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn forget_request(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let gone = Entity::delete_by_id(id).exec(tx).await;
                gone.map(|_| ()).map_err(StoreError::while_doing("give a request's key back"))
            })
        })
        .await
    }

    /// Forgets keys that stand for nothing any more. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn clean_requests(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let gone = Entity::delete_many().filter(C::BegunAt.lte(now - KEPT)).exec(tx).await;
                Ok(gone.map_err(StoreError::while_doing("forget the keys of requests"))?.rows_affected)
            })
        })
        .await
    }
}

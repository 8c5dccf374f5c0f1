//! Which bearer tokens are known? Only their hashes are stored.

use sea_orm::{ActiveValue::NotSet, EntityTrait, PaginatorTrait, QueryFilter, Set, prelude::*};

use sha2::{Digest, Sha256};

use crate::{
    domain::Timestamp,
    store::{Store, StoreError, schema::entity},
};

/// Hex of SHA-256: how tokens are stored and compared.
#[must_use]
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

impl Store {
    /// Is there any token of `role`?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn has_token(&self, role: &'static str) -> Result<bool, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let count =
                    entity::api_token::Entity::find().filter(entity::api_token::Column::Role.eq(role)).count(db);
                Ok(count.await.map_err(StoreError::while_doing("look for a token"))? > 0)
            })
        })
        .await
    }

    /// Stores a token's hash (hex of SHA-256).
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn add_token(&self, name: String, role: String, hash: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let row = entity::api_token::ActiveModel {
                    id: NotSet,
                    name: Set(name),
                    role: Set(role),
                    hash: Set(hash),
                    created_at: Set(now),
                };
                let added = entity::api_token::Entity::insert(row).exec(tx).await;
                added.map(|_| ()).map_err(StoreError::while_doing("store a token"))
            })
        })
        .await
    }

    /// The role of the token with this hash, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn role_of(&self, hash: String) -> Result<Option<String>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let found = entity::api_token::Entity::find().filter(entity::api_token::Column::Hash.eq(hash)).one(db);
                Ok(found.await.map_err(StoreError::while_doing("look up a token"))?.map(|row| row.role))
            })
        })
        .await
    }
}

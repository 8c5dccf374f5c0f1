//! Which bearer tokens are known, and what do they open? Only their hashes are stored.

use std::collections::BTreeSet;

use sea_orm::{ActiveValue::NotSet, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, Set, prelude::*};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::audit::Change;
use crate::{
    domain::{AgentId, Role, Timestamp, Token},
    store::{Store, StoreError, schema::entity},
};

use entity::api_token::{ActiveModel, Column as C, Entity, Model};

/// That a token was used is noted so often.
const NOTED_EVERY: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// Hex of SHA-256: how tokens are stored and compared.
#[must_use]
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// A token that is to be known.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    pub role: Role,
    /// The agents that it is for; all of them if `None`.
    pub agents: Option<BTreeSet<AgentId>>,
    pub expires_at: Option<Timestamp>,
    /// Hex of its SHA-256.
    pub hash: String,
}

impl Token {
    fn read(row: Model) -> Result<Self, StoreError> {
        let unreadable = |what: String| StoreError::Unreadable { doing: "read a token", what };
        let agents = row.agents.map(serde_json::from_value).transpose();
        Ok(Self {
            id: row.id,
            name: row.name,
            role: row.role.parse().map_err(|_| unreadable(format!("api_token {}: role '{}'", row.id, row.role)))?,
            agents: agents.map_err(|error| unreadable(format!("api_token {}: agents: {error}", row.id)))?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }

    /// The token of this number, revoked ones too.
    pub(super) async fn find(db: &impl ConnectionTrait, id: i64) -> Result<Option<Self>, StoreError> {
        let found = Entity::find_by_id(id).one(db).await;
        found.map_err(StoreError::while_doing("look up a token"))?.map(Self::read).transpose()
    }
}

impl Store {
    /// Is there a token of `role` that is not revoked?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn has_token(&self, role: Role) -> Result<bool, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let those = Condition::all().add(C::Role.eq(role.as_str())).add(C::RevokedAt.is_null());
                let count = Entity::find().filter(those).count(db);
                Ok(count.await.map_err(StoreError::while_doing("look for a token"))? > 0)
            })
        })
        .await
    }

    /// Stores a token.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn add_token(&self, token: NewToken, now: Timestamp) -> Result<Token, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let row = ActiveModel {
                    id: NotSet,
                    name: Set(token.name),
                    role: Set(token.role.to_string()),
                    hash: Set(token.hash),
                    created_at: Set(now),
                    agents: Set(token.agents.map(|agents| json!(agents))),
                    expires_at: Set(token.expires_at),
                    last_used_at: Set(None),
                    revoked_at: Set(None),
                };
                let added = Entity::insert(row).exec_with_returning(tx).await;
                let token = Token::read(added.map_err(StoreError::while_doing("store a token"))?)?;
                let change = Change::new("token.create", format!("token:{}", token.id)).to(json!(token));
                signer.note(tx, change).await?;
                Ok(token)
            })
        })
        .await
    }

    /// The token with this hash, if there is one that is not revoked; that it was used at `now` is noted.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn token(&self, hash: String, now: Timestamp) -> Result<Option<Token>, StoreError> {
        let found = self.read(move |db| {
            Box::pin(async move {
                let those = Condition::all().add(C::Hash.eq(hash)).add(C::RevokedAt.is_null());
                let found = Entity::find().filter(those).one(db).await;
                found.map_err(StoreError::while_doing("look up a token"))?.map(Token::read).transpose()
            })
        });
        let Some(token) = found.await? else { return Ok(None) };
        if token.last_used_at.is_none_or(|last| now - last >= NOTED_EVERY) {
            let id = token.id;
            self.write_beside(move |tx| {
                Box::pin(async move {
                    let used = Entity::update_many().col_expr(C::LastUsedAt, Expr::val(now)).filter(C::Id.eq(id));
                    used.exec(tx).await.map(|_| ()).map_err(StoreError::while_doing("note that a token was used"))
                })
            })
            .await?;
        }
        Ok(Some(token))
    }

    /// All tokens, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = Entity::find().order_by_asc(C::Id).all(db).await;
                rows.map_err(StoreError::while_doing("list the tokens"))?.into_iter().map(Token::read).collect()
            })
        })
        .await
    }

    /// Revokes a token. Answers false if there is none of this number that is not revoked.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn revoke_token(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let those = Condition::all().add(C::Id.eq(id)).add(C::RevokedAt.is_null());
                let revoked = Entity::update_many().col_expr(C::RevokedAt, Expr::val(now)).filter(those).exec(tx).await;
                let is_revoked = revoked.map_err(StoreError::while_doing("revoke a token"))?.rows_affected == 1;
                if is_revoked {
                    signer.note(tx, Change::new("token.revoke", format!("token:{id}"))).await?;
                }
                Ok(is_revoked)
            })
        })
        .await
    }
}

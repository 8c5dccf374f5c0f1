//! Where do the credentials of agents rest? Sealed by whoever stores them; nobody here can open them.

use sea_orm::{EntityTrait, QueryOrder, Set, prelude::*, sea_query::OnConflict};

use super::audit::Change;
use crate::{
    domain::{AgentId, Timestamp},
    store::{Store, StoreError, schema::entity},
};

use entity::agent_credential::{ActiveModel, Column as C, Entity};

/// An agent's credentials, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCredential {
    pub agent: AgentId,
    /// The name of the key that sealed them.
    pub key_name: String,
    /// The sealed text.
    pub sealed: String,
    /// When they were set.
    pub updated_at: Timestamp,
}

impl From<entity::agent_credential::Model> for SealedCredential {
    fn from(row: entity::agent_credential::Model) -> Self {
        Self { agent: row.agent_id.into(), key_name: row.key_name, sealed: row.sealed, updated_at: row.updated_at }
    }
}

impl Store {
    /// Stores an agent's credentials in place of those it had.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn put_credential(&self, new: SealedCredential) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write_beside(move |tx| {
            Box::pin(async move {
                signer.note(tx, Change::new("credentials.put", format!("agent:{}", new.agent))).await?;
                let row = ActiveModel {
                    agent_id: Set(new.agent.to_string()),
                    key_name: Set(new.key_name),
                    sealed: Set(new.sealed),
                    updated_at: Set(new.updated_at),
                };
                let replace =
                    OnConflict::column(C::AgentId).update_columns([C::KeyName, C::Sealed, C::UpdatedAt]).to_owned();
                let put = Entity::insert(row).on_conflict(replace).exec_without_returning(tx).await;
                put.map(|_| ()).map_err(StoreError::while_doing("store credentials"))
            })
        })
        .await
    }

    /// Seals what is there anew, unless it was replaced meanwhile; answers whether.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn reseal_credential(&self, old: String, new: SealedCredential) -> Result<bool, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let update = Entity::update_many()
                    .col_expr(C::Sealed, Expr::val(new.sealed))
                    .col_expr(C::KeyName, Expr::val(new.key_name))
                    .filter(C::AgentId.eq(new.agent.as_str()))
                    .filter(C::Sealed.eq(old));
                let done = update.exec(tx).await.map_err(StoreError::while_doing("seal credentials"))?;
                Ok(done.rows_affected > 0)
            })
        })
        .await
    }

    /// Forgets an agent's credentials; false if it had none.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn forget_credential(&self, agent: &AgentId) -> Result<bool, StoreError> {
        let (agent, signer) = (agent.to_string(), self.signer.clone());
        self.write_beside(move |tx| {
            Box::pin(async move {
                let done = Entity::delete_by_id(agent.as_str()).exec(tx).await;
                let had = done.map_err(StoreError::while_doing("forget credentials"))?.rows_affected > 0;
                if had {
                    signer.note(tx, Change::new("credentials.forget", format!("agent:{agent}"))).await?;
                }
                Ok(had)
            })
        })
        .await
    }

    /// The sealed credentials of an agent.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn credential(&self, agent: &AgentId) -> Result<Option<SealedCredential>, StoreError> {
        let agent = agent.to_string();
        self.read(move |db| {
            Box::pin(async move {
                let found = Entity::find_by_id(agent).one(db).await;
                Ok(found.map_err(StoreError::while_doing("look up credentials"))?.map(SealedCredential::from))
            })
        })
        .await
    }

    /// The sealed credentials of all agents, by agent.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn credentials(&self) -> Result<Vec<SealedCredential>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = Entity::find().order_by_asc(C::AgentId).all(db).await;
                let rows = rows.map_err(StoreError::while_doing("list credentials"))?;
                Ok(rows.into_iter().map(SealedCredential::from).collect())
            })
        })
        .await
    }
}

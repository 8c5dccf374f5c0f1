//! Which agents are there, and which are active?

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Set, prelude::*, sea_query::OnConflict};
use serde::{Deserialize, Serialize};

use serde_json::json;

use super::audit::Change;
use crate::{
    domain::{AgentId, Timestamp},
    store::{Store, StoreError, schema::entity},
};

/// A sales agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Agent {
    /// The id under which reports are fetched and records stored.
    pub id: AgentId,
    /// For people.
    pub name: String,
    /// Are its syncs scheduled?
    #[serde(default = "yes")]
    pub active: bool,
    /// Since when it is known here; whoever stores it does not say.
    #[serde(skip)]
    pub added_at: Option<Timestamp>,
}

fn yes() -> bool {
    true
}

impl Agent {
    /// An active agent whose name is its id.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self { id: id.into(), name: id.to_owned(), active: true, added_at: None }
    }
}

/// No agent is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no agent '{asked}'; known are: {}", Agent::names(.known))]
pub struct UnknownAgent {
    pub asked: String,
    /// Those that there are.
    pub known: Vec<Agent>,
}

impl Agent {
    /// The agent called `asked`.
    ///
    /// # Errors
    /// [`UnknownAgent`], which names those that there are.
    pub fn find(agents: &[Agent], asked: &str) -> Result<AgentId, UnknownAgent> {
        let found = agents.iter().find(|agent| agent.id.as_str() == asked);
        let unknown = || UnknownAgent { asked: asked.to_owned(), known: agents.to_vec() };
        found.map(|agent| agent.id.clone()).ok_or_else(unknown)
    }

    /// Their ids in one line, for people.
    #[must_use]
    pub fn names(agents: &[Agent]) -> String {
        agents.iter().map(|agent| agent.id.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Store {
    /// All agents, by id.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = entity::agents::Entity::find().order_by_asc(entity::agents::Column::Id).all(db).await;
                let rows = rows.map_err(StoreError::while_doing("list the agents"))?;
                let agent = |row: entity::agents::Model| Agent {
                    id: row.id.into(),
                    name: row.name,
                    active: row.active,
                    added_at: row.added_at,
                };
                Ok(rows.into_iter().map(agent).collect())
            })
        })
        .await
    }

    /// Adds the agents that are not there yet; those that are stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn seed_agents(&self, agents: Vec<Agent>, now: Timestamp) -> Result<(), StoreError> {
        self.put_agents(agents, now, OnConflict::column(entity::agents::Column::Id).do_nothing().to_owned()).await
    }

    /// Adds an agent or changes its name and activity.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn put_agent(&self, agent: Agent, now: Timestamp) -> Result<(), StoreError> {
        use entity::agents::Column::{Active, Id, Name};
        self.put_agents(vec![agent], now, OnConflict::column(Id).update_columns([Name, Active]).to_owned()).await
    }

    async fn put_agents(&self, agents: Vec<Agent>, now: Timestamp, conflict: OnConflict) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                for agent in agents {
                    if signer.notes() {
                        signer.note(tx, put(tx, &agent).await?).await?;
                    }
                    let row = entity::agents::ActiveModel {
                        id: Set(agent.id.to_string()),
                        name: Set(agent.name),
                        active: Set(agent.active),
                        added_at: Set(Some(now)),
                    };
                    let insert = entity::agents::Entity::insert(row).on_conflict(conflict.clone());
                    insert.exec_without_returning(tx).await.map_err(StoreError::while_doing("store an agent"))?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Deactivates an agent; false if there is none of this id. Its records stay.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn deactivate_agent(&self, agent: &AgentId) -> Result<bool, StoreError> {
        let (id, signer) = (agent.to_string(), self.signer.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let update = entity::agents::Entity::update_many()
                    .col_expr(entity::agents::Column::Active, Expr::val(false))
                    .filter(entity::agents::Column::Id.eq(id.as_str()));
                let done = update.exec(tx).await.map_err(StoreError::while_doing("deactivate an agent"))?;
                if done.rows_affected > 0 {
                    signer.note(tx, Change::new("agent.deactivate", format!("agent:{id}"))).await?;
                }
                Ok(done.rows_affected > 0)
            })
        })
        .await
    }
}

/// What putting this agent changes.
async fn put(tx: &DatabaseTransaction, agent: &Agent) -> Result<Change, StoreError> {
    let before = entity::agents::Entity::find_by_id(agent.id.as_str()).one(tx).await;
    let before = before.map_err(StoreError::while_doing("read an agent"))?;
    let before = before.map(|row| json!({ "name": row.name, "active": row.active }));
    let after = Some(json!({ "name": agent.name, "active": agent.active }));
    Ok(Change { before, after, ..Change::new("agent.put", format!("agent:{}", agent.id)) })
}

//! Who changed what? Written in the transaction of the change, so that neither is there without the other.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    prelude::*,
};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    domain::{Cause, Timestamp},
    store::{Store, StoreError, schema::entity},
};

use entity::audit::{ActiveModel, Column as C, Entity, Model};

/// One change that somebody asked for, or tried to.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub who: String,
    /// The address that the request came from.
    pub from: Option<String>,
    /// What was done: `run.approve`, `agent.put`, say.
    pub action: String,
    /// What it was done to: `run:12`, `agent:anna`, say.
    pub target: String,
    #[schema(value_type = Option<serde_json::Value>)]
    pub before: Option<Json>,
    #[schema(value_type = Option<serde_json::Value>)]
    pub after: Option<Json>,
    pub request_id: Option<String>,
}

/// A change that is about to be made.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub action: &'static str,
    pub target: String,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

impl Change {
    /// Without what was there before and what is there now.
    #[must_use]
    pub fn new(action: &'static str, target: impl Into<String>) -> Self {
        Self { action, target: target.into(), before: None, after: None }
    }

    /// With what is there now.
    #[must_use]
    pub fn to(self, after: Json) -> Self {
        Self { after: Some(after), ..self }
    }

    /// With what was there before.
    #[must_use]
    pub fn from(self, before: Json) -> Self {
        Self { before: Some(before), ..self }
    }
}

/// Which entries to list; all conditions together.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub who: Option<String>,
    pub action: Option<String>,
    pub target: Option<String>,
    pub since: Option<Timestamp>,
    /// Only those before this one.
    pub before: Option<i64>,
    pub limit: u64,
}

/// Whose word what is written goes back to, if it is to be noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signer(Option<Arc<(Cause, Timestamp)>>);

impl Signer {
    pub(crate) fn new(by: Cause, at: Timestamp) -> Self {
        Self(Some(Arc::new((by, at))))
    }

    /// Is anything noted? Otherwise nothing need be looked up for it.
    pub(crate) fn notes(&self) -> bool {
        self.0.is_some()
    }

    /// Notes a change in its own transaction.
    pub(crate) async fn note(&self, tx: &DatabaseTransaction, change: Change) -> Result<(), StoreError> {
        match self.0.as_deref() {
            Some((by, at)) => note(tx, by, change, *at).await,
            None => Ok(()),
        }
    }
}

/// The row of a change.
pub(crate) fn row(by: &Cause, change: Change, now: Timestamp) -> ActiveModel {
    ActiveModel {
        id: NotSet,
        at: Set(now),
        who: Set(by.who.clone()),
        asked_from: Set(by.from.clone()),
        action: Set(change.action.to_owned()),
        target: Set(change.target),
        before: Set(change.before),
        after: Set(change.after),
        request_id: Set(by.request_id.clone()),
    }
}

/// Notes a change beside it.
pub(crate) async fn note(
    tx: &DatabaseTransaction,
    by: &Cause,
    change: Change,
    now: Timestamp,
) -> Result<(), StoreError> {
    let noted = Entity::insert(row(by, change, now)).exec_without_returning(tx).await;
    noted.map(|_| ()).map_err(StoreError::while_doing("note who asked for it"))
}

impl AuditEntry {
    fn read(row: Model) -> Self {
        Self {
            id: row.id,
            at: row.at,
            who: row.who,
            from: row.asked_from,
            action: row.action,
            target: row.target,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
        }
    }
}

impl Store {
    /// Notes what changed nothing: an attempt that was refused, say.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn note_attempt(&self, by: Cause, attempt: Change, now: Timestamp) -> Result<(), StoreError> {
        self.write_beside(move |tx| Box::pin(async move { note(tx, &by, attempt, now).await })).await
    }

    /// Who changed what, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn audit(&self, wanted: AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = Entity::find()
                    .apply_if(wanted.who, |query, who| query.filter(C::Who.eq(who)))
                    .apply_if(wanted.action, |query, action| query.filter(C::Action.eq(action)))
                    .apply_if(wanted.target, |query, target| query.filter(C::Target.eq(target)))
                    .apply_if(wanted.since, |query, since| query.filter(C::At.gte(since)))
                    .apply_if(wanted.before, |query, id| query.filter(C::Id.lt(id)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                let rows = rows.map_err(StoreError::while_doing("read the audit"))?;
                Ok(rows.into_iter().map(AuditEntry::read).collect())
            })
        })
        .await
    }

    /// Forgets entries from before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn clean_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.forget::<Entity>((C::Id, C::At), before, "forget old entries of the audit").await
    }
}

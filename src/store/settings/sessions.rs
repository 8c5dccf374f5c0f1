//! Which browsers are let in? Sessions and one-time links, as all processes of the database know them; only hashes are
//! kept.

use sea_orm::{
    ActiveValue::NotSet, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
    prelude::*,
};
use serde_json::json;

use super::audit::Change;
use crate::{
    domain::{
        Holder, Timestamp, Token,
        session::{LIFE, LINK},
    },
    store::{Store, StoreError, schema::entity},
};

use entity::page_session::{ActiveModel, Column as C, Entity, Model};

/// Sessions and links of one holder at once; the oldest give way.
const MOST: u64 = 100;
const SESSION: &str = "session";
const LINK_KIND: &str = "link";

/// A session that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct PageSession {
    pub id: i64,
    pub holder: Holder,
    /// The token that it belongs to, valid or not; of sessions of tokens.
    pub token: Option<Token>,
}

/// Those of this kind and holder.
fn of(kind: &str, holder: &Holder) -> Condition {
    let (holder_kind, name) = holder.parts();
    Condition::all().add(C::Kind.eq(kind)).add(C::HolderKind.eq(holder_kind)).add(C::Holder.eq(name))
}

async fn add(
    tx: &DatabaseTransaction,
    (kind, hash): (&str, String),
    holder: &Holder,
    (now, end): (Timestamp, Timestamp),
) -> Result<i64, DbErr> {
    let (holder_kind, name) = holder.parts();
    let row = ActiveModel {
        id: NotSet,
        hash: Set(hash),
        kind: Set(kind.to_owned()),
        holder_kind: Set(holder_kind.to_owned()),
        holder: Set(name),
        created_at: Set(now),
        expires_at: Set(end),
    };
    let added = Entity::insert(row).exec_with_returning(tx).await?;
    let newest = Entity::find().filter(of(kind, holder)).order_by_desc(C::Id).offset(MOST).limit(MOST);
    let old: Vec<i64> = newest.select_only().column(C::Id).into_tuple().all(tx).await?;
    if !old.is_empty() {
        Entity::delete_many().filter(C::Id.is_in(old)).exec(tx).await?;
    }
    Ok(added.id)
}

impl Store {
    /// Stores a link that lets one browser in, once, within an hour.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn add_login_link(&self, hash: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let added = add(tx, (LINK_KIND, hash), &Holder::Link, (now, now + LINK)).await;
                added.map(|_| ()).map_err(StoreError::while_doing("store a log-in link"))
            })
        })
        .await
    }

    /// Does the link with this hash let in? It does so once.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn follow_login_link(&self, hash: String, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let those = of(LINK_KIND, &Holder::Link).add(C::Hash.eq(hash)).add(C::ExpiresAt.gt(now));
                let used = Entity::delete_many().filter(those).exec(tx).await;
                Ok(used.map_err(StoreError::while_doing("follow a log-in link"))?.rows_affected == 1)
            })
        })
        .await
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    pub async fn begin_session(&self, hash: String, holder: Holder, now: Timestamp) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let id = add(tx, (SESSION, hash), &holder, (now, now + LIFE)).await;
                let id = id.map_err(StoreError::while_doing("begin a session"))?;
                let change = Change::new("session.begin", format!("session:{id}"));
                signer.note(tx, change.to(json!({ "by": holder.parts().0 }))).await
            })
        })
        .await
    }

    /// The session with this hash, if it is not over.
    ///
    /// # Errors
    /// [`StoreError`] if a query fails.
    pub async fn session(&self, hash: String, now: Timestamp) -> Result<Option<PageSession>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("look up a session");
                let those = Condition::all().add(C::Hash.eq(hash)).add(C::Kind.eq(SESSION)).add(C::ExpiresAt.gt(now));
                let Some(row) = Entity::find().filter(those).one(db).await.map_err(&failed)? else { return Ok(None) };
                let Model { id, holder_kind, holder, .. } = row;
                let what = format!("page_session {id}: holder '{holder_kind}'");
                let holder = Holder::from_parts(&holder_kind, &holder)
                    .ok_or(StoreError::Unreadable { doing: "look up a session", what })?;
                let token = match &holder {
                    Holder::Token(token) => Token::find(db, *token).await?,
                    Holder::AdminToken(_) | Holder::Link | Holder::Proxy(_) => None,
                };
                Ok(Some(PageSession { id, holder, token }))
            })
        })
        .await
    }

    /// Ends a session, or all of those who were let in as it was; answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn end_session(&self, session: PageSession, everywhere: bool) -> Result<u64, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let those =
                    if everywhere { of(SESSION, &session.holder) } else { Condition::all().add(C::Id.eq(session.id)) };
                let ended = Entity::delete_many().filter(those).exec(tx).await;
                let ended = ended.map_err(StoreError::while_doing("end a session"))?.rows_affected;
                let action = if everywhere { "session.end_all" } else { "session.end" };
                signer.note(tx, Change::new(action, format!("session:{}", session.id))).await?;
                Ok(ended)
            })
        })
        .await
    }

    /// Forgets the sessions and links that are over.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn forget_sessions(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.forget::<Entity>((C::Id, C::ExpiresAt), now, "forget old sessions").await
    }
}

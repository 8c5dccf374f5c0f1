//! Which headers did people teach, and how are reports read with them?

use std::sync::Arc;

use sea_orm::{ActiveValue::NotSet, EntityTrait, QueryFilter, QueryOrder, Set, prelude::*, sea_query::OnConflict};
use serde_json::json;

use super::audit::Change;
use crate::{
    domain::{SyncType, Timestamp},
    store::{Store, StoreError, schema::entity},
    sync_type::{NotTaught, SyncTypes, TaughtHeader, header::normalise},
};

use entity::taught_header::{ActiveModel, Column as C, Entity, Model};

/// What was taught, and the types with that, as they were last put together.
#[derive(Debug, Default)]
pub(crate) struct KnownHeaders(parking_lot::Mutex<Option<Taught>>);

/// What was taught, and what follows.
#[derive(Debug, Clone)]
pub struct Taught {
    /// All of it, the oldest first.
    pub headers: Vec<TaughtHeader>,
    /// The types with it.
    pub types: Arc<SyncTypes>,
    /// Those that are of no use any more.
    pub unused: Vec<(i64, NotTaught)>,
}

fn read(row: Model) -> TaughtHeader {
    TaughtHeader {
        id: row.id,
        sync_type: row.sync_type.into(),
        header: row.header,
        field: row.field,
        by: row.taught_by,
        at: row.taught_at,
    }
}

fn noted(header: &TaughtHeader) -> serde_json::Value {
    json!({ "header": header.header, "field": header.field })
}

impl Store {
    /// The sync types as reports are read now: their files, and what people taught beside.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn taught(&self) -> Result<Taught, StoreError> {
        let headers: Vec<TaughtHeader> = self
            .read(|db| {
                Box::pin(async move {
                    let rows = Entity::find().order_by_asc(C::Id).all(db).await;
                    let rows = rows.map_err(StoreError::while_doing("read what headers were taught"))?;
                    Ok(rows.into_iter().map(read).collect())
                })
            })
            .await?;
        if headers.is_empty() {
            return Ok(Taught { headers, types: self.types().clone(), unused: Vec::new() });
        }
        if let Some(known) = self.inner.headers.0.lock().as_ref().filter(|known| known.headers == headers) {
            return Ok(known.clone());
        }
        let (types, unused) = self.types().with_taught(&headers);
        for (id, why) in &unused {
            tracing::warn!(id, %why, "a header that was taught is of no use any more");
        }
        let taught = Taught { headers, types: Arc::new(types), unused };
        *self.inner.headers.0.lock() = Some(taught.clone());
        Ok(taught)
    }

    /// Stores what was taught; `None` if that header says something already.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn teach(
        &self,
        (sync_type, header, field): (&SyncType, &str, &str),
        by: &str,
        now: Timestamp,
    ) -> Result<Option<TaughtHeader>, StoreError> {
        let plain = normalise(header);
        let row = ActiveModel {
            id: NotSet,
            sync_type: Set(sync_type.to_string()),
            header: Set(header.to_owned()),
            plain_header: Set(plain.clone()),
            field: Set(field.to_owned()),
            taught_by: Set(by.to_owned()),
            taught_at: Set(now),
        };
        let (name, signer) = (sync_type.to_string(), self.signer.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("store a taught header");
                let once = OnConflict::columns([C::SyncType, C::PlainHeader]).do_nothing().to_owned();
                let added = Entity::insert(row).on_conflict(once).exec_without_returning(tx).await.map_err(&failed)?;
                if added == 0 {
                    return Ok(None);
                }
                let found = Entity::find().filter(C::SyncType.eq(&*name)).filter(C::PlainHeader.eq(plain));
                let Some(taught) = found.one(tx).await.map_err(failed)?.map(read) else { return Ok(None) };
                signer.note(tx, Change::new("header.teach", format!("type:{name}")).to(noted(&taught))).await?;
                Ok(Some(taught))
            })
        })
        .await
    }

    /// Forgets what was taught; false if there is none of this number and type.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn forget_header(&self, sync_type: &SyncType, id: i64) -> Result<bool, StoreError> {
        let (name, signer) = (sync_type.to_string(), self.signer.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("forget a taught header");
                let found = Entity::find_by_id(id).filter(C::SyncType.eq(&*name)).one(tx).await.map_err(&failed)?;
                let Some(found) = found.map(read) else { return Ok(false) };
                Entity::delete_by_id(id).exec(tx).await.map_err(failed)?;
                signer.note(tx, Change::new("header.forget", format!("type:{name}")).from(noted(&found))).await?;
                Ok(true)
            })
        })
        .await
    }
}

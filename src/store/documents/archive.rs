//! Which fetched documents are kept, compressed? The last reports of each type and agent, and single documents
//! that somebody asked for.

use std::{
    io::{self, Cursor, Read as _, Write as _},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, read::ZlibEncoder, write::ZlibDecoder};
use futures_util::TryStreamExt as _;
use sea_orm::{
    ActiveValue::NotSet, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait as _, Select, Set, prelude::*,
};
use sha2::{Digest, Sha256};

use super::parts::{PART, insert};
use crate::{
    domain::{AgentId, DocumentId, RunId, SyncType, Timestamp},
    store::{Store, StoreError, schema::entity},
};

use entity::kept_document::{ActiveModel, Column as C, Entity};

/// The two kinds.
const REPORT: &str = "report";
const SINGLE: &str = "single";
/// Rows that one statement forgets.
const AT_ONCE: u64 = 200;

/// Is it another report than the one that was applied last?
fn is_not_in_force() -> Expr {
    Expr::cust(
        "sha256 <> COALESCE((SELECT last.document_sha256 FROM sync_state AS state JOIN sync_run AS last \
         ON last.id = state.applied_run_id WHERE state.sync_type = kept_document.name \
         AND state.agent_id = kept_document.agent_id), '')",
    )
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepLimits {
    /// Reports of each type and agent; 0 keeps none.
    pub reports: u64,
    /// Bytes of all single documents together, as they are stored; 0 keeps none.
    pub single_bytes: u64,
    /// How long a single document is given out without asking the source again.
    pub fresh: Duration,
    /// How old any of them becomes.
    pub age: Duration,
}

/// A kept report, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReport {
    /// Its number.
    pub id: i64,
    /// The run that read it.
    pub run: Option<RunId>,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its size in bytes.
    pub size: i64,
    pub fetched_at: Timestamp,
}

#[derive(Debug, sea_orm::FromQueryResult)]
struct Head {
    id: i64,
    run_id: Option<RunId>,
    sha256: String,
    size: i64,
    fetched_at: Timestamp,
}

/// What is kept, and for whom.
struct What {
    kind: &'static str,
    name: String,
    agent: String,
    number: String,
}

impl What {
    fn rows(&self) -> Select<Entity> {
        Entity::find()
            .filter(C::Kind.eq(self.kind))
            .filter(C::Name.eq(&self.name))
            .filter(C::AgentId.eq(&self.agent))
            .filter(C::Number.eq(&self.number))
            .order_by_desc(C::Id)
    }
}

fn report(sync_type: &SyncType, agent: &AgentId) -> What {
    What { kind: REPORT, name: sync_type.to_string(), agent: agent.to_string(), number: String::new() }
}

fn single(folder: &str, agent: &AgentId, number: &str) -> What {
    What { kind: SINGLE, name: folder.to_owned(), agent: agent.to_string(), number: number.to_owned() }
}

impl Store {
    /// Keeps the report that `run` has read, unless the last one kept is the same; forgets what is more than
    /// `limits` allow.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn keep_report(
        &self,
        (sync_type, agent): (&SyncType, &AgentId),
        run: RunId,
        bytes: Arc<Vec<u8>>,
        limits: KeepLimits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let what = report(sync_type, agent);
        if limits.reports == 0 {
            return self.forget_all(what).await;
        }
        self.keep(what, (Some(run), bytes), now, move |tx, what| {
            Box::pin(async move {
                let more = what.rows().select_only().column(C::Id).offset(limits.reports).limit(AT_ONCE);
                let more: Vec<i64> = more.into_tuple().all(tx).await?;
                forget(tx, Condition::all().add(C::Id.is_in(more)).add(is_not_in_force())).await.map(|_| ())
            })
        })
        .await
    }

    /// Keeps a single document in place of the one before; forgets the oldest where all together are more than
    /// `limits` allow.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn keep_single(
        &self,
        (folder, agent, number): (&str, &AgentId, &str),
        bytes: Arc<Vec<u8>>,
        limits: KeepLimits,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let what = single(folder, agent, number);
        if limits.single_bytes == 0 {
            return self.forget_all(what).await;
        }
        self.keep(what, (None, bytes), now, move |tx, what| {
            Box::pin(async move {
                let older = what.rows().select_only().column(C::Id).offset(1).limit(AT_ONCE);
                let older: Vec<i64> = older.into_tuple().all(tx).await?;
                forget(tx, Condition::all().add(C::Id.is_in(older))).await?;
                let sizes = Entity::find().select_only().columns([C::Id, C::PackedSize]).filter(C::Kind.eq(SINGLE));
                let sizes: Vec<(i64, i64)> = sizes.order_by_desc(C::Id).into_tuple().all(tx).await?;
                let mut bytes = 0;
                let is_over = |(id, size): (i64, i64)| {
                    bytes += size.unsigned_abs();
                    (bytes > limits.single_bytes).then_some(id)
                };
                let over: Vec<i64> = sizes.into_iter().filter_map(is_over).collect();
                forget(tx, Condition::all().add(C::Id.is_in(over))).await.map(|_| ())
            })
        })
        .await
    }

    async fn keep<F>(
        &self,
        what: What,
        (run, bytes): (Option<RunId>, Arc<Vec<u8>>),
        now: Timestamp,
        tidy: F,
    ) -> Result<(), StoreError>
    where
        F: for<'c> FnOnce(
                &'c DatabaseTransaction,
                &'c What,
            ) -> Pin<Box<dyn Future<Output = Result<(), DbErr>> + Send + 'c>>
            + Send
            + 'static,
    {
        let failed = StoreError::while_doing("keep a document");
        let sha256 = hex::encode(Sha256::digest(&*bytes));
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let (what, last) = self.last_kept(what).await?;
        if let Some(same) = last.filter(|last| last.sha256 == sha256) {
            return self.seen_again(what, same.id, run, now).await;
        }
        let packed = ZlibEncoder::new(Cursor::new(Shared(bytes)), Compression::default());
        let (first, rest) = self.next_part(packed).await?;
        // a small one is stored with its row, in one transaction
        let (document, small) = if first.len() < PART {
            (None, first)
        } else {
            let all = Cursor::new(first).chain(rest);
            (Some(self.keep_document_from(all, (None, sha256.clone()), now).await?), Vec::new())
        };
        self.write_beside(move |tx| {
            Box::pin(async move {
                let (document, packed_size) = match document {
                    Some(document) => (document, size_of(tx, document).await.map_err(&failed)?),
                    None => (
                        insert(tx, &small, now).await.map_err(&failed)?,
                        i64::try_from(small.len()).unwrap_or(i64::MAX),
                    ),
                };
                let row = ActiveModel {
                    id: NotSet,
                    kind: Set(what.kind.to_owned()),
                    name: Set(what.name.clone()),
                    agent_id: Set(what.agent.clone()),
                    number: Set(what.number.clone()),
                    run_id: Set(run),
                    sha256: Set(sha256),
                    size: Set(size),
                    packed_size: Set(packed_size),
                    document_id: Set(Some(document)),
                    fetched_at: Set(now),
                };
                Entity::insert(row).exec_without_returning(tx).await.map_err(&failed)?;
                tidy(tx, &what).await.map_err(failed)
            })
        })
        .await
    }

    /// The last one kept, if any.
    async fn last_kept(&self, what: What) -> Result<(What, Option<Head>), StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let last = what.rows().select_only().columns([C::Id, C::RunId, C::Sha256, C::Size, C::FetchedAt]);
                let last = last.into_model::<Head>().one(db).await;
                Ok((what, last.map_err(StoreError::while_doing("look for the last kept document"))?))
            })
        })
        .await
    }

    /// It has been read again, by this run; a single document is as fresh as its last fetch.
    async fn seen_again(&self, what: What, id: i64, run: Option<RunId>, now: Timestamp) -> Result<(), StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let seen = Entity::update_many().col_expr(C::RunId, Expr::val(run)).filter(C::Id.eq(id));
                let seen = if what.kind == SINGLE { seen.col_expr(C::FetchedAt, Expr::val(now)) } else { seen };
                seen.exec(tx).await.map(|_| ()).map_err(StoreError::while_doing("keep a document"))
            })
        })
        .await
    }

    async fn forget_all(&self, what: What) -> Result<(), StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("forget documents");
                let ids = what.rows().select_only().column(C::Id).limit(AT_ONCE).into_tuple().all(tx).await;
                let ids: Vec<i64> = ids.map_err(&failed)?;
                forget(tx, Condition::all().add(C::Id.is_in(ids))).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }

    /// Forgets documents from before `before`, but never the report that was applied last: it is the one that
    /// the records come from. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn clean_kept(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write_beside(move |tx| {
            Box::pin(async move {
                let mut forgotten = 0;
                for kind in [REPORT, SINGLE] {
                    let old = Condition::all().add(C::Kind.eq(kind)).add(C::FetchedAt.lt(before));
                    let done = forget(tx, old.add(is_not_in_force())).await;
                    forgotten += done.map_err(StoreError::while_doing("forget old documents"))?;
                }
                Ok(forgotten)
            })
        })
        .await
    }

    /// The kept reports of a type and agent, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn kept_reports(&self, sync_type: &SyncType, agent: &AgentId) -> Result<Vec<KeptReport>, StoreError> {
        let what = report(sync_type, agent);
        self.read(move |db| {
            Box::pin(async move {
                let heads = what.rows().select_only().columns([C::Id, C::RunId, C::Sha256, C::Size, C::FetchedAt]);
                let heads = heads.into_model::<Head>().all(db).await;
                let heads = heads.map_err(StoreError::while_doing("list kept reports"))?;
                let kept = |head: Head| KeptReport {
                    id: head.id,
                    run: head.run_id,
                    sha256: head.sha256,
                    size: head.size,
                    fetched_at: head.fetched_at,
                };
                Ok(heads.into_iter().rev().map(kept).collect())
            })
        })
        .await
    }

    /// The bytes of a kept report.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it was forgotten.
    pub async fn kept_bytes(&self, id: i64) -> Result<Vec<u8>, StoreError> {
        let found = self
            .read(move |db| {
                Box::pin(async move {
                    let found = Entity::find_by_id(id).one(db).await;
                    found.map_err(StoreError::while_doing("read a kept report"))
                })
            })
            .await?;
        let missing = || StoreError::Missing(format!("kept report {id}"));
        self.unpacked(found.and_then(|row| row.document_id).ok_or_else(missing)?).await
    }

    /// A single document that was fetched after `since`, if one is kept.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn kept_single(
        &self,
        (folder, agent, number): (&str, &AgentId, &str),
        since: Timestamp,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let what = single(folder, agent, number);
        let found = self
            .read(move |db| {
                Box::pin(async move {
                    let row = what.rows().filter(C::FetchedAt.gt(since)).one(db).await;
                    row.map_err(StoreError::while_doing("read a kept document"))
                })
            })
            .await?;
        match found.and_then(|row| row.document_id) {
            None => Ok(None),
            Some(document) => match self.unpacked(document).await {
                // forgotten a moment ago
                Err(StoreError::Missing(_)) => Ok(None),
                unpacked => unpacked.map(Some),
            },
        }
    }

    async fn unpacked(&self, document: DocumentId) -> Result<Vec<u8>, StoreError> {
        let failed = |error: io::Error| StoreError::Interrupted(format!("a kept document cannot be unpacked: {error}"));
        let (_, parts) = self.document_stream(document).await?;
        let decoder = ZlibDecoder::new(Vec::new());
        let decoder = parts.try_fold(decoder, |mut decoder, part| async move {
            decoder.write_all(&part).map(|()| decoder).map_err(failed)
        });
        decoder.await?.finish().map_err(failed)
    }
}

/// Forgets those that fit, with their bytes; answers how many.
async fn forget(tx: &DatabaseTransaction, which: Condition) -> Result<u64, DbErr> {
    let documents = Entity::find().select_only().column(C::DocumentId).filter(which).into_query();
    // their rows go with them
    let gone = entity::document::Entity::delete_many().filter(entity::document::Column::Id.in_subquery(documents));
    Ok(gone.exec(tx).await?.rows_affected)
}

async fn size_of(tx: &DatabaseTransaction, document: DocumentId) -> Result<i64, DbErr> {
    let size = entity::document::Entity::find_by_id(document).one(tx).await?;
    Ok(size.map_or(0, |row| row.size))
}

/// Bytes that several hold, to be read.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

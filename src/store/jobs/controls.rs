//! What have people told the queue: is it paused, and how many jobs may run at once?

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Set, sea_query::OnConflict};

use serde_json::json;

use crate::{
    domain::{Pause, Timestamp, queue::MOST_JOBS},
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

/// The one row of the pause.
const PAUSE: i32 = 1;
/// The pause that holds at `now`.
pub(crate) async fn pause_at(tx: &DatabaseTransaction, now: Timestamp) -> Result<Option<Pause>, StoreError> {
    let row = entity::pause::Entity::find_by_id(PAUSE).one(tx).await;
    let found = row.map_err(StoreError::while_doing("look whether work is paused"))?.map(pause);
    Ok(found.filter(|pause| pause.holds(now)))
}

fn pause(row: entity::pause::Model) -> Pause {
    Pause {
        reason: row.reason,
        by: row.paused_by,
        since: row.since,
        until: row.until,
        drain: row.drain,
        emergency: row.emergency,
    }
}

/// The limits that are set.
pub(crate) async fn limits(tx: &impl ConnectionTrait) -> Result<BTreeMap<String, usize>, StoreError> {
    let rows = entity::job_limit::Entity::find().all(tx).await;
    let rows = rows.map_err(StoreError::while_doing("read the limits"))?;
    // what cannot be used is no limit: a queue that stands still says less than one that goes on
    let usable = |row: &entity::job_limit::Model| {
        let jobs = usize::try_from(row.jobs).ok().filter(|jobs| (1..=MOST_JOBS).contains(jobs));
        if jobs.is_none() {
            tracing::warn!(name = row.name, jobs = row.jobs, "job_limit: not 1 to {MOST_JOBS}: it is left out");
        }
        jobs
    };
    Ok(rows.into_iter().filter_map(|row| Some((row.name.clone(), usable(&row)?))).collect())
}

impl Store {
    /// The pause, if one was set; it may have ended by itself.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn pause(&self) -> Result<Option<Pause>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let row = entity::pause::Entity::find_by_id(PAUSE).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read the pause"))?.map(pause))
            })
        })
        .await
    }

    /// Sets the pause, in place of any other; `None` ends it.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn set_pause(&self, wanted: Option<Pause>) -> Result<(), StoreError> {
        let signer = self.signer.clone();
        self.write_ending(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("set the pause");
                let before = entity::pause::Entity::find_by_id(PAUSE).one(tx).await.map_err(&failed)?.map(pause);
                let action = if wanted.is_some() { "sync.pause" } else { "sync.resume" };
                let change =
                    Change { before: Some(json!(before)), after: Some(json!(wanted)), ..Change::new(action, "sync") };
                signer.note(tx, change).await?;
                entity::pause::Entity::delete_by_id(PAUSE).exec(tx).await.map_err(&failed)?;
                let Some(pause) = wanted else { return Ok(()) };
                let row = entity::pause::ActiveModel {
                    id: Set(PAUSE),
                    reason: Set(pause.reason),
                    paused_by: Set(pause.by),
                    since: Set(pause.since),
                    until: Set(pause.until),
                    drain: Set(pause.drain),
                    emergency: Set(pause.emergency),
                };
                entity::pause::Entity::insert(row).exec_without_returning(tx).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }

    /// How many jobs may run at once: of a type in all processes, and under [`crate::domain::queue::ALL`] in each process.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn limits(&self) -> Result<BTreeMap<String, usize>, StoreError> {
        self.read(|db| Box::pin(async move { limits(db).await })).await
    }

    /// Sets limits, all or none; `None` takes one away. Answers all that are set then.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn set_limits(
        &self,
        wanted: BTreeMap<String, Option<usize>>,
        now: Timestamp,
    ) -> Result<BTreeMap<String, usize>, StoreError> {
        use entity::job_limit::Column::{Jobs, Name, UpdatedAt};
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("set the limits");
                let before = limits(tx).await?;
                for (name, limit) in wanted {
                    let Some(limit) = limit else {
                        entity::job_limit::Entity::delete_by_id(name).exec(tx).await.map_err(&failed)?;
                        continue;
                    };
                    let jobs = i64::try_from(limit).unwrap_or(i64::MAX);
                    let row = entity::job_limit::ActiveModel { name: Set(name), jobs: Set(jobs), updated_at: Set(now) };
                    let over = OnConflict::column(Name).update_columns([Jobs, UpdatedAt]).to_owned();
                    let insert = entity::job_limit::Entity::insert(row).on_conflict(over);
                    insert.exec_without_returning(tx).await.map_err(&failed)?;
                }
                let after = limits(tx).await?;
                signer.note(tx, Change::new("limits.set", "limits").from(json!(before)).to(json!(after))).await?;
                Ok(after)
            })
        })
        .await
    }
}

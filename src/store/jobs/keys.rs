//! Who has a key, in flight or as a throttle window, and how is a job parted from it?

use sea_orm::{EntityTrait, QueryFilter, prelude::*};

use serde_json::json;

use super::{
    follow::start_kept,
    lane::{is, is_live},
};
use crate::{
    domain::{JobId, JobState, KeyState, Timestamp},
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

use entity::job::Column as C;

impl Store {
    /// Who has this key, in flight or as a throttle window?
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn key(&self, key: String, now: Timestamp) -> Result<KeyState, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("look for a key");
                let of_key = || entity::job::Entity::find().filter(C::DedupKey.eq(key.as_str()));
                let owner = of_key().filter(is_live()).one(db).await.map_err(&failed)?;
                let kept = of_key().filter(is(JobState::Kept)).one(db).await.map_err(&failed)?;
                let window = entity::job::Entity::find()
                    .filter(Expr::cust("throttle_key IS NOT NULL"))
                    .filter(C::ThrottleKey.eq(key.as_str()))
                    .filter(C::ThrottleUntil.gt(now))
                    .one(db)
                    .await
                    .map_err(&failed)?;
                Ok(KeyState {
                    job_id: owner.map(|row| row.id),
                    kept_job_id: kept.map(|row| row.id),
                    window_until: window.as_ref().and_then(|row| row.throttle_until),
                    window_job_id: window.map(|row| row.id),
                })
            })
        })
        .await
    }

    /// Parts a job from its keys: others may take them. The job itself goes on, and its end frees nobody
    /// else's. False if it has none of them (any more).
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn remove_key(&self, key: String, job: JobId, now: Timestamp) -> Result<bool, StoreError> {
        let (inner, signer) = (self.inner.clone(), self.signer.clone());
        self.write_ending(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("remove a key");
                let found = entity::job::Entity::find_by_id(job).one(tx).await.map_err(&failed)?;
                let Some(row) = found else { return Ok(false) };
                let is_owner = row.dedup_key.as_deref() == Some(key.as_str()) && row.state != JobState::Done;
                let has_window = row.throttle_key.as_deref() == Some(key.as_str());
                let mut update = entity::job::Entity::update_many().filter(C::Id.eq(job));
                if is_owner {
                    update = update.col_expr(C::DedupKey, Expr::val(Option::<String>::None));
                }
                if has_window {
                    update = update.col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None));
                }
                if !is_owner && !has_window {
                    return Ok(false);
                }
                update.exec(tx).await.map_err(&failed)?;
                signer.note(tx, Change::new("key.remove", format!("job:{job}")).from(json!({ "key": key }))).await?;
                if !is_owner {
                    return Ok(true);
                }
                inner.dedup.end([job].into_iter());
                // nothing is before the kept one any more, be it this one
                let kept = if row.state == JobState::Kept {
                    Some(row)
                } else {
                    let kept = entity::job::Entity::find().filter(is(JobState::Kept)).filter(C::DedupKey.eq(key));
                    kept.one(tx).await.map_err(failed)?
                };
                match kept {
                    Some(kept) => start_kept(tx, &kept, now).await.map(|()| true),
                    None => Ok(true),
                }
            })
        })
        .await
    }
}

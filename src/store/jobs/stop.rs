//! How are jobs told to stop, or taken out of the queue before they start?

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    prelude::*,
    sea_query::{Query, SimpleExpr},
};

use serde_json::json;

use super::{
    follow::{Over, follow, release},
    lane::{self, is},
};
use crate::{
    domain::{JobId, JobSelector, JobState, Outcome, Timestamp, job::JobEvent},
    store::{
        Store, StoreError,
        db::arrays::among_ids,
        schema::entity,
        settings::audit::{Change, Signer},
    },
};

use entity::job::Column as C;

/// Jobs that one transaction removes.
const REMOVED_AT_ONCE: usize = 500;

impl Store {
    /// Asks running jobs to stop, and takes those that have not started out of the queue. Answers
    /// `(asked to stop, removed)`. A job that never ran frees its keys.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn request_stop(
        &self,
        meant: JobSelector,
        now: Timestamp,
    ) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
        let (only_waiting, signer) = (meant.only_waiting, self.signer.clone());
        let (mut running, waiting) =
            self.write(move |tx| Box::pin(async move { mark_stopped(tx, meant, &signer).await })).await?;
        let mut removed = Vec::new();
        // a few hundred a transaction: other writers have their turn in between
        for chunk in waiting.chunks(REMOVED_AT_ONCE) {
            let (types, inner, ids) = (self.types().clone(), self.inner.clone(), chunk.to_vec());
            let done = self.write_ending(move |tx| {
                Box::pin(async move {
                    // a job may have been claimed since it was found waiting
                    let started = if only_waiting { Vec::new() } else { mark_active(tx, ids.clone()).await? };
                    let rows = entity::job::Entity::find()
                        .filter(C::Id.is_in(ids))
                        .filter(Expr::cust("state IN ('waiting', 'delayed', 'kept')"))
                        .all(tx)
                        .await
                        .map_err(StoreError::while_doing("remove jobs"))?;
                    inner.dedup.end(rows.iter().map(|row| row.id));
                    remove(tx, &rows, now).await?;
                    let over: Vec<Over> = rows.iter().map(Over::from).collect();
                    follow(tx, &types, &over, now).await?;
                    Ok((started, rows.into_iter().map(|row| row.id).collect::<Vec<_>>()))
                })
            });
            let (started, gone) = done.await?;
            running.extend(started);
            removed.extend(gone);
        }
        removed.sort_unstable();
        Ok((running, removed))
    }
}

/// Marks the running jobs that are meant; answers them, and those that have not started, kept ones first: so
/// nothing follows a winner that is removed with it.
async fn mark_stopped(
    tx: &DatabaseTransaction,
    meant: JobSelector,
    signer: &Signer,
) -> Result<(Vec<JobId>, Vec<JobId>), StoreError> {
    let failed = StoreError::while_doing("stop jobs");
    let ids = |those| of(&meant).filter::<SimpleExpr>(those).select_only().column(C::Id).into_tuple::<JobId>();
    let running =
        if meant.only_waiting { Vec::new() } else { ids(is(JobState::Active)).all(tx).await.map_err(&failed)? };
    mark_active(tx, running.clone()).await?;
    let mut waiting = Vec::new();
    for those in [is(JobState::Kept), is(JobState::Delayed)].into_iter().chain(lane::waiting()) {
        waiting.extend(ids(those).all(tx).await.map_err(&failed)?);
    }
    let action = if meant.only_waiting { "jobs.purge" } else { "jobs.stop" };
    let hit = json!({ "running": running, "waiting": waiting.len() });
    signer.note(tx, Change::new(action, target(&meant)).to(hit)).await?;
    Ok((running, waiting))
}

/// Which jobs are meant, in one word.
fn target(meant: &JobSelector) -> String {
    match (meant.job, &meant.job_type, meant.class) {
        (Some(job), _, _) => format!("job:{job}"),
        (None, Some(job_type), _) => format!("type:{job_type}"),
        (None, None, Some(class)) => format!("class:{}", class.as_str()),
        (None, None, None) => "jobs".to_owned(),
    }
}

/// Marks those of `ids` that run; answers them.
async fn mark_active(tx: &DatabaseTransaction, ids: Vec<JobId>) -> Result<Vec<JobId>, StoreError> {
    let failed = StoreError::while_doing("stop jobs");
    let mut mark = Query::update();
    mark.table(entity::job::Entity)
        .value(C::StopRequested, true)
        .and_where(among_ids(Expr::col(C::Id), ids, tx.get_database_backend()))
        .and_where(is(JobState::Active))
        .returning_col(C::Id);
    let marked = tx.query_all(&mark).await.map_err(&failed)?;
    marked.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>().map_err(failed)
}

fn of(meant: &JobSelector) -> Select<entity::job::Entity> {
    entity::job::Entity::find()
        .apply_if(meant.job, |query, id| query.filter(C::Id.eq(id)))
        .apply_if(meant.job_type.clone(), |query, name| query.filter(C::JobType.eq(name.as_str())))
        .apply_if(meant.class, |query, class| query.filter(C::Class.eq(class)))
}

/// Takes jobs that have not started out of the queue. One that never ran opens its throttle window.
async fn remove(tx: &DatabaseTransaction, rows: &[entity::job::Model], now: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("remove jobs");
    for row in rows {
        row.state.on(JobEvent::Removed)?;
        release(tx, row).await?;
    }
    let meant = || entity::job::Entity::update_many().filter(C::Id.is_in(rows.iter().map(|row| row.id)));
    meant()
        .col_expr(C::State, Expr::val(JobState::Done))
        .col_expr(C::IsNext, Expr::val(false))
        .col_expr(C::Outcome, Expr::val(Outcome::Removed))
        .col_expr(C::FinishedAt, Expr::val(now))
        .exec(tx)
        .await
        .map_err(&failed)?;
    meant()
        .col_expr(C::ThrottleUntil, Expr::val(Option::<Timestamp>::None))
        .filter(C::StartedAt.is_null())
        .exec(tx)
        .await
        .map_err(&failed)?;
    lane::advance(tx, rows.iter().map(|row| row.id)).await
}

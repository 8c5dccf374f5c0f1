//! Which jobs and runs are old enough to be forgotten? Never a job whose window is open or whose flow is under
//! way, nor a run that says how things stand.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::ExprTrait};

use crate::{
    domain::{JobId, JobState, Timestamp},
    store::{Store, StoreError, jobs::lane::is, runs::log::forget_logs, schema::entity},
};

use entity::{flow_link::Column as L, job::Column as C};

/// Jobs that one transaction forgets.
const AT_ONCE: u64 = 500;

impl Store {
    /// Forgets jobs that ended before `before`; their runs stay in the
    /// history, the documents that they brought go with them. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn clean_jobs(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let done = self
                .write(move |tx| {
                    Box::pin(async move {
                        let failed = StoreError::while_doing("forget old jobs");
                        let family = "EXISTS (SELECT 1 FROM job AS other WHERE other.root_job_id = \
                                      COALESCE(job.root_job_id, job.id) AND other.state <> 'done')";
                        let linked = "EXISTS (SELECT 1 FROM flow_link JOIN job AS other ON other.id = \
                                      flow_link.job_id WHERE flow_link.root_job_id = COALESCE(job.root_job_id, \
                                      job.id) AND other.state <> 'done')";
                        let old = entity::job::Entity::find()
                            .filter(is(JobState::Done))
                            .filter(C::FinishedAt.lt(before))
                            .filter(C::ThrottleUntil.is_null().or(C::ThrottleUntil.lte(now)))
                            .filter(Expr::cust("NOT follow_up_due"))
                            .filter(Expr::cust(format!("NOT {family}")))
                            .filter(Expr::cust(format!("NOT {linked}")))
                            .order_by_asc(C::FinishedAt)
                            .limit(AT_ONCE)
                            .all(tx)
                            .await
                            .map_err(&failed)?;
                        let brought = |row: &entity::job::Model| row.result.as_ref()?["documentId"].as_i64();
                        let documents: Vec<i64> = old.iter().filter_map(brought).collect();
                        let dropped = entity::document::Entity::delete_many()
                            .filter(entity::document::Column::Id.is_in(documents))
                            .exec(tx);
                        dropped.await.map_err(&failed)?;
                        let ids: Vec<JobId> = old.iter().map(|row| row.id).collect();
                        let links = entity::flow_link::Entity::delete_many()
                            .filter(L::JobId.is_in(ids.clone()).or(L::RootJobId.is_in(ids.clone())))
                            .exec(tx);
                        links.await.map_err(&failed)?;
                        let gone = entity::job::Entity::delete_many().filter(C::Id.is_in(ids)).exec(tx).await;
                        Ok(gone.map_err(failed)?.rows_affected)
                    })
                })
                .await?;
            forgotten += done;
            if done < AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets runs that ended before `before`, with their quarantine and their log. Those that say how things stand stay: an open
    /// hold, and of each type and agent the last run, the last that was applied, and the last that read a report.
    /// Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn clean_runs(&self, before: Timestamp) -> Result<u64, StoreError> {
        use entity::sync_run::Column as R;
        // what the states name says how things stand
        let is_old_news = "NOT EXISTS (SELECT 1 FROM sync_state AS state WHERE state.sync_type = sync_run.sync_type \
                           AND state.agent_id = sync_run.agent_id AND sync_run.id IN (state.last_run_id, \
                           state.applied_run_id, state.read_run_id, state.refused_run_id, state.records_run_id, state.layout_run_id))";
        let mut forgotten = 0;
        loop {
            let done = self
                .write_beside(move |tx| {
                    Box::pin(async move {
                        let failed = StoreError::while_doing("forget old runs");
                        let old: Vec<i64> = entity::sync_run::Entity::find()
                            .filter(R::FinishedAt.lt(before))
                            .filter(Expr::cust("(hold IS NULL OR hold NOT IN ('open', 'approved'))"))
                            .filter(Expr::cust(is_old_news))
                            .order_by_asc(R::Id)
                            .limit(AT_ONCE)
                            .select_only()
                            .column(R::Id)
                            .into_tuple()
                            .all(tx)
                            .await
                            .map_err(&failed)?;
                        let quarantine = entity::quarantine::Entity::delete_many()
                            .filter(entity::quarantine::Column::RunId.is_in(old.clone()));
                        quarantine.exec(tx).await.map_err(&failed)?;
                        forget_logs(tx, &old).await.map_err(&failed)?;
                        let gone = entity::sync_run::Entity::delete_many().filter(R::Id.is_in(old)).exec(tx).await;
                        Ok(gone.map_err(failed)?.rows_affected)
                    })
                })
                .await?;
            forgotten += done;
            if done < AT_ONCE {
                break;
            }
        }
        self.write_beside(move |tx| {
            Box::pin(async move {
                let hours = entity::run_hour::Entity::delete_many().filter(entity::run_hour::Column::Hour.lt(before));
                hours.exec(tx).await.map_err(StoreError::while_doing("forget old hours"))
            })
        })
        .await?;
        Ok(forgotten)
    }
}

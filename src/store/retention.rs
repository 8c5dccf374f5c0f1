//! Which jobs are old enough to be forgotten? Never one whose window is open or whose flow is under way.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::ExprTrait};

use super::{Store, StoreError, entity, lane::is};
use crate::domain::{JobState, Timestamp};

use entity::job::Column as C;

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
                        let old = entity::job::Entity::find()
                            .filter(is(JobState::Done))
                            .filter(C::FinishedAt.lt(before))
                            .filter(C::ThrottleUntil.is_null().or(C::ThrottleUntil.lte(now)))
                            .filter(Expr::cust("NOT follow_up_due"))
                            .filter(Expr::cust(format!("NOT {family}")))
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
                        let ids = old.iter().map(|row| row.id);
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
}

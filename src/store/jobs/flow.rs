//! Which flow does a job belong to? To that of its parent, and to those in which it stands for a child that was asked
//! for while it lived.

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, Set,
    prelude::*,
    sea_query::{ExprTrait, OnConflict, Query},
};

use super::lane::is_live;
use crate::{
    domain::{JobId, JobState},
    store::{StoreError, schema::entity},
};

use entity::{flow_link::Column as L, job::Column as C};

/// The flows in which these jobs stand for a child that was asked for already.
pub(crate) async fn flows_of(
    tx: &DatabaseTransaction,
    jobs: impl Iterator<Item = JobId>,
) -> Result<Vec<JobId>, StoreError> {
    let links = entity::flow_link::Entity::find().filter(L::JobId.is_in(jobs)).select_only().column(L::RootJobId);
    links.into_tuple().all(tx).await.map_err(StoreError::while_doing("look for flows"))
}

/// Is the job a child of this flow, or does it stand for one?
pub(crate) fn is_in_flow(root: JobId) -> Expr {
    let links =
        Query::select().column(L::JobId).from(entity::flow_link::Entity).and_where(L::RootJobId.eq(root)).to_owned();
    let own = Expr::cust("root_job_id IS NOT NULL").and(Expr::col(C::RootJobId).eq(root));
    own.or(Expr::col(C::Id).in_subquery(links))
}

/// Ends are written beside the queue's transactions: whoever is to wait behind a job keeps it from ending unseen.
pub(crate) async fn still_lives(tx: &DatabaseTransaction, job: JobId) -> Result<bool, StoreError> {
    // by its number alone, not through the index of all that lives
    let found = entity::job::Entity::find_by_id(job).lock_exclusive().one(tx).await;
    let found = found.map_err(StoreError::while_doing("look whether a job has ended"))?;
    Ok(found.is_some_and(|row| row.state != JobState::Done))
}

/// A live job stands for a child of a flow: that ends when the job does. False if it has ended.
pub(crate) async fn link(tx: &DatabaseTransaction, job: JobId, root: JobId) -> Result<bool, StoreError> {
    let failed = StoreError::while_doing("link a job to a flow");
    // by its own row, which whoever ends it looks at; a job in another flow stands in this one, too
    let adopted = entity::job::Entity::update_many()
        .col_expr(C::RootJobId, Expr::val(root))
        .filter(C::Id.eq(job))
        .filter(C::Id.ne(root))
        .filter(C::RootJobId.is_null())
        .filter(is_live())
        .exec(tx)
        .await
        .map_err(&failed)?;
    if adopted.rows_affected > 0 || job == root {
        return Ok(true);
    }
    if !still_lives(tx, job).await? {
        return Ok(false);
    }
    let row = entity::flow_link::ActiveModel { job_id: Set(job), root_job_id: Set(root) };
    let linked = entity::flow_link::Entity::insert(row)
        .on_conflict(OnConflict::columns([L::JobId, L::RootJobId]).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await;
    linked.map(|_| true).map_err(failed)
}

//! How are old rows forgotten? Oldest first, a thousand a transaction: other writers have their turn in between.

use sea_orm::{
    DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*, sea_query::IntoCondition as _,
};

use crate::{
    domain::Timestamp,
    store::{Store, StoreError},
};

/// Rows that one transaction forgets.
const AT_ONCE: u64 = 1_000;

async fn some<E: EntityTrait>(
    tx: &DatabaseTransaction,
    (id, at): (E::Column, E::Column),
    before: Timestamp,
) -> Result<u64, DbErr> {
    let old = E::find().filter(at.lt(before).into_condition()).order_by_asc(at).limit(AT_ONCE);
    let old: Vec<i64> = old.select_only().column(id).into_tuple().all(tx).await?;
    Ok(E::delete_many().filter(id.is_in(old)).exec(tx).await?.rows_affected)
}

impl Store {
    /// Forgets the rows of `E` whose moment `at` is before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub(crate) async fn forget<E: EntityTrait>(
        &self,
        columns: (E::Column, E::Column),
        before: Timestamp,
        doing: &'static str,
    ) -> Result<u64, StoreError>
    where
        E::Column: Send + Sync + Copy + 'static,
    {
        let mut forgotten = 0;
        loop {
            let done = self.write_beside(move |tx| {
                Box::pin(async move { some::<E>(tx, columns, before).await.map_err(StoreError::while_doing(doing)) })
            });
            let done = done.await?;
            forgotten += done;
            if done < AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

//! Is the schema the one that this program needs? Migrations, by one process at a time, whole or not at all.

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};

use super::record_table;
use crate::store::{Store, StoreError, Work, db::dialect};

impl Store {
    /// Brings the control tables up to date, and makes the record tables that the sync types need. Processes
    /// that start together wait for each other.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if a newer lockstep has migrated the database, or if a record table does not
    /// fit its type; [`StoreError`] if a statement fails. Nothing is changed then.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let types = self.inner.types.clone();
        self.change_schema(move |tx| {
            Box::pin(async move {
                let before = applied(tx).await?;
                Migrator::up(tx, None).await.map_err(StoreError::while_doing("migrate the control tables"))?;
                let new: Vec<String> =
                    Self::known_migrations().into_iter().filter(|name| !before.contains(name)).collect();
                if let (Some(first), Some(last)) = (new.first(), new.last()) {
                    tracing::info!(migrations = new.len(), first, last, "the control tables were migrated");
                }
                record_table::create_all(tx, &types).await
            })
        })
        .await
    }

    /// Takes the control tables away again; record tables stay, because they hold people's data.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn migrate_down(&self) -> Result<(), StoreError> {
        self.change_schema(move |tx| {
            Box::pin(async move {
                Migrator::down(tx, None).await.map_err(StoreError::while_doing("take the control tables away"))
            })
        })
        .await
    }

    async fn change_schema<F>(&self, change: F) -> Result<(), StoreError>
    where
        F: for<'c> FnOnce(&'c DatabaseTransaction) -> Work<'c, ()> + Send + 'static,
    {
        self.write(move |tx| {
            Box::pin(async move {
                dialect::lock_schema(tx).await.map_err(StoreError::while_doing("lock the schema"))?;
                refuse_newer(tx).await?;
                change(tx).await
            })
        })
        .await
    }

    /// The migrations that this program knows, oldest first.
    #[must_use]
    pub fn known_migrations() -> Vec<String> {
        Migrator::migrations().iter().map(|one| one.name().to_owned()).collect()
    }

    /// Is the schema of this version? For those who only look, and migrate nothing.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if it is older or newer.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        self.read(|db| {
            Box::pin(async move {
                refuse_newer(db).await?;
                let applied = applied(db).await?;
                if applied.is_empty() {
                    let text = "the database has no tables of lockstep: start the service, or run `lockstep migrate`";
                    return Err(StoreError::Unsupported(text.to_owned()));
                }
                let pending = Self::known_migrations().into_iter().filter(|name| !applied.contains(name)).count();
                if pending > 0 {
                    let text = format!(
                        "the database is of an older lockstep ({pending} migrations are pending): start the service of \
                         this version ({}), or run `lockstep migrate`",
                        env!("CARGO_PKG_VERSION")
                    );
                    return Err(StoreError::Unsupported(text));
                }
                Ok(())
            })
        })
        .await
    }

    /// `(migration, is it applied)` for each migration that this program or the database knows.
    ///
    /// # Errors
    /// [`StoreError`] if the history cannot be read.
    pub async fn migration_status(&self) -> Result<Vec<(String, bool)>, StoreError> {
        self.write(|tx| {
            Box::pin(async move {
                let applied = applied(tx).await?;
                let known = Self::known_migrations();
                let newer = applied.iter().filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>();
                Ok(known.into_iter().chain(newer).map(|name| (name.clone(), applied.contains(&name))).collect())
            })
        })
        .await
    }
}

/// The migrations that the database has seen.
async fn applied(tx: &impl ConnectionTrait) -> Result<BTreeSet<String>, StoreError> {
    let read = async {
        if dialect::columns(tx, "seaql_migrations").await?.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut query = sea_orm::sea_query::Query::select();
        query.column("version").from("seaql_migrations");
        let rows = tx.query_all(&query).await?;
        rows.iter().map(|row: &QueryResult| row.try_get("", "version")).collect::<Result<_, DbErr>>()
    };
    read.await.map_err(StoreError::while_doing("read the migrations"))
}

/// A newer schema may mean anything: an older program must not write to it.
async fn refuse_newer(tx: &impl ConnectionTrait) -> Result<(), StoreError> {
    let known = Migrator::migrations();
    let is_known = |name: &String| known.iter().any(|one| one.name() == name);
    match applied(tx).await?.into_iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(newer) => Err(StoreError::Unsupported(format!(
            "the database was migrated by a newer lockstep ('{newer}' is not known to version {}): run that version \
             or a later one, or restore the backup from before its first start",
            env!("CARGO_PKG_VERSION")
        ))),
    }
}

//! How can the database fail, and may a retry help?

use sea_orm::{DbErr, RuntimeErr};

use crate::domain::{ItemId, JobId, item::IllegalItem, job::Illegal, text::on_record};

/// A store operation failed; nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The settings name a database that cannot be used.
    #[error("{0}")]
    Unsupported(String),
    /// A statement failed.
    #[error("cannot {doing}: {error}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// What the database says.
        error: DbErr,
    },
    /// The job's lease is another's: it was stopped, rescued or is over. The late write is refused.
    #[error("job {job} is no longer held under lease {lease}: the late write was refused")]
    LeaseLost {
        /// The job.
        job: JobId,
        /// The lease number that the caller held.
        lease: i64,
    },
    /// A job's state does not allow what was to happen to it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// An outbox item is held under another lease by now, or by nobody: the late word is refused.
    #[error("item {item} is no longer held under lease {lease}: the late word was refused")]
    ItemLost {
        /// The item.
        item: ItemId,
        /// The lease number that the caller held.
        lease: i64,
    },
    /// An outbox item's status does not allow what was to happen to it.
    #[error(transparent)]
    IllegalItem(#[from] IllegalItem),
    /// An outbox item may have been delivered: it is repeated only by a person's word.
    #[error("item {item} may have been delivered: look at the other side first, then say evenIfDone or discard it")]
    Doubtful {
        /// The item.
        item: ItemId,
    },
    /// The key of a request was used before, for other changes.
    #[error("the key '{key}' was used before, for other changes")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A stored value is none of those that may stand there: the row was not written by this version.
    #[error("cannot {doing}: {what}")]
    Unreadable {
        /// What was attempted.
        doing: &'static str,
        /// The row, its column and what stands there.
        what: String,
    },
    /// A stored thing does not exist.
    #[error("there is no {0}")]
    Missing(String),
    /// The runtime went away, or the operation panicked.
    #[error("a database operation was interrupted: {0}")]
    Interrupted(String),
}

impl StoreError {
    pub(crate) fn opening(error: &DbErr) -> Self {
        // what is said of an address may hold its password
        StoreError::Unsupported(format!("cannot open the database: {}", on_record(&error.to_string())))
    }

    /// For `map_err`: names what was attempted.
    pub(crate) fn while_doing(doing: &'static str) -> impl Fn(DbErr) -> Self {
        move |error| match error {
            DbErr::Type(what) => StoreError::Unreadable { doing, what },
            error => StoreError::Database { doing, error },
        }
    }

    /// Did a statement fail because of the values that it was given, and of nothing else?
    #[must_use]
    pub fn is_about_data(&self) -> bool {
        let StoreError::Database { error: DbErr::Exec(cause) | DbErr::Query(cause), .. } = self else { return false };
        let RuntimeErr::SqlxError(cause) = cause else { return false };
        // PostgreSQL's class 22, "data exception"; SQLite keeps every value
        let code = cause.as_database_error().and_then(sea_orm::sqlx::error::DatabaseError::code);
        code.is_some_and(|code| code.len() == 5 && code.starts_with("22"))
    }

    /// May the same operation succeed if it is tried again?
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Database { .. } | StoreError::Interrupted(_) => true,
            StoreError::Unsupported(_)
            | StoreError::LeaseLost { .. }
            | StoreError::Illegal(_)
            | StoreError::ItemLost { .. }
            | StoreError::IllegalItem(_)
            | StoreError::Doubtful { .. }
            | StoreError::Unreadable { .. }
            | StoreError::KeyReused { .. }
            | StoreError::Missing(_) => false,
        }
    }
}

//! How can the database fail, and may a retry help?

use sea_orm::{DbErr, RuntimeErr};

use crate::domain::{item::IllegalItem, job::Illegal, text::on_record};

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
        job: i64,
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
        item: i64,
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
        item: i64,
    },
    /// The key of a request was used before, for other changes.
    #[error("the key '{key}' was used before, for other changes")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// A stored text is none of those that may stand there: the row was not written by this version.
    #[error("{table}, row {row}, {column}: '{found}' is not known")]
    UnknownText {
        /// The table.
        table: &'static str,
        /// The row's number.
        row: i64,
        /// The column.
        column: &'static str,
        /// What stands there.
        found: String,
    },
    /// A stored thing does not exist.
    #[error("there is no {0}")]
    Missing(String),
    /// The runtime went away, or the operation panicked.
    #[error("a database operation was interrupted: {0}")]
    Interrupted(String),
}

/// What a stored name stands for: an unknown one is an error, never a default.
pub(crate) fn known<T>(
    (table, row, column): (&'static str, i64, &'static str),
    found: &str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_name(found).ok_or_else(|| StoreError::UnknownText { table, row, column, found: found.to_owned() })
}

impl StoreError {
    pub(crate) fn opening(error: &DbErr) -> Self {
        // what is said of an address may hold its password
        StoreError::Unsupported(format!("cannot open the database: {}", on_record(&error.to_string())))
    }

    /// For `map_err`: names what was attempted.
    pub(crate) fn while_doing(doing: &'static str) -> impl Fn(DbErr) -> Self {
        move |error| StoreError::Database { doing, error }
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
            | StoreError::UnknownText { .. }
            | StoreError::KeyReused { .. }
            | StoreError::Missing(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Class, Hold, Outcome, Reason, Stage};

    #[test]
    fn a_stored_name_that_nobody_knows_is_an_error_that_says_where_it_stands() {
        let wrong = known(("job", 7, "reason"), "nonsense", Reason::from_name).unwrap_err().to_string();
        for place in ["job", "7", "reason", "nonsense"] {
            assert!(wrong.contains(place), "{wrong}");
        }
        // every name leads back to what it was written for
        assert!(Reason::ALL.iter().all(|one| Reason::from_name(one.as_str()) == Some(*one)));
        assert!(Class::ALL.iter().all(|one| Class::from_rank(one.rank()) == Some(*one)));
        assert!(["open", "approved", "closed"].iter().all(|name| Hold::from_name(name).unwrap().as_str() == *name));
        assert_eq!(Stage::from_name("apply"), Some(Stage::Apply));
        assert_eq!((Stage::from_name("x"), Hold::from_name(""), Outcome::from_name("Held")), (None, None, None));
    }
}

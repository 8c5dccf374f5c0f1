//! How do ids and names of the domain stand in columns? As numbers and texts; one that nobody knows is an error that
//! says where it stands, never a default.

use sea_orm::{
    ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable,
    sea_query::{ArrayType, ColumnType, Nullable, Value, ValueType, ValueTypeErr},
};

use crate::domain::{
    Action, AttentionKind, Class, DocumentId, FlowOutcome, Hold, ItemId, ItemStatus, JobId, JobState, Outcome, Phase,
    PlanDigest, Reason, RunId, Stage,
};

/// A column of a type of the domain: `$inner` is what the database has.
macro_rules! column {
    ($name:ty, $inner:ty, $write:expr, $read:expr) => {
        impl From<$name> for Value {
            fn from(value: $name) -> Self {
                let write: fn($name) -> $inner = $write;
                write(value).into()
            }
        }

        impl TryGetable for $name {
            fn try_get_by<I: ColIdx>(row: &QueryResult, column: I) -> Result<Self, TryGetError> {
                let found = <$inner>::try_get_by(row, column)?;
                let read: fn(&$inner) -> Option<$name> = $read;
                read(&found).ok_or_else(|| unknown(row, column, &found.to_string()))
            }
        }

        impl ValueType for $name {
            fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
                let read: fn(&$inner) -> Option<$name> = $read;
                read(&<$inner as ValueType>::try_from(value)?).ok_or(ValueTypeErr)
            }

            fn type_name() -> String {
                stringify!($name).to_owned()
            }

            fn array_type() -> ArrayType {
                <$inner as ValueType>::array_type()
            }

            fn column_type() -> ColumnType {
                <$inner as ValueType>::column_type()
            }
        }

        impl Nullable for $name {
            fn null() -> Value {
                <$inner as Nullable>::null()
            }
        }
    };
}

macro_rules! ids {
    ($($name:ident),*) => {$(
        column!($name, i64, |id| id.0, |number| Some($name(*number)));

        impl TryFromU64 for $name {
            fn try_from_u64(number: u64) -> Result<Self, DbErr> {
                i64::try_from_u64(number).map($name)
            }
        }
    )*};
}

macro_rules! names {
    ($($name:ident),*) => {$(
        column!($name, String, |value| value.as_str().to_owned(), |text| $name::from_name(text));
    )*};
}

ids!(JobId, RunId, ItemId, DocumentId);
names!(Action, AttentionKind, FlowOutcome, Hold, ItemStatus, JobState, Outcome, Phase, Reason, Stage);
column!(Class, i16, Class::rank, |rank| Class::from_rank(*rank));
column!(PlanDigest, String, |digest| digest.as_str().to_owned(), |text| Some(PlanDigest::from(text.as_str())));

/// It becomes a [`crate::store::StoreError::Unreadable`], which tells it with what was being done.
fn unknown(row: &QueryResult, column: impl ColIdx, found: &str) -> TryGetError {
    let id = row.try_get::<i64>("", "id").map(|id| format!("row {id}, ")).unwrap_or_default();
    let column = column.as_str().map_or_else(|| format!("{column:?}"), str::to_owned);
    TryGetError::DbErr(DbErr::Type(format!("{id}column {column}: '{found}' is not known")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_what_it_was_written_for() {
        assert!(Reason::ALL.iter().all(|one| Reason::from_name(one.as_str()) == Some(*one)));
        assert!(Class::ALL.iter().all(|one| Class::from_rank(one.rank()) == Some(*one)));
        assert!(["open", "approved", "closed"].iter().all(|name| Hold::from_name(name).unwrap().as_str() == *name));
        assert_eq!(Stage::from_name("apply"), Some(Stage::Apply));
        assert_eq!((Stage::from_name("x"), Hold::from_name(""), Outcome::from_name("Held")), (None, None, None));
    }
}

//! How are batches of records written? Inserted, or put in the place of what is stored.

use std::borrow::Cow;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement,
    sea_query::{Expr, OnConflict, Query, Value as Sql},
};

use super::value;
use crate::{
    delta::{Change, ChangeKind},
    domain::{ClaimedJob, Timestamp},
    store::db::{arrays::ArrayText, dialect},
    sync_type::SyncTypeSpec,
};

/// What is written of every record besides its fields; a record that is written is neither missing nor deleted.
const MARKS: [&str; 8] = [
    "change_hash",
    "content_hash",
    "spec_fingerprint",
    "updated_at",
    "missing_since",
    "missing_run_id",
    "deleted_at",
    "run_id",
];

/// Writes batches of one type's records.
pub(crate) struct Upsert<'s> {
    spec: &'s SyncTypeSpec,
    /// On PostgreSQL, whose statements cost a way to the server and back, the batches of a commit are one; SQLite
    /// writes each at once.
    gathered: Option<UpsertColumns>,
}

impl<'s> Upsert<'s> {
    /// For the records of `spec`, in a database of this kind.
    pub(crate) fn new(spec: &'s SyncTypeSpec, backend: DbBackend) -> Self {
        Self { spec, gathered: (backend == DbBackend::Postgres).then(|| UpsertColumns::of(spec)) }
    }

    /// Writes a batch, or puts it into the statement that [`Upsert::flush`] sends.
    pub(crate) async fn add(
        &mut self,
        tx: &DatabaseTransaction,
        job: &ClaimedJob,
        batch: &[Change],
        now: Timestamp,
    ) -> Result<(), DbErr> {
        match &mut self.gathered {
            Some(columns) => {
                for change in batch {
                    columns.push(change);
                }
                Ok(())
            }
            None => self.write_values(tx, job, batch, now).await,
        }
    }

    /// Writes what is not written yet.
    pub(crate) async fn flush(self, tx: &DatabaseTransaction, job: &ClaimedJob, now: Timestamp) -> Result<(), DbErr> {
        let Some(columns) = self.gathered else { return Ok(()) };
        let of_all: [Sql; 4] =
            [job.agent.as_str().into(), now.into(), self.spec.fingerprint.clone().into(), job.run.into()];
        let sql = statement(self.spec, columns.are_new);
        let values = of_all.into_iter().chain(columns.arrays.into_iter().map(ArrayText::closed));
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await.map(|_| ())
    }

    async fn write_values(
        &self,
        tx: &DatabaseTransaction,
        job: &ClaimedJob,
        batch: &[Change],
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let (spec, backend) = (self.spec, tx.get_database_backend());
        let names = || spec.fields.iter().map(|field| field.name.clone());
        let mut insert = Query::insert();
        let first = ["agent_id", "first_seen_at"].into_iter().chain(MARKS).map(str::to_owned);
        insert.into_table(spec.name.as_str().to_owned()).columns(first.chain(names()));
        for change in batch {
            let fixed: [Sql; 10] = [
                job.agent.as_str().into(),
                now.into(),
                change.change_hash.clone().into(),
                change.content_hash.clone().into(),
                spec.fingerprint.clone().into(),
                now.into(),
                Option::<Timestamp>::None.into(),
                Option::<i64>::None.into(),
                Option::<Timestamp>::None.into(),
                job.run.into(),
            ];
            let fields = spec.fields.iter().zip(&change.record.values);
            let values = fields.map(|(field, value)| value::bind(field.value_type, value, backend));
            insert.values_panic(fixed.into_iter().chain(values).map(Expr::val));
        }
        let mut conflict = OnConflict::columns(["agent_id".to_owned(), spec.key_name().to_owned()]);
        conflict
            .update_columns(MARKS.map(str::to_owned).into_iter().chain(names().filter(|name| name != spec.key_name())));
        insert.on_conflict(conflict);
        tx.execute(&insert).await.map(|_| ())
    }
}

/// The statement whose parameters are what all records share, and then one array a column. Field names are
/// identifiers: the types' files are checked for that. Records that are all new are inserted and nothing else, which
/// is a quarter faster: whoever holds the lease is the only one who writes the records of its type and agent.
fn statement(spec: &SyncTypeSpec, are_new: bool) -> String {
    let quoted = |name: &str| format!("\"{name}\"");
    let fields: Vec<String> = spec.fields.iter().map(|field| quoted(&field.name)).collect();
    let types = ["text"; 2].into_iter().chain(spec.fields.iter().map(|field| dialect::type_name(field.value_type)));
    let arrays: Vec<String> = types.zip(5..).map(|(name, number)| format!("${number}::text::{name}[]")).collect();
    let insert = format!(
        "INSERT INTO {} (agent_id, first_seen_at, spec_fingerprint, updated_at, run_id, change_hash, content_hash, {}) \
         SELECT $1, $2, $3, $2, $4, rows.* FROM unnest({}) AS rows",
        quoted(spec.name.as_str()),
        fields.join(", "),
        arrays.join(", "),
    );
    if are_new {
        return insert;
    }
    let kept = [quoted("agent_id"), quoted(spec.key_name())];
    let replaced = MARKS.iter().map(|mark| quoted(mark)).chain(fields.iter().filter(|name| **name != kept[1]).cloned());
    let replaced: Vec<String> = replaced.map(|name| format!("{name} = excluded.{name}")).collect();
    format!("{insert} ON CONFLICT ({}) DO UPDATE SET {}", kept.join(", "), replaced.join(", "))
}

/// Records by column: the two hashes, then the fields.
struct UpsertColumns {
    arrays: Vec<ArrayText>,
    /// Is each of them new, so that nothing can be in its place?
    are_new: bool,
}

impl UpsertColumns {
    fn of(spec: &SyncTypeSpec) -> Self {
        Self { arrays: vec![ArrayText::default(); spec.fields.len() + 2], are_new: true }
    }

    fn push(&mut self, change: &Change) {
        self.are_new &= change.kind == ChangeKind::Insert;
        let hashes = [&change.change_hash, &change.content_hash].map(|hash| Some(Cow::Borrowed(hash.as_str())));
        let fields = change.record.values.iter().map(|value| (!value.is_null()).then(|| value.canonical()));
        for (array, value) in self.arrays.iter_mut().zip(hashes.into_iter().chain(fields)) {
            array.push(value.as_deref());
        }
    }
}

//! How are batches of records written? Inserted, or put in the place of what is stored.

use std::borrow::Cow;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement, sea_query::Value as Sql};

use super::value;
use crate::{
    delta::{Change, ChangeKind},
    domain::{ClaimedJob, Timestamp},
    store::db::{arrays, dialect},
    sync_type::SyncTypeSpec,
};

/// What all records of a statement share, and then each one's hashes; its fields follow.
const FIRST: &str = "agent_id, first_seen_at, spec_fingerprint, updated_at, run_id, change_hash, content_hash";

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

/// SQLite binds each value, up to 32,766: so many records are a statement, so that handing it over costs little beside
/// it. On PostgreSQL all records of a commit are one.
const ROWS: usize = 100;

/// Writes batches of one type's records.
pub(crate) struct Upsert<'s> {
    spec: &'s SyncTypeSpec,
    job: &'s ClaimedJob,
    now: Timestamp,
    gathered: Vec<&'s Change>,
}

impl<'s> Upsert<'s> {
    /// For the records of `spec` that `job` writes.
    pub(crate) fn new(spec: &'s SyncTypeSpec, job: &'s ClaimedJob, now: Timestamp) -> Self {
        Self { spec, job, now, gathered: Vec::new() }
    }

    /// Writes a batch, or keeps it until a statement is full.
    pub(crate) async fn add(&mut self, tx: &DatabaseTransaction, batch: &'s [Change]) -> Result<(), DbErr> {
        self.gathered.extend(batch);
        if tx.get_database_backend() == DbBackend::Postgres || self.gathered.len() < ROWS {
            return Ok(());
        }
        self.flush(tx).await
    }

    /// Writes what is not written yet.
    pub(crate) async fn flush(&mut self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        let changes = std::mem::take(&mut self.gathered);
        if changes.is_empty() {
            return Ok(());
        }
        let are_new = changes.iter().all(|change| change.kind == ChangeKind::Insert);
        let backend = tx.get_database_backend();
        let (sql, values) = match backend {
            DbBackend::Postgres => (of_columns(self.spec, are_new), self.by_column(&changes)),
            _ => (of_rows(self.spec, changes.len(), are_new), self.by_row(&changes, backend)),
        };
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.map(|_| ())
    }

    /// What all records of a statement share.
    fn of_all(&self) -> [Sql; 4] {
        [self.job.agent.as_str().into(), self.now.into(), self.spec.fingerprint.clone().into(), self.job.run.into()]
    }

    fn by_column(&self, changes: &[&Change]) -> Vec<Sql> {
        let cell = |row: usize, column: usize| match column {
            0 => Cow::Borrowed(changes[row].change_hash.as_str()),
            1 => Cow::Borrowed(changes[row].content_hash.as_str()),
            _ => changes[row].record.values[column - 2].canonical(),
        };
        let own = arrays::joined(changes.len(), self.spec.fields.len() + 2, cell);
        self.of_all().into_iter().chain(own).collect()
    }

    fn by_row(&self, changes: &[&Change], backend: DbBackend) -> Vec<Sql> {
        let mut values = Vec::with_capacity(changes.len() * (self.spec.fields.len() + 2) + 4);
        values.extend(self.of_all());
        for change in changes {
            values.extend([change.change_hash.clone().into(), change.content_hash.clone().into()]);
            let fields = self.spec.fields.iter().zip(&change.record.values);
            values.extend(fields.map(|(field, value)| value::bind(field.value_type, value, backend)));
        }
        values
    }
}

/// A statement with one parameter a value. None is numbered: those are searched for by name each time they are bound.
fn of_rows(spec: &SyncTypeSpec, rows: usize, are_new: bool) -> String {
    let row = format!("(?{})", ", ?".repeat(spec.fields.len() + 1));
    let rows = vec![row; rows].join(", ");
    let select = format!(
        "SELECT shared.agent, shared.now, shared.spec, shared.now, shared.run, rows.* FROM (SELECT ? AS agent, ? AS now, \
         ? AS spec, ? AS run) AS shared, (VALUES {rows}) AS rows WHERE true"
    );
    insert(spec, &select, are_new)
}

/// A statement with one parameter a column.
fn of_columns(spec: &SyncTypeSpec, are_new: bool) -> String {
    let types = ["text"; 2].into_iter().chain(spec.fields.iter().map(|field| dialect::type_name(field.value_type)));
    let (mut selected, mut columns) = (Vec::new(), Vec::new());
    for (number, name) in types.enumerate() {
        selected.push(if name == "text" { format!("c{number}") } else { format!("c{number}::{name}") });
        columns.push(format!("{} AS c{number}", arrays::taken_apart(6 + number, 5)));
    }
    let (selected, columns) = (selected.join(", "), columns.join(", "));
    insert(spec, &format!("SELECT $1, $2, $3, $2, $4, {selected} FROM (SELECT {columns} OFFSET 0) AS rows"), are_new)
}

/// Field names are identifiers: the types' files are checked for that. Records that are all new are inserted and
/// nothing else, which is a quarter faster: whoever holds the lease is the only one who writes the records of its type
/// and agent.
fn insert(spec: &SyncTypeSpec, rows: &str, are_new: bool) -> String {
    let quoted = |name: &str| format!("\"{name}\"");
    let fields: Vec<String> = spec.fields.iter().map(|field| quoted(&field.name)).collect();
    let insert = format!("INSERT INTO {} ({FIRST}, {}) {rows}", quoted(spec.name.as_str()), fields.join(", "));
    if are_new {
        return insert;
    }
    let key = quoted(spec.key_name());
    let replaced = MARKS.iter().map(|mark| quoted(mark)).chain(fields.into_iter().filter(|name| *name != key));
    let replaced: Vec<String> = replaced.map(|name| format!("{name} = excluded.{name}")).collect();
    format!("{insert} ON CONFLICT (agent_id, {key}) DO UPDATE SET {}", replaced.join(", "))
}

//! How is a batch of records written by one statement? Inserted, or put in the place of what is stored.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement,
    sea_query::{Expr, OnConflict, Query, Value as Sql},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{dialect, value};
use crate::{
    delta::Change,
    domain::{ClaimedJob, Timestamp, Value},
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
pub(super) struct Upsert<'s> {
    spec: &'s SyncTypeSpec,
    /// On PostgreSQL the same text for every batch, whose records are one parameter: building and binding
    /// hundreds of parameters costs more than the rows do.
    sql: Option<String>,
}

impl<'s> Upsert<'s> {
    /// For the records of `spec`, in a database of this kind.
    pub fn new(spec: &'s SyncTypeSpec, backend: DbBackend) -> Self {
        Self { spec, sql: (backend == DbBackend::Postgres).then(|| one_parameter(spec)) }
    }

    /// Writes a batch.
    pub async fn write(
        &self,
        tx: &DatabaseTransaction,
        job: &ClaimedJob,
        batch: &[Change],
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let Some(sql) = &self.sql else {
            return self.write_values(tx, job, batch, now).await;
        };
        let rows = batch.iter().map(|change| Row { spec: self.spec, change }).collect::<Vec<_>>();
        let rows = serde_json::to_string(&rows).map_err(|error| DbErr::Custom(error.to_string()))?;
        let values: [Sql; 5] =
            [job.agent.as_str().into(), now.into(), self.spec.fingerprint.clone().into(), job.run.into(), rows.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        tx.execute_raw(statement).await.map(|_| ())
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

/// The statement whose fifth parameter is a JSON array of [`Row`]s. Field names are identifiers: the types' files
/// are checked for that.
fn one_parameter(spec: &SyncTypeSpec) -> String {
    let quoted = |name: &str| format!("\"{name}\"");
    let fields: Vec<String> = spec.fields.iter().map(|field| quoted(&field.name)).collect();
    let typed = spec.fields.iter().enumerate();
    let typed: Vec<String> =
        typed.map(|(number, field)| format!("f{number} {}", dialect::type_name(field.value_type))).collect();
    let kept = [quoted("agent_id"), quoted(spec.key_name())];
    let replaced = MARKS.iter().map(|mark| quoted(mark)).chain(fields.iter().filter(|name| **name != kept[1]).cloned());
    let replaced: Vec<String> = replaced.map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        "INSERT INTO {} (agent_id, first_seen_at, spec_fingerprint, updated_at, run_id, change_hash, content_hash, {}) \
         SELECT $1, $2, $3, $2, $4, rows.* FROM json_to_recordset($5::json) AS rows(h text, c text, {}) \
         ON CONFLICT ({}) DO UPDATE SET {}",
        quoted(spec.name.as_str()),
        fields.join(", "),
        typed.join(", "),
        kept.join(", "),
        replaced.join(", "),
    )
}

/// A record as a JSON object: its hashes, and its fields by number.
struct Row<'r> {
    spec: &'r SyncTypeSpec,
    change: &'r Change,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(Some(self.spec.fields.len() + 2))?;
        row.serialize_entry("h", &self.change.change_hash)?;
        row.serialize_entry("c", &self.change.content_hash)?;
        for (number, value) in self.change.record.values.iter().enumerate() {
            let name = format_args!("f{number}").to_string();
            match value {
                // what is left out is null
                Value::Null => {}
                Value::Int(whole) => row.serialize_entry(&name, whole)?,
                Value::Bool(flag) => row.serialize_entry(&name, flag)?,
                Value::Text(text) => row.serialize_entry(&name, text)?,
                Value::Decimal(_) | Value::Date(_) | Value::DateTime(_) => {
                    row.serialize_entry(&name, &value.canonical())?;
                }
            }
        }
        row.end()
    }
}

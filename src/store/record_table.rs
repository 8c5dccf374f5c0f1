//! Which tables hold the records? Made from the sync types' files: created, and columns added;
//! never dropped or narrowed, because they hold people's data.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, Statement,
    sea_query::{ColumnDef, ColumnType, Expr, ExprTrait, Index, Table},
};

use super::{Store, StoreError, value};
use crate::sync_type::{SyncTypeSpec, SyncTypes};

/// The columns that every record table has besides its fields, with their types.
const COMMON: [(&str, ColumnType); 10] = [
    ("change_hash", ColumnType::Text),
    ("content_hash", ColumnType::Text),
    ("spec_fingerprint", ColumnType::Text),
    ("parent_key", ColumnType::Text),
    ("first_seen_at", ColumnType::TimestampWithTimeZone),
    ("updated_at", ColumnType::TimestampWithTimeZone),
    ("missing_since", ColumnType::TimestampWithTimeZone),
    ("missing_run_id", ColumnType::BigInteger),
    ("deleted_at", ColumnType::TimestampWithTimeZone),
    ("run_id", ColumnType::BigInteger),
];

impl Store {
    /// Makes every record and history table that the sync types need and that is not there yet.
    pub(super) async fn create_record_tables(&self) -> Result<(), StoreError> {
        let types = self.inner.types.clone();
        self.write(move |tx| {
            Box::pin(async move {
                for spec in types.iter() {
                    check_key(tx, spec).await?;
                    create(tx, spec, &types).await.map_err(StoreError::while_doing("make a record table"))?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn create(tx: &DatabaseTransaction, spec: &SyncTypeSpec, types: &SyncTypes) -> Result<(), DbErr> {
    let name = spec.name.as_str().to_owned();
    let mut wanted: Vec<(String, ColumnType)> =
        spec.fields.iter().map(|field| (field.name.clone(), value::column_type(field.value_type))).collect();
    wanted.extend(COMMON.iter().map(|(name, column_type)| ((*name).to_owned(), column_type.clone())));

    let mut table = Table::create();
    table.table(name.clone()).if_not_exists();
    table.col(ColumnDef::new_with_type("agent_id", ColumnType::Text).not_null());
    for (column, column_type) in &wanted {
        let mut definition = ColumnDef::new_with_type(column.clone(), column_type.clone());
        if column == spec.key_name() {
            definition.not_null();
        }
        table.col(&mut definition);
    }
    table.primary_key(Index::create().col("agent_id").col(spec.key_name().to_owned()));
    tx.execute(&table).await?;

    let present = columns(tx, &name).await?;
    for (column, column_type) in wanted.into_iter().filter(|(column, _)| !present.contains(column)) {
        let mut add = Table::alter();
        add.table(name.clone()).add_column(ColumnDef::new_with_type(column, column_type));
        tx.execute(&add).await?;
    }
    for column in link_columns(spec, types) {
        let mut index = Index::create();
        index.if_not_exists().name(format!("{name}_{column}")).table(name.clone()).col("agent_id").col(column);
        tx.execute(&index).await?;
    }
    if let Some(history) = &spec.history {
        create_history(tx, &history.table).await?;
    }
    Ok(())
}

/// The columns by which records find their parent, or their children find them.
fn link_columns(spec: &SyncTypeSpec, types: &SyncTypes) -> BTreeSet<String> {
    let up = spec.parent.iter().flat_map(|parent| [parent.field.clone(), "parent_key".to_owned()]);
    let down = types.children_of(&spec.name).filter_map(|child| Some(child.parent.as_ref()?.matches.clone()));
    up.chain(down).filter(|column| column != spec.key_name()).collect()
}

async fn create_history(tx: &DatabaseTransaction, name: &str) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(name.to_owned()).if_not_exists();
    table.col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key());
    for (column, column_type) in [
        ("agent_id", ColumnType::Text),
        ("record_key", ColumnType::Text),
        ("old_value", ColumnType::Text),
        ("new_value", ColumnType::Text),
        ("changed_at", ColumnType::TimestampWithTimeZone),
        ("run_id", ColumnType::BigInteger),
    ] {
        table.col(ColumnDef::new_with_type(column, column_type));
    }
    tx.execute(&table).await.map(|_| ())
}

/// A table that exists keeps its key: records under another one could not be told apart.
async fn check_key(tx: &DatabaseTransaction, spec: &SyncTypeSpec) -> Result<(), StoreError> {
    let sql = "SELECT name FROM pragma_table_info(?) WHERE pk > 0";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [spec.name.as_str().into()]);
    let rows = tx.query_all_raw(statement).await;
    let names =
        rows.and_then(|rows| rows.iter().map(|row| row.try_get::<String>("", "name")).collect::<Result<Vec<_>, _>>());
    let names = names.map_err(StoreError::while_doing("look at a record table"))?;
    match names.iter().find(|name| *name != "agent_id") {
        Some(key) if key != spec.key_name() => Err(StoreError::Unsupported(format!(
            "sync type {0}: key: the table {0} has the key '{key}', not '{1}'; move its records to another table first",
            spec.name,
            spec.key_name()
        ))),
        _ => Ok(()),
    }
}

/// The names of a table's columns.
async fn columns(tx: &DatabaseTransaction, table: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_sql_and_values(
        tx.get_database_backend(),
        "SELECT name FROM pragma_table_info(?)",
        [table.into()],
    );
    tx.query_all_raw(statement).await?.iter().map(|row| row.try_get("", "name")).collect()
}

/// `column = value` for statements built from text names.
pub(super) fn equals(column: &str, value: impl Into<sea_orm::sea_query::Value>) -> Expr {
    Expr::col(column.to_owned()).eq(value.into())
}

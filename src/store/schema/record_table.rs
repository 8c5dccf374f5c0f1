//! Which tables hold the records? Made from the sync types' files: created, and columns added;
//! never dropped or narrowed, because they hold people's data.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr,
    sea_query::{ColumnDef, ColumnType, Expr, ExprTrait, Index, Table, Value as SqlValue},
};

use crate::{
    store::{
        StoreError,
        db::{
            arrays::among,
            dialect::{self, ColumnChange},
        },
    },
    sync_type::{SyncTypeSpec, SyncTypes},
};

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

/// Makes every record and history table that the sync types need and that is not there yet.
pub(crate) async fn create_all(tx: &DatabaseTransaction, types: &SyncTypes) -> Result<(), StoreError> {
    for spec in types.iter() {
        check(tx, spec).await?;
        create(tx, spec, types).await.map_err(StoreError::while_doing("make a record table"))?;
    }
    Ok(())
}

async fn create(tx: &DatabaseTransaction, spec: &SyncTypeSpec, types: &SyncTypes) -> Result<(), DbErr> {
    let name = spec.name.as_str().to_owned();
    let backend = tx.get_database_backend();
    let kind = |value_type| dialect::column_type(value_type, backend);
    let mut wanted: Vec<(String, ColumnType)> =
        spec.fields.iter().map(|field| (field.name.clone(), kind(field.value_type))).collect();
    wanted.extend(COMMON.iter().map(|(name, column_type)| ((*name).to_owned(), column_type.clone())));

    let mut table = Table::create();
    table.table(name.clone()).if_not_exists();
    table.col(ColumnDef::new_with_type("agent_id", dialect::text(backend)).not_null());
    for (column, column_type) in &wanted {
        let mut definition = ColumnDef::new_with_type(column.clone(), column_type.clone());
        if column == spec.key_name() {
            definition.not_null();
        }
        table.col(&mut definition);
    }
    table.primary_key(Index::create().col("agent_id").col(spec.key_name().to_owned()));
    tx.execute(&table).await?;

    let present = dialect::columns(tx, &name).await?;
    let is_new = |column: &String| present.iter().all(|there| there.name != *column);
    for (column, column_type) in wanted.into_iter().filter(|(column, _)| is_new(column)) {
        let mut add = Table::alter();
        add.table(name.clone()).add_column(ColumnDef::new_with_type(column, column_type));
        tx.execute(&add).await?;
    }
    let is_known = |column: &str| {
        column == "agent_id"
            || COMMON.iter().any(|(common, _)| *common == column)
            || spec.fields.iter().any(|field| field.name == column)
    };
    for column in present.iter().filter(|column| !is_known(&column.name)) {
        // it may hold what nothing else does
        tracing::warn!(
            table = name,
            column = column.name,
            "no field of the sync type has this column any more: it keeps its old values, and no run writes it"
        );
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

/// A table that exists keeps its key, because records under another one could not be told apart, and every
/// value that it holds: columns become wider, never narrower.
async fn check(tx: &DatabaseTransaction, spec: &SyncTypeSpec) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("look at a record table");
    let present = dialect::columns(tx, spec.name.as_str()).await.map_err(&failed)?;
    let key = present.iter().find(|column| column.is_key && column.name != "agent_id");
    if let Some(key) = key.filter(|key| key.name != spec.key_name()) {
        return Err(StoreError::Unsupported(format!(
            "sync type {0}: key: the table {0} has the key '{1}', not '{2}'; move its records to another table first",
            spec.name,
            key.name,
            spec.key_name()
        )));
    }
    for field in &spec.fields {
        let Some(column) = present.iter().find(|column| column.name == field.name) else { continue };
        match dialect::change(column, field.value_type, tx.get_database_backend()) {
            ColumnChange::None => {}
            ColumnChange::Widen(kind) => {
                let sql = format!("ALTER TABLE \"{}\" ALTER COLUMN \"{}\" TYPE {kind}", spec.name, field.name);
                tx.execute_unprepared(&sql).await.map_err(&failed)?;
            }
            ColumnChange::Refuse => {
                return Err(StoreError::Unsupported(format!(
                    "sync type {0}: field '{1}': its column in the table {0} is {2}, which does not hold this type \
                     without loss; give the field another name, or change the column by hand",
                    spec.name, field.name, column.kind
                )));
            }
        }
    }
    Ok(())
}

/// Is a record's key one of these, in canonical spelling?
pub(crate) fn has_key<K: AsRef<str>>(
    spec: &SyncTypeSpec,
    keys: impl IntoIterator<Item = K>,
    backend: DbBackend,
) -> Expr {
    among(Expr::col(spec.key_name().to_owned()), spec.fields[spec.key].value_type, keys, backend)
}

/// `column = value` for statements built from text names.
pub(crate) fn equals(column: &str, value: impl Into<SqlValue>) -> Expr {
    Expr::col(column.to_owned()).eq(value.into())
}

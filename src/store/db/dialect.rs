//! Where do SQLite and PostgreSQL differ? Column types, the catalogue, locks: the only place that asks which
//! of them it speaks to, besides connecting, writing and binding values.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement,
    sea_query::{ColumnType, Expr, ExprTrait, LikeExpr, Value, extension::postgres::PgExpr},
};

use crate::{
    domain::{JobId, Timestamp},
    sync_type::ValueType,
};

/// All lockstep processes of a database agree on this number: whoever has it decides over the queue.
const QUEUE_LOCK: &str = "SELECT pg_advisory_xact_lock(7251001)";
/// And whoever has this one changes the schema.
const SCHEMA_LOCK: &str = "SELECT pg_advisory_xact_lock(7251002)";

/// Decisions over the queue read before they write, so they are made one after the other, whatever process
/// makes them. SQLite has one writer at a time; PostgreSQL is told to, until the transaction ends.
pub(crate) async fn lock_queue(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    lock(tx, QUEUE_LOCK).await
}

/// As `lock_queue`, for processes that start together and find an old schema.
pub(crate) async fn lock_schema(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    lock(tx, SCHEMA_LOCK).await
}

async fn lock(tx: &DatabaseTransaction, statement: &str) -> Result<(), DbErr> {
    match tx.get_database_backend() {
        DbBackend::Postgres => tx.execute_unprepared(statement).await.map(|_| ()),
        _ => Ok(()),
    }
}

/// The server's clock, where the database is a server.
pub(crate) async fn server_time(db: &impl ConnectionTrait) -> Result<Option<Timestamp>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let sql = "SELECT clock_timestamp() AS now";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.map(|row| row.try_get("", "now")).transpose()
}

/// The next number of `table`, whose ids count themselves: an expression for a statement that changes the jobs of
/// `ids`, one number for each.
pub(crate) async fn next_numbers(tx: &DatabaseTransaction, table: &'static str, ids: &[JobId]) -> Result<Expr, DbErr> {
    let backend = tx.get_database_backend();
    if backend == DbBackend::Postgres {
        return Ok(Expr::cust(format!("nextval('{table}_id_seq')")));
    }
    let first = raise_numbers(tx, table, ids.len()).await?;
    let places = serde_json::json!(ids).to_string();
    let place = "? + (SELECT key FROM json_each(?) WHERE value = job.id)";
    Ok(Expr::cust_with_values(place, [Value::from(first), places.into()]))
}

/// The next `count` numbers of `table`, whose ids count themselves.
pub(crate) async fn take_numbers(
    tx: &DatabaseTransaction,
    table: &'static str,
    count: usize,
) -> Result<Vec<i64>, DbErr> {
    let backend = tx.get_database_backend();
    if count == 0 {
        return Ok(Vec::new());
    }
    if backend == DbBackend::Postgres {
        let sql = format!("SELECT nextval('{table}_id_seq') AS number FROM generate_series(1, {count})");
        let rows = tx.query_all_raw(Statement::from_string(backend, sql)).await?;
        return rows.iter().map(|row| row.try_get("", "number")).collect();
    }
    let first = raise_numbers(tx, table, count).await?;
    Ok((first..).take(count).collect())
}

/// SQLite keeps the last number that a table has given in a table; answers the first of `count` new ones.
async fn raise_numbers(tx: &DatabaseTransaction, table: &'static str, count: usize) -> Result<i64, DbErr> {
    let backend = tx.get_database_backend();
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let raise = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ? RETURNING seq";
    let raised = tx.query_one_raw(Statement::from_sql_and_values(backend, raise, [count.into(), table.into()])).await?;
    let last = if let Some(row) = raised {
        row.try_get::<i64>("", "seq")?
    } else {
        let first = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)";
        tx.execute_raw(Statement::from_sql_and_values(backend, first, [table.into(), count.into()])).await?;
        count
    };
    Ok(last - count + 1)
}

/// Text that sorts and compares by its bytes, on every machine.
pub(crate) fn text(backend: DbBackend) -> ColumnType {
    match backend {
        DbBackend::Postgres => ColumnType::custom("text COLLATE \"C\""),
        _ => ColumnType::Text,
    }
}

/// Does this subquery find anything? It is looked up for each row by itself. PostgreSQL would rather read its table once
/// and compare each row with each, as long as it takes that for nearly empty.
pub(crate) fn exists_for_each(subquery: &str, backend: DbBackend) -> Expr {
    match backend {
        DbBackend::Postgres => Expr::cust(format!("EXISTS ({subquery} OFFSET 0)")),
        _ => Expr::cust(format!("EXISTS ({subquery})")),
    }
}

/// The whole number in a field of a JSON column.
pub(crate) fn number_in(column: &str, field: &str, backend: DbBackend) -> String {
    match backend {
        DbBackend::Postgres => format!("CAST({column} ->> '{field}' AS BIGINT)"),
        _ => format!("CAST(json_extract({column}, '$.{field}') AS INTEGER)"),
    }
}

/// `column LIKE pattern`, whatever the case of the letters; `\` makes the next character stand for itself.
pub(crate) fn like(column: String, pattern: &str, backend: DbBackend) -> Expr {
    match backend {
        // `\` is its escape already, and the builder would write an ESCAPE that PostgreSQL does not read
        DbBackend::Postgres => Expr::col(column).ilike(pattern),
        _ => Expr::col(column).like(LikeExpr::new(pattern).escape('\\')),
    }
}

/// The column type of a field. On SQLite money, dates and times are text, so that they read back as they were.
pub(crate) fn column_type(value_type: ValueType, backend: DbBackend) -> ColumnType {
    let typed = |column_type| if backend == DbBackend::Postgres { column_type } else { ColumnType::Text };
    match value_type {
        ValueType::Int => ColumnType::BigInteger,
        ValueType::Bool => ColumnType::Boolean,
        ValueType::Money | ValueType::Number | ValueType::Percent => typed(ColumnType::Decimal(None)),
        ValueType::Date => typed(ColumnType::Date),
        ValueType::Datetime => typed(ColumnType::DateTime),
        ValueType::Text | ValueType::Id | ValueType::Tracking | ValueType::Skip => text(backend),
    }
}

/// A table's column, as the database knows it.
pub(crate) struct Column {
    pub name: String,
    /// In the database's own words, lower case.
    pub kind: String,
    pub is_key: bool,
}

/// The columns of a table; none if there is no such table.
pub(crate) async fn columns(tx: &impl ConnectionTrait, table: &str) -> Result<Vec<Column>, DbErr> {
    let backend = tx.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT a.attname::text AS name, format_type(a.atttypid, NULL)::text AS kind, \
             COALESCE(a.attnum = ANY (i.indkey), FALSE) AS is_key FROM pg_attribute AS a \
             LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = to_regclass(quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped"
        }
        _ => "SELECT name, lower(type) AS kind, pk > 0 AS is_key FROM pragma_table_info(?)",
    };
    let rows = tx.query_all_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
    let column = |row: &sea_orm::QueryResult| {
        Ok(Column {
            name: row.try_get("", "name")?,
            kind: row.try_get("", "kind")?,
            is_key: row.try_get("", "is_key")?,
        })
    };
    rows.iter().map(column).collect()
}

/// What is to be done about a column whose field's type has changed since its table was made.
pub(crate) enum ColumnChange {
    /// Nothing.
    None,
    /// Every value that is there fits into this type: the column is made wider.
    Widen(&'static str),
    /// Values could be lost.
    Refuse,
}

/// PostgreSQL's name for a field's type, as the catalogue has it.
pub(crate) fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Int => "bigint",
        ValueType::Bool => "boolean",
        ValueType::Money | ValueType::Number | ValueType::Percent => "numeric",
        ValueType::Date => "date",
        ValueType::Datetime => "timestamp without time zone",
        ValueType::Text | ValueType::Id | ValueType::Tracking | ValueType::Skip => "text",
    }
}

/// Compares a column with the type that its field has now. SQLite keeps any value in any column.
pub(crate) fn change(column: &Column, value_type: ValueType, backend: DbBackend) -> ColumnChange {
    if backend != DbBackend::Postgres {
        return ColumnChange::None;
    }
    let wanted = type_name(value_type);
    match (column.kind.as_str(), wanted) {
        (kind, wanted) if kind == wanted => ColumnChange::None,
        (_, "text") => ColumnChange::Widen("text COLLATE \"C\""),
        ("bigint", "numeric") | ("date", "timestamp without time zone") => ColumnChange::Widen(wanted),
        _ => ColumnChange::Refuse,
    }
}

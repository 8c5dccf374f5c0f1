//! How are many rows of a control table written by one statement? On PostgreSQL with one parameter a column, so that
//! its text and its cost of building do not grow with their number.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic,
    Iterable, QueryTrait, Statement, TryGetable, sea_query::Value as Sql,
};

use super::arrays;

/// Rows in one statement of SQLite, which binds each value.
const CHUNK: usize = 200;

type Column<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;

const ID: &str = "id";

/// Inserts rows that set the same columns; answers their ids, in the order of the rows.
pub(crate) async fn insert<A, Id>(tx: &DatabaseTransaction, rows: Vec<A>) -> Result<Vec<Id>, DbErr>
where
    A: ActiveModelTrait,
    Id: TryGetable + Ord,
{
    let mut answers = Vec::new();
    if tx.get_database_backend() == DbBackend::Postgres && !rows.is_empty() {
        let Source { names, taken, from, values } = source(&rows)?;
        let (table, names) = (table::<A>(), names.join(", "));
        let sql = format!("INSERT INTO {table} ({names}) SELECT {} FROM {from} RETURNING {ID}", taken.join(", "));
        answers = tx.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    } else {
        for chunk in rows.chunks(CHUNK) {
            let mut insert = A::Entity::insert_many(chunk.iter().cloned()).into_query();
            answers.extend(tx.query_all(insert.returning_col(ID)).await?);
        }
    }
    let mut ids = answers.iter().map(|row| row.try_get("", ID)).collect::<Result<Vec<Id>, _>>()?;
    // numbers are given in the order of the rows; answers may come in any
    ids.sort_unstable();
    Ok(ids)
}

/// What becomes of a row whose key is there already.
pub(crate) enum Conflict<'c> {
    /// The new one takes its place, but for its key.
    Replace,
    /// These columns are added to what they hold.
    Add(&'c [&'c str]),
}

/// Inserts rows that set all columns, no two with the same `key`, or changes those that are there.
pub(crate) async fn upsert<A: ActiveModelTrait>(
    tx: &DatabaseTransaction,
    rows: Vec<A>,
    key: &[&str],
    conflict: Conflict<'_>,
) -> Result<(), DbErr> {
    let table = table::<A>();
    let names: Vec<String> = Column::<A>::iter().map(|column| column.as_str().to_owned()).collect();
    let changed: Vec<String> = match conflict {
        Conflict::Replace => names
            .iter()
            .filter(|name| !key.contains(&name.as_str()))
            .map(|name| format!("\"{name}\" = excluded.\"{name}\""))
            .collect(),
        Conflict::Add(columns) => {
            columns.iter().map(|name| format!("\"{name}\" = {table}.\"{name}\" + excluded.\"{name}\"")).collect()
        }
    };
    let (key, changed) = (key.join(", "), changed.join(", "));
    let backend = tx.get_database_backend();
    for chunk in rows.chunks(if backend == DbBackend::Postgres { usize::MAX } else { CHUNK }) {
        let (names, select, values) = if backend == DbBackend::Postgres {
            let Source { names, taken, from, values } = source(chunk)?;
            (names, format!("SELECT {} FROM {from}", taken.join(", ")), values)
        } else {
            let row = format!("(?{})", ", ?".repeat(names.len() - 1));
            let cells =
                chunk.iter().flat_map(|row| Column::<A>::iter().filter_map(|column| row.get(column).into_value()));
            let names = names.iter().map(|name| format!("\"{name}\"")).collect();
            (names, format!("VALUES {}", vec![row; chunk.len()].join(", ")), cells.collect())
        };
        let sql =
            format!("INSERT INTO {table} ({}) {select} ON CONFLICT ({key}) DO UPDATE SET {changed}", names.join(", "));
        tx.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    }
    Ok(())
}

fn table<A: ActiveModelTrait>() -> String {
    format!("\"{}\"", A::Entity::default().table_name())
}

/// Rows as something that a statement selects from.
struct Source {
    /// The columns that are set.
    names: Vec<String>,
    /// What a statement takes for each of them.
    taken: Vec<String>,
    from: String,
    values: Vec<Sql>,
}

/// A column that is the same in all rows is a parameter; those that differ are [`arrays::joined`].
fn source<A: ActiveModelTrait>(rows: &[A]) -> Result<Source, DbErr> {
    let (mut names, mut taken, mut values, mut differing) = (Vec::new(), Vec::new(), Vec::<Sql>::new(), Vec::new());
    for column in Column::<A>::iter() {
        let cells: Vec<Sql> = rows.iter().filter_map(|row| row.get(column).into_value()).collect();
        let Some(first) = cells.first() else { continue };
        if cells.len() < rows.len() {
            return Err(DbErr::Type(format!("some rows set {} and some do not", column.as_str())));
        }
        let name = format!("\"{}\"", column.as_str());
        if cells.iter().all(|cell| cell == first) {
            values.push(first.clone());
            taken.push(format!("${}", values.len()));
        } else {
            taken.push(match type_name(first)? {
                // an empty cell is null: texts have a letter before them
                "text" => format!("substr({name}, 2)"),
                type_name => format!("{name}::{type_name}"),
            });
            differing.push((name.clone(), cells.iter().map(text).collect::<Result<Vec<String>, _>>()?));
        }
        names.push(name);
    }
    let separator = values.len() + 1;
    let columns = differing.iter().zip(separator + 1..);
    let columns: Vec<String> =
        columns.map(|((name, _), number)| format!("{} AS {name}", arrays::taken_apart(number, separator))).collect();
    if differing.is_empty() {
        return Ok(Source { names, taken, from: format!("generate_series(1, {})", rows.len()), values });
    }
    values.extend(arrays::joined(rows.len(), differing.len(), |row, column| differing[column].1[row].as_str().into()));
    Ok(Source { names, taken, from: format!("(SELECT {} OFFSET 0) AS rows", columns.join(", ")), values })
}

/// PostgreSQL's name for the type of a value.
fn type_name(value: &Sql) -> Result<&'static str, DbErr> {
    Ok(match value {
        Sql::Bool(_) => "boolean",
        Sql::SmallInt(_) => "smallint",
        Sql::Int(_) => "integer",
        Sql::BigInt(_) => "bigint",
        Sql::String(_) => "text",
        Sql::Json(_) => "jsonb",
        Sql::ChronoDateTimeUtc(_) => "timestamptz",
        other => return Err(unknown(other)),
    })
}

/// A value as PostgreSQL reads it, a text after a letter; null is empty.
fn text(value: &Sql) -> Result<String, DbErr> {
    let text = match value {
        Sql::Bool(flag) => flag.map(|flag| flag.to_string()),
        Sql::SmallInt(number) => number.map(|number| number.to_string()),
        Sql::Int(number) => number.map(|number| number.to_string()),
        Sql::BigInt(number) => number.map(|number| number.to_string()),
        Sql::String(text) => text.as_ref().map(|text| format!("v{text}")),
        Sql::Json(json) => json.as_ref().map(ToString::to_string),
        Sql::ChronoDateTimeUtc(moment) => moment.map(|moment| moment.to_rfc3339()),
        other => return Err(unknown(other)),
    };
    Ok(text.unwrap_or_default())
}

fn unknown(value: &Sql) -> DbErr {
    DbErr::Type(format!("no control table has a column for {value:?}"))
}

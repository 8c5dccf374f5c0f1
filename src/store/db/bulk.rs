//! How are many rows of a control table written by one statement? On PostgreSQL with one parameter a column, so that
//! its text and its cost of building do not grow with their number.

use std::borrow::Cow;

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic,
    Iterable, QueryTrait, Statement, TryGetable, sea_query::Value as Sql,
};

use super::arrays::ArrayText;

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

/// A column that is the same in all rows is a parameter, and one that differs an array of them.
fn source<A: ActiveModelTrait>(rows: &[A]) -> Result<Source, DbErr> {
    let mut values = Vec::<Sql>::new();
    let (mut names, mut taken, mut arrays, mut array_names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for column in Column::<A>::iter() {
        let cells: Vec<Sql> = rows.iter().filter_map(|row| row.get(column).into_value()).collect();
        let Some(first) = cells.first() else { continue };
        if cells.len() < rows.len() {
            return Err(DbErr::Type(format!("some rows set {} and some do not", column.as_str())));
        }
        let name = format!("\"{}\"", column.as_str());
        let number = values.len() + 1;
        if cells.iter().all(|cell| cell == first) {
            taken.push(format!("${number}"));
            values.push(first.clone());
        } else {
            let mut array = ArrayText::default();
            for cell in &cells {
                array.push(text(cell)?.as_deref());
            }
            arrays.push(format!("(${number})::text::{}[]", type_name(first)?));
            values.push(array.closed());
            array_names.push(name.clone());
            taken.push(format!("rows.{name}"));
        }
        names.push(name);
    }
    let from = match arrays[..] {
        [] => format!("generate_series(1, {})", rows.len()),
        _ => format!("unnest({}) AS rows({})", arrays.join(", "), array_names.join(", ")),
    };
    Ok(Source { names, taken, from, values })
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

/// A value as PostgreSQL reads it.
fn text(value: &Sql) -> Result<Option<Cow<'_, str>>, DbErr> {
    Ok(match value {
        Sql::Bool(flag) => flag.map(|flag| Cow::Borrowed(if flag { "t" } else { "f" })),
        Sql::SmallInt(number) => number.map(|number| number.to_string().into()),
        Sql::Int(number) => number.map(|number| number.to_string().into()),
        Sql::BigInt(number) => number.map(|number| number.to_string().into()),
        Sql::String(text) => text.as_deref().map(Cow::Borrowed),
        Sql::Json(json) => json.as_ref().map(|json| json.to_string().into()),
        Sql::ChronoDateTimeUtc(moment) => moment.map(|moment| moment.to_rfc3339().into()),
        other => return Err(unknown(other)),
    })
}

fn unknown(value: &Sql) -> DbErr {
    DbErr::Type(format!("no control table has a column for {value:?}"))
}

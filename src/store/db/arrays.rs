//! How do many values become one parameter? A statement whose text does not depend on their number is built,
//! parsed and planned once, and binding a parameter a value would cost more than finding the rows.

use std::borrow::Cow;

use sea_orm::{
    DbBackend,
    sea_query::{Expr, Value as Sql},
};

use super::dialect;
use crate::{domain::JobId, sync_type::ValueType};

/// A table of texts for PostgreSQL, one parameter a column, and before them the character between its cells, which is
/// in none of them: no binary array is built as fast, and no array literal read as fast, as [`taken_apart`] reads this.
/// A cell that is empty becomes null.
pub(crate) fn joined<'c>(rows: usize, columns: usize, cell: impl Fn(usize, usize) -> Cow<'c, str>) -> Vec<Sql> {
    let join = |separator: char| {
        let mut texts = vec![String::new(); columns];
        for row in 0..rows {
            for (column, text) in texts.iter_mut().enumerate() {
                if row > 0 {
                    text.push(separator);
                }
                text.push_str(&cell(row, column));
            }
        }
        let count = |text: &String| match u8::try_from(separator) {
            Ok(byte) if byte.is_ascii() => text.bytes().filter(|other| *other == byte).count(),
            _ => text.matches(separator).count(),
        };
        let is_apart = |text: &String| count(text) + 1 == rows;
        texts.iter().all(is_apart).then(|| [separator.to_string()].into_iter().chain(texts).map(Sql::from).collect())
    };
    // the first is made for this, and hardly ever in a text; of all the others one is not
    ('\u{1f}'..).find_map(join).unwrap_or_default()
}

/// The values of a column of [`joined`], by the number of its parameter and of the separator's: for a select list, where
/// arrays are taken apart row by row. In FROM each would be stored away first.
pub(crate) fn taken_apart(number: usize, separator: usize) -> String {
    // the subquery hides the text from the planner, which would take it apart to weigh what is in it
    format!("unnest(string_to_array((SELECT ${number}), ${separator}, ''))")
}

/// Is `column`, of this type, one of `values`, which are in canonical spelling? What is no value of the type, and the
/// empty text, which stands for null, is equal to none. Each value is looked for in the index that the column has.
pub(crate) fn among<V: AsRef<str>>(
    column: Expr,
    value_type: ValueType,
    values: impl IntoIterator<Item = V>,
    backend: DbBackend,
) -> Expr {
    is_one_of(column, value_type, values, backend, any)
}

/// As [`among`], for a column that has no index: each row is looked for among the values, which are hashed.
pub(crate) fn among_hashed<V: AsRef<str>>(
    column: Expr,
    value_type: ValueType,
    values: impl IntoIterator<Item = V>,
    backend: DbBackend,
) -> Expr {
    is_one_of(column, value_type, values, backend, |name| format!("$1 IN (SELECT unnest(($2)::{name}[]))"))
}

/// Is `column` one of these jobs?
pub(crate) fn among_ids(column: Expr, ids: impl IntoIterator<Item = JobId>, backend: DbBackend) -> Expr {
    let ids: Vec<i64> = ids.into_iter().map(|id| id.0).collect();
    match backend {
        DbBackend::Postgres => Expr::cust_with_exprs(any("bigint"), [column, Expr::val(ids)]),
        _ => Expr::cust_with_exprs(IN_JSON, [column, Expr::val(serde_json::json!(ids).to_string())]),
    }
}

/// A subquery is carried out once, and hides the array from the planner, which would weigh each of its values.
fn any(type_name: &str) -> String {
    format!("$1 = ANY ((SELECT ($2)::{type_name}[])::{type_name}[])")
}

/// SQLite has no arrays; what it can take apart is JSON.
const IN_JSON: &str = "? IN (SELECT value FROM json_each(?))";

fn is_one_of<V: AsRef<str>>(
    column: Expr,
    value_type: ValueType,
    values: impl IntoIterator<Item = V>,
    backend: DbBackend,
    on_postgres: impl Fn(&str) -> String,
) -> Expr {
    let values = values.into_iter().filter_map(|text| value_type.from_canonical(text.as_ref()));
    let values = values.filter(|value| !value.is_null());
    if backend == DbBackend::Postgres {
        let condition = on_postgres(dialect::type_name(value_type));
        return Expr::cust_with_exprs(
            condition,
            [column, Expr::val(values.map(|value| value.canonical().into()).collect::<Vec<String>>())],
        );
    }
    // numbers and booleans are numbers in SQLite; the rest is text in canonical spelling
    let array: serde_json::Value = values.map(|value| value.to_json()).collect();
    Expr::cust_with_exprs(IN_JSON, [column, Expr::val(array.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_joined_by_what_is_in_none_of_them() {
        let cells = [["a", ""], ["b,c", "d"]];
        let texts = joined(2, 2, |row, column| cells[row][column].into());
        assert_eq!(texts, ["\u{1f}", "a\u{1f}b,c", "\u{1f}d"].map(Sql::from));
        let cells = ["a", "\u{1f} !"];
        let texts = joined(2, 1, |row, _| cells[row].into());
        assert_eq!(texts, ["\"", "a\"\u{1f} !"].map(Sql::from));
    }
}

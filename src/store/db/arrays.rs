//! How do many values become one parameter? A statement whose text does not depend on their number is built,
//! parsed and planned once, and binding a parameter a value would cost more than finding the rows.

use sea_orm::{
    DbBackend,
    sea_query::{Expr, Value as Sql},
};

use super::dialect;
use crate::{domain::JobId, sync_type::ValueType};

/// The text of a PostgreSQL array, made element by element.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArrayText(String);

impl ArrayText {
    /// Adds an element in quotes, so that commas, braces and the word NULL stand for themselves; or a null.
    pub(crate) fn push(&mut self, value: Option<&str>) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        let Some(value) = value else { return self.0.push_str("NULL") };
        self.0.push('"');
        for part in value.split_inclusive(['"', '\\']) {
            match part.strip_suffix(['"', '\\']) {
                Some(before) => {
                    self.0.push_str(before);
                    self.0.push('\\');
                    self.0.push_str(&part[before.len()..]);
                }
                None => self.0.push_str(part),
            }
        }
        self.0.push('"');
    }

    /// The whole text, as a parameter.
    pub(crate) fn closed(mut self) -> Sql {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0.into()
    }
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
    is_one_of(column, value_type, values, backend, |name| format!("$1 IN (SELECT unnest(($2)::text::{name}[]))"))
}

/// Is `column` one of these jobs?
pub(crate) fn among_ids(column: Expr, ids: impl IntoIterator<Item = JobId>, backend: DbBackend) -> Expr {
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    let ids = ids.join(",");
    match backend {
        DbBackend::Postgres => Expr::cust_with_exprs(any("bigint"), [column, Expr::val(format!("{{{ids}}}"))]),
        _ => Expr::cust_with_exprs(IN_JSON, [column, Expr::val(format!("[{ids}]"))]),
    }
}

/// A subquery is carried out once; the array alone would be taken apart again for each row that no index finds.
fn any(type_name: &str) -> String {
    format!("$1 = ANY ((SELECT ($2)::text::{type_name}[])::{type_name}[])")
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
        let mut array = ArrayText::default();
        values.for_each(|value| array.push(Some(&value.canonical())));
        let condition = on_postgres(dialect::type_name(value_type));
        return Expr::cust_with_exprs(condition, [column, Expr::val(array.closed())]);
    }
    // numbers and booleans are numbers in SQLite; the rest is text in canonical spelling
    let array: serde_json::Value = values.map(|value| value.to_json()).collect();
    Expr::cust_with_exprs(IN_JSON, [column, Expr::val(array.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: &[Option<&str>]) -> Sql {
        let mut array = ArrayText::default();
        for value in values {
            array.push(*value);
        }
        array.closed()
    }

    #[test]
    fn what_means_something_in_an_array_stands_for_itself() {
        assert_eq!(array(&[]), "{}".into());
        assert_eq!(array(&[Some(""), None, Some("NULL"), Some("a, {b}")]), r#"{"",NULL,"NULL","a, {b}"}"#.into());
        assert_eq!(array(&[Some(r#"3" \ perché"#)]), r#"{"3\" \\ perché"}"#.into());
    }
}

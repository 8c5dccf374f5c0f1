//! How is a record's value bound to a statement and read back? By the column types of `dialect`.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use sea_orm::{ColIdx, DbBackend, DbErr, QueryResult, sea_query::Value as Sql};

use crate::{domain::Value, sync_type::ValueType};

/// A value as a statement's parameter; null takes the field's type.
pub(crate) fn bind(value_type: ValueType, value: &Value, backend: DbBackend) -> Sql {
    let is_typed = backend == DbBackend::Postgres;
    match value {
        Value::Null => match value_type {
            ValueType::Int => Sql::BigInt(None),
            ValueType::Bool => Sql::Bool(None),
            ValueType::Money | ValueType::Number | ValueType::Percent if is_typed => Option::<Decimal>::None.into(),
            ValueType::Date if is_typed => Option::<NaiveDate>::None.into(),
            ValueType::Datetime if is_typed => Option::<NaiveDateTime>::None.into(),
            _ => Sql::String(None),
        },
        Value::Int(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Decimal(number) if is_typed => (*number).into(),
        Value::Date(day) if is_typed => (*day).into(),
        Value::DateTime(moment) if is_typed => (*moment).into(),
        Value::Text(_) | Value::Decimal(_) | Value::Date(_) | Value::DateTime(_) => {
            value.canonical().into_owned().into()
        }
    }
}

/// A key or link in canonical spelling, as a parameter of its field's type.
pub(crate) fn bind_text(value_type: ValueType, text: &str, backend: DbBackend) -> Sql {
    bind(value_type, &value_type.from_canonical(text).unwrap_or_default(), backend)
}

/// A field of a result row. A stored value that the field's present type cannot be (the type's file
/// changed) reads as null.
pub(crate) fn fetch(row: &QueryResult, column: impl ColIdx, value_type: ValueType) -> Result<Value, DbErr> {
    let typed = match value_type {
        ValueType::Int => row.try_get_by::<Option<i64>, _>(column).map(|number| number.map(Value::Int)),
        ValueType::Bool => row.try_get_by::<Option<bool>, _>(column).map(|flag| flag.map(Value::Bool)),
        _ => text(row, column, value_type),
    };
    let typed = typed.or_else(|not_text| match value_type {
        ValueType::Int | ValueType::Bool => text(row, column, value_type),
        ValueType::Money | ValueType::Number | ValueType::Percent => {
            let number = row.try_get_by::<Option<Decimal>, _>(column)?;
            Ok(number.and_then(|number| value_type.from_canonical(&number.to_string())))
        }
        ValueType::Date => row.try_get_by::<Option<NaiveDate>, _>(column).map(|day| day.map(Value::Date)),
        ValueType::Datetime => row.try_get_by::<Option<NaiveDateTime>, _>(column).map(|at| at.map(Value::DateTime)),
        _ => Err(not_text),
    });
    if let Ok(value) = typed {
        Ok(value.unwrap_or_default())
    } else {
        let number = row.try_get_by::<Option<i64>, _>(column)?;
        Ok(number.and_then(|number| value_type.from_canonical(&number.to_string())).unwrap_or_default())
    }
}

fn text(row: &QueryResult, column: impl ColIdx, value_type: ValueType) -> Result<Option<Value>, DbErr> {
    let text = row.try_get_by::<Option<String>, _>(column)?;
    Ok(text.and_then(|text| value_type.from_canonical(&text)))
}

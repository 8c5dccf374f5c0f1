//! How is a record's value bound to a statement and read back? Money, dates and times are text in
//! SQLite, so that they read back exactly as they were.

use sea_orm::{DbErr, QueryResult, sea_query};

use crate::{domain::Value, sync_type::ValueType};

/// The column type of a field on SQLite.
pub fn column_type(value_type: ValueType) -> sea_query::ColumnType {
    match value_type {
        ValueType::Int => sea_query::ColumnType::BigInteger,
        ValueType::Bool => sea_query::ColumnType::Boolean,
        ValueType::Text
        | ValueType::Id
        | ValueType::Money
        | ValueType::Number
        | ValueType::Percent
        | ValueType::Date
        | ValueType::Datetime
        | ValueType::Tracking
        | ValueType::Skip => sea_query::ColumnType::Text,
    }
}

/// A value as a statement's parameter; null takes the field's type.
pub fn bind(value_type: ValueType, value: &Value) -> sea_query::Value {
    match value {
        Value::Null => match value_type {
            ValueType::Int => sea_query::Value::BigInt(None),
            ValueType::Bool => sea_query::Value::Bool(None),
            _ => sea_query::Value::String(None),
        },
        Value::Int(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Text(_) | Value::Decimal(_) | Value::Date(_) | Value::DateTime(_) => {
            value.canonical().into_owned().into()
        }
    }
}

/// A field of a result row. A stored value that the field's present type cannot be (the type's file
/// changed) reads as null.
pub fn fetch(row: &QueryResult, column: &str, value_type: ValueType) -> Result<Value, DbErr> {
    let text = || row.try_get::<Option<String>>("", column);
    let from_text =
        |text: Option<String>| text.and_then(|text| value_type.from_canonical(&text)).unwrap_or(Value::Null);
    match value_type {
        ValueType::Int => match row.try_get::<Option<i64>>("", column) {
            Ok(number) => Ok(number.map_or(Value::Null, Value::Int)),
            Err(_) => text().map(from_text),
        },
        ValueType::Bool => match row.try_get::<Option<bool>>("", column) {
            Ok(flag) => Ok(flag.map_or(Value::Null, Value::Bool)),
            Err(_) => text().map(from_text),
        },
        _ => match text() {
            Ok(text) => Ok(from_text(text)),
            Err(_) => row.try_get::<Option<i64>>("", column).map(|number| from_text(number.map(|n| n.to_string()))),
        },
    }
}

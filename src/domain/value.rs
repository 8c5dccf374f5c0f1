//! What is in a cell once it has been read, and how is it spelled in JSON, in a hash, in a database?

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;

/// One typed value of a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Value {
    /// Nothing was printed.
    #[default]
    Null,
    /// Text without leading, trailing or doubled white space; never empty.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Money, quantities and percentages: always two decimals.
    Decimal(Decimal),
    /// A calendar day.
    Date(NaiveDate),
    /// ERP local time, without a zone.
    DateTime(NaiveDateTime),
    /// Yes or no.
    Bool(bool),
}

impl Value {
    /// Is nothing there?
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The one spelling that hashes and databases use; null is the empty text.
    #[must_use]
    pub fn canonical(&self) -> Cow<'_, str> {
        match self {
            Value::Null => Cow::Borrowed(""),
            Value::Text(text) => Cow::Borrowed(text),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::Decimal(number) => Cow::Owned(format!("{number:.2}")),
            Value::Date(day) => Cow::Owned(day.to_string()),
            Value::DateTime(moment) => Cow::Owned(moment.format("%Y-%m-%dT%H:%M:%S").to_string()),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
        }
    }

    /// The spelling in JSON: numbers and booleans as such, everything else as canonical text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Int(number) => (*number).into(),
            Value::Bool(flag) => (*flag).into(),
            Value::Text(_) | Value::Decimal(_) | Value::Date(_) | Value::DateTime(_) => {
                self.canonical().into_owned().into()
            }
        }
    }

    /// The value as a number, for sums; `None` for anything that is not one.
    #[must_use]
    pub fn as_decimal(&self) -> Option<Decimal> {
        match self {
            Value::Int(number) => Some(Decimal::from(*number)),
            Value::Decimal(number) => Some(*number),
            Value::Null | Value::Text(_) | Value::Date(_) | Value::DateTime(_) | Value::Bool(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_spelling() {
        let day = NaiveDate::from_ymd_opt(2026, 1, 20).unwrap();
        for (value, canonical, json) in [
            (Value::Null, "", "null"),
            (Value::Text("a|b".into()), "a|b", "\"a|b\""),
            (Value::Int(-3), "-3", "-3"),
            (Value::Decimal(Decimal::new(1_234, 0)), "1234.00", "\"1234.00\""),
            (Value::Decimal(Decimal::new(-5, 1)), "-0.50", "\"-0.50\""),
            (Value::Date(day), "2026-01-20", "\"2026-01-20\""),
            (Value::DateTime(day.and_hms_opt(2, 4, 22).unwrap()), "2026-01-20T02:04:22", "\"2026-01-20T02:04:22\""),
            (Value::Bool(true), "true", "true"),
        ] {
            assert_eq!(value.canonical(), canonical);
            assert_eq!(value.to_json().to_string(), json);
        }
    }
}

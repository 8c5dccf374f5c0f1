//! How is a value shown? As reports print it: `1.284,50`, `30/11/2026`.

use serde_json::Value as Json;

use super::words::text;
use crate::sync_type::{SyncTypeSpec, ValueType};

/// A number with dots between thousands and a comma before the decimals.
fn number(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    let comma = if decimals.is_empty() { "" } else { "," };
    format!("{sign}{grouped}{comma}{decimals}")
}

/// `2026-11-30` as `30/11/2026`, `2026-11-30T09:41:07` with its time.
fn date(text: &str) -> String {
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, day] = parts[..] else { return text.to_owned() };
    match time {
        Some(time) => format!("{day}/{month}/{year} {time}"),
        None => format!("{day}/{month}/{year}"),
    }
}

fn as_printed(kind: ValueType, value: &Json) -> String {
    let stored = text(value);
    match kind {
        ValueType::Money | ValueType::Number => number(&stored),
        ValueType::Percent => format!("{} %", number(&stored)),
        ValueType::Date | ValueType::Datetime => date(&stored),
        ValueType::Bool => match value {
            Json::Bool(true) => "yes".to_owned(),
            Json::Bool(false) => "no".to_owned(),
            _ => stored,
        },
        // a key is copied as it is
        ValueType::Text | ValueType::Id | ValueType::Int | ValueType::Tracking | ValueType::Skip => stored,
    }
}

/// The value of a field of this type; of one that its file does not know any more, as it is stored.
pub(super) fn shown(spec: Option<&SyncTypeSpec>, field: &str, value: &Json) -> String {
    let known = spec.and_then(|spec| spec.fields.iter().find(|one| one.name == field));
    known.map_or_else(|| text(value), |known| as_printed(known.value_type, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_reports_print_them() {
        for (kind, value, shown) in [
            (ValueType::Money, json!("1284.50"), "1.284,50"),
            (ValueType::Money, json!("-124497.43"), "-124.497,43"),
            (ValueType::Number, json!("999"), "999"),
            (ValueType::Number, json!(1000), "1.000"),
            (ValueType::Number, json!("1e9"), "1e9"),
            (ValueType::Percent, json!("21.49"), "21,49 %"),
            (ValueType::Date, json!("2026-11-30"), "30/11/2026"),
            (ValueType::Datetime, json!("2026-11-30T09:41:07"), "30/11/2026 09:41:07"),
            (ValueType::Date, json!("soon"), "soon"),
            (ValueType::Bool, json!(true), "yes"),
            (ValueType::Text, json!("12.5"), "12.5"),
            (ValueType::Id, json!("71285"), "71285"),
        ] {
            assert_eq!(as_printed(kind, &value), shown, "{kind:?} {value}");
        }
    }
}

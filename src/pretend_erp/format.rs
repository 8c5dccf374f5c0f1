//! How does the ERP print a value? The inverse of `report::cell`.

use rust_decimal::Decimal;

use crate::{domain::Value, sync_type::ValueType};

/// A value as the grid prints it.
#[must_use]
pub fn printed(value_type: ValueType, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) if value_type == ValueType::Id && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            dotted(text)
        }
        Value::Text(text) => text.clone(),
        Value::Int(number) => signed(*number < 0, &dotted(&number.unsigned_abs().to_string())),
        Value::Decimal(number) => decimal(value_type, *number),
        Value::Date(day) => day.format("%d/%m/%Y").to_string(),
        Value::DateTime(moment) => moment.format("%d/%m/%Y %H:%M:%S").to_string(),
        Value::Bool(true) => "Sì".to_owned(),
        Value::Bool(false) => "No".to_owned(),
    }
}

/// A tracking cell: a bare number, or the courier's link as an anchor printed as text.
#[must_use]
pub(crate) fn printed_tracking(courier: &Value, number: &Value) -> String {
    let (courier, number) = (courier.canonical(), number.canonical());
    if courier.is_empty() {
        return number.into_owned();
    }
    let name = courier.to_lowercase();
    format!(
        "<a href=\"https://tracciamento.esempio/{name}?loc=it_IT&tracknum={number}\" target=\"_blank\">{name} {number}</a>"
    )
}

fn decimal(value_type: ValueType, number: Decimal) -> String {
    let text = format!("{:.2}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, "00"));
    let plain = signed(number.is_sign_negative(), &format!("{},{fraction}", dotted(whole)));
    match value_type {
        ValueType::Money => format!("{plain} €"),
        ValueType::Percent => format!("{plain} %"),
        _ => plain,
    }
}

fn signed(negative: bool, digits: &str) -> String {
    if negative { format!("-{digits}") } else { digits.to_owned() }
}

/// Thousands dots. A number that starts with 0 is none, and keeps its digits together.
fn dotted(digits: &str) -> String {
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::cell;

    proptest! {
        #[test]
        fn what_is_printed_reads_back(number in -10_000_000_i64..10_000_000, seconds in 0_i64..4_000_000_000) {
            let moment = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
            let cents = Value::Decimal(Decimal::new(number, 2));
            for (value_type, value) in [
                (ValueType::Int, Value::Int(number)),
                (ValueType::Id, Value::Text(number.unsigned_abs().to_string())),
                (ValueType::Money, cents.clone()),
                (ValueType::Number, cents.clone()),
                (ValueType::Percent, cents),
                (ValueType::Date, Value::Date(moment.date())),
                (ValueType::Datetime, Value::DateTime(moment)),
                (ValueType::Bool, Value::Bool(number > 0)),
            ] {
                prop_assert_eq!(cell::parse(value_type, &printed(value_type, &value)).unwrap(), value);
            }
        }

        #[test]
        fn tracking_reads_back(courier in "[A-Z]{2,6}", number in "[0-9][0-9A-Z]{5,17}") {
            let pair = [Value::Text(courier), Value::Text(number)];
            prop_assert_eq!(cell::parse_tracking(&printed_tracking(&pair[0], &pair[1])), pair);
        }
    }
}

//! What value does a printed cell stand for? Strict: what does not fit is an error, never a guess.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;

use crate::{domain::Value, sync_type::ValueType};

/// A cell whose text is not of its column's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct CellError {
    /// What the column holds, with an example.
    pub expected: &'static str,
}

/// Reads one cell; `text` has its lines joined and its white space collapsed. Blank is null.
///
/// # Errors
/// [`CellError`] where the text is not of type `value_type`.
pub fn parse(value_type: ValueType, text: &str) -> Result<Value, CellError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let fail = |expected| CellError { expected };
    match value_type {
        ValueType::Text | ValueType::Tracking | ValueType::Skip => Ok(Value::Text(text.to_owned())),
        // two identifiers are not one
        ValueType::Id if text.contains(' ') && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b' ')) => {
            Err(fail("an identifier such as 71.285"))
        }
        ValueType::Id if text.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.') => {
            Ok(Value::Text(text.to_owned()))
        }
        ValueType::Id => whole_digits(text).map(Value::Text).ok_or(fail("an identifier such as 71.285")),
        ValueType::Int => {
            let (negative, digits) = split_sign(text).ok_or(fail("a whole number such as 1.204"))?;
            let number = whole_digits(digits).and_then(|digits| digits.parse::<i64>().ok());
            number
                .map(|number| Value::Int(if negative { -number } else { number }))
                .ok_or(fail("a whole number such as 1.204"))
        }
        ValueType::Money => decimal(without_euro(text)).ok_or(fail("an amount such as 1.204,50 €")),
        ValueType::Number => decimal(text).ok_or(fail("a number such as 1.000,00")),
        ValueType::Percent => {
            decimal(text.strip_suffix('%').unwrap_or(text)).ok_or(fail("a percentage such as 21,49 %"))
        }
        ValueType::Date => {
            moment(text).map(|moment| Value::Date(moment.date())).ok_or(fail("a date such as 20/01/2026"))
        }
        ValueType::Datetime => {
            moment(text).map(Value::DateTime).ok_or(fail("a date and time such as 20/01/2026 12:04:22"))
        }
        ValueType::Bool => match text.to_lowercase().as_str() {
            "sì" | "si" | "checked" => Ok(Value::Bool(true)),
            "no" | "unchecked" => Ok(Value::Bool(false)),
            _ => Err(fail("Sì, No, Checked or Unchecked")),
        },
    }
}

/// An amount without the one sign that may stand before or after it.
fn without_euro(text: &str) -> &str {
    text.strip_suffix('€').or_else(|| text.strip_prefix('€')).unwrap_or(text)
}

/// Digits whose dots, if any, stand before groups of three; the dots removed.
fn whole_digits(text: &str) -> Option<String> {
    let is_digits = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    // most have no dots
    if is_digits(text) {
        return Some(text.to_owned());
    }
    let mut groups = text.split('.');
    let first = groups.next()?;
    let grouped = text.contains('.');
    let first_fits = is_digits(first) && (!grouped || (first.len() <= 3 && !first.starts_with('0')));
    (first_fits && groups.all(|group| group.len() == 3 && is_digits(group))).then(|| text.replace('.', ""))
}

/// Sign and rest of `-12`, `12-`, `(12)` and `12`; `None` for two signs.
fn split_sign(text: &str) -> Option<(bool, &str)> {
    let text = text.trim();
    let minus = ['-', '\u{2212}'];
    let (negative, rest) = if let Some(inner) = text.strip_prefix('(') {
        (true, inner.strip_suffix(')')?)
    } else if let Some(rest) = text.strip_prefix(minus) {
        (true, rest)
    } else if let Some(rest) = text.strip_suffix(minus) {
        (true, rest)
    } else {
        (false, text)
    };
    Some((negative, rest.trim()))
}

/// A number with at most two decimals after a comma.
fn decimal(text: &str) -> Option<Value> {
    let (negative, unsigned) = split_sign(text)?;
    let (whole, fraction) = match unsigned.split_once(',') {
        Some((whole, fraction))
            if (1..=2).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (whole, fraction)
        }
        Some(_) => return None,
        None => (unsigned, "0"),
    };
    let mut number: Decimal = format!("{}.{fraction}", whole_digits(whole)?).parse().ok()?;
    number.rescale(2);
    number.set_sign_negative(negative && !number.is_zero());
    Some(Value::Decimal(number))
}

/// A day, day first, with an optional time.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let (day, time) = text.split_once(' ').map_or((text, None), |(day, time)| (day, Some(time)));
    let part = |text: &str, length: usize| -> Option<u32> {
        let fits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse().ok()).flatten()
    };
    let mut parts = day.split('/');
    let (d, m, y) = (part(parts.next()?, 2)?, part(parts.next()?, 2)?, part(parts.next()?, 4)?);
    if parts.next().is_some() {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(y.try_into().ok()?, m, d)?;
    let time = match time {
        None => NaiveTime::MIN,
        Some(time) => {
            let mut parts = time.trim().split([':', '.']);
            let (h, m, s) = (part(parts.next()?, 2)?, part(parts.next()?, 2)?, part(parts.next()?, 2)?);
            if parts.next().is_some() {
                return None;
            }
            NaiveTime::from_hms_opt(h, m, s)?
        }
    };
    Some(day.and_time(time))
}

/// Courier and number of a tracking cell: blank, a bare number, or an HTML anchor printed as text.
/// Only the visible text counts; a text of another shape is kept whole as the number.
#[must_use]
pub fn parse_tracking(text: &str) -> [Value; 2] {
    let visible = visible_text(text);
    let words: Vec<_> = visible.split_whitespace().collect();
    let has_digit = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    match words[..] {
        [] => [Value::Null, Value::Null],
        [courier, number] if !has_digit(courier) && courier.chars().all(char::is_alphabetic) && has_digit(number) => {
            [Value::Text(courier.to_uppercase()), Value::Text(number.to_owned())]
        }
        _ => [Value::Null, Value::Text(words.join(" "))],
    }
}

/// What stands between `<a ...>` and `</a>`, or the whole text if it is no anchor.
fn visible_text(text: &str) -> &str {
    let trimmed = text.trim();
    let is_anchor = trimmed.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("<a"));
    if !is_anchor {
        return trimmed;
    }
    let before_end = trimmed.rfind("</").map_or(trimmed, |end| &trimmed[..end]);
    match before_end.rfind('>') {
        Some(end) => before_end[end + 1..].trim(),
        None => trimmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_as_printed_and_as_stored() {
        use ValueType as T;
        for (value_type, printed, stored) in [
            (T::Text, "  ", ""),
            (T::Text, "Centro & C.", "Centro & C."),
            (T::Id, "71.285", "71285"),
            (T::Id, "71285", "71285"),
            (T::Id, "AB.12", "AB.12"),
            (T::Int, "1.204", "1204"),
            (T::Int, "-3", "-3"),
            (T::Int, "100.000.000", "100000000"),
            (T::Money, "124.497,43 €", "124497.43"),
            (T::Money, "-12,00 €", "-12.00"),
            (T::Money, "(12,50) €", "-12.50"),
            (T::Money, "12,50- €", "-12.50"),
            (T::Money, "\u{2212}12,50", "-12.50"),
            (T::Money, "308,2", "308.20"),
            (T::Money, "1.234", "1234.00"),
            (T::Money, "1234", "1234.00"),
            (T::Money, "0 €", "0.00"),
            (T::Money, "-0,00", "0.00"),
            (T::Number, "1.000,00", "1000.00"),
            (T::Percent, "21,49%", "21.49"),
            (T::Percent, "21,49 %", "21.49"),
            (T::Date, "20/01/2026", "2026-01-20"),
            (T::Date, "20/01/2026 12:04:22", "2026-01-20"),
            (T::Date, "31/12/2154", "2154-12-31"),
            (T::Datetime, "20/01/2026 12:04:22", "2026-01-20T12:04:22"),
            (T::Datetime, "20/01/2026", "2026-01-20T00:00:00"),
            (T::Bool, "Sì", "true"),
            (T::Bool, "Si", "true"),
            (T::Bool, "Unchecked", "false"),
        ] {
            assert_eq!(parse(value_type, printed).unwrap().canonical(), stored, "{printed}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        use ValueType as T;
        for (value_type, printed) in [
            (T::Id, "12.34"),
            (T::Id, "71.285 71.286"),
            (T::Id, "1234.567"),
            (T::Int, "1,5"),
            (T::Int, "12.34"),
            (T::Int, "abc"),
            (T::Int, "99.999.999.999.999.999.999"),
            (T::Money, "12.34"),
            (T::Money, "1,234"),
            (T::Money, "12€34"),
            (T::Money, "€ 12 €"),
            (T::Money, "0.123"),
            (T::Id, "0.123"),
            (T::Money, "1,"),
            (T::Money, ",50"),
            (T::Money, "--5"),
            (T::Money, "(5"),
            (T::Money, "n/a"),
            (T::Date, "01/20/2026"),
            (T::Date, "30/02/2026"),
            (T::Date, "2026-01-20"),
            (T::Date, "1/2/2026"),
            (T::Datetime, "20/01/2026 25:00:00"),
            (T::Datetime, "20/01/2026 12:00"),
            (T::Bool, "forse"),
        ] {
            assert!(parse(value_type, printed).is_err(), "{printed}");
        }
    }

    #[test]
    fn tracking_shows_courier_and_number() {
        let anchor = r#"<a href="https://tracciamento.esempio/ups?loc=it_IT&tracknum=1Z4V26Y8" target="_blank">Ups 1Z4V26Y8</a>"#;
        for (printed, courier, number) in [
            ("", "", ""),
            ("348913591995", "", "348913591995"),
            (anchor, "UPS", "1Z4V26Y8"),
            (r#"<a href = "https://x/tracking.html?id=98>dhl 98</a>"#, "DHL", "98"),
            ("fedex 4452", "FEDEX", "4452"),
            ("ritiro in sede", "", "ritiro in sede"),
            ("<a href=x>", "", ""),
            ("<a href=x></a>", "", ""),
        ] {
            let [a, b] = parse_tracking(printed);
            assert_eq!((a.canonical().as_ref(), b.canonical().as_ref()), (courier, number), "{printed}");
        }
    }
}

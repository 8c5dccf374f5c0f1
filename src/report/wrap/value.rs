//! Which reading of a wrapped value does its column's type allow?

use super::super::{cell, table::BREAK};
use crate::{domain::Value, sync_type::ValueType};

/// So many breaks of one value are tried in all ways.
const MOST_TRIED: usize = 8;

/// The reading of a wrapped value that its column's type allows; `None` for texts, and where both fit.
pub(crate) fn by_value(text: &str, value_type: ValueType) -> Option<String> {
    match value_type {
        ValueType::Text => return None,
        ValueType::Tracking => return Some(tracking(text)),
        _ => {}
    }
    let (cut, parted) = (text.replace(BREAK, ""), text.replace(BREAK, " "));
    match value_type {
        ValueType::Skip => return Some(parted),
        ValueType::Id if !cut.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => return None,
        _ => {}
    }
    match (cell::parse(value_type, &cut), cell::parse(value_type, &parted)) {
        (Ok(_), Err(_)) => Some(cut),
        (Err(_), Ok(_)) => Some(parted),
        (Ok(one), Ok(other)) if one == other => Some(parted),
        (Err(_), Err(_)) => by_parts(text, value_type).or(Some(parted)),
        (Ok(_), Ok(_)) => None,
    }
}

/// The one reading of several breaks that fits, such as `20/01/20|26|12:04:22`.
fn by_parts(text: &str, value_type: ValueType) -> Option<String> {
    let mut fitting = readings(text)?.filter(|read| cell::parse(value_type, read).is_ok());
    fitting.next().filter(|_| fitting.next().is_none())
}

/// All readings of a text with few breaks, those with the fewest blanks first.
fn readings(text: &str) -> Option<impl Iterator<Item = String>> {
    let parts: Vec<&str> = text.split(BREAK).collect();
    let breaks = parts.len() - 1;
    let mut choices: Vec<usize> = (breaks <= MOST_TRIED).then(|| (0..1 << breaks).collect())?;
    choices.sort_by_key(|choice| choice.count_ones());
    let reading = move |choice: usize| {
        let mut read = parts[0].to_owned();
        for (at, part) in parts[1..].iter().enumerate() {
            if choice >> at & 1 == 1 {
                read.push(' ');
            }
            read.push_str(part);
        }
        read
    };
    Some(choices.into_iter().map(reading))
}

/// The reading of a tracking cell that gives a courier and a number, else a number; what a printed link
/// says besides means nothing.
fn tracking(text: &str) -> String {
    let cut = text.replace(BREAK, "");
    // what stands before the visible text is a tag
    let tag = cut.rfind("</").and_then(|end| cut[..end].rfind('>')).map_or(0, |end| cut[..=end].chars().count());
    let (mut seen, mut from) = (0, text.len());
    for (at, character) in text.char_indices() {
        if seen == tag {
            from = at;
            break;
        }
        seen += usize::from(character != BREAK);
    }
    let head = text[..from].replace(BREAK, "");
    let rank = |read: &String| match cell::parse_tracking(read) {
        [Value::Text(_), _] => 2,
        [_, Value::Text(number)] if !number.contains(' ') => 1,
        _ => 0,
    };
    let all: Vec<String> = readings(&text[from..]).into_iter().flatten().map(|tail| format!("{head}{tail}")).collect();
    let most = all.iter().map(rank).max().unwrap_or(0);
    let best: Vec<&String> = all.iter().filter(|read| most > 0 && rank(read) == most).collect();
    let begins_with_digit = |read: &&&String| matches!(&cell::parse_tracking(read)[1], Value::Text(number) if number.starts_with(|c: char| c.is_ascii_digit()));
    let has_digit = |read: &str| matches!(&cell::parse_tracking(read)[1], Value::Text(number) if number.contains(|c: char| c.is_ascii_digit()));
    let numbered: Vec<&&String> = best.iter().filter(begins_with_digit).collect();
    match (&best[..], &numbered[..]) {
        ([], _) if !text[from..].contains(BREAK) => cut,
        // one number, of which the fewest blanks make most
        ([first, ..], _) if most == 1 && has_digit(first) => (*first).clone(),
        ([only], _) => (*only).clone(),
        (_, [only]) => (**only).clone(),
        _ => format!("{head}{}", &text[from..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_their_type_allows() {
        for (value_type, text, expected) in [
            (ValueType::Datetime, "20/01/2026\u{1f}12:04:22", Some("20/01/2026 12:04:22")),
            (ValueType::Datetime, "20/01/20\u{1f}26\u{1f}12:04:22", Some("20/01/2026 12:04:22")),
            (ValueType::Int, "1.2\u{1f}04", Some("1.204")),
            (ValueType::Money, "1.204,50\u{1f}€", Some("1.204,50 €")),
            (ValueType::Tracking, "<a href=x\u{1f}y>Ups\u{1f}1Z4\u{1f}V26</a>", Some("<a href=xy>Ups 1Z4V26</a>")),
            (ValueType::Tracking, "3489135\u{1f}91995", Some("348913591995")),
            (ValueType::Text, "a\u{1f}b", None),
        ] {
            assert_eq!(by_value(text, value_type).as_deref(), expected, "{text}");
        }
    }
}

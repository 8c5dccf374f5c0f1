//! Which rows are in the pretend ERP? Invented from a seed: the same seed gives the same rows.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::{
    domain::{Record, Value},
    sync_type::{Field, SyncTypeSpec, SyncTypes, ValueType},
};

const SYLLABLES: [&str; 16] =
    ["ba", "ce", "di", "fo", "ga", "le", "mi", "no", "pe", "ra", "se", "ti", "vo", "za", "ne", "lu"];
const KINDS: [&str; 5] = ["Studio", "Clinica", "Centro", "Laboratorio", "Ambulatorio"];
const COURIERS: [&str; 3] = ["UPS", "FEDEX", "DHL"];
const STATES: [&str; 4] = ["Consegnato", "Fatturato", "Ordine aperto", "Documento di trasporto"];

/// `rows` invented records of a type. Keys, and links to a parent's records, depend on the row's
/// number alone: other seeds change everything else. Seven of eight rows have a parent of their own.
#[must_use]
pub fn invent(types: &SyncTypes, spec: &SyncTypeSpec, rows: usize, seed: u64) -> Vec<Record> {
    (0..rows).map(|row| invent_row(types, spec, (0, row), seed)).collect()
}

/// Row number `row` of an agent whose numbers begin at `first`.
#[must_use]
pub fn invent_row(types: &SyncTypes, spec: &SyncTypeSpec, (first, row): (usize, usize), seed: u64) -> Record {
    let linked: Vec<&str> =
        types.children_of(&spec.name).filter_map(|child| Some(child.parent.as_ref()?.matches.as_str())).collect();
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (first + row) as u64);
    let value = |(number, field): (usize, &Field)| {
        if number == spec.key || linked.contains(&field.name.as_str()) {
            return identity(spec.name.as_str(), field.value_type, first + row);
        }
        if let Some(parent) = spec.parent.as_ref().filter(|parent| parent.field == field.name) {
            return identity(parent.sync_type.as_str(), field.value_type, first + row * 7 / 8);
        }
        value(field, spec.required.contains(&number), &mut random)
    };
    let mut record = Record { values: spec.fields.iter().enumerate().map(value).collect() };
    pair_tracking(spec, &mut record, &mut random);
    record
}

/// What names row number `row` of a type: digits for an id, a prefixed number for a text.
fn identity(type_name: &str, value_type: ValueType, row: usize) -> Value {
    match value_type {
        ValueType::Int => Value::Int(i64::try_from(row).unwrap_or(0) + 1),
        ValueType::Id => Value::Text((40_000 + row).to_string()),
        _ => Value::Text(format!("{}/{}", type_name.get(..3).unwrap_or(type_name).to_uppercase(), 26_000_000 + row)),
    }
}

fn value(field: &Field, required: bool, random: &mut fastrand::Rng) -> Value {
    if !required && random.u8(..100) < 12 {
        return Value::Null;
    }
    let cents = |random: &mut fastrand::Rng, most: i64| Value::Decimal(Decimal::new(random.i64(-most / 50..most), 2));
    let day = |random: &mut fastrand::Rng| {
        NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default() + chrono::Days::new(random.u64(..900))
    };
    match field.value_type {
        ValueType::Text | ValueType::Tracking | ValueType::Skip => Value::Text(text(&field.name, random)),
        ValueType::Id => Value::Text(random.u32(10_000..2_000_000).to_string()),
        ValueType::Int => Value::Int(random.i64(0..5_000)),
        ValueType::Money => cents(random, 2_000_000),
        ValueType::Number | ValueType::Percent => Value::Decimal(Decimal::new(random.i64(0..10_000), 2)),
        ValueType::Date => Value::Date(day(random)),
        ValueType::Datetime => {
            let time = chrono::NaiveTime::from_num_seconds_from_midnight_opt(random.u32(..86_400), 0);
            Value::DateTime(day(random).and_time(time.unwrap_or_default()))
        }
        ValueType::Bool => Value::Bool(random.bool()),
    }
}

fn word(random: &mut fastrand::Rng) -> String {
    let lower: String = (0..random.usize(2..=4)).map(|_| SYLLABLES[random.usize(..SYLLABLES.len())]).collect();
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A text that suits the field's name.
fn text(field: &str, random: &mut fastrand::Rng) -> String {
    let has = |part: &str| field.contains(part);
    if has("email") || has("pec") {
        format!("{}@esempio.it", word(random).to_lowercase())
    } else if has("courier") {
        COURIERS[random.usize(..COURIERS.len())].to_owned()
    } else if has("tracking_number") {
        format!("1Z{}", random.u64(10_000_000_000..99_999_999_999))
    } else if has("status") {
        STATES[random.usize(..STATES.len())].to_owned()
    } else if has("address") || has("street") {
        format!("Via {}, {} {} {}", word(random), random.u8(1..99), random.u32(10_000..99_999), word(random))
    } else if has("number") || has("code") || has("_id") || has("account") || has("phone") || has("mobile") {
        random.u32(1_000_000..9_999_999).to_string()
    } else if has("name") {
        format!("{} {} {}", KINDS[random.usize(..KINDS.len())], word(random), word(random))
    } else {
        word(random)
    }
}

/// A courier is only ever printed with a number.
fn pair_tracking(spec: &SyncTypeSpec, record: &mut Record, random: &mut fastrand::Rng) {
    for (number, column) in
        spec.columns.iter().enumerate().filter(|(_, column)| column.value_type == ValueType::Tracking)
    {
        let fields: Vec<usize> = spec.fields_of(number).collect();
        let &[courier, tracked] = fields.as_slice() else { continue };
        if !record.values[courier].is_null() && record.values[tracked].is_null() {
            let name = format!("{}_number", column.field.as_deref().unwrap_or_default());
            record.values[tracked] = Value::Text(text(&name, random));
        }
    }
}

//! What do the service and the process that reads a report say to each other?
//!
//! The request goes to the child's standard input, frames come from its standard output: a tag, the
//! payload's length (4 bytes, little-endian), the payload in postcard's format.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
};

use chrono::{DateTime, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    super::{Drawing, Drift, Layout, MarkedRow, Quarantined, Refusal, Report, UncertainBreak, Verdict},
    confine::Confinement,
};
use crate::{
    domain::{Printed, Record, Value},
    sync_type::{SyncTypeSpec, ValueType},
};

/// Rows on a page, at most: in the smallest print on the largest sheet.
const ROWS_A_PAGE: u64 = 2_000;
/// Every decimal number has as many.
const DECIMALS: u32 = 2;

/// What the child is to do; the report's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The report's type.
    pub sync_type: String,
    /// All types' files: name and text.
    pub types: Vec<(String, String)>,
    pub answer: Reply,
    /// The report's length.
    pub length: u64,
    /// Address space, in bytes.
    pub memory: u64,
    /// Processor time and wall time, in seconds.
    pub seconds: u64,
}

/// What the child answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The records.
    Records,
    /// What was recognised on each page: as text, as a drawing.
    Explanation {
        /// As text.
        text: bool,
        /// As SVG.
        svg: bool,
    },
    /// One page, from 1, as SVG, with one of its rows marked.
    Drawing { page: usize, mark: Option<MarkedRow> },
    /// What the process may still do; nothing is read.
    Confinement,
}

/// One page, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedPage {
    /// From 1.
    pub page: usize,
    /// For people, if asked for.
    pub text: String,
    /// Drawn, if asked for.
    pub svg: String,
}

/// What the child sends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// Pages read, of how many.
    Progress(usize, usize),
    /// One page of an explanation.
    Page(ExplainedPage),
    /// The end: the report.
    Done(Box<WireReport>),
    /// The end: it was refused.
    Refused(Refusal),
    /// The end: the one page that was to be drawn.
    Drawn(Drawing),
    /// The end: what the process may still do.
    Confined(Confinement),
}

/// A report with its values in a form that needs no text.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireReport {
    records: Vec<Vec<WireValue>>,
    printed: Vec<Printed>,
    quarantined: Vec<Quarantined>,
    skipped: u64,
    present: Vec<bool>,
    drift: Drift,
    pages: usize,
    cycle: usize,
    counted: bool,
    layout: Layout,
    uncertain: Vec<UncertainBreak>,
    unclean: usize,
    unclean_pages: Vec<(usize, Verdict)>,
}

/// A value: amounts in hundredths, days since 1970, moments in seconds since then.
#[derive(Debug, Serialize, Deserialize)]
enum WireValue {
    Null,
    Text(String),
    Int(i64),
    Hundredths(i64),
    /// An amount beyond that.
    Amount(Box<Decimal>),
    Day(i32),
    Moment(i64),
    Bool(bool),
}

impl From<Value> for WireValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => WireValue::Null,
            Value::Text(text) => WireValue::Text(text),
            Value::Int(number) => WireValue::Int(number),
            Value::Decimal(mut number) => {
                number.rescale(DECIMALS);
                i64::try_from(number.mantissa())
                    .map_or_else(|_| WireValue::Amount(Box::new(number)), WireValue::Hundredths)
            }
            Value::Date(day) => WireValue::Day(day.to_epoch_days()),
            Value::DateTime(moment) => WireValue::Moment(moment.and_utc().timestamp()),
            Value::Bool(flag) => WireValue::Bool(flag),
        }
    }
}

impl WireValue {
    /// The value, if a field of this type can hold it.
    fn into_value(self, value_type: ValueType) -> Option<Value> {
        use ValueType as T;
        match (self, value_type) {
            (WireValue::Null, _) => Some(Value::Null),
            (WireValue::Text(text), T::Text | T::Id) if !text.is_empty() => Some(Value::Text(text)),
            (WireValue::Int(number), T::Int) => Some(Value::Int(number)),
            (WireValue::Hundredths(number), T::Money | T::Number | T::Percent) => {
                Some(Value::Decimal(Decimal::new(number, DECIMALS)))
            }
            (WireValue::Amount(number), T::Money | T::Number | T::Percent) => {
                (number.scale() == DECIMALS).then_some(Value::Decimal(*number))
            }
            (WireValue::Day(days), T::Date) => NaiveDate::from_epoch_days(days).map(Value::Date),
            (WireValue::Moment(seconds), T::Datetime) => {
                DateTime::from_timestamp(seconds, 0).map(|moment| Value::DateTime(moment.naive_utc()))
            }
            (WireValue::Bool(flag), T::Bool) => Some(Value::Bool(flag)),
            _ => None,
        }
    }
}

impl From<Report> for WireReport {
    fn from(report: Report) -> Self {
        let values = |record: Record| record.values.into_iter().map(WireValue::from).collect();
        Self {
            records: report.records.into_iter().map(values).collect(),
            printed: report.printed,
            quarantined: report.quarantined,
            skipped: report.skipped,
            present: report.present,
            drift: report.drift,
            pages: report.pages,
            cycle: report.cycle,
            counted: report.counted,
            layout: report.layout,
            uncertain: report.uncertain,
            unclean: report.unclean,
            unclean_pages: report.unclean_pages,
        }
    }
}

impl WireReport {
    /// The report, if it can be one of type `spec`; a child that was taken over may send anything.
    pub(crate) fn into_report(self, spec: &SyncTypeSpec) -> Option<Report> {
        let record = |values: Vec<WireValue>| {
            (values.len() == spec.fields.len()).then_some(())?;
            let typed = values.into_iter().zip(&spec.fields).map(|(value, field)| value.into_value(field.value_type));
            Some(Record { values: typed.collect::<Option<_>>()? })
        };
        let is_whole = self.present.len() == spec.fields.len()
            && self.pages > 0
            && (1..=self.pages).contains(&self.cycle)
            && self.layout.pages.len() == self.cycle
            && self.unclean_pages.len() <= self.unclean
            && self.unclean <= self.pages;
        is_whole.then_some(())?;
        let records: Vec<Record> = self.records.into_iter().map(record).collect::<Option<_>>()?;
        let mut keys = HashSet::new();
        let has_own_key = |record: &Record| !record.values[spec.key].is_null() && keys.insert(record.text(spec.key));
        let keeps_to_its_columns = |record: &Record| {
            record.values.iter().zip(&self.present).all(|(value, present)| *present || value.is_null())
        };
        let rows = records.len() as u64 + self.quarantined.len() as u64;
        let is_of_a_record = |place: &UncertainBreak| {
            spec.field(&place.field).is_some() && place.page <= self.pages && place.row as u64 <= ROWS_A_PAGE
        };
        let is_on_a_page = |place: &Printed| {
            (1..=self.pages).contains(&(place.page as usize)) && (1..=ROWS_A_PAGE).contains(&u64::from(place.row))
        };
        let is_sound = self.printed.len() == records.len()
            && self.printed.iter().all(is_on_a_page)
            && records.iter().all(keeps_to_its_columns)
            && records.iter().all(has_own_key)
            && spec.required.iter().all(|field| self.present[*field])
            && self.uncertain.len() <= records.len() * spec.fields.len()
            && self.uncertain.iter().all(is_of_a_record)
            && rows.saturating_add(self.skipped) <= self.pages as u64 * ROWS_A_PAGE;
        is_sound.then_some(())?;
        Some(Report {
            records,
            printed: self.printed,
            quarantined: self.quarantined,
            skipped: self.skipped,
            present: self.present,
            drift: self.drift,
            pages: self.pages,
            cycle: self.cycle,
            counted: self.counted,
            layout: self.layout,
            uncertain: self.uncertain,
            unclean: self.unclean,
            unclean_pages: self.unclean_pages,
        })
    }
}

/// One message with its length before it.
///
/// # Errors
/// A message that cannot be encoded, which no message of this module is.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Writes one message.
///
/// # Errors
/// What the system says.
pub(crate) fn send(into: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    into.write_all(&encode(message)?)?;
    into.flush()
}

/// Reads one message.
///
/// # Errors
/// What the system says; `InvalidData` for a message of another shape.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = Vec::new();
    let expected = u64::from(u32::from_le_bytes(length));
    from.take(expected).read_to_end(&mut bytes)?;
    decode(&bytes)
}

/// Decodes a message without its length.
///
/// # Errors
/// `InvalidData` for a message of another shape.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_type::SyncTypes;

    #[test]
    fn values_arrive_as_they_were_sent_and_only_in_fields_of_their_type() {
        use ValueType as T;
        for (value_type, text) in [
            (T::Text, "Città"),
            (T::Id, "71285"),
            (T::Int, "-3"),
            (T::Money, "-12.50"),
            (T::Number, "79228162514264337593543950.00"),
            (T::Date, "2154-12-31"),
            (T::Datetime, "2026-01-20T12:04:22"),
            (T::Bool, "true"),
        ] {
            let value = value_type.from_canonical(text).unwrap();
            let sent = encode(&WireValue::from(value.clone())).unwrap();
            let received: WireValue = receive(&mut sent.as_slice()).unwrap();
            assert_eq!(received.into_value(value_type), Some(value.clone()), "{text}");
            let other = if value_type == T::Bool { T::Int } else { T::Bool };
            assert_eq!(WireValue::from(value).into_value(other), None, "{text} as {other:?}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_a_report_is_none() {
        let types = SyncTypes::built_in().unwrap();
        let spec = types.get("orders").unwrap();
        let report = |fields: usize, pages: usize| {
            WireReport::from(Report {
                records: vec![Record {
                    values: vec![Value::Text("1".into()); 1].into_iter().chain(vec![Value::Null; fields - 1]).collect(),
                }],
                printed: vec![Printed { page: 1, row: 1 }],
                present: vec![true; spec.fields.len()],
                pages,
                cycle: 1,
                layout: Layout { pages: vec![Vec::new()] },
                ..Report::default()
            })
        };
        assert!(report(spec.fields.len(), 1).into_report(spec).is_some());
        assert!(report(spec.fields.len() - 1, 1).into_report(spec).is_none());
        assert!(report(spec.fields.len(), 0).into_report(spec).is_none());
        let twice = |mut report: WireReport| {
            let again = vec![WireValue::Text("1".to_owned())]
                .into_iter()
                .chain((1..spec.fields.len()).map(|_| WireValue::Null));
            report.records.push(again.collect());
            report.printed.push(Printed { page: 1, row: 2 });
            report
        };
        let moved = |page, row| {
            let mut report = report(spec.fields.len(), 1);
            report.printed = vec![Printed { page, row }];
            report.into_report(spec)
        };
        assert!(moved(1, 1).is_some());
        assert!(moved(2, 1).is_none() && moved(0, 1).is_none() && moved(1, 0).is_none(), "it is on no page");
        assert!(twice(report(spec.fields.len(), 1)).into_report(spec).is_none(), "a key stands twice");
    }
}

//! What do the service and the process that reads a report say to each other?
//!
//! The request goes to the child's standard input, frames come from its standard output: a tag, the
//! payload's length (4 bytes, little-endian), the payload in postcard's format.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::super::{Drift, Layout, Quarantined, Refusal, Report, Verdict};
use crate::{
    domain::{Record, Value},
    sync_type::SyncTypeSpec,
};

/// What the child is to do; the report's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    /// The report's type.
    pub sync_type: String,
    /// All types' files: name and text.
    pub types: Vec<(String, String)>,
    /// What to answer.
    pub answer: Answer,
    /// The report's length.
    pub length: u64,
    /// Address space, in bytes.
    pub memory: u64,
    /// Processor time and wall time, in seconds.
    pub seconds: u64,
}

/// What the child answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The records.
    Records,
    /// What was recognised on each page: as text, as a drawing.
    Explanation {
        /// As text.
        text: bool,
        /// As SVG.
        svg: bool,
    },
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
pub enum Frame {
    /// Pages read, of how many.
    Progress(usize, usize),
    /// One page of an explanation.
    Page(ExplainedPage),
    /// The end: the report.
    Done(Box<WireReport>),
    /// The end: it was refused.
    Refused(Refusal),
}

/// A report whose values are canonical texts, which the other side reads by their fields' types again.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireReport {
    records: Vec<Vec<Option<String>>>,
    quarantined: Vec<Quarantined>,
    skipped: u64,
    present: Vec<bool>,
    drift: Drift,
    pages: usize,
    cycle: usize,
    counted: bool,
    layout: Layout,
    unclean: usize,
    unclean_pages: Vec<(usize, Verdict)>,
}

impl From<Report> for WireReport {
    fn from(report: Report) -> Self {
        let text = |value: &Value| (!value.is_null()).then(|| value.canonical().into_owned());
        Self {
            records: report.records.iter().map(|record| record.values.iter().map(text).collect()).collect(),
            quarantined: report.quarantined,
            skipped: report.skipped,
            present: report.present,
            drift: report.drift,
            pages: report.pages,
            cycle: report.cycle,
            counted: report.counted,
            layout: report.layout,
            unclean: report.unclean,
            unclean_pages: report.unclean_pages,
        }
    }
}

impl WireReport {
    /// The report, if it can be one of type `spec`; a child that was taken over may send anything.
    pub fn into_report(self, spec: &SyncTypeSpec) -> Option<Report> {
        let fields = spec.fields.len();
        let value = |(field, text): (usize, Option<String>)| match text {
            None => Some(Value::Null),
            Some(text) => spec.fields[field].value_type.from_canonical(&text),
        };
        let record = |texts: Vec<Option<String>>| {
            (texts.len() == fields).then_some(())?;
            Some(Record { values: texts.into_iter().enumerate().map(value).collect::<Option<_>>()? })
        };
        let is_whole = self.present.len() == fields
            && self.pages > 0
            && (1..=self.pages).contains(&self.cycle)
            && self.layout.pages.len() == self.cycle
            && self.unclean_pages.len() <= self.unclean
            && self.unclean <= self.pages;
        is_whole.then_some(())?;
        Some(Report {
            records: self.records.into_iter().map(record).collect::<Option<_>>()?,
            quarantined: self.quarantined,
            skipped: self.skipped,
            present: self.present,
            drift: self.drift,
            pages: self.pages,
            cycle: self.cycle,
            counted: self.counted,
            layout: self.layout,
            unclean: self.unclean,
            unclean_pages: self.unclean_pages,
        })
    }
}

/// One message with its length before it.
///
/// # Errors
/// A message that cannot be encoded, which no message of this module is.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
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
pub fn send(into: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    into.write_all(&encode(message)?)?;
    into.flush()
}

/// Reads one message.
///
/// # Errors
/// What the system says; `InvalidData` for a message of another shape.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
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
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

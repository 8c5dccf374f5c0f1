//! Who has the effect of a change that goes out? The port to what lies outside.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use serde_json::Value as Json;
use tracing::warn;

use crate::domain::{Action, AgentId, Item, JobType, item::Failure};

/// So many fields are named where more may be wrong.
const NAMED: usize = 10;

/// One change to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The same for every attempt of the same change, and of no other: a sink that keeps it can tell a repetition.
    pub id: String,
    /// Which operation asked for it; `None` for an item of the write-back queue.
    pub operation: Option<JobType>,
    /// For whom, if for one agent.
    pub agent: Option<AgentId>,
    /// What is to be done.
    pub action: Action,
    /// What it is about.
    pub model: String,
    pub record: String,
    /// Where the record is at the other side, if that is known.
    pub row: Option<i64>,
    /// An earlier attempt may have arrived.
    pub is_repeat: bool,
    /// The caller's data.
    pub data: Json,
}

impl From<&Item> for Delivery {
    fn from(item: &Item) -> Self {
        Self {
            id: item.delivery_id.clone(),
            operation: None,
            agent: None,
            action: item.action,
            model: item.model.clone(),
            record: item.record_id.clone(),
            row: item.sheet_row_index,
            is_repeat: item.retries > 0 || item.lease > 1,
            data: item.payload.clone(),
        }
    }
}

/// What the other side said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivered {
    /// Its answer, for whoever asked.
    pub answer: Json,
    /// Where the record is there now, if the other side has rows.
    pub row: Option<i64>,
}

/// A change could not be carried out, or it is not known whether it was. The texts hold no data of the change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The effect certainly did not happen, and may another time.
    #[error("not delivered: {0}")]
    NotSent(String),
    /// The effect certainly did not happen, and the same again would be refused again.
    #[error("refused: {0}")]
    Refused(String),
    /// The effect may have happened.
    #[error("it is not known whether it was done: {0}")]
    Unknown(String),
    /// The effect certainly did not happen, and no other change would fare better now: the sink is away, its quota is
    /// used up, or it does not accept our credentials.
    #[error("the sink cannot be used: {text}")]
    Unavailable {
        /// Why.
        text: String,
        /// It asks not to be tried before so much time has passed.
        retry_after: Option<Duration>,
    },
    /// The effect certainly did not happen: nobody is where the sink should be. It may be deployed right now.
    #[error("the sink is not at its place: {0}")]
    NotThere(String),
    /// No sink is configured.
    #[error("no sink is configured for this model")]
    NotConfigured,
}

impl SinkError {
    /// A sink that cannot be used, without a word of when it can be.
    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        SinkError::Unavailable { text: text.into(), retry_after: None }
    }

    /// A short name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SinkError::NotSent(_) => "not_sent",
            SinkError::Refused(_) => "sink_refused",
            SinkError::Unknown(_) => "effect_unknown",
            SinkError::Unavailable { .. } => "sink_unavailable",
            SinkError::NotThere(_) => "sink_not_there",
            SinkError::NotConfigured => "no_sink",
        }
    }

    /// What is known of the effect.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            SinkError::NotSent(_) | SinkError::Unavailable { .. } | SinkError::NotThere(_) => Failure::NotSent,
            SinkError::Refused(_) | SinkError::NotConfigured => Failure::Refused,
            SinkError::Unknown(_) => Failure::Unknown,
        }
    }
}

/// The answers to a batch as they come: each with its delivery's place. A place without an answer is unknown.
pub type Answers<'a> = BoxStream<'a, (usize, Result<Delivered, SinkError>)>;

/// Carries changes out.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Has the effects, each once. No two of a batch are about the same record. Dropping the stream leaves it
    /// unknown which have happened.
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_>;

    /// Batches that may be under way at once, in one process.
    fn parallel(&self) -> usize {
        1
    }

    /// Has one effect.
    ///
    /// # Errors
    /// [`SinkError`], which says whether the effect may have happened.
    async fn deliver_one(&self, delivery: Delivery) -> Result<Delivered, SinkError> {
        let answer = self.deliver(vec![delivery]).next().await;
        answer.map_or_else(|| Err(SinkError::Unknown("the sink gave no answer".to_owned())), |(_, answer)| answer)
    }
}

/// Can a table with these columns take the change? An update that names none of them would change nothing: it is
/// refused. One that names some is carried out, and its other fields are logged.
pub(super) fn has_columns(delivery: &Delivery, columns: &[&str]) -> Result<(), SinkError> {
    let fields = delivery.data.as_object().filter(|fields| delivery.action == Action::Update && !fields.is_empty());
    let Some(fields) = fields else { return Ok(()) };
    let strange: Vec<&str> = fields.keys().map(String::as_str).filter(|field| !columns.contains(field)).collect();
    let named = strange.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if strange.len() == fields.len() {
        return Err(SinkError::Refused(format!(
            "none of its fields has a column: {named}; columns are for {}",
            columns.join(", ")
        )));
    }
    if !strange.is_empty() {
        warn!(model = delivery.model, record = delivery.record, fields = named, "fields of an update have no column");
    }
    Ok(())
}

/// The same answer for a whole batch.
pub(super) fn all<'a>(count: usize, answer: &Result<Delivered, SinkError>) -> Answers<'a> {
    let answers: Vec<_> = (0..count).map(|place| (place, answer.clone())).collect();
    stream::iter(answers).boxed()
}

/// No sink: every change is refused before it has an effect.
#[derive(Debug, Clone, Copy)]
pub struct NoSink;

#[async_trait]
impl Sink for NoSink {
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_> {
        all(batch.len(), &Err(SinkError::NotConfigured))
    }
}

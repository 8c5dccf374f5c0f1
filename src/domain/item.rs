//! What is a local change that goes out, which states has it, and what follows from a failed delivery?

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{ItemId, Lease, Timestamp, text::nul_in};

/// What is to be done with the record at the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// It is new.
    Create,
    /// It has changed.
    Update,
    /// It is gone.
    Delete,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 3] = [Action::Create, Action::Update, Action::Delete];

    /// The name in the table and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "CREATE",
            Action::Update => "UPDATE",
            Action::Delete => "DELETE",
        }
    }

    /// The action called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// Where an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ItemStatus {
    /// It waits for its delivery.
    Pending,
    /// A process delivers it.
    Processing,
    /// It was delivered, or a person discarded it.
    Completed,
    /// It was given up; a person redrives or discards it. Until then it holds later items of its record.
    Failed,
}

/// What happens to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemEvent {
    /// A process takes it.
    Claimed,
    /// The other side has it.
    Delivered,
    /// It goes back, for another attempt or because it was not tried.
    Postponed,
    /// There will be no other attempt.
    GivenUp,
    /// A person wants it to be tried anew.
    Redriven,
    /// A person wants it no more.
    Discarded,
}

/// An event that a status does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an item that is {0:?} cannot be {1:?}")]
pub struct IllegalItem(pub ItemStatus, pub ItemEvent);

impl ItemStatus {
    /// All of them.
    pub const ALL: [ItemStatus; 4] =
        [ItemStatus::Pending, ItemStatus::Processing, ItemStatus::Completed, ItemStatus::Failed];

    /// The name in the table and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ItemStatus::Pending => "PENDING",
            ItemStatus::Processing => "PROCESSING",
            ItemStatus::Completed => "COMPLETED",
            ItemStatus::Failed => "FAILED",
        }
    }

    /// The status called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The status after an event.
    ///
    /// # Errors
    /// [`IllegalItem`] if this status does not take it.
    pub fn on(self, event: ItemEvent) -> Result<Self, IllegalItem> {
        use {ItemEvent as E, ItemStatus as S};
        match (self, event) {
            (S::Pending, E::Claimed) => Ok(S::Processing),
            (S::Processing, E::Delivered) | (S::Pending | S::Failed, E::Discarded) => Ok(S::Completed),
            (S::Processing, E::Postponed) | (S::Failed, E::Redriven) => Ok(S::Pending),
            (S::Processing, E::GivenUp) => Ok(S::Failed),
            (S::Pending, E::Delivered | E::Postponed | E::GivenUp | E::Redriven)
            | (S::Processing, E::Claimed | E::Redriven | E::Discarded)
            | (S::Completed, E::Claimed | E::Delivered | E::Postponed | E::GivenUp | E::Redriven | E::Discarded)
            | (S::Failed, E::Claimed | E::Delivered | E::Postponed | E::GivenUp) => Err(IllegalItem(self, event)),
        }
    }
}

/// How a delivery failed, as far as the item is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It certainly did not happen, and may another time.
    NotSent,
    /// It certainly did not happen, and the same again would be refused again.
    Refused,
    /// It may have happened.
    Unknown,
}

/// What becomes of an item whose delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again after this pause.
    Again(Duration),
    /// It is given up.
    Failed {
        /// Nobody knows whether it was done: a person looks first.
        doubtful: bool,
    },
}

/// The pause before the second attempt; four times as long before each further one, ...
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// ... and never longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// What becomes of an item after its attempt number `retries` (the first is 1) has failed. `repeatable`: the
/// same twice does no harm. `jitter` is in 0..1 and lengthens the pause by at most a fifth.
#[must_use]
pub fn after_failure(failure: Failure, retries: u32, max_retries: u32, repeatable: bool, jitter: f64) -> AfterFailure {
    match failure {
        Failure::Refused => AfterFailure::Failed { doubtful: false },
        Failure::Unknown if !repeatable => AfterFailure::Failed { doubtful: true },
        // tried often enough: what is not known now stays so
        Failure::Unknown if retries >= max_retries => AfterFailure::Failed { doubtful: true },
        Failure::NotSent if retries >= max_retries => AfterFailure::Failed { doubtful: false },
        Failure::NotSent | Failure::Unknown => {
            let pause = FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(retries.saturating_sub(1))).min(LONGEST_PAUSE);
            AfterFailure::Again(pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0))
        }
    }
}

/// A change that is to go out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewItem {
    /// What is to be done.
    pub action: Action,
    /// What it is about; one of the configured models.
    pub model: String,
    /// Which record of that: 1 to 200 bytes. Items of one record are delivered in the order of their acceptance.
    pub record_id: String,
    /// Where the record is at the other side, if the caller knows; never for a CREATE.
    #[serde(default)]
    pub sheet_row_index: Option<i64>,
    /// The record's fields: a JSON object.
    #[serde(default)]
    pub payload: Json,
}

/// May an effect that may have happened be brought about again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Yes: the receiver knows the delivery's id, or the same again changes nothing.
    Safe,
    /// No: a person looks first.
    Never,
}

/// How the items of one model are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Attempts, the first included.
    pub max_retries: u32,
    /// May a delivery that may have arrived be repeated?
    pub repeat: Repeat,
}

/// The models that may be queued, and the largest payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// By name.
    pub known: BTreeMap<String, Model>,
    /// Bytes of a payload, as JSON.
    pub payload_bytes: usize,
}

/// Why an item is not accepted; `pointer` names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ItemRefusal {
    /// A short name, for programs.
    pub code: &'static str,
    /// The field, as a JSON pointer.
    pub pointer: String,
    /// What was expected.
    pub text: String,
}

/// An item that fits: only [`Models::check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedItem {
    pub(crate) item: NewItem,
    pub(crate) model: Model,
}

/// The longest record id, in bytes.
const RECORD_ID: usize = 200;

impl Models {
    /// Checks an item against the configured models and bounds.
    ///
    /// # Errors
    /// [`ItemRefusal`] naming the field and what was expected.
    pub fn check(&self, item: NewItem) -> Result<CheckedItem, ItemRefusal> {
        let refuse = |code, pointer: &str, text: String| Err(ItemRefusal { code, pointer: pointer.to_owned(), text });
        let Some(model) = self.known.get(&item.model).cloned() else {
            let known = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none is configured (sink.models)".to_owned() } else { known };
            return refuse("unknown_model", "/model", format!("there is no model '{}'; known: {known}", item.model));
        };
        if item.record_id.trim().is_empty() || item.record_id.len() > RECORD_ID {
            return refuse("bad_record_id", "/recordId", format!("recordId has 1 to {RECORD_ID} bytes"));
        }
        if let Some(pointer) =
            nul_in(&Json::String(item.record_id.clone()), "/recordId").or(nul_in(&item.payload, "/payload"))
        {
            return refuse("nul_in_text", &pointer, format!("a text has a NUL character at {pointer}"));
        }
        if item.sheet_row_index.is_some_and(|row| row < 1 || item.action == Action::Create) {
            let text = "sheetRowIndex is at least 1, and a CREATE has none: its row is not known yet".to_owned();
            return refuse("bad_row_index", "/sheetRowIndex", text);
        }
        let is_needed = item.action != Action::Delete;
        if !(item.payload.is_object() || (item.payload.is_null() && !is_needed)) {
            return refuse("bad_payload", "/payload", "payload is a JSON object of the record's fields".to_owned());
        }
        let bytes = item.payload.to_string().len();
        if bytes > self.payload_bytes {
            let text = format!("payload has {bytes} bytes, more than the {} that are allowed", self.payload_bytes);
            return refuse("payload_too_large", "/payload", text);
        }
        Ok(CheckedItem { item, model })
    }
}

/// One item, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its number.
    pub id: ItemId,
    /// What is to be done.
    pub action: Action,
    /// What it is about.
    pub model: String,
    pub record_id: String,
    /// Where the record is at the other side, once that is known.
    pub sheet_row_index: Option<i64>,
    /// The record's fields.
    #[schema(value_type = serde_json::Value)]
    pub payload: Json,
    pub status: ItemStatus,
    /// Attempts that failed.
    pub retries: u32,
    /// Attempts that are made, the first included.
    pub max_retries: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// It may have been delivered; nobody knows.
    pub doubtful: bool,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last attempt ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub processed_at: Option<Timestamp>,
    /// When it is tried at the earliest.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// The same for every attempt, and for no other item of any database: receivers drop repeats by it.
    pub delivery_id: String,
    /// May a delivery that may have arrived be repeated?
    pub repeatable: bool,
    /// Rises with each claim; who completes names the one it was given.
    pub lease: i64,
}

impl Item {
    /// The lease under which it is, or was last, delivered.
    #[must_use]
    pub fn held(&self) -> Lease<ItemId> {
        Lease { id: self.id, number: self.lease }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_status_takes_what_it_may() {
        use {ItemEvent as E, ItemStatus as S};
        let events = [E::Claimed, E::Delivered, E::Postponed, E::GivenUp, E::Redriven, E::Discarded];
        let allowed: Vec<_> = S::ALL
            .into_iter()
            .flat_map(|status| events.map(|event| (status, event)))
            .filter_map(|(status, event)| Some((status, event, status.on(event).ok()?)))
            .collect();
        assert_eq!(
            allowed,
            [
                (S::Pending, E::Claimed, S::Processing),
                (S::Pending, E::Discarded, S::Completed),
                (S::Processing, E::Delivered, S::Completed),
                (S::Processing, E::Postponed, S::Pending),
                (S::Processing, E::GivenUp, S::Failed),
                (S::Failed, E::Redriven, S::Pending),
                (S::Failed, E::Discarded, S::Completed),
            ]
        );
    }

    #[test]
    fn a_failure_is_repeated_only_where_that_does_no_harm_and_not_for_ever() {
        let after = |failure, retries, repeatable| after_failure(failure, retries, 3, repeatable, 0.0);
        let again = |seconds| AfterFailure::Again(Duration::from_secs(seconds));
        let failed = |doubtful| AfterFailure::Failed { doubtful };
        for repeatable in [true, false] {
            assert_eq!(after(Failure::NotSent, 1, repeatable), again(5));
            assert_eq!(after(Failure::NotSent, 2, repeatable), again(20));
            assert_eq!(after(Failure::NotSent, 3, repeatable), failed(false));
            assert_eq!(after(Failure::Refused, 1, repeatable), failed(false));
        }
        assert_eq!(after(Failure::Unknown, 1, true), again(5));
        assert_eq!(after(Failure::Unknown, 3, true), failed(true));
        assert_eq!(after(Failure::Unknown, 1, false), failed(true));
        assert_eq!(after_failure(Failure::NotSent, 1, 3, true, 1.0), AfterFailure::Again(Duration::from_secs(6)));
        assert_eq!(after_failure(Failure::NotSent, 90, 99, true, 0.0), again(3_600), "bounded");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_field() {
        let model = Model { max_retries: 3, repeat: Repeat::Safe };
        let models = Models { known: BTreeMap::from([("orders".to_owned(), model)]), payload_bytes: 100 };
        let good = NewItem {
            action: Action::Update,
            model: "orders".into(),
            record_id: "O-1".into(),
            sheet_row_index: Some(4),
            payload: json!({ "a": 1 }),
        };
        assert!(models.check(good.clone()).is_ok());
        assert!(models.check(NewItem { action: Action::Delete, payload: Json::Null, ..good.clone() }).is_ok());
        for (item, code, pointer) in [
            (NewItem { model: "bells".into(), ..good.clone() }, "unknown_model", "/model"),
            (NewItem { record_id: " ".into(), ..good.clone() }, "bad_record_id", "/recordId"),
            (NewItem { record_id: "x".repeat(201), ..good.clone() }, "bad_record_id", "/recordId"),
            (NewItem { record_id: "a\0".into(), ..good.clone() }, "nul_in_text", "/recordId"),
            (NewItem { payload: json!({ "a": "\0" }), ..good.clone() }, "nul_in_text", "/payload/a"),
            (NewItem { action: Action::Create, ..good.clone() }, "bad_row_index", "/sheetRowIndex"),
            (NewItem { sheet_row_index: Some(0), ..good.clone() }, "bad_row_index", "/sheetRowIndex"),
            (NewItem { payload: Json::Null, ..good.clone() }, "bad_payload", "/payload"),
            (NewItem { payload: json!([1]), ..good.clone() }, "bad_payload", "/payload"),
            (NewItem { payload: json!({ "a": "x".repeat(100) }), ..good.clone() }, "payload_too_large", "/payload"),
        ] {
            let refusal = models.check(item).unwrap_err();
            assert_eq!((refusal.code, refusal.pointer.as_str()), (code, pointer), "{refusal}");
        }
    }
}

//! What does an operation's file say? The typed form of `config/operations/<name>.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::domain::{Action, AgentId, Class, JobType, NewJob, Reason, item::Repeat};

/// One operation, as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationSpec {
    /// Its name, in routes and jobs.
    pub name: JobType,
    /// What it does, for people.
    pub title: String,
    /// `write` or `download`.
    pub class: Class,
    /// What it is about: the record's model for a write, the document's folder for a download.
    pub model: String,
    /// The field of `data` that names the record or document.
    pub record: String,
    /// What a write does to the record, for sinks that keep records.
    #[serde(default = "create")]
    pub action: Action,
    /// Fields that `data` must have, besides that one.
    #[serde(default)]
    pub required: Vec<String>,
    /// 1 (lowest) to 9 within its class.
    #[serde(default = "middle")]
    pub priority: u8,
    /// All attempts together; the class's number where absent.
    pub max_attempts: Option<u32>,
    /// The longest attempt, in seconds.
    #[serde(default = "two_minutes")]
    pub seconds: u64,
    /// May an effect that may have happened be repeated? Of no meaning for downloads.
    #[serde(default = "never")]
    pub repeat: Repeat,
    /// Does a final failure close the window of its idempotency key, so that the caller may try again at once?
    #[serde(default)]
    pub release_window_on_failure: bool,
}

fn never() -> Repeat {
    Repeat::Never
}

fn create() -> Action {
    Action::Create
}

fn middle() -> u8 {
    5
}

fn two_minutes() -> u64 {
    120
}

impl OperationSpec {
    /// The longest attempt.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The job that does it, without a key.
    #[must_use]
    pub fn job(&self, agent: AgentId, data: Map<String, Json>) -> NewJob {
        let mut job = NewJob::new(self.name.clone(), self.class, agent, self.priority, Reason::Operation);
        job.payload = Some(Json::Object(data));
        job.max_attempts = self.max_attempts.unwrap_or(job.max_attempts);
        job.repeatable |= self.repeat == Repeat::Safe;
        job
    }

    /// The first field that `data` must have and has not, or that is empty.
    #[must_use]
    pub fn missing<'a>(&'a self, data: &Map<String, Json>) -> Option<&'a str> {
        let is_blank = |value: &Json| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let needed = std::iter::once(&self.record).chain(&self.required);
        needed.map(String::as_str).find(|name| data.get(*name).is_none_or(is_blank))
    }

    /// The record or document that `data` names.
    #[must_use]
    pub fn record_of(&self, data: &Json) -> String {
        match &data[&self.record] {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The first thing in the file that makes no sense: `(key, what is wrong)`.
    pub(super) fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let name = self.name.as_str();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match self {
            _ if name.is_empty() || !name.chars().all(fits) => Some(("name", "lower-case letters, digits and '-'")),
            _ if self.class == Class::Sync => Some(("class", "'write' or 'download'; a sync is a file in config/sync")),
            _ if !(1..=9).contains(&self.priority) => Some(("priority", "1 to 9")),
            _ if self.max_attempts == Some(0) => Some(("max_attempts", "at least 1")),
            _ if self.seconds == 0 => Some(("seconds", "at least 1")),
            _ if self.record.is_empty() => Some(("record", "the field of data that names the record")),
            _ => None,
        }
    }
}

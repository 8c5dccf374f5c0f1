//! What do the forms of the pages carry, and what is answered to them?

use serde::Deserialize;

use crate::{
    api::Problem,
    domain::{ItemId, JobId, RunId},
};

/// What forms carry; each button its part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    #[serde(rename = "form_key")]
    pub key: String,
    #[serde(default = "home")]
    pub back: String,
    pub run: Option<RunId>,
    pub digest: Option<String>,
    pub job: Option<JobId>,
    pub item: Option<ItemId>,
    pub id: Option<i64>,
    pub token: Option<i64>,
    pub r#type: Option<String>,
    pub agent: Option<String>,
    pub agents: Option<String>,
    pub name: Option<String>,
    pub role: Option<String>,
    pub minutes: Option<String>,
    pub reason: Option<String>,
    pub on: Option<bool>,
    pub emergency: Option<bool>,
    pub force: Option<bool>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub data: Option<String>,
    pub header: Option<String>,
    pub field: Option<String>,
}

fn home() -> String {
    "/".to_owned()
}

/// What was done.
pub(crate) enum Done {
    Said(String),
    /// A token was made: its name, and what is shown this once.
    Token(String, String),
}

pub(super) fn said(text: impl Into<String>) -> Done {
    Done::Said(text.into())
}

/// A field that this button needs.
pub(super) fn needed<T: Clone>(field: Option<&T>, name: &str) -> Result<T, Problem> {
    field
        .cloned()
        .ok_or_else(|| Problem::unprocessable("missing_field", &format!("/{name}"), format!("{name} is missing")))
}

pub(super) fn unknown(what: &str) -> Problem {
    Problem::not_found("no_route", format!("there is no button '{what}'"))
}

//! `[sink]`: which models go out, and to where?

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::SettingsError;
use crate::{
    domain::{item::Repeat, text::list},
    sink::{Formulas, MODE, SheetsConfig, WebhookConfig},
};

/// `[sink]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    /// Items in one batch, 1 to 100.
    pub batch: u64,
    /// Bytes of an item's payload.
    pub payload_bytes: usize,
    /// What was completed so many days ago is forgotten.
    pub keep_days: u32,
    /// `[sink.models.NAME]`: what may be queued.
    #[serde(default)]
    pub models: BTreeMap<String, ModelSettings>,
    /// `[sink.webhook.NAME]`
    #[serde(default)]
    pub webhook: BTreeMap<String, WebhookConfig>,
    /// `[sink.sheets.NAME]`
    #[serde(default)]
    pub sheets: BTreeMap<String, SheetsConfig>,
    /// `[sink.csv.NAME]`
    #[serde(default)]
    pub csv: BTreeMap<String, CsvSettings>,
}

fn three() -> u32 {
    3
}

fn safe() -> Repeat {
    Repeat::Safe
}

/// `[sink.models.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The sink of its items and operations; without one, items wait to be fetched.
    pub to: Option<String>,
    /// May an item that may have arrived be delivered again?
    #[serde(default = "safe")]
    pub repeat: Repeat,
    /// Attempts, the first included.
    #[serde(default = "three")]
    pub max_retries: u32,
}

/// `[sink.csv.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvSettings {
    /// The file; `{model}` in it is the model's name.
    pub path: String,
    /// The fields that are its columns, after the record's id: in a file, a list; in the environment, with commas.
    #[serde(deserialize_with = "list")]
    pub columns: Vec<String>,
    /// What becomes of texts that a spreadsheet would take for formulas.
    #[serde(default)]
    pub formulas: Formulas,
    /// Who may read the file, as `chmod` has it.
    #[serde(default = "readable", deserialize_with = "mode")]
    pub mode: u32,
}

fn readable() -> u32 {
    MODE
}

/// Three or four octal digits in a text.
fn mode<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let text = String::deserialize(input)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| (0o400..=0o777).contains(mode));
    mode.ok_or_else(|| D::Error::custom(format!("mode: '{text}' is not like \"0640\"")))
}

impl SinkSettings {
    /// The names of all sinks.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.webhook.keys().chain(self.sheets.keys()).chain(self.csv.keys())
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let invalid = |key, wrong: String| Err(SettingsError::Invalid { key, wrong });
        if self.keep_days > 3_650 {
            return invalid("sink.keep_days", "must be at most 3650".to_owned());
        }
        let names: Vec<&String> = self.names().collect();
        if let Some(twice) = names.iter().find(|name| names.iter().filter(|other| other == name).count() > 1) {
            return invalid("sink", format!("two sinks are called '{twice}'"));
        }
        for (model, settings) in &self.models {
            if let Some(sink) = settings.to.as_ref().filter(|sink| !names.contains(sink)) {
                let known = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                return invalid(
                    "sink.models",
                    format!("'{model}' goes to '{sink}', which is no sink; known are: {known}"),
                );
            }
            if settings.max_retries == 0 {
                return invalid("sink.models", format!("'{model}': max_retries must be at least 1"));
            }
        }
        let models_of = |name: &String| self.models.values().filter(|model| model.to.as_ref() == Some(name)).count();
        if let Some(name) = self.sheets.keys().find(|name| models_of(name) > 1) {
            return invalid("sink.sheets", format!("'{name}' has several models: a sheet holds the records of one"));
        }
        for (name, csv) in &self.csv {
            let models = models_of(name);
            if models > 1 && !csv.path.contains("{model}") {
                return invalid("sink.csv", format!("'{name}' has {models} models: its path needs a {{model}}"));
            }
        }
        Ok(())
    }
}

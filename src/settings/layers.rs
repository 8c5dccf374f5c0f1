//! Where does each setting come from? Defaults < file < environment, secrets from files.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};

use super::{Settings, SettingsError, notes};
use crate::domain::text::on_record;

const DEFAULTS: &str = include_str!("../../config/default.toml");
/// Settings that are never shown, and can each be read from the file that `<key>_file` names.
const SECRETS: [&str; 4] = ["auth.admin_token", "database.url", "coordination.redis_url", "source.credentials_key"];
/// And so are these of every webhook.
const WEBHOOK_SECRETS: [&str; 2] = ["secret", "previous_secret"];

fn is_secret(key: &str) -> bool {
    let of_webhook =
        key.starts_with("sink.webhook.") && WEBHOOK_SECRETS.iter().any(|name| key.ends_with(&format!(".{name}")));
    // people put tokens into URLs
    let is_url = key.strip_prefix("sink.webhook.").and_then(|rest| rest.rsplit('.').next()) == Some("url");
    // access keys of object stores; a log-in form's fields
    let of_source = ["source.folder.options.", "source.http.login.fields.", "source.http.proxy"]
        .iter()
        .any(|table| key.starts_with(table));
    of_webhook || is_url || of_source || SECRETS.contains(&key)
}

/// One setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub key: String,
    /// Its value; `***` for a secret.
    pub value: String,
    /// `default`, the file, or `environment`.
    pub origin: String,
}

impl Settings {
    /// What is in force where nothing else says otherwise: a commented file.
    #[must_use]
    pub fn defaults() -> &'static str {
        DEFAULTS
    }

    /// Every setting with its origin, secrets masked.
    ///
    /// # Errors
    /// [`SettingsError`] if the settings cannot be used at all.
    pub fn show<'a>(
        files: impl IntoIterator<Item = &'a Path> + Clone,
        environment: HashMap<String, String>,
    ) -> Result<Vec<Shown>, SettingsError> {
        let mut shown = BTreeMap::new();
        for (origin, layer) in layers(files.clone(), environment.clone())? {
            let mut flat = Vec::new();
            for (key, value) in layer.collect()? {
                flatten(&key, &value, &mut flat);
            }
            for (key, value) in flat {
                let value = match &key {
                    key if is_secret(key) => "***".to_owned(),
                    // people put tokens into URLs and arguments
                    key if key.starts_with("source.") => on_record(&value),
                    _ => value,
                };
                shown.insert(key.clone(), Shown { key, value, origin: origin.clone() });
            }
        }
        Settings::load(files, environment)?;
        Ok(shown.into_values().collect())
    }
}

type Layer = Box<dyn Source + Send + Sync>;

/// The sources of settings with their names, weakest first. Files of secrets are read here.
pub(super) fn layers<'a>(
    files: impl IntoIterator<Item = &'a Path>,
    environment: HashMap<String, String>,
) -> Result<Vec<(String, Entries)>, SettingsError> {
    let mut layers: Vec<(String, Layer)> =
        vec![("default".to_owned(), Box::new(File::from_str(DEFAULTS, FileFormat::Toml)))];
    for path in files {
        let text = read(path)?;
        layers.push((path.display().to_string(), Box::new(File::from_str(&text, FileFormat::Toml))));
    }
    let own = environment.into_iter().filter(|(name, _)| name.starts_with("LOCKSTEP__")).collect();
    let variables =
        config::Environment::with_prefix("LOCKSTEP").prefix_separator("__").separator("__").source(Some(own));
    layers.push(("environment".to_owned(), Box::new(variables)));
    let nested = |layer| Config::builder().add_source(vec![layer]).build()?.collect();
    let read = |(name, layer)| {
        let mut notes = Vec::new();
        let entries = with_secret_files(nested(layer)?, &mut notes)?;
        Ok((name, Entries(entries, notes)))
    };
    layers.into_iter().map(read).collect()
}

/// A file's text, if it is TOML: what is said of it names the place, and shows none of it.
fn read(path: &Path) -> Result<String, SettingsError> {
    let place = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| SettingsError::File { place: place(), wrong: format!("cannot be read: {error}") })?;
    let Err(error) = toml::from_str::<toml::Table>(&text) else { return Ok(text) };
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let (line, column) =
        (before.matches('\n').count() + 1, before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1);
    let wrong = format!("line {line}, column {column}: {}", error.message());
    Err(SettingsError::File { place: place(), wrong })
}

/// Replaces `<secret>_file` by `<secret>` with the file's content.
fn with_secret_files(
    mut entries: Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>, SettingsError> {
    for key in SECRETS {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        if let Some(table) = entries.get_mut(section).and_then(table) {
            read_secret(table, name, key, notes)?;
        }
    }
    let webhooks = entries.get_mut("sink").and_then(table).and_then(|sink| sink.get_mut("webhook")).and_then(table);
    for (hook, settings) in webhooks.into_iter().flatten() {
        for name in WEBHOOK_SECRETS {
            if let Some(table) = table(settings) {
                read_secret(table, name, &format!("sink.webhook.{hook}.{name}"), notes)?;
            }
        }
    }
    Ok(entries)
}

fn table(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if let ValueKind::Table(table) = &mut value.kind { Some(table) } else { None }
}

fn read_secret(
    table: &mut Map<String, Value>,
    name: &str,
    key: &str,
    notes: &mut Vec<String>,
) -> Result<(), SettingsError> {
    let Some(named) = table.remove(&format!("{name}_file")) else { return Ok(()) };
    let file = named.into_string()?;
    let content = std::fs::read_to_string(&file);
    let content = content.map_err(|error| SettingsError::Secret {
        key: format!("{key}_file"),
        file: file.clone(),
        wrong: error.to_string(),
    })?;
    notes.extend(notes::of_secret_file(&format!("{key}_file"), Path::new(&file)));
    // an editor's mark is no part of a secret, and two lines are two secrets only where that is said
    let content = content.trim_start_matches('\u{feff}').trim();
    if content.lines().count() > 1 && key != "source.credentials_key" {
        let wrong = "it has several lines, but a secret is one".to_owned();
        return Err(SettingsError::Secret { key: format!("{key}_file"), file, wrong });
    }
    table.insert(name.to_owned(), Value::from(content.to_owned()));
    Ok(())
}

/// A layer that was read already.
#[derive(Debug, Clone)]
pub(super) struct Entries(Map<String, Value>, Vec<String>);

impl Entries {
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.1.iter().cloned()
    }
}

impl Source for Entries {
    fn clone_into_box(&self) -> Layer {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn flatten(key: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                flatten(&format!("{key}.{name}"), value, into);
            }
        }
        ValueKind::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                flatten(&format!("{key}[{number}]"), value, into);
            }
        }
        _ => into.push((key.to_owned(), value.to_string())),
    }
}

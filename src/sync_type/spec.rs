//! What does a sync type's file say? The typed form of `config/sync/<type>.toml`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::header::normalise;
use crate::domain::{AgentId, ChildFailure, NewJob, Reason, Record, SyncType, Value};

/// Whose records are these?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each agent has a report of their own.
    Agent,
    /// One report for all, fetched and stored under `service-account`.
    Shared,
}

/// How a cell is printed and what it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Any text.
    Text,
    /// An identifier whose thousands dots are dropped: `71.285`.
    Id,
    /// A whole number: `1.204`.
    Int,
    /// An amount: `124.497,43 €`.
    Money,
    /// A decimal number: `1.000,00`.
    Number,
    /// `21,49 %`.
    Percent,
    /// `20/01/2026`, day first.
    Date,
    /// `20/01/2026 12:04:22`.
    Datetime,
    /// `Sì`, `No`, `Checked`, `Unchecked`.
    Bool,
    /// A courier and a tracking number, printed plain or as an HTML anchor; gives two fields,
    /// `<field>_courier` and `<field>_number`.
    Tracking,
    /// Not stored.
    Skip,
}

/// The algorithm of a change hash; both are written as lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// MD5, as the replaced system stored it.
    Md5,
    /// SHA-256.
    Sha256,
}

/// What becomes of a word at the end of a line in a narrow column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Words {
    /// Lines end between words alone: a blank stood there.
    Whole,
    /// The texts hold no blanks: a line that fills its cell goes on.
    Cut,
}

/// One printed column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The accepted printed headers, in any of the ERP's languages.
    pub headers: Vec<String>,
    /// The stored field's name; absent exactly for `type = "skip"`.
    pub field: Option<String>,
    /// How the cell is printed.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// A blank cell keeps the stored value instead of storing null.
    #[serde(default)]
    pub keep_when_blank: bool,
    /// A text that the ERP appends and that is not stored.
    pub strip_suffix: Option<String>,
    /// How its lines end, where the report alone does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// Which fields make a record *changed*: all, all but some, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeHash {
    /// MD5 or SHA-256.
    pub algorithm: HashAlgorithm,
    /// The fields, in hashing order; all in column order where absent.
    pub fields: Option<Vec<String>>,
    /// Fields to leave out of all.
    pub except: Option<Vec<String>>,
}

/// The record that a record of this type belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// The parent's sync type.
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    /// The field of this type that names the parent.
    pub field: String,
    /// The parent's field that it must equal.
    pub matches: String,
}

/// A field whose every change is kept in a table of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// The table's name.
    pub table: String,
    /// The watched field.
    pub field: String,
}

/// Thresholds at which a run is held; a type may set its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// Hold when the report has fewer rows than this share (percent) of the live rows.
    pub min_rows_percent: f64,
    /// Hold when more than this share (percent) of the live rows is newly missing.
    pub max_missing_percent: f64,
    /// Hold when more than this share (percent) of the read rows is quarantined.
    pub max_quarantined_percent: f64,
    /// Hold when more than this share (percent) of the read keys is stored in another spelling.
    pub max_similar_percent: f64,
    /// The finer percentages apply from this many rows.
    pub from_rows: u64,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            min_rows_percent: 50.0,
            max_missing_percent: 20.0,
            max_quarantined_percent: 5.0,
            max_similar_percent: 5.0,
            from_rows: 20,
        }
    }
}

/// The file as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecFile {
    pub name: SyncType,
    pub scope: Scope,
    pub priority: u8,
    pub interval_minutes: u32,
    pub freshness_minutes: Option<u32>,
    #[serde(default)]
    pub offset_minutes: u32,
    pub key: String,
    pub required: Vec<String>,
    #[serde(default)]
    pub triggers: Vec<SyncType>,
    #[serde(default)]
    pub on_failure: ChildFailure,
    pub max_attempts: Option<u32>,
    pub seconds: Option<u64>,
    pub history: Option<History>,
    pub parent: Option<Parent>,
    pub change_hash: ChangeHash,
    pub guards: Option<Guards>,
    pub totals_words: Option<Vec<String>>,
    pub columns: Vec<Column>,
}

/// One stored field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in the database and in JSON.
    pub name: String,
    /// Its type; never `Tracking` or `Skip`.
    pub value_type: ValueType,
    /// The number of the column it is printed in.
    pub column: usize,
    /// A blank cell keeps the stored value.
    pub keep_when_blank: bool,
}

/// A checked sync type. Fields are numbered in the order of the columns; records hold their values
/// in that order.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncTypeSpec {
    /// The name: also of the table and the routes.
    pub name: SyncType,
    /// Per agent or shared.
    pub scope: Scope,
    /// 1 (lowest) to 9 among the syncs.
    pub priority: u8,
    /// Minutes between two runs, 5 to 1440: the seed of `sync_settings`.
    pub interval_minutes: u32,
    /// How old its data may be, in minutes, if the type sets its own; three intervals otherwise.
    pub freshness_minutes: Option<u32>,
    /// Minutes after the first start at which the first run is due.
    pub offset_minutes: u32,
    /// The types that run for the same agent when this one inserted or changed something.
    pub triggers: Vec<SyncType>,
    /// What this type's failure makes of a flow.
    pub on_failure: ChildFailure,
    /// All attempts of a job together, if the type sets its own number.
    pub max_attempts: Option<u32>,
    /// The longest attempt, in seconds, if the type sets its own.
    pub seconds: Option<u64>,
    /// The watched field, if any.
    pub history: Option<History>,
    /// The parent, if any.
    pub parent: Option<Parent>,
    /// The change hash's algorithm.
    pub hash_algorithm: HashAlgorithm,
    /// Thresholds, if the type sets its own.
    pub guards: Option<Guards>,
    /// The words that begin a totals row, if the type names its own.
    pub totals_words: Option<Vec<String>>,
    /// The printed columns.
    pub columns: Vec<Column>,
    /// The stored fields.
    pub fields: Vec<Field>,
    /// The natural key's field number.
    pub key: usize,
    /// Field numbers whose columns a report must have.
    pub required: Vec<usize>,
    /// Field numbers of the change hash, in hashing order.
    pub hashed: Vec<usize>,
    /// SHA-256 over all that decides how a row is read and hashed, as hex: rows stored under
    /// another fingerprint are refreshed, never changed, by a change of the file.
    pub fingerprint: String,
}

impl SyncTypeSpec {
    /// The number of the field called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The numbers of the fields printed in column number `column`.
    pub fn fields_of(&self, column: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.fields.len()).filter(move |field| self.fields[*field].column == column)
    }

    /// The field that a column of this printed header becomes; `None` where no column is called so.
    #[must_use]
    pub fn field_of_header(&self, printed: &str) -> Option<&str> {
        let plain = normalise(printed);
        let column = self.columns.iter().position(|one| one.headers.iter().any(|header| normalise(header) == plain))?;
        self.fields_of(column).next().map(|field| self.fields[field].name.as_str())
    }

    /// The natural key's name.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.fields[self.key].name
    }

    /// The agent under which this type's jobs and records stand when `agent` is meant.
    #[must_use]
    pub fn agent_for(&self, agent: &AgentId) -> AgentId {
        match self.scope {
            Scope::Agent => agent.clone(),
            Scope::Shared => AgentId::service_account(),
        }
    }

    /// The job that syncs it for `agent`, by the file's priority and attempts.
    #[must_use]
    pub fn job(&self, agent: &AgentId, reason: Reason) -> NewJob {
        let mut job = NewJob::sync(&self.name, self.agent_for(agent), self.priority, reason);
        job.max_attempts = self.max_attempts.unwrap_or(job.max_attempts);
        job
    }

    /// A record as a JSON object, fields in the spec's order; `present` leaves out fields whose
    /// column the report did not have.
    #[must_use]
    pub fn to_json(
        &self,
        record: &Record,
        present: impl Fn(usize) -> bool,
    ) -> serde_json::Map<String, serde_json::Value> {
        self.fields
            .iter()
            .zip(&record.values)
            .enumerate()
            .filter(|(number, _)| present(*number))
            .map(|(_, (field, value))| (field.name.clone(), value.to_json()))
            .collect()
    }

    /// A record from a JSON object in canonical spelling (tests, tools); absent fields are null.
    ///
    /// # Errors
    /// The name of the first field whose value is not of its type.
    pub fn from_json(&self, object: &serde_json::Map<String, serde_json::Value>) -> Result<Record, String> {
        let values = self
            .fields
            .iter()
            .map(|field| {
                let json = object.get(&field.name).unwrap_or(&serde_json::Value::Null);
                field.value_type.from_json(json).ok_or_else(|| field.name.clone())
            })
            .collect::<Result<_, _>>()?;
        Ok(Record { values })
    }
}

impl ValueType {
    /// A value in canonical JSON, typed; `None` if it is not of this type.
    #[must_use]
    pub fn from_json(self, json: &serde_json::Value) -> Option<Value> {
        match json {
            serde_json::Value::Null => Some(Value::Null),
            serde_json::Value::Bool(flag) if self == ValueType::Bool => Some(Value::Bool(*flag)),
            serde_json::Value::Number(number) if self == ValueType::Int => number.as_i64().map(Value::Int),
            serde_json::Value::String(text) => self.from_canonical(text),
            _ => None,
        }
    }

    /// Is a value of this type stored as the text that was printed?
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, ValueType::Text | ValueType::Id)
    }

    /// A value in canonical spelling, typed; `None` if it is not of this type.
    #[must_use]
    pub fn from_canonical(self, text: &str) -> Option<Value> {
        match self {
            _ if text.is_empty() => Some(Value::Null),
            ValueType::Text | ValueType::Id | ValueType::Tracking | ValueType::Skip => {
                Some(Value::Text(text.to_owned()))
            }
            ValueType::Int => text.parse().ok().map(Value::Int),
            ValueType::Money | ValueType::Number | ValueType::Percent => {
                text.parse().ok().map(|mut number: rust_decimal::Decimal| {
                    number.rescale(2);
                    Value::Decimal(number)
                })
            }
            ValueType::Date => text.parse().ok().map(Value::Date),
            ValueType::Datetime => text.parse().ok().map(Value::DateTime),
            ValueType::Bool => match text {
                "true" | "1" => Some(Value::Bool(true)),
                "false" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
        }
    }
}

impl SpecFile {
    /// The stored fields, in column order.
    pub(super) fn stored_fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for (number, column) in self.columns.iter().enumerate() {
            let Some(name) = &column.field else { continue };
            let mut push = |name: String, value_type| {
                fields.push(Field { name, value_type, column: number, keep_when_blank: column.keep_when_blank });
            };
            match column.value_type {
                ValueType::Skip => {}
                ValueType::Tracking => {
                    push(format!("{name}_courier"), ValueType::Text);
                    push(format!("{name}_number"), ValueType::Text);
                }
                value_type => push(name.clone(), value_type),
            }
        }
        fields
    }

    /// SHA-256 over what decides how a row is read and hashed: columns, key and change hash.
    pub(super) fn fingerprint(&self) -> String {
        let parts = serde_json::json!([self.key, self.change_hash, self.columns, self.parent]);
        hex::encode(Sha256::digest(parts.to_string()))
    }
}

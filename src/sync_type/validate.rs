//! Is a sync type's file consistent? Checks one file; every complaint names its key.

use std::collections::{HashMap, HashSet};

use super::{
    header::normalise,
    spec::{Field, SpecFile, SyncTypeSpec, ValueType},
};
use crate::domain::clock::INTERVAL_MINUTES;

/// Columns that every record table has besides its fields.
pub(crate) const RESERVED: [&str; 11] = [
    "agent_id",
    "change_hash",
    "content_hash",
    "spec_fingerprint",
    "parent_key",
    "first_seen_at",
    "updated_at",
    "missing_since",
    "missing_run_id",
    "deleted_at",
    "run_id",
];

/// Data may be a month old at most before it is late.
const FRESHNESS_MINUTES: u32 = 43_200;

/// Names that no record table may take.
/// The names that tables of records may not have.
pub(crate) const CONTROL_TABLES: [&str; 29] = [
    "write_probe",
    "agents",
    "flow_link",
    "sync_settings",
    "switch",
    "job",
    "job_limit",
    "pause",
    "sync_run",
    "run_log",
    "sync_state",
    "run_hour",
    "record_change",
    "quarantine",
    "document",
    "document_part",
    "kept_document",
    "agent_credential",
    "sync_queue",
    "sheet_row",
    "breaker",
    "api_token",
    "page_session",
    "request_key",
    "taught_header",
    "alert",
    "audit",
    "seaql_migrations",
    "sqlite_sequence",
];

/// A complaint: the key in the file, and what is wrong with it.
pub(super) type Complaint = (String, String);

fn complain<T>(key: impl Into<String>, wrong: impl Into<String>) -> Result<T, Complaint> {
    Err((key.into(), wrong.into()))
}

/// May this text be a table's or a column's name, unquoted, on every database?
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && text.len() <= 60
}

/// Checks a file by itself; references to other types are checked by the registry.
pub(super) fn check(file: SpecFile) -> Result<SyncTypeSpec, Complaint> {
    let name = file.name.as_str();
    if !is_identifier(name) || CONTROL_TABLES.contains(&name) {
        return complain(
            "name",
            format!(
                "'{name}' cannot be a table: use lower-case letters, digits and _, and no name of lockstep's own tables"
            ),
        );
    }
    if !INTERVAL_MINUTES.contains(&file.interval_minutes) {
        let (least, most) = INTERVAL_MINUTES.into_inner();
        return complain("interval_minutes", format!("{} is not between {least} and {most}", file.interval_minutes));
    }
    if file.freshness_minutes.is_some_and(|minutes| !(file.interval_minutes..=FRESHNESS_MINUTES).contains(&minutes)) {
        let text = format!("must be from interval_minutes ({}) to {FRESHNESS_MINUTES}", file.interval_minutes);
        return complain("freshness_minutes", text);
    }
    if file.offset_minutes > 1440 {
        return complain("offset_minutes", format!("{} is more than 1440", file.offset_minutes));
    }
    if !(1..=9).contains(&file.priority) {
        return complain("priority", format!("{} is not between 1 and 9", file.priority));
    }
    check_columns(&file)?;
    let fields = file.stored_fields();
    let numbers = number_fields(&fields)?;
    let find = |key: &str, name: &String| match numbers.get(name.as_str()) {
        Some(number) => Ok(*number),
        None => complain(key, format!("'{name}' is not a field of this type; its fields are {}", names(&fields))),
    };
    let find_all =
        |key: &str, names: &[String]| names.iter().map(|name| find(key, name)).collect::<Result<Vec<_>, _>>();

    let key = find("key", &file.key)?;
    if fields[key].value_type == ValueType::Bool || fields[key].keep_when_blank {
        return complain("key", "the natural key cannot be a bool or kept when blank");
    }
    let required = find_all("required", &file.required)?;
    if !required.contains(&key) {
        return complain("required", format!("the key '{}' must be required", file.key));
    }
    let hashed = match (&file.change_hash.fields, &file.change_hash.except) {
        (Some(_), Some(_)) => return complain("change_hash", "give 'fields' or 'except', not both"),
        (Some(list), None) if list.is_empty() => return complain("change_hash.fields", "at least one field is needed"),
        (Some(list), None) => find_all("change_hash.fields", list)?,
        (None, except) => {
            let except = find_all("change_hash.except", except.as_deref().unwrap_or_default())?;
            (0..fields.len()).filter(|field| !except.contains(field)).collect()
        }
    };
    if let Some(history) = &file.history {
        find("history.field", &history.field)?;
        if !is_identifier(&history.table) || CONTROL_TABLES.contains(&history.table.as_str()) || history.table == name {
            return complain("history.table", format!("'{}' cannot be a table", history.table));
        }
    }
    if let Some(parent) = &file.parent {
        find("parent.field", &parent.field)?;
    }
    let fingerprint = file.fingerprint();
    Ok(SyncTypeSpec {
        name: file.name,
        scope: file.scope,
        priority: file.priority,
        interval_minutes: file.interval_minutes,
        freshness_minutes: file.freshness_minutes,
        offset_minutes: file.offset_minutes,
        triggers: file.triggers,
        on_failure: file.on_failure,
        max_attempts: file.max_attempts,
        seconds: file.seconds,
        history: file.history,
        parent: file.parent,
        hash_algorithm: file.change_hash.algorithm,
        guards: file.guards,
        totals_words: file.totals_words,
        columns: file.columns,
        fields,
        key,
        required,
        hashed,
        fingerprint,
    })
}

fn check_columns(file: &SpecFile) -> Result<(), Complaint> {
    let mut variants: HashMap<String, Vec<String>> = HashMap::new();
    for (number, column) in file.columns.iter().enumerate() {
        let key = format!("columns[{number}]");
        if column.headers.is_empty() {
            return complain(format!("{key}.headers"), "at least one accepted header is needed");
        }
        match (&column.field, column.value_type) {
            (Some(_), ValueType::Skip) => {
                return complain(format!("{key}.field"), "a skipped column is not stored: it has no field");
            }
            (None, ValueType::Skip) | (Some(_), _) => {}
            (None, _) => return complain(format!("{key}.field"), "a column that is stored needs a field name"),
        }
        if let Some(field) = &column.field
            && (!is_identifier(field) || RESERVED.contains(&field.as_str()))
        {
            return complain(
                format!("{key}.field"),
                format!(
                    "'{field}' cannot be a column: use lower-case letters, digits and _, and none of lockstep's own columns"
                ),
            );
        }
        let mut normal: Vec<_> = column.headers.iter().map(|header| normalise(header)).collect();
        normal.sort();
        // a header that stands twice is taken in printed order, which only works if the columns
        // that share it accept the very same texts
        for header in &normal {
            if let Some(other) = variants.insert(header.clone(), normal.clone())
                && other != normal
            {
                return complain(
                    format!("{key}.headers"),
                    format!("'{header}' is accepted by another column whose other headers differ"),
                );
            }
        }
    }
    Ok(())
}

fn number_fields(fields: &[Field]) -> Result<HashMap<String, usize>, Complaint> {
    let mut seen = HashSet::new();
    if let Some(twice) = fields.iter().find(|field| !seen.insert(&field.name)) {
        return complain(format!("columns[{}].field", twice.column), format!("'{}' stands twice", twice.name));
    }
    Ok(fields.iter().enumerate().map(|(number, field)| (field.name.clone(), number)).collect())
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
}

//! What does a plan do to each field? For people who look before they approve, and for the history.

use serde::Serialize;
use serde_json::Value as Json;

use super::{Change, ChangeKind, Plan};
use crate::{domain::Record, sync_type::SyncTypeSpec};

/// What becomes of one field.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FieldChange {
    pub field: String,
    #[schema(value_type = serde_json::Value)]
    pub old: Json,
    #[schema(value_type = serde_json::Value)]
    pub new: Json,
}

/// Each field that differs, in the order of the spec's.
#[must_use]
pub fn differing(spec: &SyncTypeSpec, old: &Record, new: &Record) -> Vec<FieldChange> {
    let pairs = spec.fields.iter().zip(old.values.iter().zip(&new.values));
    pairs
        .filter(|(_, (old, new))| old.canonical() != new.canonical())
        .map(|(field, (old, new))| FieldChange { field: field.name.clone(), old: old.to_json(), new: new.to_json() })
        .collect()
}

/// What a plan does to one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// `insert`, `update`, `refresh`, `restore`, `missing` or `delete`.
    pub action: &'static str,
    pub key: String,
    /// Where the report has it: its page and the row there; nothing of what it lacks.
    pub page: Option<u32>,
    pub row: Option<u32>,
    pub fields: Vec<FieldChange>,
}

impl Plan {
    /// How many records it does something to.
    #[must_use]
    pub fn size(&self) -> usize {
        self.changes.len() + self.missing.len() + self.deleted.len()
    }

    fn changes_at(&self, from: usize, count: usize) -> &[Change] {
        let end = from.saturating_add(count).min(self.changes.len());
        &self.changes[from.min(end)..end]
    }

    /// The keys of records that are replaced, of the lines from number `from` on, `count` of them: those lines need to
    /// know what is stored.
    #[must_use]
    pub fn replaced_at(&self, from: usize, count: usize) -> Vec<String> {
        let old = self.changes_at(from, count).iter().filter(|change| change.kind != ChangeKind::Insert);
        old.map(|change| change.key.clone()).collect()
    }

    /// What it does to each record, from number `from` on, `count` of them: first what is written, then what is
    /// missing, then what is deleted. `stored` is what is stored under a key.
    #[must_use]
    pub fn lines<'r>(
        &self,
        spec: &SyncTypeSpec,
        (from, count): (usize, usize),
        stored: impl Fn(&str) -> Option<&'r Record>,
    ) -> Vec<Line> {
        let nothing = Record { values: vec![crate::domain::Value::Null; spec.fields.len()] };
        let written = |change: &Change| {
            let old = stored(&change.key).unwrap_or(&nothing);
            let action = match change.kind {
                ChangeKind::Insert => "insert",
                ChangeKind::Update => "update",
                ChangeKind::Refresh => "refresh",
                ChangeKind::Restore => "restore",
            };
            let (page, row) = (change.printed.map(|at| at.page), change.printed.map(|at| at.row));
            Line { action, key: change.key.clone(), page, row, fields: differing(spec, old, &change.record) }
        };
        let gone =
            |action| move |key: &String| Line { action, key: key.clone(), page: None, row: None, fields: Vec::new() };
        let mut lines: Vec<Line> = self.changes_at(from, count).iter().map(written).collect();
        let others = self.missing.iter().map(gone("missing")).chain(self.deleted.iter().map(gone("delete")));
        lines.extend(others.skip(from.saturating_sub(self.changes.len())).take(count - lines.len()));
        lines
    }
}

//! What is to be written so that the stored records say what the report says?

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    time::Duration,
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{
    hash::{change_hash, content_hash},
    similar::{self, SimilarKey},
};
use crate::{
    domain::{PlanDigest, Printed, Record, Timestamp, Value},
    sync_type::SyncTypeSpec,
};

/// Records that one thread compares at least: fewer are not worth waking another.
const AT_ONCE: usize = 500;

/// What is stored of one record, as far as a plan needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The change hash it was stored with.
    pub change_hash: String,
    /// The content hash it was stored with.
    pub content_hash: String,
    /// Was it stored under the spec's present fingerprint?
    pub same_spec: bool,
    /// When an export first missed it.
    pub missing_since: Option<Timestamp>,
    /// When it was (softly) deleted.
    pub deleted_at: Option<Timestamp>,
    /// The values of the [`Snapshot`]'s loaded fields.
    pub values: Vec<Value>,
}

impl Stored {
    /// Is it neither missing nor deleted?
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.missing_since.is_none() && self.deleted_at.is_none()
    }
}

/// What is stored of one type for one agent.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Field numbers whose values were loaded.
    pub loaded: Vec<usize>,
    /// Natural key -> what is stored.
    pub rows: HashMap<String, Stored>,
}

impl Snapshot {
    /// The fields whose stored values a plan needs: those of columns that the report lacks, those
    /// that are kept when blank, those with blanks that may be none, and the one whose history is kept.
    #[must_use]
    pub fn needed(spec: &SyncTypeSpec, present: &[bool], open: &OpenBlanks) -> Vec<usize> {
        let watched = spec.history.as_ref().and_then(|history| spec.field(&history.field));
        let is_open = |field: usize| open.keys().any(|(_, of)| *of == field);
        let is_needed = |field: &usize| {
            !present[*field] || spec.fields[*field].keep_when_blank || watched == Some(*field) || is_open(*field)
        };
        (0..spec.fields.len()).filter(is_needed).collect()
    }

    /// Does any row need all its stored values, because it was stored under another spec?
    #[must_use]
    pub fn needs_all(&self) -> bool {
        self.rows.values().any(|row| !row.same_spec)
    }

    /// Rows that are neither missing nor deleted.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.rows.values().filter(|row| row.is_live()).count() as u64
    }

    /// Rows that became missing or were deleted after `since`, but for those that a run missed which a person
    /// had approved by `approved`.
    #[must_use]
    pub fn gone_since(&self, since: Timestamp, approved: Option<Timestamp>) -> u64 {
        let is_gone = |row: &&Stored| {
            let (first, last) = (row.missing_since.or(row.deleted_at), row.deleted_at.or(row.missing_since));
            last.is_some_and(|last| last > since)
                && first.is_some_and(|first| approved.is_none_or(|approved| first > approved))
        };
        self.rows.values().filter(is_gone).count() as u64
    }

    fn value<'a>(&self, row: &'a Stored, field: usize) -> Option<&'a Value> {
        row.values.get(self.loaded.iter().position(|loaded| *loaded == field)?)
    }
}

/// Blanks that may be none, where a line ended in a narrow column: their places in the text (characters
/// from 0), by natural key and field number.
pub type OpenBlanks = HashMap<(String, usize), Vec<usize>>;

/// What a report says, for planning.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The rows that fit.
    pub records: &'a [Record],
    /// Where each of them is printed; of what is read from no report, nothing.
    pub printed: &'a [Printed],
    /// For each field: did the report have its column?
    pub present: &'a [bool],
    /// Keys of rows that exist but do not fit.
    pub quarantined_keys: &'a [String],
    /// Does a row exist whose key cannot be read? Then nothing can be told missing.
    pub unreadable_key: bool,
    /// Blanks that may be none: they alone change nothing that is stored.
    pub open_blanks: &'a OpenBlanks,
}

/// Why a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new.
    Insert,
    /// Its change hash differs.
    Update,
    /// It differs outside the change hash, or only because the spec changed.
    Refresh,
    /// It was missing or deleted, and is back.
    Restore,
}

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The natural key.
    pub key: String,
    pub kind: ChangeKind,
    /// The merged record: what the report says, and what is stored where the report says nothing, or
    /// the same but for a blank that may be none.
    pub record: Record,
    /// Where the report has it.
    pub printed: Option<Printed>,
    pub change_hash: String,
    pub content_hash: String,
    /// Does this make follow-up types run?
    pub triggers: bool,
    /// Old and new value of the watched field, where it changed.
    pub history: Option<(Value, Value)>,
}

/// Everything one run will do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Records to write, in the report's order.
    pub changes: Vec<Change>,
    /// Records that are stored already.
    pub unchanged: u64,
    /// Live records that the report does not hold, by key.
    pub unseen: Vec<String>,
    /// Of the unseen: to be marked missing now.
    pub missing: Vec<String>,
    /// Missed a second time: to be deleted now.
    pub deleted: Vec<String>,
    /// Had the agent no record of this type before?
    pub is_first: bool,
    /// Live records before the run.
    pub live: u64,
    /// Records that went within the last day, and since a person last approved a run; set by the caller.
    pub gone_lately: u64,
    /// New keys that are stored already, but in another spelling.
    pub similar: Vec<SimilarKey>,
}

impl Plan {
    /// SHA-256 (hex) over what the plan writes and misses: the same report over the same stored
    /// records gives the same digest, whatever the time.
    #[must_use]
    pub fn digest(&self) -> PlanDigest {
        let mut hasher = Sha256::new();
        let mut add = |parts: [&str; 3]| {
            for part in parts {
                hasher.update(part.as_bytes());
                hasher.update([0]);
            }
        };
        for change in &self.changes {
            add([&format!("{:?}", change.kind), &change.key, &change.content_hash]);
        }
        for key in &self.unseen {
            add(["unseen", key, ""]);
        }
        hex::encode(hasher.finalize()).into()
    }
}

/// Compares what a report says with what is stored.
///
/// `second_miss` is the least time between a first miss and the deletion; `None` (approved runs)
/// deletes nothing.
#[must_use]
pub fn plan<'s>(
    spec: &SyncTypeSpec,
    seen: Seen<'s>,
    snapshot: &Snapshot,
    now: Timestamp,
    second_miss: Option<Duration>,
) -> Plan {
    let mut plan = Plan { is_first: snapshot.rows.is_empty(), live: snapshot.live(), ..Plan::default() };
    let compare = |(at, record): (usize, &'s Record)| {
        let key = record.values[spec.key].canonical();
        let stored = snapshot.rows.get(key.as_ref());
        let record = merge(spec, record, &key, seen, snapshot, stored);
        let mut change = change(spec, &key, record, snapshot, stored);
        if let Some(change) = &mut change {
            change.printed = seen.printed.get(at).copied();
        }
        (key, change)
    };
    // hashing is most of the work
    let compared: Vec<(Cow<'_, str>, Option<Change>)> =
        seen.records.par_iter().enumerate().with_min_len(AT_ONCE).map(compare).collect();
    let mut keys: HashSet<&str> = seen.quarantined_keys.iter().map(String::as_str).collect();
    keys.extend(compared.iter().map(|(key, _)| key.as_ref()));
    let unseen = snapshot.rows.iter().filter(|(key, row)| row.deleted_at.is_none() && !keys.contains(key.as_str()));
    for (key, row) in unseen {
        match row.missing_since {
            None => {
                plan.unseen.push(key.clone());
                if !seen.unreadable_key {
                    plan.missing.push(key.clone());
                }
            }
            Some(since) => {
                let is_due = second_miss.is_some_and(|gap| (now - since).to_std().is_ok_and(|passed| passed >= gap));
                if is_due && !seen.unreadable_key {
                    plan.deleted.push(key.clone());
                }
            }
        }
    }
    drop(keys);
    let changes = compared.iter().filter_map(|(_, change)| change.as_ref());
    let new = changes.filter(|change| change.kind == ChangeKind::Insert).map(|change| &change.key);
    let live = snapshot.rows.iter().filter(|(_, row)| row.is_live()).map(|(key, _)| key);
    plan.similar = similar::find(new, live);
    plan.changes = compared.into_iter().filter_map(|(_, change)| change).collect();
    plan.unchanged = (seen.records.len() - plan.changes.len()) as u64;
    plan.unseen.sort();
    plan.missing.sort();
    plan.deleted.sort();
    plan
}

/// What the record will be once stored: absent columns and blank kept cells keep their values, and so does
/// a text that differs only by blanks that may be none.
fn merge<'s>(
    spec: &SyncTypeSpec,
    record: &'s Record,
    key: &str,
    seen: Seen<'_>,
    snapshot: &Snapshot,
    stored: Option<&Stored>,
) -> Cow<'s, Record> {
    let mut merged = Cow::Borrowed(record);
    let Some(stored) = stored else { return merged };
    for (number, field) in spec.fields.iter().enumerate() {
        // a cell that gives several fields is blank only if all of them are: half of it is not kept
        let is_blank = || spec.fields_of(field.column).all(|sibling| record.values[sibling].is_null());
        let says_nothing = !seen.present[number] || (field.keep_when_blank && is_blank());
        let Some(value) = snapshot.value(stored, number) else { continue };
        let is_same = || {
            // a key of two parts is made only where some blank is open
            let open = if seen.open_blanks.is_empty() { None } else { seen.open_blanks.get(&(key.to_owned(), number)) };
            open.is_some_and(|open| is_same_but_for(&value.canonical(), &record.values[number].canonical(), open))
        };
        if *value != record.values[number] && (says_nothing || is_same()) {
            merged.to_mut().values[number] = value.clone();
        }
    }
    merged
}

/// Is `stored` what `read` is without some of its `open` blanks?
fn is_same_but_for(stored: &str, read: &str, open: &[usize]) -> bool {
    let mut rest = stored.chars().peekable();
    for (at, character) in read.chars().enumerate() {
        if rest.peek() == Some(&character) {
            rest.next();
        } else if character != ' ' || !open.contains(&at) {
            return false;
        }
    }
    rest.next().is_none()
}

fn change(
    spec: &SyncTypeSpec,
    key: &str,
    record: Cow<'_, Record>,
    snapshot: &Snapshot,
    stored: Option<&Stored>,
) -> Option<Change> {
    let content_hash = content_hash(&record);
    if stored.is_some_and(|stored| stored.is_live() && stored.same_spec && stored.content_hash == content_hash) {
        // most records of most runs
        return None;
    }
    let change_hash = change_hash(spec, &record);
    let (key, record) = (key.to_owned(), record.into_owned());
    let Some(stored) = stored else {
        let kind = ChangeKind::Insert;
        return Some(Change {
            key,
            kind,
            record,
            printed: None,
            change_hash,
            content_hash,
            triggers: true,
            history: None,
        });
    };
    let changed = if stored.same_spec {
        stored.change_hash != change_hash
    } else {
        changed_under_new_spec(spec, &record, snapshot, stored)
    };
    let kind = if !stored.is_live() {
        ChangeKind::Restore
    } else if changed {
        ChangeKind::Update
    } else {
        ChangeKind::Refresh
    };
    let history = watched_change(spec, &record, snapshot, stored);
    // a deleted record that is back is as good as new to whatever hangs on it
    let triggers = changed || stored.deleted_at.is_some();
    Some(Change { key, kind, record, printed: None, change_hash, content_hash, triggers, history })
}

/// Under another spec the stored hash says nothing: compare the hashed fields themselves. A field
/// that was not stored before differs because of the spec, not because of the data.
fn changed_under_new_spec(spec: &SyncTypeSpec, record: &Record, snapshot: &Snapshot, stored: &Stored) -> bool {
    spec.hashed.iter().any(|field| {
        let before = snapshot.value(stored, *field).unwrap_or(&Value::Null);
        !before.is_null() && before.canonical() != record.values[*field].canonical()
    })
}

fn watched_change(
    spec: &SyncTypeSpec,
    record: &Record,
    snapshot: &Snapshot,
    stored: &Stored,
) -> Option<(Value, Value)> {
    let field = spec.field(&spec.history.as_ref()?.field)?;
    let before = snapshot.value(stored, field)?;
    let after = &record.values[field];
    (before.canonical() != after.canonical()).then(|| (before.clone(), after.clone()))
}

#[cfg(test)]
mod tests;

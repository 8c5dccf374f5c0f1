//! What is to be written so that the stored records say what the report says?

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::hash::{change_hash, content_hash};
use crate::{
    domain::{Record, Timestamp, Value},
    sync_type::SyncTypeSpec,
};

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
    /// Is it (softly) deleted?
    pub deleted: bool,
    /// The values of the [`Snapshot`]'s loaded fields.
    pub values: Vec<Value>,
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
    /// that are kept when blank, and the one whose history is kept.
    #[must_use]
    pub fn needed(spec: &SyncTypeSpec, present: &[bool]) -> Vec<usize> {
        let watched = spec.history.as_ref().and_then(|history| spec.field(&history.field));
        (0..spec.fields.len())
            .filter(|field| !present[*field] || spec.fields[*field].keep_when_blank || watched == Some(*field))
            .collect()
    }

    /// Does any row need all its stored values, because it was stored under another spec?
    #[must_use]
    pub fn needs_all(&self) -> bool {
        self.rows.values().any(|row| !row.same_spec)
    }

    /// Rows that are neither missing nor deleted.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.rows.values().filter(|row| row.missing_since.is_none() && !row.deleted).count() as u64
    }

    fn value<'a>(&self, row: &'a Stored, field: usize) -> Option<&'a Value> {
        row.values.get(self.loaded.iter().position(|loaded| *loaded == field)?)
    }
}

/// What a report says, for planning.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The rows that fit.
    pub records: &'a [Record],
    /// For each field: did the report have its column?
    pub present: &'a [bool],
    /// Keys of rows that exist but do not fit.
    pub quarantined_keys: &'a [String],
    /// Does a row exist whose key cannot be read? Then nothing can be told missing.
    pub unreadable_key: bool,
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
    /// Why.
    pub kind: ChangeKind,
    /// The merged record: what the report says, and what is stored where the report says nothing.
    pub record: Record,
    /// Its change hash.
    pub change_hash: String,
    /// Its content hash.
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
    /// Live records before the run.
    pub live: u64,
}

impl Plan {
    /// SHA-256 (hex) over what the plan writes and misses: the same report over the same stored
    /// records gives the same digest, whatever the time.
    #[must_use]
    pub fn digest(&self) -> String {
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
        hex::encode(hasher.finalize())
    }
}

/// Compares what a report says with what is stored.
///
/// `second_miss` is the least time between a first miss and the deletion; `None` (approved runs)
/// deletes nothing.
#[must_use]
pub fn plan(
    spec: &SyncTypeSpec,
    seen: Seen<'_>,
    snapshot: &Snapshot,
    now: Timestamp,
    second_miss: Option<Duration>,
) -> Plan {
    let mut plan = Plan { live: snapshot.live(), ..Plan::default() };
    let mut keys: HashSet<String> = seen.quarantined_keys.iter().cloned().collect();
    for record in seen.records {
        let key = record.text(spec.key);
        let stored = snapshot.rows.get(&key);
        let record = merge(spec, record, seen.present, snapshot, stored);
        match change(spec, key.clone(), record, snapshot, stored) {
            Some(change) => plan.changes.push(change),
            None => plan.unchanged += 1,
        }
        keys.insert(key);
    }
    let unseen = snapshot.rows.iter().filter(|(key, row)| !row.deleted && !keys.contains(*key));
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
    plan.unseen.sort();
    plan.missing.sort();
    plan.deleted.sort();
    plan
}

/// What the record will be once stored: absent columns and blank kept cells keep their values.
fn merge(
    spec: &SyncTypeSpec,
    record: &Record,
    present: &[bool],
    snapshot: &Snapshot,
    stored: Option<&Stored>,
) -> Record {
    let mut merged = record.clone();
    let Some(stored) = stored else { return merged };
    for (number, field) in spec.fields.iter().enumerate() {
        let says_nothing = !present[number] || (field.keep_when_blank && merged.values[number].is_null());
        if says_nothing && let Some(value) = snapshot.value(stored, number) {
            merged.values[number] = value.clone();
        }
    }
    merged
}

fn change(
    spec: &SyncTypeSpec,
    key: String,
    record: Record,
    snapshot: &Snapshot,
    stored: Option<&Stored>,
) -> Option<Change> {
    let change_hash = change_hash(spec, &record);
    let content_hash = content_hash(&record);
    let Some(stored) = stored else {
        let kind = ChangeKind::Insert;
        return Some(Change { key, kind, record, change_hash, content_hash, triggers: true, history: None });
    };
    let changed = if stored.same_spec {
        stored.change_hash != change_hash
    } else {
        changed_under_new_spec(spec, &record, snapshot, stored)
    };
    let kind = if stored.deleted || stored.missing_since.is_some() {
        ChangeKind::Restore
    } else if changed {
        ChangeKind::Update
    } else if stored.content_hash != content_hash || !stored.same_spec {
        ChangeKind::Refresh
    } else {
        return None;
    };
    let history = watched_change(spec, &record, snapshot, stored);
    // a deleted record that is back is as good as new to whatever hangs on it
    let triggers = changed || stored.deleted;
    Some(Change { key, kind, record, change_hash, content_hash, triggers, history })
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
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::sync_type::SyncTypes;

    const HOUR: Duration = Duration::from_secs(3600);

    fn spec(name: &str) -> Arc<SyncTypeSpec> {
        SyncTypes::built_in().unwrap().get(name).unwrap().clone()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn record(spec: &SyncTypeSpec, json: serde_json::Value) -> Record {
        spec.from_json(json.as_object().unwrap()).unwrap()
    }

    fn seen<'a>(records: &'a [Record], present: &'a [bool]) -> Seen<'a> {
        Seen { records, present, quarantined_keys: &[], unreadable_key: false }
    }

    /// Carries a plan out on a snapshot that holds all fields, as the store does.
    fn apply(spec: &SyncTypeSpec, plan: &Plan, snapshot: &mut Snapshot, now: Timestamp) {
        snapshot.loaded = (0..spec.fields.len()).collect();
        for change in &plan.changes {
            let row = Stored {
                change_hash: change.change_hash.clone(),
                content_hash: change.content_hash.clone(),
                same_spec: true,
                missing_since: None,
                deleted: false,
                values: change.record.values.clone(),
            };
            snapshot.rows.insert(change.key.clone(), row);
        }
        for key in &plan.missing {
            snapshot.rows.get_mut(key).unwrap().missing_since = Some(now);
        }
        for key in &plan.deleted {
            snapshot.rows.get_mut(key).unwrap().deleted = true;
        }
    }

    #[test]
    fn each_row_has_its_kind() {
        let orders = spec("orders");
        let order = |id: &str, status: &str, name: &str| {
            record(&orders, serde_json::json!({ "order_id": id, "sales_status": status, "customer_name": name }))
        };
        let present = vec![true; orders.fields.len()];
        let mut snapshot = Snapshot::default();
        let first = [order("1", "a", "x"), order("2", "a", "x"), order("3", "a", "x"), order("4", "a", "x")];
        let planned = plan(&orders, seen(&first, &present), &snapshot, at(0), Some(HOUR));
        assert!(planned.changes.iter().all(|change| change.kind == ChangeKind::Insert && change.triggers));
        apply(&orders, &planned, &mut snapshot, at(0));

        let second = [order("1", "b", "x"), order("2", "a", "y"), order("3", "a", "x"), order("5", "a", "x")];
        let planned = plan(&orders, seen(&second, &present), &snapshot, at(10), Some(HOUR));
        let kinds: Vec<_> = planned.changes.iter().map(|c| (c.key.as_str(), c.kind, c.triggers)).collect();
        assert_eq!(
            kinds,
            [("1", ChangeKind::Update, true), ("2", ChangeKind::Refresh, false), ("5", ChangeKind::Insert, true)]
        );
        assert_eq!((planned.unchanged, planned.missing.as_slice()), (1, &["4".to_owned()][..]));
        apply(&orders, &planned, &mut snapshot, at(10));

        // the second miss counts one interval after the first, not sooner
        let again = plan(&orders, seen(&second, &present), &snapshot, at(60), Some(HOUR));
        assert!(again.deleted.is_empty() && again.missing.is_empty());
        let due = plan(&orders, seen(&second, &present), &snapshot, at(70), Some(HOUR));
        assert_eq!(due.deleted, ["4"]);
        apply(&orders, &due, &mut snapshot, at(70));

        let back = [&second[..], &[order("4", "a", "x")]].concat();
        let planned = plan(&orders, seen(&back, &present), &snapshot, at(80), Some(HOUR));
        let kinds: Vec<_> = planned.changes.iter().map(|c| (c.key.as_str(), c.kind)).collect();
        assert_eq!(kinds, [("4", ChangeKind::Restore)]);
    }

    #[test]
    fn absent_columns_and_blank_kept_cells_keep_what_is_stored() {
        let ddt = spec("ddt");
        let full = record(
            &ddt,
            serde_json::json!({ "ddt_id": "1", "order_number": "O", "delivery_terms": "CFR", "attention_to": "A",
                "tracking_courier": "UPS", "tracking_number": "1Z" }),
        );
        let mut snapshot = Snapshot::default();
        let all = vec![true; ddt.fields.len()];
        let planned = plan(&ddt, seen(std::slice::from_ref(&full), &all), &snapshot, at(0), None);
        apply(&ddt, &planned, &mut snapshot, at(0));

        let blank = record(&ddt, serde_json::json!({ "ddt_id": "1", "order_number": "O", "attention_to": "A" }));
        let mut without_terms = all.clone();
        without_terms[ddt.field("delivery_terms").unwrap()] = false;
        let kept = plan(&ddt, seen(std::slice::from_ref(&blank), &without_terms), &snapshot, at(1), None);
        assert_eq!((kept.changes.len(), kept.unchanged), (0, 1), "drift and blank tracking change no row");
        let wiped = plan(&ddt, seen(std::slice::from_ref(&blank), &all), &snapshot, at(1), None);
        assert_eq!(wiped.changes[0].record.values[ddt.field("delivery_terms").unwrap()], Value::Null);
        assert_eq!(wiped.changes[0].record.text(ddt.field("tracking_number").unwrap()), "1Z");
    }

    #[test]
    fn a_spec_change_refreshes_and_a_data_change_updates() {
        let orders = spec("orders");
        let order = |status: &str| record(&orders, serde_json::json!({ "order_id": "1", "sales_status": status }));
        let present = vec![true; orders.fields.len()];
        let mut snapshot = Snapshot::default();
        let planned = plan(&orders, seen(&[order("a")], &present), &snapshot, at(0), None);
        apply(&orders, &planned, &mut snapshot, at(0));
        let row = snapshot.rows.get_mut("1").unwrap();
        row.same_spec = false;
        row.change_hash = "made by another spec".into();
        let kind_of = |status| {
            let planned = plan(&orders, seen(&[order(status)], &present), &snapshot, at(1), None);
            (planned.changes[0].kind, planned.changes[0].triggers)
        };
        assert_eq!(kind_of("a"), (ChangeKind::Refresh, false));
        assert_eq!(kind_of("b"), (ChangeKind::Update, true));
    }

    #[test]
    fn the_watched_field_remembers_old_and_new() {
        let prices = spec("prices");
        let price = |amount: &str| record(&prices, serde_json::json!({ "price_id": "1", "unit_price": amount }));
        let present = vec![true; prices.fields.len()];
        let mut snapshot = Snapshot::default();
        let planned = plan(&prices, seen(&[price("10.00")], &present), &snapshot, at(0), None);
        assert_eq!(planned.changes[0].history, None, "a first price is no change of price");
        apply(&prices, &planned, &mut snapshot, at(0));
        let planned = plan(&prices, seen(&[price("12.00")], &present), &snapshot, at(1), None);
        let (old, new) = planned.changes[0].history.clone().unwrap();
        assert_eq!((old.canonical().as_ref(), new.canonical().as_ref()), ("10.00", "12.00"));
    }

    #[test]
    fn an_unreadable_key_means_that_nothing_is_known_to_be_missing() {
        let orders = spec("orders");
        let present = vec![true; orders.fields.len()];
        let mut snapshot = Snapshot::default();
        let both = [
            record(&orders, serde_json::json!({ "order_id": "1" })),
            record(&orders, serde_json::json!({ "order_id": "2" })),
        ];
        let planned = plan(&orders, seen(&both, &present), &snapshot, at(0), None);
        apply(&orders, &planned, &mut snapshot, at(0));
        let unreadable = Seen { unreadable_key: true, ..seen(&both[..1], &present) };
        let planned = plan(&orders, unreadable, &snapshot, at(1), Some(HOUR));
        assert_eq!((planned.unseen.len(), planned.missing.len()), (1, 0));
        let quarantined = Seen { quarantined_keys: &["2".to_owned()], ..seen(&both[..1], &present) };
        assert!(plan(&orders, quarantined, &snapshot, at(1), Some(HOUR)).unseen.is_empty());
    }

    proptest! {
        #[test]
        fn a_plan_makes_the_stored_records_say_what_the_report_says(
            before in prop::collection::btree_map(0_u8..20, (0_u8..3, 0_u8..3), 0..12),
            after in prop::collection::btree_map(0_u8..20, (0_u8..3, 0_u8..3), 0..12),
        ) {
            let orders = spec("orders");
            let present = vec![true; orders.fields.len()];
            let rows = |state: &std::collections::BTreeMap<u8, (u8, u8)>| -> Vec<Record> {
                state.iter().map(|(id, (status, name))| record(&orders, serde_json::json!({
                    "order_id": id.to_string(), "sales_status": status.to_string(), "customer_name": name.to_string(),
                }))).collect()
            };
            let (before, after) = (rows(&before), rows(&after));
            let mut snapshot = Snapshot::default();
            let first = plan(&orders, seen(&before, &present), &snapshot, at(0), Some(HOUR));
            apply(&orders, &first, &mut snapshot, at(0));
            let second = plan(&orders, seen(&after, &present), &snapshot, at(60), Some(HOUR));
            prop_assert_eq!(second.changes.len() as u64 + second.unchanged, after.len() as u64);
            apply(&orders, &second, &mut snapshot, at(60));

            let live: HashMap<_, _> = snapshot.rows.iter().filter(|(_, row)| row.missing_since.is_none())
                .map(|(key, row)| (key.clone(), row.values.clone())).collect();
            let expected: HashMap<_, _> = after.iter().map(|record| (record.text(orders.key), record.values.clone())).collect();
            prop_assert_eq!(live, expected);

            let third = plan(&orders, seen(&after, &present), &snapshot, at(61), Some(HOUR));
            prop_assert!(third.changes.is_empty() && third.missing.is_empty() && third.deleted.is_empty());
        }
    }
}

//! Does a plan make the stored records say what the report says?

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::sync_type::SyncTypes;

static NONE_OPEN: LazyLock<OpenBlanks> = LazyLock::new(OpenBlanks::new);
const HOUR: Duration = Duration::from_secs(3600);

fn spec(name: &str) -> Arc<SyncTypeSpec> {
    SyncTypes::built_in().unwrap().get(name).unwrap().clone()
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
}

fn record(spec: &SyncTypeSpec, json: &serde_json::Value) -> Record {
    spec.from_json(json.as_object().unwrap()).unwrap()
}

fn seen<'a>(records: &'a [Record], present: &'a [bool]) -> Seen<'a> {
    Seen { records, printed: &[], present, quarantined_keys: &[], unreadable_key: false, open_blanks: &NONE_OPEN }
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
            deleted_at: None,
            values: change.record.values.clone(),
        };
        snapshot.rows.insert(change.key.clone(), row);
    }
    for key in &plan.missing {
        snapshot.rows.get_mut(key).unwrap().missing_since = Some(now);
    }
    for key in &plan.deleted {
        snapshot.rows.get_mut(key).unwrap().deleted_at = Some(now);
    }
}

#[test]
fn each_row_has_its_kind() {
    let orders = spec("orders");
    let order = |id: &str, status: &str, name: &str| {
        record(&orders, &serde_json::json!({ "order_id": id, "sales_status": status, "customer_name": name }))
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
        &serde_json::json!({ "ddt_id": "1", "order_number": "O", "delivery_terms": "CFR", "attention_to": "A",
            "tracking_courier": "UPS", "tracking_number": "1Z" }),
    );
    let mut snapshot = Snapshot::default();
    let all = vec![true; ddt.fields.len()];
    let planned = plan(&ddt, seen(std::slice::from_ref(&full), &all), &snapshot, at(0), None);
    apply(&ddt, &planned, &mut snapshot, at(0));

    let blank = record(&ddt, &serde_json::json!({ "ddt_id": "1", "order_number": "O", "attention_to": "A" }));
    let mut without_terms = all.clone();
    without_terms[ddt.field("delivery_terms").unwrap()] = false;
    let kept = plan(&ddt, seen(std::slice::from_ref(&blank), &without_terms), &snapshot, at(1), None);
    assert_eq!((kept.changes.len(), kept.unchanged), (0, 1), "drift and blank tracking change no row");
    let wiped = plan(&ddt, seen(std::slice::from_ref(&blank), &all), &snapshot, at(1), None);
    assert_eq!(wiped.changes[0].record.values[ddt.field("delivery_terms").unwrap()], Value::Null);
    assert_eq!(wiped.changes[0].record.text(ddt.field("tracking_number").unwrap()), "1Z");
}

#[test]
fn a_tracking_cell_is_kept_or_replaced_as_a_whole() {
    let ddt = spec("ddt");
    let with = |courier: &serde_json::Value, number: &str| {
        record(
            &ddt,
            &serde_json::json!({ "ddt_id": "1", "order_number": "O", "tracking_courier": courier, "tracking_number": number }),
        )
    };
    let mut snapshot = Snapshot::default();
    let all = vec![true; ddt.fields.len()];
    let planned = plan(&ddt, seen(&[with(&"UPS".into(), "1Z")], &all), &snapshot, at(0), None);
    apply(&ddt, &planned, &mut snapshot, at(0));
    let bare = plan(&ddt, seen(&[with(&serde_json::Value::Null, "3489")], &all), &snapshot, at(1), None);
    let merged = &bare.changes[0].record;
    let text = |field: &str| merged.text(ddt.field(field).unwrap());
    assert_eq!((text("tracking_courier"), text("tracking_number")), (String::new(), "3489".to_owned()));
}

#[test]
fn a_spec_change_refreshes_and_a_data_change_updates() {
    let orders = spec("orders");
    let order = |status: &str| record(&orders, &serde_json::json!({ "order_id": "1", "sales_status": status }));
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
    let price = |amount: &str| record(&prices, &serde_json::json!({ "price_id": "1", "unit_price": amount }));
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
        record(&orders, &serde_json::json!({ "order_id": "1" })),
        record(&orders, &serde_json::json!({ "order_id": "2" })),
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
            state.iter().map(|(id, (status, name))| record(&orders, &serde_json::json!({
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

#[test]
fn a_blank_that_may_be_none_changes_nothing_that_is_stored() {
    let orders = spec("orders");
    let order = |status: &str| record(&orders, &serde_json::json!({ "order_id": "1", "sales_status": status }));
    let present = vec![true; orders.fields.len()];
    let field = orders.field("sales_status").unwrap();
    let stored = [order("Ordineaperto")];
    let mut snapshot = Snapshot::default();
    apply(&orders, &plan(&orders, seen(&stored, &present), &snapshot, at(0), None), &mut snapshot, at(0));
    let planned = |status: &str, open: &[usize]| {
        let open = OpenBlanks::from([(("1".to_owned(), field), open.to_vec())]);
        assert!(Snapshot::needed(&orders, &present, &open).contains(&field));
        let read = [order(status)];
        let seen = Seen { open_blanks: &open, ..seen(&read, &present) };
        plan(&orders, seen, &snapshot, at(1), None).changes.len()
    };
    assert_eq!(planned("Ordine aperto", &[6]), 0, "the stored text is kept");
    assert_eq!(planned("Ordine aperto", &[3]), 1, "another blank");
    assert_eq!(planned("Ordine chiuso", &[6]), 1, "another text");
}

#[test]
fn what_went_lately_is_counted_until_a_person_approves_it() {
    let stored = |missing: Option<i64>, deleted: Option<i64>| Stored {
        change_hash: String::new(),
        content_hash: String::new(),
        same_spec: true,
        missing_since: missing.map(at),
        deleted_at: deleted.map(at),
        values: Vec::new(),
    };
    let rows = [(None, None), (Some(10), None), (Some(30), None), (Some(10), Some(40)), (Some(30), Some(40))];
    let rows = rows.iter().enumerate().map(|(key, (missing, deleted))| (key.to_string(), stored(*missing, *deleted)));
    let snapshot = Snapshot { loaded: Vec::new(), rows: rows.collect() };
    assert_eq!(snapshot.gone_since(at(0), None), 4);
    assert_eq!(snapshot.gone_since(at(20), None), 3, "deleted within the day, whenever it was missed first");
    assert_eq!(snapshot.gone_since(at(0), Some(at(20))), 2, "missed by what was approved, and deleted since");
    assert_eq!(snapshot.gone_since(at(50), None), 0);
}

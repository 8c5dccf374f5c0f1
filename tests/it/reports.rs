//! Does the reader read what was printed? The sample reports of two printers, and the awkward ones.

use lockstep::{
    report::{self, RefusalCode},
    testing::types,
};

use crate::fixtures::{TYPES, bytes, grid, json};

#[test]
fn every_sample_report_is_read_exactly() {
    let types = types();
    for sync_type in TYPES {
        let spec = types.get(sync_type).unwrap();
        let truth = json(&format!("truth/{sync_type}.json"));
        for (printer, pdf) in
            [("grid", grid(sync_type)), ("libreoffice", bytes(&format!("libreoffice/{sync_type}.pdf")))]
        {
            let read =
                report::read(&pdf, spec, &types).unwrap_or_else(|refusal| panic!("{printer} {sync_type}: {refusal}"));
            let records: Vec<_> =
                read.records.iter().map(|record| spec.to_json(record, |field| read.present[field])).collect();
            assert_eq!(records, truth, "{printer} {sync_type}");
            assert!(read.drift.is_empty() && read.quarantined.is_empty() && read.skipped == 0, "{printer} {sync_type}");
        }
    }
}

#[test]
fn awkward_reports_are_read_whole() {
    for (name, truth) in [
        ("orders-no-rows", "orders-no-rows"),
        ("invoices-one-row", "invoices-one-row"),
        ("products-columns-gone", "products-columns-gone"),
        ("invoices-no-order-column", "invoices-no-order-column"),
        ("customers-columns-moved", "customers-columns-moved"),
        ("customers-no-rules", "customers-no-rules"),
        ("prices-garbage-rows", "prices-garbage-rows"),
        ("orders-loose-formats", "orders-loose-formats"),
        ("orders-amount-notations", "orders-amount-notations"),
        ("orders-object-streams", "orders-loose-formats"),
        ("orders-encrypted-no-password", "orders-loose-formats"),
        ("orders-bad-cells", "orders-bad-cells"),
    ] {
        let types = types();
        let spec = types.get(name.split('-').next().unwrap()).unwrap();
        let read = report::read(&bytes(&format!("edge/{name}.pdf")), spec, &types)
            .unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let records: Vec<_> =
            read.records.iter().map(|record| spec.to_json(record, |field| read.present[field])).collect();
        assert_eq!(records, json(&format!("edge/{truth}.json")), "{name}");
        let (quarantined, skipped) = match name {
            "orders-bad-cells" => (2, 0),
            "prices-garbage-rows" => (0, 2),
            _ => (0, 0),
        };
        assert_eq!((read.quarantined.len(), read.skipped), (quarantined, skipped), "{name}");
        let drifts = matches!(name, "products-columns-gone" | "invoices-no-order-column");
        assert_eq!(!read.drift.absent.is_empty(), drifts, "{name}: {:?}", read.drift);
    }
}

#[test]
fn drift_is_told_by_name() {
    let types = types();
    let read = |name: &str, sync_type: &str| {
        report::read(&bytes(&format!("edge/{name}.pdf")), types.get(sync_type).unwrap(), &types).unwrap()
    };
    let moved = read("customers-columns-moved", "customers");
    assert!(!moved.drift.moved.is_empty() && moved.drift.absent.is_empty() && moved.drift.unknown.is_empty());
    let usual = report::read(&grid("customers"), types.get("customers").unwrap(), &types).unwrap();
    let change = moved.layout.change_since(&usual.layout).unwrap();
    assert!(change.reordered && change.gone.is_empty() && change.added.is_empty(), "{change:?}");
    let fewer = read("products-columns-gone", "products");
    let usual = report::read(&grid("products"), types.get("products").unwrap(), &types).unwrap();
    let change = fewer.layout.change_since(&usual.layout).unwrap();
    assert_eq!(change.gone.len(), fewer.drift.absent.len(), "{change:?}, {:?}", fewer.drift);
    assert!(change.added.is_empty() && change.cycle < change.cycle_before, "{change:?}");
}

#[test]
fn what_cannot_be_trusted_is_refused_with_its_reason() {
    for (name, sync_type, code, said) in [
        ("customers-count-mismatch", "customers", RefusalCode::TotalsMismatch, "21 rows, 20 were read"),
        ("invoices-sum-mismatch", "invoices", RefusalCode::TotalsMismatch, "IMPORTO FATTURA MST"),
        ("ddt-key-column-gone", "ddt", RefusalCode::RequiredColumnMissing, "the headers found are"),
        ("customers-page-lost", "customers", RefusalCode::IncompleteCycle, "page"),
        ("orders-encrypted-password", "orders", RefusalCode::NeedsPassword, "password"),
        ("truncated", "customers", RefusalCode::Damaged, "damaged"),
        ("login-page", "customers", RefusalCode::LoginPage, "session has expired"),
        ("empty-body", "customers", RefusalCode::EmptyBody, "empty"),
    ] {
        let types = types();
        let refusal =
            report::read(&bytes(&format!("edge/{name}.pdf")), types.get(sync_type).unwrap(), &types).unwrap_err();
        assert_eq!(refusal.code, code, "{name}: {refusal}");
        assert!(refusal.text.contains(said), "{name}: {refusal}");
    }
}

#[test]
fn another_types_report_is_refused() {
    let types = types();
    for sync_type in TYPES {
        for other in TYPES.iter().filter(|other| **other != sync_type) {
            let refusal = report::read(&grid(other), types.get(sync_type).unwrap(), &types).unwrap_err();
            let codes = [RefusalCode::WrongType, RefusalCode::RequiredColumnMissing];
            assert!(codes.contains(&refusal.code), "{other} read as {sync_type}: {refusal}");
        }
    }
}

#[test]
fn text_that_cannot_be_read_never_passes_for_blank() {
    let types = types();
    let orders = types.get("orders").unwrap();
    let mut pdf = crate::fixtures::print(orders, &crate::fixtures::invent(&types, "orders", 5));
    // the pages' font is not there any more under the name that they use
    let named = |window: &[u8]| window == b"/F1 3 0 R";
    let places: Vec<_> = pdf.windows(9).enumerate().filter(|(_, window)| named(window)).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for place in places {
        pdf[place + 2] = b'2';
    }
    assert_eq!(report::read(&pdf, orders, &types).unwrap_err().code, RefusalCode::UnreadableText);
}

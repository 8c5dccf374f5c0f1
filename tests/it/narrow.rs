//! Are words told from their pieces in columns of any width? The grid's own printer, from a tenth of its usual
//! widths up, in several sizes.

use lockstep::{
    domain::{Record, Value},
    pretend_erp::{Layout, invent, print},
    report::{self, RefusalCode},
    sync_type::SyncTypeSpec,
    testing::types,
};

/// Names, addresses, codes and amounts.
const FIELDS: [(&str, &[&str]); 2] = [
    ("customers", &["customer_profile", "name", "street", "postal_code", "vat_number", "pec", "actual_sales"]),
    ("orders", &["order_id", "order_number", "customer_name", "delivery_address", "created_at", "total_amount"]),
];
const ROWS: usize = 60;

fn columns(spec: &SyncTypeSpec, fields: &[&str]) -> Vec<usize> {
    fields.iter().map(|field| spec.fields[spec.field(field).unwrap()].column).collect()
}

/// The first field that differs by more than blanks which the report lists as uncertain.
fn difference(read: &report::Report, printed: &[Record], spec: &SyncTypeSpec) -> Option<String> {
    let plain = |value: &Value| value.canonical().replace(' ', "");
    let is_listed = |key: &str, field: &str| read.uncertain.iter().any(|at| at.key == key && at.field == field);
    if read.records.len() != printed.len() {
        return Some(format!("{} records, {:?}", read.records.len(), read.quarantined.first()));
    }
    read.records.iter().zip(printed).find_map(|(read, printed)| {
        spec.fields.iter().zip(read.values.iter().zip(&printed.values)).find_map(|(field, (read, value))| {
            let is_same =
                read == value || (plain(read) == plain(value) && is_listed(&printed.text(spec.key), &field.name));
            (!is_same).then(|| format!("{}: {:?} printed {:?}", field.name, read.canonical(), value.canonical()))
        })
    })
}

#[test]
fn no_field_differs_but_for_blanks_that_are_listed() {
    let types = types();
    let (mut reports, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for (name, fields) in FIELDS {
        let spec = types.get(name).unwrap();
        let shown = columns(spec, fields);
        for step in 2..=24_u8 {
            let zoom = f32::from(step) * 0.05;
            for size in [6.0, 8.0, 9.75, 12.0] {
                let mut records = invent(&types, spec, ROWS, u64::from(step));
                for record in &mut records {
                    for (number, field) in spec.fields.iter().enumerate() {
                        if !shown.contains(&field.column) {
                            record.values[number] = Value::Null;
                        }
                    }
                }
                let layout = Layout { zoom, size, is_exact: true, columns: Some(shown.clone()), ..Layout::default() };
                let pdf = print(spec, &records, &layout).unwrap();
                reports += 1;
                let place = format!("{name}, widths x {zoom:.2}, {size} pt");
                match report::read(&pdf, spec, &types) {
                    Ok(read) => wrong.extend(difference(&read, &records, spec).map(|why| format!("{place}: {why}"))),
                    Err(refusal) => {
                        assert_eq!(refusal.code, RefusalCode::UncertainBreaks, "{place}: {refusal}");
                        refused.push(format!("{place}: {refusal}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {reports} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused.len() * 10 <= reports, "{} of {reports} refused:\n{}", refused.len(), refused.join("\n"));
}

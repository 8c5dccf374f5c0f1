//! Does the reader tell records from all else that lists hold? Reports of many shapes, each exactly or refused.

use std::{fs, path::PathBuf};

use lockstep::{
    report::{self, Report},
    testing::types,
};
use serde_json::{Map, Value as Json};

/// What must come of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Exact,
    Quarantine(usize),
    Refusal,
}

struct Shape {
    name: String,
    sync_type: String,
    expected: Expected,
    may_be_refused: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shapes")
}

fn shapes() -> Vec<Shape> {
    let index = fs::read_to_string(folder().join("INDEX.md")).unwrap();
    let shape = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, sync_type, expected, holds] = cells[..] else { return None };
        let expected = match expected.split_once(' ') {
            None if expected == "exact" => Expected::Exact,
            None if expected == "refuse" => Expected::Refusal,
            Some(("quarantine", count)) => Expected::Quarantine(count.parse().unwrap()),
            _ => return None,
        };
        let may_be_refused = holds.contains("refusal acceptable");
        Some(Shape { name: name.to_owned(), sync_type: sync_type.to_owned(), expected, may_be_refused })
    };
    index.lines().filter_map(shape).collect()
}

/// The first field that is printed and was read otherwise.
fn difference(read: &[Map<String, Json>], printed: &[Map<String, Json>]) -> Option<String> {
    if read.len() != printed.len() {
        return Some(format!("{} records, {} printed", read.len(), printed.len()));
    }
    read.iter().zip(printed).enumerate().find_map(|(number, (read, printed))| {
        let (field, value) = printed.iter().find(|(field, value)| read.get(*field).unwrap_or(&Json::Null) != *value)?;
        Some(format!("record {number}: {field} is {:?}, printed {value:?}", read.get(field)))
    })
}

#[test]
fn every_shape_is_read_exactly_or_refused() {
    let types = types();
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for Shape { name, sync_type, expected, may_be_refused } in shapes() {
        let spec = types.get(&sync_type).unwrap();
        let file = folder().join(&name);
        let outcome = report::read(&fs::read(file.with_extension("pdf")).unwrap(), spec, &types);
        let held = |report: &Report, quarantined: usize| {
            let records: Vec<_> =
                report.records.iter().map(|record| spec.to_json(record, |field| report.present[field])).collect();
            let printed: Vec<_> = serde_json::from_slice(&fs::read(file.with_extension("json")).unwrap()).unwrap();
            let rows = (report.quarantined.len() != quarantined).then(|| format!("{:?}", report.quarantined));
            difference(&records, &printed).or(rows)
        };
        let why = match (&outcome, expected) {
            (Ok(report), Expected::Exact) => held(report, 0),
            (Ok(report), Expected::Quarantine(count)) => held(report, count),
            (Ok(report), Expected::Refusal) => Some(format!("{} records", report.records.len())),
            (Err(_), Expected::Refusal) => None,
            (Err(refusal), _) if may_be_refused => {
                println!("{name}: refused: {refusal}");
                None
            }
            (Err(refusal), _) => Some(format!("refused: {refusal}")),
        };
        read += usize::from(outcome.is_ok());
        refused += usize::from(outcome.is_err());
        wrong.extend(why.map(|why| format!("{name}: {why}")));
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), read + refused, wrong.join("\n"));
    assert!(read > 130 && refused > 8, "both kinds: {read} read, {refused} refused");
}

#[test]
fn refusals_say_where_and_what_helps() {
    let types = types();
    for (name, sync_type, said) in [
        ("checkbox-images", "orders", "page 1, row 1: 'PREVENTIVO:' is shown as a picture"),
        ("acroform-cells", "orders", "is shown as a field of a form"),
        ("two-pdfs-concatenated", "orders", "two PDF files came in one"),
        ("tounicode-all-space-one-col", "orders", "export it with another printer"),
        ("total-wrong-count", "orders", "says 13 rows, 12 were read"),
    ] {
        let pdf = fs::read(folder().join(name).with_extension("pdf")).unwrap();
        let refusal = report::read(&pdf, types.get(sync_type).unwrap(), &types).unwrap_err();
        assert!(refusal.text.contains(said), "{name}: {refusal}");
    }
}

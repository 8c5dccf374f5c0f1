//! Does the reader read what other programs print?

use std::{fs, path::PathBuf};

use lockstep::{
    report::{self, RefusalCode},
    testing::types,
};
use serde_json::{Map, Value as Json};

#[test]
fn reports_by_other_printers_are_read_exactly_or_refused() {
    let types = types();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/printers");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "pdf") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let spec = types.get(name.rsplit('.').next().unwrap()).unwrap();
        let outcome = report::read(&fs::read(&path).unwrap(), spec, &types);
        if name.starts_with("unreadable") {
            assert_eq!(outcome.map(|_| ()).unwrap_err().code, RefusalCode::UnreadableText, "{name}");
            continue;
        }
        let report = outcome.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let truth: Vec<Map<String, Json>> =
            serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let records: Vec<_> =
            report.records.iter().map(|record| spec.to_json(record, |field| report.present[field])).collect();
        assert_eq!(records, truth, "{name}");
        assert!(report.quarantined.is_empty() && report.unclean == 0, "{name}: {:?}", report.unclean_pages);
        read += 1;
    }
    assert!(read > 30, "{read} files");
}

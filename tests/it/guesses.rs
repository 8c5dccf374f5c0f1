//! Does `types guess` find the six types in their own reports?

use lockstep::{
    report::{Budget, ReadLimits, guess, survey},
    sync_type::{SyncTypes, ValueType},
    testing::types,
};

use crate::fixtures::{TYPES, grid};

#[test]
fn the_six_types_are_found_in_their_reports() {
    let types = types();
    for name in TYPES {
        let spec = types.get(name).unwrap();
        let columns = survey::survey(&grid(name), &Budget::new(ReadLimits::default())).unwrap();
        let draft = guess::draft(&columns);
        let headers: Vec<&str> = spec.columns.iter().map(|column| column.headers[0].as_str()).collect();
        let found: Vec<&str> = draft.columns.iter().map(|column| column.header.as_str()).collect();
        let plain = |headers: &[&str]| -> Vec<String> {
            headers.iter().map(|header| lockstep::sync_type::header::normalise(header)).collect()
        };
        assert_eq!(plain(&found), plain(&headers), "{name}");
        assert_eq!(draft.key, Some(spec.fields[spec.key].column), "{name}: {draft:?}");
        for ((guessed, column), surveyed) in draft.columns.iter().zip(&spec.columns).zip(&columns) {
            let texts: Vec<&str> = surveyed.texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
            let may_be = match (column.value_type, guessed.value_type) {
                (own, guessed) if own == guessed => true,
                // nothing is printed, or too little to tell
                (_, ValueType::Text) => texts.is_empty(),
                // a date and a time are printed as a date alone where the time is midnight
                (ValueType::Datetime, ValueType::Date) => texts.iter().all(|text| !text.contains(' ')),
                // stored alike: nothing tells them apart without a currency; and a text of nothing but yes and no
                (ValueType::Money, ValueType::Number) | (ValueType::Text, ValueType::Bool) => true,
                // whole numbers may be codes, and amounts without cents whole numbers
                (ValueType::Text | ValueType::Number | ValueType::Money, ValueType::Int) => guessed.doubt.is_some(),
                _ => false,
            };
            assert!(
                may_be,
                "{name}, '{}': {:?}, not {:?}: {:?}",
                guessed.header,
                guessed.value_type,
                column.value_type,
                &texts[..texts.len().min(5)]
            );
        }
        let file = (format!("{name}.toml"), draft.file("guessed"));
        let guessed = SyncTypes::from_files([file.clone()]).unwrap_or_else(|error| panic!("{error}\n{}", file.1));
        let read = lockstep::report::read(&grid(name), guessed.get("guessed").unwrap(), &guessed).unwrap();
        assert!(read.quarantined.is_empty() && !read.records.is_empty(), "{name}: {:?}", read.quarantined.first());
    }
}

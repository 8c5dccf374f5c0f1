//! Which column has which field, and what is in a row? By the texts of the sheet's own header row.

use serde_json::{Value as Json, json};

use super::{super::port::Delivery, SheetsConfig};

/// Where the columns are, as letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SheetColumns {
    /// Of the delivery's id.
    pub id: String,
    /// Of the record's id.
    pub record: String,
    /// The last that is ours.
    pub last: String,
    fields: Vec<(String, usize)>,
    id_at: usize,
    record_at: usize,
}

/// `0` is `A`, `26` is `AA`.
fn letters(mut at: usize) -> String {
    let mut text = Vec::new();
    loop {
        text.insert(0, b'A' + (at % 26) as u8);
        if at < 26 {
            return String::from_utf8_lossy(&text).into_owned();
        }
        at = at / 26 - 1;
    }
}

/// A cell as text, as people see it.
pub(super) fn cell(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// A field as a cell: what a cell cannot hold is JSON text.
fn value(field: &Json) -> Json {
    match field {
        Json::Null => json!(""),
        Json::Array(_) | Json::Object(_) => Json::String(field.to_string()),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => field.clone(),
    }
}

impl SheetColumns {
    /// Finds every configured header in the header row.
    ///
    /// # Errors
    /// The headers that are not there, or are there twice, in words for people.
    pub(super) fn find(header: &[Json], config: &SheetsConfig) -> Result<Self, String> {
        let printed: Vec<String> = header.iter().map(|one| cell(one).trim().to_owned()).collect();
        let place = |text: &str| {
            let found: Vec<usize> = (0..printed.len()).filter(|at| printed[*at] == text).collect();
            match found[..] {
                [at] => Ok(at),
                [] => Err(format!("'{text}' is not there")),
                _ => Err(format!("'{text}' is there twice")),
            }
        };
        let fields = config.headers.iter().map(|(field, text)| place(text).map(|at| (field.clone(), at)));
        let fields: Vec<_> = fields.collect();
        let (id, record) = (place(&config.id_header), place(&config.record_header));
        let wrong: Vec<&str> = fields
            .iter()
            .filter_map(|one| one.as_ref().err())
            .chain(id.as_ref().err())
            .chain(record.as_ref().err())
            .map(String::as_str)
            .collect();
        let (Ok(id_at), Ok(record_at), true) = (&id, &record, wrong.is_empty()) else {
            return Err(format!("the header row of sheet '{}' does not fit: {}", config.sheet, wrong.join("; ")));
        };
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        let last = fields.iter().map(|(_, at)| *at).chain([*id_at, *record_at]).max().unwrap_or_default();
        Ok(Self {
            id: letters(*id_at),
            record: letters(*record_at),
            last: letters(last),
            fields,
            id_at: *id_at,
            record_at: *record_at,
        })
    }

    /// A new row: cells of columns that are not ours are left alone.
    pub(super) fn row(&self, delivery: &Delivery) -> Vec<Json> {
        let last = self.fields.iter().map(|(_, at)| *at).chain([self.id_at, self.record_at]).max().unwrap_or_default();
        let mut cells = vec![Json::Null; last + 1];
        for (field, at) in &self.fields {
            cells[*at] = delivery.data.get(field).map_or(Json::Null, value);
        }
        cells[self.id_at] = json!(delivery.id);
        cells[self.record_at] = json!(delivery.record);
        cells
    }

    /// The columns that hold a record: all of ours but that of the delivery's id.
    pub(super) fn own(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|(_, at)| letters(*at)).chain([self.record.clone()])
    }

    /// The cells that a change names, by their columns.
    pub(super) fn changes(&self, delivery: &Delivery) -> Vec<(String, Json)> {
        let named = self.fields.iter().filter_map(|(field, at)| Some((letters(*at), value(delivery.data.get(field)?))));
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Action;
    use std::collections::BTreeMap;

    fn config() -> SheetsConfig {
        SheetsConfig {
            spreadsheet: "s".into(),
            sheet: "Orders".into(),
            key_file: None,
            headers: BTreeMap::from([("name".into(), "Name".into()), ("lines".into(), "Lines".into())]),
            id_header: "lockstep id".into(),
            record_header: "Order".into(),
            timeout_ms: 1_000,
            api: String::new(),
            allow_private: true,
        }
    }

    #[test]
    fn columns_are_found_by_their_headers_wherever_they_are() {
        let header = [json!("lockstep id"), json!("Notes of ours"), json!(" Name "), json!("Order"), json!("Lines")];
        let columns = SheetColumns::find(&header, &config()).unwrap();
        assert_eq!((columns.id.as_str(), columns.record.as_str(), columns.last.as_str()), ("A", "D", "E"));
        let delivery = Delivery {
            id: "i-1".into(),
            operation: None,
            agent: None,
            action: Action::Create,
            model: "orders".into(),
            record: "O-1".into(),
            row: None,
            is_repeat: false,
            data: json!({ "name": "x", "lines": [1], "other": 1 }),
        };
        assert_eq!(columns.row(&delivery), [json!("i-1"), Json::Null, json!("x"), json!("O-1"), json!("[1]")]);
        let change = Delivery { data: json!({ "name": null }), ..delivery };
        assert_eq!(columns.changes(&change), [("C".to_owned(), json!(""))]);
    }

    #[test]
    fn a_header_row_that_does_not_fit_is_told_with_all_that_is_wrong() {
        let header = [json!("Order"), json!("Name"), json!("Name"), json!("Lines")];
        let wrong = SheetColumns::find(&header, &config()).unwrap_err();
        assert!(wrong.contains("'Name' is there twice") && wrong.contains("'lockstep id' is not there"), "{wrong}");
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(letters), ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}

//! Which headers are accepted beside those of a type's file, because a person said so?

use std::collections::BTreeSet;

use serde::Serialize;

use super::{SyncTypeSpec, SyncTypes, header::normalise};
use crate::domain::{SyncType, Timestamp};

/// A header that a person taught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaughtHeader {
    /// Its number, by which it is forgotten.
    pub id: i64,
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    /// As it is printed.
    pub header: String,
    /// What its column is read as.
    pub field: String,
    /// Who said so.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Why a header cannot be taught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaught {
    /// Nothing is left of it once blanks, accents and case are taken away.
    #[error("'{0}' is no header")]
    Empty(String),
    /// The type has no such field that a column of its own is read as.
    #[error("'{field}' is no field of {sync_type}; its fields are {known}")]
    NoField {
        /// What was asked for.
        field: String,
        /// The type.
        sync_type: SyncType,
        /// Those that there are.
        known: String,
    },
    /// It says something already.
    #[error("'{header}' is accepted already: it is read as {field}")]
    Known {
        /// As it is printed.
        header: String,
        /// What it is read as.
        field: String,
    },
    /// The type would not be whole with it.
    #[error("with '{header}' the type would not be whole: {wrong}")]
    Wrong {
        /// As it is printed.
        header: String,
        /// What is wrong then.
        wrong: String,
    },
}

impl SyncTypes {
    /// These types, where a column of `sync_type` is also read as `field` if it is headed by `header`.
    ///
    /// # Errors
    /// [`NotTaught`] if that cannot be.
    pub fn taught(&self, sync_type: &SyncType, header: &str, field: &str) -> Result<Self, NotTaught> {
        if normalise(header).is_empty() {
            return Err(NotTaught::Empty(header.to_owned()));
        }
        let spec = self.get(sync_type.as_str());
        if let Some(known) = spec.and_then(|spec| spec.field_of_header(header)) {
            return Err(NotTaught::Known { header: header.to_owned(), field: known.to_owned() });
        }
        let Some(columns) = spec.and_then(|spec| columns_of(spec, field)) else {
            let known =
                spec.map(|spec| spec.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", "));
            return Err(NotTaught::NoField {
                field: field.to_owned(),
                sync_type: sync_type.clone(),
                known: known.unwrap_or_default(),
            });
        };
        let mut files = self.files().to_vec();
        for (_, text) in &mut files {
            if let Some(with) = with_header(text, sync_type.as_str(), header, &columns) {
                *text = with;
            }
        }
        let wrong = |error: super::SpecError| NotTaught::Wrong { header: header.to_owned(), wrong: error.to_string() };
        Self::from_files(files).map_err(wrong)
    }

    /// These types with all of `headers` that are still of use, and why the others are not: the type's file has changed
    /// since.
    #[must_use]
    pub fn with_taught(&self, headers: &[TaughtHeader]) -> (Self, Vec<(i64, NotTaught)>) {
        let mut unused = Vec::new();
        let types = headers.iter().fold(self.clone(), |types, one| {
            match types.taught(&one.sync_type, &one.header, &one.field) {
                Ok(taught) => taught,
                Err(why) => {
                    unused.push((one.id, why));
                    types
                }
            }
        });
        (types, unused)
    }
}

/// The column that becomes this field, and those that share its headers: they are told apart by their order, and accept
/// the same texts.
fn columns_of(spec: &SyncTypeSpec, field: &str) -> Option<Vec<usize>> {
    let accepted =
        |column: usize| spec.columns[column].headers.iter().map(|header| normalise(header)).collect::<BTreeSet<_>>();
    let own = spec.fields[spec.field(field)?].column;
    Some((0..spec.columns.len()).filter(|column| accepted(*column) == accepted(own)).collect())
}

/// The file of this type, where these of its columns accept `header`, too; `None` if it is not its file.
fn with_header(text: &str, sync_type: &str, header: &str, columns: &[usize]) -> Option<String> {
    let mut file: toml::Table = text.parse().ok()?;
    if file.get("name")?.as_str()? != sync_type {
        return None;
    }
    let all = file.get_mut("columns")?.as_array_mut()?;
    for column in columns {
        all.get_mut(*column)?.get_mut("headers")?.as_array_mut()?.push(header.into());
    }
    toml::to_string(&file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taught_header_is_read_and_changes_the_fingerprint_of_its_type_alone() {
        let types = SyncTypes::built_in().unwrap();
        let taught = types.taught(&"customers".into(), "Ragione sociale nuova", "name").unwrap();
        let of = |types: &SyncTypes, name: &str| types.get(name).unwrap().clone();
        assert_eq!(of(&taught, "customers").field_of_header("RAGIONE  SOCIALE NUOVA:"), Some("name"));
        assert_ne!(of(&types, "customers").fingerprint, of(&taught, "customers").fingerprint);
        assert_eq!(of(&types, "orders").fingerprint, of(&taught, "orders").fingerprint);
        let again = SyncTypes::from_files(taught.files().iter().cloned()).unwrap();
        assert_eq!(
            *of(&again, "customers"),
            *of(&taught, "customers"),
            "a reader in a process of its own reads the same"
        );
    }

    #[test]
    fn what_cannot_be_taught_says_why() {
        let types = SyncTypes::built_in().unwrap();
        let refused = |header: &str, field: &str| types.taught(&"customers".into(), header, field).unwrap_err();
        assert!(matches!(refused(" : ", "name"), NotTaught::Empty(_)));
        assert!(matches!(refused("X", "colour"), NotTaught::NoField { .. }));
        let known = types.get("customers").unwrap().columns[3].headers[0].clone();
        assert!(matches!(refused(&known, "name"), NotTaught::Known { .. }));
    }

    #[test]
    fn a_column_of_two_fields_and_columns_of_the_same_texts_are_taught_as_they_are() {
        let types = SyncTypes::built_in().unwrap();
        for field in ["tracking_courier", "tracking_number", "delivery_name", "delivery_address"] {
            let taught = types.taught(&"ddt".into(), "NUOVO", field).unwrap_or_else(|why| panic!("{field}: {why}"));
            assert!(taught.get("ddt").unwrap().field_of_header("NUOVO").is_some(), "{field}");
        }
    }

    #[test]
    fn one_whose_field_is_gone_is_left_out_and_told() {
        let types = SyncTypes::built_in().unwrap();
        let at = "2026-12-01T10:00:00Z".parse().unwrap();
        let one = |id, header: &str, field: &str| TaughtHeader {
            id,
            sync_type: "customers".into(),
            header: header.to_owned(),
            field: field.to_owned(),
            by: "root".to_owned(),
            at,
        };
        let (with, unused) = types.with_taught(&[one(1, "A", "gone"), one(2, "B", "name"), one(3, "b", "pec")]);
        assert_eq!(with.get("customers").unwrap().field_of_header("B"), Some("name"));
        assert_eq!(unused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3], "{unused:?}");
    }
}

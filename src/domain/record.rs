//! What is a record? The values of one row, in the order of its sync type's fields.

use serde::{Deserialize, Serialize};

use super::Value;

/// One row of a report: a value for each field of its sync type, in the spec's order.
///
/// Field names and the key's place live in the spec, so that five thousand records do not carry
/// five thousand copies of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// One value a field.
    pub values: Vec<Value>,
}

/// Where in its report a row is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// The file's page, from 1; of a row that goes over several pages side by side, the one with its key.
    pub page: u32,
    /// The row on that page below the header, from 1.
    pub row: u32,
}

impl Printed {
    /// Row number `row`, from 0, on page `page`, from 1.
    #[must_use]
    pub fn at(page: usize, row: usize) -> Self {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { page: small(page), row: small(row).saturating_add(1) }
    }
}

impl Record {
    /// The text of field number `field`, empty where it is null: keys and links are compared so.
    #[must_use]
    pub fn text(&self, field: usize) -> String {
        self.values[field].canonical().into_owned()
    }
}

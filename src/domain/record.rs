//! What is a record? The values of one row, in the order of its sync type's fields.

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

impl Record {
    /// The text of field number `field`, empty where it is null: keys and links are compared so.
    #[must_use]
    pub fn text(&self, field: usize) -> String {
        self.values[field].canonical().into_owned()
    }
}

//! How do a report's columns differ from those that its type's file expects?

use serde::{Deserialize, Serialize};

/// A header that seems to stand for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// What the type's file accepts.
    pub from: String,
    /// What is printed in its place.
    pub to: String,
}

/// How a report's columns differ from its type's file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drift {
    /// Fields whose column is not in this export: their stored values are left alone.
    pub absent: Vec<String>,
    /// Printed headers that no column accepts.
    pub unknown: Vec<String>,
    /// Headers that stand elsewhere among the others than the type's file has them; they are read.
    pub moved: Vec<String>,
    /// Unknown headers that stand where an absent column is expected. They are not read: a guess is
    /// for a person, who adds the new text to the type's file.
    pub renamed: Vec<Renamed>,
}

impl Drift {
    /// Is the report as the type's file says?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.absent.is_empty() && self.unknown.is_empty() && self.moved.is_empty()
    }
}

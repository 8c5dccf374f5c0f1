//! What goes wrong in the pretend ERP? What went wrong in real ones, by name.

use serde::{Deserialize, Serialize};

use super::grid::Layout;
use crate::{
    domain::{AgentId, Record, SyncType},
    sync_type::{SyncTypeSpec, ValueType},
};

/// One thing that goes wrong for a type and agent until it is set right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Somebody has hidden a column in the grid.
    HiddenColumn,
    /// Somebody has left a filter on: only the first third of the rows is exported.
    FilteredExport,
    /// A date that is none stands in one row.
    BadRow,
    /// Exports fail: an error, an empty body, half a file, in turns.
    FailingExport,
    /// The server has forgotten all sessions; it is over with the next log-in.
    ExpiredSession,
}

/// The troubles that are on.
#[derive(Debug, Clone, Default)]
pub struct Troubles(Vec<(Trouble, SyncType, AgentId)>);

impl Troubles {
    /// Begins or ends one.
    pub fn set(&mut self, trouble: Trouble, sync_type: &SyncType, agent: &AgentId, on: bool) {
        let one = (trouble, sync_type.clone(), agent.clone());
        self.0.retain(|other| *other != one);
        if on {
            self.0.push(one);
        }
    }

    /// Is this one on?
    #[must_use]
    pub fn is_on(&self, trouble: Trouble, sync_type: &SyncType, agent: &AgentId) -> bool {
        self.0.iter().any(|(one, of, whose)| *one == trouble && of == sync_type && whose == agent)
    }

    /// What is exported, and how it is laid out, with the troubles of that type and agent.
    #[must_use]
    pub fn export<'r>(&self, spec: &SyncTypeSpec, agent: &AgentId, records: &'r [Record]) -> (&'r [Record], Layout) {
        let is_on = |trouble| self.is_on(trouble, &spec.name, agent);
        let mut layout = Layout::default();
        if is_on(Trouble::HiddenColumn) {
            let hidden = hidden_column(spec);
            layout.columns = Some((0..spec.columns.len()).filter(|column| Some(*column) != hidden).collect());
        }
        let dates = [ValueType::Date, ValueType::Datetime];
        let date = spec.columns.iter().position(|column| dates.contains(&column.value_type));
        if let Some(column) = date.filter(|_| is_on(Trouble::BadRow)) {
            layout.misprints.push((BAD_ROW, column, "31/02/2026".to_owned()));
        }
        let shown = if is_on(Trouble::FilteredExport) { records.len() / 3 } else { records.len() };
        (&records[..shown], layout)
    }
}

/// Which row the trouble with rows is in.
pub(crate) const BAD_ROW: usize = 1;

/// The last column that may be hidden: not required, and of a header that stands once.
fn hidden_column(spec: &SyncTypeSpec) -> Option<usize> {
    let is_required = |column: usize| spec.fields_of(column).any(|field| spec.required.contains(&field));
    let is_single =
        |column: usize| spec.columns.iter().filter(|other| other.headers == spec.columns[column].headers).count() == 1;
    (0..spec.columns.len()).rev().find(|column| {
        spec.columns[*column].value_type != ValueType::Skip && !is_required(*column) && is_single(*column)
    })
}

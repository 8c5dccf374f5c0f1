//! How does everything stand, and what needs a person? Worked out once, from one look; the API, the pages and the
//! metrics only show it.

mod attention;
mod history;
mod known;
mod standings;
mod why;

pub use attention::Item;
pub use history::{Over, Part};
pub use known::{Known, LookError, Sources, look};
pub use standings::{Cell, LastRun, RunningNow, cells};
pub use why::{Because, Why, why};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{AgentId, Severity, Standing, SyncType};

/// Does a person have to look?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Ok,
    Attention,
}

/// All that is told of one moment.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Every type of every active agent, and the shared types once; by type, then agent.
    pub cells: Vec<Cell>,
    /// What needs a person, or is to be known: problems first, and of each sort the oldest.
    pub attention: Vec<Item>,
    pub health: Health,
}

impl Overview {
    /// What follows from what is known.
    #[must_use]
    pub fn of(known: &Known) -> Self {
        let cells = cells(known);
        let attention = attention::items(known, &cells);
        let is_well = attention.iter().all(|item| item.severity == Severity::Notice);
        Self { cells, attention, health: if is_well { Health::Ok } else { Health::Attention } }
    }

    /// The worst standing of each type.
    #[must_use]
    pub fn worst_by_type(&self) -> BTreeMap<&SyncType, &Standing> {
        worst(self.cells.iter().map(|cell| (&cell.sync_type, &cell.standing)))
    }

    /// The worst standing of each agent.
    #[must_use]
    pub fn worst_by_agent(&self) -> BTreeMap<&AgentId, &Standing> {
        worst(self.cells.iter().map(|cell| (&cell.agent, &cell.standing)))
    }
}

fn worst<'c, K: Ord>(standings: impl Iterator<Item = (K, &'c Standing)>) -> BTreeMap<K, &'c Standing> {
    let mut worst = BTreeMap::<K, &Standing>::new();
    for (key, standing) in standings {
        let known = worst.entry(key).or_insert(standing);
        if standing.rank() < known.rank() {
            *known = standing;
        }
    }
    worst
}

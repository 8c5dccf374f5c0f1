//! When does the planner learn that the queue has grown? PostgreSQL's own daemon looks once a minute; a queue that
//! fills within seconds would be read by plans that were made while it was empty.

use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, TransactionTrait};

use crate::store::Store;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// The jobs, with their runs.
    Jobs,
    /// The write-back queue.
    Items,
}

/// The first rows after which statistics are taken; then each time that their number has doubled, ...
const FIRST: u64 = 500;
/// ... until so many: a tenth more or less changes no plan then, and the daemon has had its turn.
const LAST: u64 = 500_000;

/// How many rows this process has added, of one queue.
#[derive(Debug, Default)]
struct Added(AtomicU64);

/// How many rows this process has added to each queue.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    jobs: Added,
    items: Added,
}

impl Added {
    /// So many more rows: has their number passed a mark?
    fn passes(&self, rows: usize) -> bool {
        let rows = rows as u64;
        let before = self.0.fetch_add(rows, Ordering::Relaxed);
        let marks = std::iter::successors(Some(FIRST), |mark| Some(mark * 2)).take_while(|mark| *mark <= LAST);
        marks.into_iter().any(|mark| before < mark && mark <= before + rows)
    }
}

impl Store {
    /// Takes statistics if a queue has grown much, beside everything else.
    pub(crate) fn note_growth(&self, queue: Queue, rows: usize) {
        let (added, tables) = match queue {
            Queue::Jobs => (&self.inner.growth.jobs, "job, sync_run"),
            Queue::Items => (&self.inner.growth.items, "sync_queue"),
        };
        if self.backend() != DbBackend::Postgres || !added.passes(rows) {
            return;
        }
        let Some(beside) = self.inner.connections.beside.clone() else { return };
        self.inner.runtime.spawn(async move {
            if let Err(error) = analyze(&beside, tables).await {
                tracing::debug!(%error, "no statistics were taken");
            }
        });
    }
}

/// Takes a coarse look: what matters is how many rows are in which state.
async fn analyze(db: &DatabaseConnection, tables: &str) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    tx.execute_unprepared("SET LOCAL default_statistics_target = 10").await?;
    tx.execute_unprepared(&format!("ANALYZE {tables}")).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_taken_each_time_that_the_queue_has_doubled() {
        let growth = Added::default();
        let passed: Vec<bool> =
            [499, 1, 499, 1, 10_000, 4_000, 1_000_000, 1_000_000].map(|jobs| growth.passes(jobs)).into();
        assert_eq!(passed, [false, true, false, true, true, false, true, false]);
    }
}

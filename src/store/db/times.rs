//! How long does the database take? For the metrics.

use std::time::Instant;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};

/// Bounds, in seconds: a commit takes milliseconds, and a query that takes a second is one too many.
const SECONDS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What the database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfKind {
    kind: &'static str,
}

/// Queries.
pub(crate) const READ: OfKind = OfKind { kind: "read" };
/// Transactions of the one writer, from their begin to their commit.
pub(crate) const WRITE: OfKind = OfKind { kind: "write" };
/// What stores records and tidies up; on SQLite with the wait for the writer, whose transaction it shares.
pub(crate) const BATCH: OfKind = OfKind { kind: "batch" };

/// How long each took, by kind. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Times(Family<OfKind, Histogram, fn() -> Histogram>);

impl Default for Times {
    fn default() -> Self {
        let family = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        for kind in [READ, WRITE, BATCH] {
            drop(family.get_or_create(&kind));
        }
        Self(family)
    }
}

impl Times {
    /// Waits for `work` and notes how long it took, however it ended.
    pub(crate) async fn of<T>(&self, kind: OfKind, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.0.get_or_create(&kind).observe(began.elapsed().as_secs_f64());
        done
    }

    /// The histograms, to be shown.
    #[must_use]
    pub fn shown(&self) -> Family<OfKind, Histogram, fn() -> Histogram> {
        self.0.clone()
    }
}

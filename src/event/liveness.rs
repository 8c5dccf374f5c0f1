//! Does every loop still turn? Each tells when it got on last; who is late is named.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// Every loop of the process with its last progress. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<Mutex<BTreeMap<&'static str, Heartbeat>>>);

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    at: Instant,
    late_after: Duration,
}

/// One loop, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoopState {
    /// The loop.
    pub name: &'static str,
    /// Milliseconds since it got on last.
    pub since_ms: u64,
    /// It is late after so many.
    pub late_after_ms: u64,
    pub is_late: bool,
}

impl Liveness {
    /// The loop `name` got on; it is late if it does not again within `late_after`.
    pub fn beat(&self, name: &'static str, late_after: Duration) {
        let beat = Heartbeat { at: Instant::now(), late_after };
        self.0.lock().insert(name, beat);
    }

    /// All loops, by name.
    #[must_use]
    pub fn all(&self) -> Vec<LoopState> {
        let beats = self.0.lock();
        let state = |(name, beat): (&&'static str, &Heartbeat)| {
            let since = beat.at.elapsed();
            LoopState {
                name,
                since_ms: since.as_millis() as u64,
                late_after_ms: beat.late_after.as_millis() as u64,
                is_late: since > beat.late_after,
            }
        };
        beats.iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_late() {
        let liveness = Liveness::default();
        let late = || liveness.all().into_iter().filter(|one| one.is_late).map(|one| one.name).collect::<Vec<_>>();
        liveness.beat("claim", Duration::from_secs(60));
        liveness.beat("timers", Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(late(), ["timers"]);
        liveness.beat("timers", Duration::from_secs(20));
        assert!(late().is_empty());
    }
}

//! How often may something be done in a period? One process's own count; Redis counts for all.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Permit;

/// Counts by name, each in periods that begin with the first use.
#[derive(Debug, Default)]
pub(super) struct RateLimiter(Mutex<HashMap<String, (Instant, u32)>>);

impl RateLimiter {
    pub(super) fn permit(&self, name: &str, most: u32, period: Duration) -> Permit {
        let now = Instant::now();
        let mut counts = self.0.lock();
        let (began, used) = counts.entry(name.to_owned()).or_insert((now, 0));
        if now.duration_since(*began) >= period {
            (*began, *used) = (now, 0);
        }
        if *used < most {
            *used += 1;
            return Permit::Granted;
        }
        Permit::Wait(period.saturating_sub(now.duration_since(*began)))
    }
}

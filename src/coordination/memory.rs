//! One process coordinates with itself: nobody else listens.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast;

use super::{Coordination, Health, KnownWindow, Permit, Received, RelayMessage, limit::RateLimiter, ring::Ring};
use crate::domain::Timestamp;

/// Windows that are remembered; the database knows the others.
const WINDOWS: usize = 100_000;

/// The twin of Redis inside one process.
#[derive(Debug, Default)]
pub struct Memory {
    ring: Ring,
    limits: RateLimiter,
    windows: Mutex<HashMap<String, KnownWindow>>,
}

impl Memory {
    fn windows(&self) -> MutexGuard<'_, HashMap<String, KnownWindow>> {
        self.windows.lock()
    }
}

#[async_trait]
impl Coordination for Memory {
    fn publish(&self, message: RelayMessage) {
        self.ring.receive_own(message);
    }

    fn listen(&self) -> broadcast::Receiver<Arc<Received>> {
        self.ring.listen()
    }

    fn listen_after(&self, id: &str) -> (Option<Vec<Arc<Received>>>, broadcast::Receiver<Arc<Received>>) {
        self.ring.listen_after(id)
    }

    async fn open_window(&self, key: &str, window: KnownWindow, now: Timestamp) {
        let mut windows = self.windows();
        if windows.len() >= WINDOWS {
            windows.retain(|_, window| window.until > now);
        }
        if windows.len() < WINDOWS {
            windows.insert(key.to_owned(), window);
        }
    }

    async fn window(&self, key: &str, now: Timestamp) -> Option<KnownWindow> {
        self.windows().get(key).filter(|window| window.until > now).cloned()
    }

    async fn permit(&self, name: &str, most: u32, period: Duration) -> Permit {
        self.limits.permit(name, most, period)
    }

    fn health(&self) -> Health {
        Health { kind: "memory", trouble: None, dropped: 0 }
    }
}

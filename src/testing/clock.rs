//! What time is it in a test?

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{SubsecRound, TimeDelta};
use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use crate::domain::{Clock, Timestamp};

/// The real clock, set forward by the test: for tests over a real database.
#[derive(Debug, Clone)]
pub struct TestClock {
    ahead: watch::Sender<TimeDelta>,
    /// Who sleeps, until when.
    sleepers: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { ahead: watch::Sender::new(TimeDelta::zero()), sleepers: Arc::default() }
    }
}

/// Somebody sleeps for as long as this lives.
struct Sleeper(TestClock, u64);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.sleepers.lock().unwrap().remove(&self.1);
    }
}

impl TestClock {
    /// Does somebody still sleep whose moment has come?
    pub(super) fn is_behind(&self) -> bool {
        let now = self.now();
        self.sleepers.lock().unwrap().values().any(|until| *until <= now)
    }

    fn sleeper(&self, until: Timestamp) -> Sleeper {
        let number = fastrand::u64(..);
        self.sleepers.lock().unwrap().insert(number, until);
        Sleeper(self.clone(), number)
    }

    /// Sets the clock forward; whoever waits for a moment that has come now goes on.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead += TimeDelta::from_std(by).unwrap());
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        (chrono::Utc::now() + *self.ahead.borrow()).trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        let (clock, sleeper) = (self.clone(), self.sleeper(moment));
        Box::pin(async move {
            let _until_woken = sleeper;
            let mut changes = clock.ahead.subscribe();
            while let Ok(rest) = (moment - clock.now()).to_std()
                && !rest.is_zero()
            {
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    _ = changes.changed() => {}
                }
            }
        })
    }
}

/// Follows tokio's paused time: for actor tests over in-memory twins.
#[derive(Debug, Clone, Copy)]
pub struct PausedClock {
    started: Instant,
}

impl PausedClock {
    /// Starts at a fixed moment.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The moment `minutes` after the start.
    #[must_use]
    pub fn at_minute(minutes: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        (Self::at_minute(0) + TimeDelta::from_std(self.started.elapsed()).unwrap()).trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        let rest = (moment - self.now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(rest))
    }
}

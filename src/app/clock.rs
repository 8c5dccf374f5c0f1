//! What time is it? The machine's time where one machine does all; the database's where many do.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, TimeDelta};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    domain::{Clock, Timestamp},
    store::{Store, StoreError},
};

/// Waits sleep no longer than this at a stretch, so that a jump of the wall clock is noticed.
const NAP: Duration = Duration::from_secs(60);

/// An answer of the database's server that took so long says too little of its time.
const LATE: Duration = Duration::from_millis(500);

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        nap_until(*self, moment)
    }
}

/// The clock of a database server, for all processes that share it: their machines' clocks may be apart, and
/// may jump. Between two looks at it, the monotonic clock counts.
#[derive(Debug, Clone)]
struct DatabaseClock(Arc<Mutex<(Timestamp, Instant)>>);

impl DatabaseClock {
    fn set(&self, at: (Timestamp, Instant)) {
        *self.0.lock() = at;
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let (at, looked) = *self.0.lock();
        (at + TimeDelta::from_std(looked.elapsed()).unwrap_or_default()).trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        nap_until(self.clone(), moment)
    }
}

/// Sleeps in naps, and looks at the clock after each: a jump is noticed within one.
fn nap_until(clock: impl Clock, moment: Timestamp) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        while let Ok(rest) = (moment - clock.now()).to_std()
            && !rest.is_zero()
        {
            tokio::time::sleep(rest.min(NAP)).await;
        }
    })
}

/// The clock of the processes that share a database; looked at again every `every`.
pub(super) async fn for_database(store: &Store, every: Duration, io: &Handle) -> Result<Arc<dyn Clock>, StoreError> {
    let Some((now, at, _)) = look(store).await? else { return Ok(Arc::new(SystemClock)) };
    let clock = DatabaseClock(Arc::new(Mutex::new((now, at))));
    let (looked_at, store) = (Arc::downgrade(&clock.0), store.clone());
    io.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let Some(clock) = looked_at.upgrade().map(DatabaseClock) else { return };
            // while the server is away, the monotonic clock goes on
            if let Ok(Some((now, at, took))) = look(&store).await
                && took < LATE
            {
                clock.set((now, at));
            }
        }
    });
    Ok(Arc::new(clock))
}

/// The server's time, when it was that by the monotonic clock (half the way there and back), and how long the
/// answer took; `None` where the machine's own clock is the database's.
async fn look(store: &Store) -> Result<Option<(Timestamp, Instant, Duration)>, StoreError> {
    let asked = Instant::now();
    let now = store.server_time().await?;
    let took = asked.elapsed();
    Ok(now.map(|now| (now, asked + took / 2, took)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_notices_within_a_nap_that_the_clock_was_set_forward() {
        let start = Timestamp::UNIX_EPOCH;
        let clock = DatabaseClock(Arc::new(Mutex::new((start, Instant::now()))));
        let waiting = tokio::spawn(clock.sleep_until(start + TimeDelta::hours(5)));
        tokio::time::sleep(NAP / 2).await;
        clock.set((start + TimeDelta::hours(6), Instant::now()));
        tokio::time::timeout(NAP, waiting).await.expect("it slept on").unwrap();
    }
}

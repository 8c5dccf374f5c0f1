//! What time is it? The machine's time where one machine does all; the database's where many do.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, TimeDelta};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::{
    domain::{Clock, Timestamp},
    store::{Store, StoreError},
};

/// Waits sleep no longer than this at a stretch, so that a jump of the wall clock is noticed.
const NAP: Duration = Duration::from_secs(60);

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Ok(rest) = (moment - SystemClock.now()).to_std()
                && !rest.is_zero()
            {
                tokio::time::sleep(rest.min(NAP)).await;
            }
        })
    }
}

/// The clock of a database server, for all processes that share it: their machines' clocks may be apart, and
/// may jump. Between two looks at it, the monotonic clock counts.
#[derive(Debug)]
struct DatabaseClock(Mutex<(Timestamp, Instant)>);

impl DatabaseClock {
    fn set(&self, at: (Timestamp, Instant)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let (at, looked) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (at + TimeDelta::from_std(looked.elapsed()).unwrap_or_default()).trunc_subsecs(3)
    }

    fn sleep_until(&self, moment: Timestamp) -> BoxFuture<'static, ()> {
        let rest = (moment - self.now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(rest))
    }
}

/// The clock of the processes that share a database; looked at again every `every`.
pub(super) async fn for_database(store: &Store, every: Duration, io: &Handle) -> Result<Arc<dyn Clock>, StoreError> {
    let Some(first) = look(store).await? else { return Ok(Arc::new(SystemClock)) };
    let clock = Arc::new(DatabaseClock(Mutex::new(first)));
    let (looked_at, store): (Weak<DatabaseClock>, Store) = (Arc::downgrade(&clock), store.clone());
    io.spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let Some(clock) = looked_at.upgrade() else { return };
            // while the server is away, the monotonic clock goes on
            if let Ok(Some(at)) = look(&store).await {
                clock.set(at);
            }
        }
    });
    Ok(clock)
}

/// The server's time, and when it was that by the monotonic clock: half the way there and back.
async fn look(store: &Store) -> Result<Option<(Timestamp, Instant)>, StoreError> {
    let asked = Instant::now();
    let now = store.server_time().await?;
    Ok(now.map(|now| (now, asked + asked.elapsed() / 2)))
}

//! How many reports are read at once? Each reader may need much memory: the others wait for their turn.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Confinement, Drawing, Job, ReadReports, Refusal, Report};
use crate::{
    report::{MarkedRow, RefusalCode},
    sync_type::SyncTypes,
};

/// So many may wait for a reader; who comes then is told to come again.
const MOST_WAITING: usize = 64;

/// Reads through one gate, whoever asks: runs, previews of approvals, replays.
pub struct Gate {
    reader: Arc<dyn ReadReports>,
    places: Semaphore,
    /// Where one waits for a place.
    queue: Semaphore,
}

impl Gate {
    /// `reader`, so many times at once.
    #[must_use]
    pub fn new(reader: Arc<dyn ReadReports>, at_once: usize) -> Self {
        Self { reader, places: Semaphore::new(at_once.max(1)), queue: Semaphore::new(MOST_WAITING) }
    }
}

impl Gate {
    async fn enter(&self) -> Result<Option<SemaphorePermit<'_>>, Refusal> {
        let Ok(_waiting) = self.queue.try_acquire() else {
            let text = format!("{MOST_WAITING} reports wait to be read: ask again in a moment");
            return Err(Refusal::new(RefusalCode::Busy, text));
        };
        Ok(self.places.acquire().await.ok())
    }
}

#[async_trait]
impl ReadReports for Gate {
    async fn read(&self, job: Job) -> Result<Report, Refusal> {
        let _place = self.enter().await?;
        self.reader.read(job).await
    }

    async fn draw(&self, job: Job, page: usize, mark: Option<MarkedRow>) -> Result<Drawing, Refusal> {
        let _place = self.enter().await?;
        self.reader.draw(job, page, mark).await
    }

    async fn confinement(&self, types: &Arc<SyncTypes>) -> Result<Option<Confinement>, Refusal> {
        self.reader.confinement(types).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[derive(Default)]
    struct Slow {
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    #[async_trait]
    impl ReadReports for Slow {
        async fn read(&self, _: Job) -> Result<Report, Refusal> {
            self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(Report::default())
        }

        async fn draw(&self, job: Job, _: usize, _: Option<MarkedRow>) -> Result<Drawing, Refusal> {
            let _read = self.read(job).await?;
            Ok(Drawing { pages: 1, rows: 0, svg: String::new() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_are_few_those_who_wait_are_bounded_and_none_is_lost() {
        let slow = Arc::new(Slow::default());
        let gate = Gate::new(slow.clone(), 2);
        let types = Arc::new(SyncTypes::built_in().unwrap());
        let job = || Job {
            bytes: Arc::default(),
            spec: types.get("orders").unwrap().clone(),
            types: types.clone(),
            progress: Arc::new(|_, _| {}),
        };
        let all = futures_util::future::join_all((0..100).map(|_| gate.read(job()))).await;
        let refused = all.iter().filter(|one| one.as_ref().is_err_and(|refusal| refusal.code == RefusalCode::Busy));
        let refused = refused.count();
        assert_eq!(slow.most.load(Ordering::SeqCst), 2);
        assert!(refused > 0 && 100 - refused >= MOST_WAITING, "{refused}");
        assert!(gate.read(job()).await.is_ok(), "there is room again");
    }
}

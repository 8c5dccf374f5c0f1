//! How are reports read in tests that start no process? In this one, by the same code.

use async_trait::async_trait;

use crate::report::{
    Budget, Drawing, MarkedRow, ReadLimits, Refusal, Report, Request,
    sandbox::{Job, ReadReports},
};

/// Reads reports on a thread of this process; a panic of the reader goes on as the run's panic.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadHere;

#[async_trait]
impl ReadReports for ReadHere {
    async fn read(&self, job: Job) -> Result<Report, Refusal> {
        here(job, |request| request.read()).await
    }

    async fn draw(&self, job: Job, page: usize, mark: Option<MarkedRow>) -> Result<Drawing, Refusal> {
        here(job, move |request| request.draw(page, mark)).await
    }
}

async fn here<T: Send + 'static>(job: Job, work: impl FnOnce(Request<'_>) -> T + Send + 'static) -> T {
    let read = move || {
        let budget = Budget::new(ReadLimits::default());
        let progress = |done, total| (job.progress)(done, total);
        work(Request { bytes: &job.bytes, spec: &job.spec, types: &job.types, budget: &budget, progress: &progress })
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

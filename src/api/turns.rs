//! How many requests do heavy work at once, and how many more wait for it?

use actix_web::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Problem;

/// Work of one kind.
#[derive(Debug)]
pub struct Turns {
    what: &'static str,
    most: usize,
    places: Semaphore,
    working: Semaphore,
}

impl Turns {
    /// `what` (in the plural): so many at once, and with those who wait at most `most`.
    #[must_use]
    pub fn new(what: &'static str, at_once: usize, most: usize) -> Self {
        Self { what, most, places: Semaphore::new(most), working: Semaphore::new(at_once) }
    }

    /// A place, which is kept until the work is done.
    ///
    /// # Errors
    /// A 503 if all are taken.
    pub fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.places.try_acquire().map_err(|_| busy(&format!("{} {} are under way or wait", self.most, self.what)))
    }

    /// One's turn to work.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // never closed
        self.working.acquire().await.ok()
    }
}

/// A 503 that asks to come again.
pub(crate) fn busy(why: &str) -> Problem {
    let text = format!("{why}: send it again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).retry_after(5)
}

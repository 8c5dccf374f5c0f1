//! How much may reading one file cost? One budget, handed to every decoder.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{Refusal, RefusalCode};

/// What one file may cost; far above any real report, far below what harms a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes that all its streams together may decode to.
    pub bytes: u64,
    /// Bytes that one stream may decode to.
    pub stream_bytes: u64,
    /// Objects in the file.
    pub objects: u64,
    /// How deep forms, arrays and page trees may nest.
    pub depth: usize,
    pub pages: u64,
    /// Glyphs on all pages.
    pub glyphs: u64,
    /// Tokens in all content streams.
    pub tokens: u64,
    /// How long reading may take.
    pub time: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            stream_bytes: 64 << 20,
            objects: 2_000_000,
            depth: 32,
            pages: 20_000,
            glyphs: 40_000_000,
            tokens: 200_000_000,
            time: Duration::from_secs(60),
        }
    }
}

/// What is left of the [`ReadLimits`] of one file; shared by the threads that read it.
#[derive(Debug)]
pub struct Budget {
    /// What it started with.
    pub limits: ReadLimits,
    bytes: AtomicU64,
    glyphs: AtomicU64,
    tokens: AtomicU64,
    started: Instant,
}

/// A limit was reached; reading ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} exceed the limit of {limit}")]
pub struct Exceeded {
    what: &'static str,
    limit: u64,
}

impl Exceeded {
    /// There was more of `what` than `limit`.
    #[must_use]
    pub fn of(what: &'static str, limit: u64) -> Self {
        Self { what, limit }
    }
}

impl From<Exceeded> for Refusal {
    fn from(exceeded: Exceeded) -> Self {
        Refusal::new(RefusalCode::Budget, format!("reading this file costs too much: {exceeded}"))
    }
}

impl Budget {
    /// A whole budget; its time runs from now.
    #[must_use]
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            bytes: AtomicU64::new(0),
            glyphs: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// How many bytes the next stream may decode to.
    #[must_use]
    pub fn stream_room(&self) -> u64 {
        self.limits.bytes.saturating_sub(self.bytes.load(Relaxed)).min(self.limits.stream_bytes)
    }

    /// Spends decoded bytes.
    ///
    /// # Errors
    /// [`Exceeded`], as of every `spend_`.
    pub fn spend_bytes(&self, bytes: u64) -> Result<(), Exceeded> {
        spend(&self.bytes, bytes, self.limits.bytes, "decoded bytes")
    }

    /// Spends glyphs and tokens, and looks at the time: once for some thousands of them.
    ///
    /// # Errors
    /// [`Exceeded`]
    pub fn spend_content(&self, glyphs: u64, tokens: u64) -> Result<(), Exceeded> {
        spend(&self.glyphs, glyphs, self.limits.glyphs, "glyphs")?;
        spend(&self.tokens, tokens, self.limits.tokens, "content tokens")?;
        self.check_time()
    }

    /// Is there time left?
    ///
    /// # Errors
    /// [`Exceeded`]
    pub fn check_time(&self) -> Result<(), Exceeded> {
        let limit = self.limits.time;
        if self.started.elapsed() > limit {
            return Err(Exceeded { what: "seconds", limit: limit.as_secs() });
        }
        Ok(())
    }

    /// Holds a number of objects against its limit.
    ///
    /// # Errors
    /// [`Exceeded`]
    pub fn check_objects(&self, objects: usize) -> Result<(), Exceeded> {
        check(objects as u64, self.limits.objects, "objects")
    }

    /// Holds a number of pages against its limit.
    ///
    /// # Errors
    /// [`Exceeded`]
    pub fn check_pages(&self, pages: usize) -> Result<(), Exceeded> {
        check(pages as u64, self.limits.pages, "pages")
    }
}

fn check(found: u64, limit: u64, what: &'static str) -> Result<(), Exceeded> {
    if found > limit { Err(Exceeded { what, limit }) } else { Ok(()) }
}

fn spend(spent: &AtomicU64, more: u64, limit: u64, what: &'static str) -> Result<(), Exceeded> {
    check(spent.fetch_add(more, Relaxed).saturating_add(more), limit, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_ends() {
        let budget =
            Budget::new(ReadLimits { bytes: 100, stream_bytes: 80, glyphs: 5, pages: 2, ..ReadLimits::default() });
        assert_eq!(budget.stream_room(), 80);
        budget.spend_bytes(60).unwrap();
        assert_eq!(budget.stream_room(), 40);
        assert!(budget.spend_bytes(41).unwrap_err().to_string().contains("decoded bytes"));
        budget.spend_content(5, 0).unwrap();
        assert!(budget.spend_content(1, 0).is_err());
        assert!(budget.check_pages(3).is_err());
    }

    #[test]
    fn time_is_part_of_it() {
        let budget = Budget::new(ReadLimits { time: Duration::ZERO, ..ReadLimits::default() });
        assert_eq!(Refusal::from(budget.check_time().unwrap_err()).code, RefusalCode::Budget);
    }
}

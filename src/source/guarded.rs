//! What holds for every source? How many fetches at once and how often, how long one may take, and that a
//! PDF came.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as AsyncMutex, MutexGuard, Semaphore},
    time::Instant,
};

use super::{Ask, Fetched, Source, SourceError};
use crate::{
    domain::AgentId,
    report::{self, RefusalCode},
};

/// How hard this process may press a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Fetches at once, at least 1.
    pub parallel: usize,
    /// Between the starts of two fetches.
    pub pause: Duration,
    /// Fetches at once for one agent, at least 1.
    pub agent_parallel: usize,
    /// Between the starts of two fetches for one agent.
    pub agent_pause: Duration,
    /// How long one fetch may take, from its start.
    pub time: Duration,
}

/// A gate: so many inside at once, so far apart.
struct Gate {
    inside: Semaphore,
    next: AsyncMutex<Instant>,
    pause: Duration,
}

impl Gate {
    fn new(parallel: usize, pause: Duration) -> Self {
        Self { inside: Semaphore::new(parallel), next: AsyncMutex::new(Instant::now()), pause }
    }

    /// Waits until the last start is long enough ago. Whoever holds the answer starts next, and notes when;
    /// whoever gives up while waiting leaves no trace.
    async fn turn(&self) -> MutexGuard<'_, Instant> {
        let next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        next
    }
}

/// A source within limits, whose answers are PDFs.
pub struct Guarded {
    source: Arc<dyn Source>,
    limits: ResponseLimits,
    all: Gate,
    agents: Mutex<HashMap<AgentId, Arc<Gate>>>,
}

impl Guarded {
    /// `source` within `limits`.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, limits: ResponseLimits) -> Self {
        let all = Gate::new(limits.parallel, limits.pause);
        Self { source, limits, all, agents: Mutex::default() }
    }

    fn agent(&self, agent: &AgentId) -> Arc<Gate> {
        let mut agents = self.agents.lock();
        let gate = || Arc::new(Gate::new(self.limits.agent_parallel, self.limits.agent_pause));
        agents.entry(agent.clone()).or_insert_with(gate).clone()
    }
}

#[async_trait]
impl Source for Guarded {
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, SourceError> {
        let agent = self.agent(&ask.agent);
        ask.wait(true);
        // the agent's turn first, so that one busy agent does not fill the places of all
        let own = agent.inside.acquire().await;
        let mut own_turn = agent.turn().await;
        let all = self.all.inside.acquire().await;
        let mut turn = self.all.turn().await;
        let start = Instant::now();
        ask.wait(false);
        (*own_turn, *turn) = (start + agent.pause, start + self.all.pause);
        drop((own_turn, turn));
        let limit = self.limits.time;
        let late = |_| SourceError::TooSlow { what: ask.to_string(), limit };
        let fetched = tokio::time::timeout(limit, self.source.fetch(ask)).await.map_err(late)??;
        drop((own, all));
        if let Fetched::New { bytes, .. } = &fetched {
            check(bytes, ask)?;
        }
        Ok(fetched)
    }
}

/// Is it a PDF?
pub(super) fn check(bytes: &[u8], ask: &Ask) -> Result<(), SourceError> {
    let Err(refusal) = report::check_is_pdf(bytes) else { return Ok(()) };
    let text = format!("{ask}: {}", refusal.text);
    Err(if refusal.code == RefusalCode::LoginPage { SourceError::Expired(text) } else { SourceError::NotAReport(text) })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes a second, and knows how many are inside.
    #[derive(Default)]
    struct Slow {
        inside: AtomicUsize,
        most: AtomicUsize,
        starts: Mutex<Vec<Instant>>,
    }

    #[async_trait]
    impl Source for Arc<Slow> {
        async fn fetch(&self, _: &Ask) -> Result<Fetched, SourceError> {
            self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.starts.lock().push(Instant::now());
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.inside.fetch_sub(1, Ordering::SeqCst);
            Ok(Fetched::unversioned(b"%PDF-1.4".to_vec()))
        }
    }

    fn limits() -> ResponseLimits {
        ResponseLimits {
            parallel: 100,
            pause: Duration::ZERO,
            agent_parallel: 100,
            agent_pause: Duration::ZERO,
            time: Duration::from_secs(10),
        }
    }

    async fn fetch_all(limits: ResponseLimits, agents: &[&str]) -> (usize, Vec<Duration>) {
        let slow = Arc::new(Slow::default());
        let guarded = Guarded::new(Arc::new(slow.clone()), limits);
        let begun = Instant::now();
        let asks: Vec<Ask> = agents.iter().map(|agent| Ask::report(&"orders".into(), &(*agent).into())).collect();
        let fetched = futures_util::future::join_all(asks.iter().map(|ask| guarded.fetch(ask))).await;
        assert!(fetched.iter().all(Result::is_ok), "{fetched:?}");
        let starts = slow.starts.lock().iter().map(|start| *start - begun).collect();
        (slow.most.load(Ordering::SeqCst), starts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_pressed_no_harder_than_it_may_be() {
        assert_eq!(fetch_all(limits(), &["a", "a", "b", "c"]).await.0, 4);
        assert_eq!(fetch_all(ResponseLimits { parallel: 2, ..limits() }, &["a", "a", "b", "c"]).await.0, 2);
        assert_eq!(fetch_all(ResponseLimits { agent_parallel: 1, ..limits() }, &["a", "a", "a", "b"]).await.0, 2);
        let secs = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        let pause = ResponseLimits { pause: Duration::from_secs(3), ..limits() };
        assert_eq!(fetch_all(pause, &["a", "b", "c"]).await.1, secs(&[0, 3, 6]));
        let own = ResponseLimits { agent_pause: Duration::from_secs(3), ..limits() };
        assert_eq!(fetch_all(own, &["a", "a", "b"]).await.1, secs(&[0, 0, 3]));
        // the second of a waits for its place, and its pause counts from its start, not from its turn
        let busy = ResponseLimits { parallel: 1, agent_parallel: 2, agent_pause: Duration::from_secs(3), ..limits() };
        assert_eq!(fetch_all(busy, &["b", "a", "a"]).await.1, secs(&[0, 1, 4]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_has_not_asked_the_source() {
        let slow = Arc::new(Slow::default());
        let guarded = Guarded::new(Arc::new(slow.clone()), ResponseLimits { parallel: 1, ..limits() });
        let [first, second] = ["a", "b"].map(|agent| Ask::report(&"orders".into(), &agent.into()));
        let both = futures_util::future::join(guarded.fetch(&first), guarded.fetch(&second));
        tokio::time::timeout(Duration::from_millis(500), both).await.unwrap_err();
        assert_eq!((first.is_waiting(), second.is_waiting()), (false, true));
        assert_eq!(slow.starts.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_named_and_leaves_its_place() {
        let slow = Arc::new(Slow::default());
        let limits = ResponseLimits { parallel: 1, time: Duration::from_millis(500), ..limits() };
        let guarded = Guarded::new(Arc::new(slow), limits);
        for _ in 0..2 {
            let error = guarded.fetch(&Ask::report(&"orders".into(), &"a".into())).await.unwrap_err();
            assert_eq!(error.code(), "source_too_slow");
            assert!(error.to_string().contains("the orders report of agent a did not come within the 0.5 s"));
        }
    }

    #[test]
    fn what_is_no_pdf_is_told_apart() {
        let ask = Ask::document("ddt", &"a".into(), "7");
        let code = |bytes: &[u8]| check(bytes, &ask).err().map(|error| error.code());
        assert_eq!(code(b"%PDF-1.7"), None);
        assert_eq!(code(b""), Some("not_a_report"));
        assert_eq!(code(b"<html>busy</html>"), Some("not_a_report"));
        assert_eq!(code(b"<html><input type=password>"), Some("session_expired"));
    }
}

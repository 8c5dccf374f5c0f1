//! How does it all stand, asked a thousand times a second? Worked out when something has changed, seldom enough to cost
//! little, and given to all who ask in between.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ETAG, IF_NONE_MATCH},
    web::Bytes,
};
use parking_lot::Mutex;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::Problem;
use crate::event::Observer;

/// Working it out takes at most one part in so many of the time.
const SHARE: u32 = 20;
/// Answers that are kept: one for each set of agents that tokens are for.
const KEPT: usize = 64;

/// What is shown, and to whom: the agents that they may see.
pub(super) type Asked = (&'static str, Option<Vec<String>>);

/// The answers of this process that are given to many.
pub struct Glances {
    /// What is given out is not older, but while it is being worked out anew.
    oldest: Duration,
    changes: Arc<AtomicU64>,
    kept: Mutex<HashMap<Asked, Arc<Glance>>>,
}

#[derive(Default)]
struct Glance {
    shown: Mutex<Option<Shown>>,
    at_work: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Shown {
    body: Bytes,
    tag: String,
    at: Instant,
    cost: Duration,
    /// Changes before it was looked.
    changes: u64,
}

impl Shown {
    /// May it still be given out?
    fn is_good(&self, oldest: Duration, changes: u64, now: Instant) -> bool {
        let age = now.duration_since(self.at);
        let rest = (self.cost * SHARE).min(oldest);
        age < rest || (self.changes == changes && age < oldest)
    }
}

impl Glances {
    /// Answers that are at most so old; with 0 each is worked out anew.
    #[must_use]
    pub fn new(oldest: Duration) -> Self {
        Self { oldest, changes: Arc::default(), kept: Mutex::default() }
    }

    /// Counts what happens.
    #[must_use]
    pub fn observer(&self) -> Observer {
        let changes = self.changes.clone();
        Arc::new(move |_| {
            changes.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Whoever changes something sees it at once.
    pub fn forget(&self) {
        self.kept.lock().clear();
    }

    fn of(&self, asked: Asked) -> Arc<Glance> {
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT && !kept.contains_key(&asked) {
            kept.clear();
        }
        kept.entry(asked).or_default().clone()
    }

    async fn look(
        &self,
        asked: Asked,
        work_out: impl AsyncFnOnce() -> Result<Json, Problem>,
    ) -> Result<Shown, Problem> {
        let glance = self.of(asked);
        let changes = || self.changes.load(Ordering::Relaxed);
        let good = || glance.shown.lock().clone().filter(|shown| shown.is_good(self.oldest, changes(), Instant::now()));
        if let Some(shown) = good() {
            return Ok(shown);
        }
        let Ok(_turn) = glance.at_work.try_lock() else {
            // somebody works it out: in the meantime what is there is good enough, if it is not very old
            let last = glance.shown.lock().clone();
            if let Some(last) = last.filter(|last| last.at.elapsed() < self.oldest * 2) {
                return Ok(last);
            }
            let turn = glance.at_work.lock().await;
            if let Some(shown) = good() {
                return Ok(shown);
            }
            let shown = Self::worked_out(changes(), work_out).await?;
            *glance.shown.lock() = Some(shown.clone());
            drop(turn);
            return Ok(shown);
        };
        let shown = Self::worked_out(changes(), work_out).await?;
        *glance.shown.lock() = Some(shown.clone());
        Ok(shown)
    }

    async fn worked_out(changes: u64, work_out: impl AsyncFnOnce() -> Result<Json, Problem>) -> Result<Shown, Problem> {
        let at = Instant::now();
        let body = work_out().await?.to_string();
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
        Ok(Shown { body: body.into(), tag, at, cost: at.elapsed(), changes })
    }

    /// The answer, worked out if it must be; a 304 to whoever has it already.
    ///
    /// # Errors
    /// [`Problem`] if it cannot be worked out.
    pub(super) async fn answer(
        &self,
        request: &HttpRequest,
        asked: Asked,
        work_out: impl AsyncFnOnce() -> Result<Json, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let Shown { body, tag, .. } = self.look(asked, work_out).await?;
        let known = request.headers().get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        if known.split(',').any(|known| known.trim() == tag) {
            return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
        }
        Ok(HttpResponse::Ok().insert_header((ETAG, tag)).content_type("application/json").body(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cost: u64, changes: u64) -> Shown {
        let (body, tag) = (Bytes::new(), String::new());
        Shown { body, tag, at: Instant::now(), cost: Duration::from_millis(cost), changes }
    }

    #[test]
    fn what_costs_little_is_worked_out_at_each_change_and_what_costs_much_twice_a_second() {
        let oldest = Duration::from_millis(500);
        for (cost, changes, age, is_good) in [
            (1, 7, 499, true),  // nothing has changed
            (1, 7, 500, false), // but time
            (1, 8, 19, true),
            (1, 8, 20, false),
            (100, 8, 499, true),
            (100, 8, 500, false),
        ] {
            let shown = shown(cost, 7);
            let now = shown.at + Duration::from_millis(age);
            assert_eq!(shown.is_good(oldest, changes, now), is_good, "{cost} ms, {changes} changes, {age} ms old");
            assert!(!shown.is_good(Duration::ZERO, changes, now));
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_look() {
        let (glances, looks) = (Glances::new(Duration::from_secs(10)), AtomicU64::new(0));
        let ask = || {
            glances.look(("status", None), async || {
                looks.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(Json::Null)
            })
        };
        let all = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        glances.forget();
        ask().await.unwrap();
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }
}

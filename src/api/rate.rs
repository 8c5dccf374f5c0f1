//! How often may one caller ask? So many requests a minute, each by its own count; what is left is told with each answer.

use std::num::NonZeroU32;

use actix_web::http::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use super::Problem;

/// Callers that are remembered before those who asked nothing lately are forgotten.
const CALLERS: usize = 10_000;
const WINDOW: u64 = 60;

/// The counts of all callers of this process.
pub struct Rates {
    limiter: RateLimiter<String, DashMapStateStore<String>, DefaultClock, StateInformationMiddleware>,
    most: NonZeroU32,
}

/// What one caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    most: u32,
    left: u32,
}

impl Rates {
    /// So many requests a minute for each caller.
    #[must_use]
    pub fn per_minute(most: NonZeroU32) -> Self {
        let limiter = RateLimiter::dashmap(Quota::per_minute(most)).with_middleware();
        Self { limiter, most }
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// A 429 that says when to come back.
    pub(crate) fn count(&self, caller: &str) -> Result<Left, Problem> {
        if self.limiter.len() > CALLERS {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&caller.to_owned()) {
            Ok(state) => Ok(Left { most: self.most.get(), left: state.remaining_burst_capacity() }),
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(DefaultClock::default().now());
                let text = format!("{caller} may send {} requests a minute (limits.requests_per_minute)", self.most);
                Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text)
                    .retry_after(wait.as_secs() + 1))
            }
        }
    }
}

impl Left {
    /// Says it as draft-ietf-httpapi-ratelimit-headers does.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let Self { most, left } = self;
        let again = (u64::from(most - left.min(most)) * WINDOW).div_ceil(u64::from(most.max(1)));
        for (name, text) in [
            ("ratelimit-policy", format!("\"caller\";q={most};w={WINDOW}")),
            ("ratelimit", format!("\"caller\";r={left};t={again}")),
        ] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    #[test]
    fn each_caller_has_its_own_count() {
        let rates = Rates::per_minute(NonZeroU32::new(2).unwrap());
        let left = |caller: &str| rates.count(caller).map(|left| left.left);
        assert_eq!(left("one"), Ok(1));
        assert_eq!(left("one"), Ok(0));
        let refused = left("one").unwrap_err();
        assert!(refused.is("too_many_requests"));
        let wait: u64 =
            refused.error_response().headers().get("retry-after").unwrap().to_str().unwrap().parse().unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
        assert_eq!(left("two"), Ok(1));
        let mut headers = HeaderMap::new();
        Left { most: 120, left: 60 }.tell(&mut headers);
        assert_eq!(headers.get("ratelimit").unwrap(), "\"caller\";r=60;t=30");
        assert_eq!(headers.get("ratelimit-policy").unwrap(), "\"caller\";q=120;w=60");
    }
}

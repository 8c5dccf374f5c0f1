//! Where do wrong tokens come from? They are counted by address, so that nobody can try many.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use actix_web::http::StatusCode;
use parking_lot::Mutex;

use super::Problem;

/// Wrong tokens from one address within [`WINDOW`] before it is asked to wait.
const WRONG: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES: usize = 10_000;
/// Of one address, so many refusals are logged within [`WINDOW`].
const LOGGED: u32 = 5;

/// Wrong tokens of late.
#[derive(Debug, Default)]
pub struct WrongTokens(Mutex<HashMap<IpAddr, (Instant, u32)>>);

/// Who has one address of IPv6 has the 2^64 beside it, too.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl WrongTokens {
    /// Counts one more; how many there were within the window, and when it ends.
    fn count(&self, address: IpAddr, now: Instant) -> (u32, Duration) {
        let mut known = self.0.lock();
        if known.len() >= ADDRESSES {
            known.retain(|_, (since, _)| now - *since < WINDOW);
        }
        if known.len() >= ADDRESSES {
            known.clear();
        }
        let entry = known.entry(prefix(address)).or_insert((now, 0));
        if now - entry.0 >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        (entry.1, WINDOW.saturating_sub(now - entry.0))
    }

    /// What a wrong token is answered: to wait, once they are many.
    pub(crate) fn refuse(&self, client: Option<IpAddr>, path: &str) -> Problem {
        let (wrong, left) = client.map_or((1, WINDOW), |client| self.count(client, Instant::now()));
        if wrong <= LOGGED {
            let more = (wrong == LOGGED).then_some("more from there within a minute are not logged");
            tracing::warn!(path, client = client.map(|client| client.to_string()), more, "a token was refused");
        }
        if wrong > WRONG {
            let text = format!("{WRONG} wrong tokens came from this address within a minute");
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tokens", text)
                .retry_after(left.as_secs() + 1);
        }
        Problem::new(StatusCode::UNAUTHORIZED, "bad_token", "this token is not known, or not any more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_counted_by_address_and_forgotten_after_a_while() {
        let (wrong, start) = (WrongTokens::default(), Instant::now());
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let counts: Vec<u32> = (0..3).map(|_| wrong.count(one, start).0).collect();
        assert_eq!(counts, [1, 2, 3]);
        assert_eq!(wrong.count(two, start).0, 1);
        assert_eq!(wrong.count(one, start + WINDOW / 2), (4, WINDOW / 2));
        assert_eq!(wrong.count(one, start + WINDOW).0, 1);
    }

    #[test]
    fn addresses_that_one_client_has_are_one() {
        let (wrong, start) = (WrongTokens::default(), Instant::now());
        let counts = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:10.0.0.1", "10.0.0.1"];
        let counts = counts.map(|address| wrong.count(address.parse().unwrap(), start).0);
        assert_eq!(counts, [1, 2, 1, 1, 2]);
    }

    #[test]
    fn they_are_bounded() {
        let (wrong, start) = (WrongTokens::default(), Instant::now());
        for address in 0..=u32::try_from(ADDRESSES).unwrap() {
            wrong.count(IpAddr::from(address.to_be_bytes()), start);
        }
        assert!(wrong.0.lock().len() <= ADDRESSES);
    }
}

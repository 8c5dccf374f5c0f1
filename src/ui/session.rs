//! Who looks at the pages? A browser that was let in once, by a link that works once or by a token.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use crate::domain::random::{self, NoRandom};
use crate::store::token_hash;

/// How long a link may wait to be followed.
const LINK: Duration = Duration::from_hours(1);
/// How long a session lives.
const SESSION: Duration = Duration::from_hours(12);
/// Sessions and links at once; the oldest gives way.
const MOST: usize = 1_000;

/// The sessions and open links of this process. Cheap to clone; only hashes are kept.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    links: HashMap<String, Instant>,
    open: HashMap<String, (Instant, Visitor)>,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// What every form of its pages carries, so that no other site can send them.
    pub form_key: String,
}

impl Sessions {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock()
    }

    /// A key that lets one browser in, once, within an hour.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn one_time_key(&self) -> Result<String, NoRandom> {
        let key = random::token::<24>()?;
        keep(&mut self.inside().links, token_hash(&key), Instant::now(), |since| *since);
        Ok(key)
    }

    /// Whether the key of a link lets in; it does so once.
    #[must_use]
    pub fn follow(&self, key: &str) -> bool {
        self.inside().links.remove(&token_hash(key)).is_some_and(|since| since.elapsed() < LINK)
    }

    /// Begins a session; answers what its cookie holds.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn begin(&self) -> Result<String, NoRandom> {
        let (cookie, form_key) = (random::token::<24>()?, random::token::<24>()?);
        let session = (Instant::now(), Visitor { form_key });
        keep(&mut self.inside().open, token_hash(&cookie), session, |(since, _)| *since);
        Ok(cookie)
    }

    /// The session of this cookie, if there is one.
    #[must_use]
    pub fn of(&self, cookie: &str) -> Option<Visitor> {
        let inside = self.inside();
        let (since, visitor) = inside.open.get(&token_hash(cookie))?;
        (since.elapsed() < SESSION).then(|| visitor.clone())
    }

    /// Ends a session.
    pub fn end(&self, cookie: &str) {
        self.inside().open.remove(&token_hash(cookie));
    }

    /// How long a cookie is worth keeping.
    #[must_use]
    pub fn life() -> Duration {
        SESSION
    }
}

fn keep<T>(all: &mut HashMap<String, T>, hash: String, new: T, since: impl Fn(&T) -> Instant) {
    if all.len() >= MOST
        && let Some(oldest) = all.iter().min_by_key(|(_, one)| since(one)).map(|(hash, _)| hash.clone())
    {
        all.remove(&oldest);
    }
    all.insert(hash, new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lets_in_once_and_a_session_lasts_until_it_is_ended() {
        let sessions = Sessions::default();
        let key = sessions.one_time_key().unwrap();
        assert!(!sessions.follow("another"));
        assert!(sessions.follow(&key));
        assert!(!sessions.follow(&key), "it was followed before");
        let (one, two) = (sessions.begin().unwrap(), sessions.begin().unwrap());
        assert_ne!(sessions.of(&one).unwrap().form_key, sessions.of(&two).unwrap().form_key);
        sessions.end(&one);
        assert_eq!(sessions.of(&one), None);
        assert!(sessions.of(&two).is_some());
        assert_eq!(sessions.of(""), None);
    }

    #[test]
    fn they_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin().unwrap();
        for _ in 0..MOST {
            sessions.begin().unwrap();
        }
        assert_eq!(sessions.of(&first), None);
        assert_eq!(sessions.inside().open.len(), MOST);
    }
}

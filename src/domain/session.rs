//! Whose page session is it, how long does it last, and what does its browser hold?

use sha2::{Digest as _, Sha256};

use super::random::{self, NoRandom};

/// How long a one-time link may wait to be followed.
pub const LINK: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// How long a session lives.
pub const LIFE: chrono::TimeDelta = chrono::TimeDelta::hours(12);

/// By what somebody was let in. A session lasts no longer than this does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The token of this number.
    Token(i64),
    /// The configured admin token; its hash, so that another one ends the session.
    AdminToken(String),
    /// A one-time link.
    Link,
    /// The proxy before us, for this user.
    Proxy(String),
}

impl Holder {
    /// Its kind and its name, as they are stored.
    #[must_use]
    pub fn parts(&self) -> (&'static str, String) {
        match self {
            Holder::Token(id) => ("token", id.to_string()),
            Holder::AdminToken(hash) => ("admin_token", hash.clone()),
            Holder::Link => ("link", String::new()),
            Holder::Proxy(user) => ("proxy", user.clone()),
        }
    }

    /// The holder of these parts; `None` for what is none.
    #[must_use]
    pub fn from_parts(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "token" => name.parse().ok().map(Holder::Token),
            "admin_token" => Some(Holder::AdminToken(name.to_owned())),
            "link" => Some(Holder::Link),
            "proxy" => Some(Holder::Proxy(name.to_owned())),
            _ => None,
        }
    }
}

/// What belongs to one session: the secret of its cookie, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Hex of the SHA-256 of the cookie: what is stored.
    pub hash: String,
    /// What every form of its pages carries, so that no other site can send them.
    pub form_key: String,
}

impl Keys {
    /// A secret that nobody has or guesses: for a cookie, or for a link.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn secret() -> Result<String, NoRandom> {
        random::token::<24>()
    }

    /// Those of this secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        // what a page shows must not tell what is stored, nor the other way round
        let form_key = Sha256::new().chain_update("form key of ").chain_update(secret).finalize();
        Self { hash: hex::encode(Sha256::digest(secret)), form_key: hex::encode(form_key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_as_it_was_stored() {
        for holder in
            [Holder::Token(7), Holder::AdminToken("ab".to_owned()), Holder::Link, Holder::Proxy("anna".to_owned())]
        {
            let (kind, name) = holder.parts();
            assert_eq!(Holder::from_parts(kind, &name), Some(holder));
        }
        assert_eq!(Holder::from_parts("token", "x"), None);
        assert_eq!(Holder::from_parts("king", "x"), None);
    }

    #[test]
    fn each_secret_has_its_own_keys() {
        let (one, two) = (Keys::secret().unwrap(), Keys::secret().unwrap());
        assert_ne!(one, two);
        let keys = Keys::of(&one);
        assert_eq!(keys, Keys::of(&one));
        assert_ne!(keys.form_key, Keys::of(&two).form_key);
        assert!(keys.form_key != keys.hash && keys.hash != one);
    }
}

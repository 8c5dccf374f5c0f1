//! With which credentials is a source asked for an agent?

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::SourceError;
use crate::domain::AgentId;

/// An agent's credentials. `Debug` shows none of them, and memory is wiped when they are dropped.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Credential {
    /// A name and a password.
    Password(Password),
    /// A bearer token.
    Token(Token),
}

/// A name and a password.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// The name.
    pub username: String,
    pub password: SecretString,
}

/// A bearer token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub token: SecretString,
}

impl Credential {
    /// A name and a password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password(Password { username: username.into(), password: password.into().into() })
    }

    /// A bearer token.
    pub fn token(token: impl Into<String>) -> Self {
        Self::Token(Token { token: token.into().into() })
    }

    /// What is wrong with it: a field that is empty.
    #[must_use]
    pub fn wrong(&self) -> Option<&'static str> {
        match self {
            Credential::Password(one) if one.username.is_empty() => Some("username"),
            Credential::Password(one) if one.password.expose_secret().is_empty() => Some("password"),
            Credential::Token(one) if one.token.expose_secret().is_empty() => Some("token"),
            Credential::Password(_) | Credential::Token(_) => None,
        }
    }

    /// With its secrets in the clear: to be sealed, or handed to the program that logs in.
    #[must_use]
    pub fn exposed(&self) -> Json {
        match self {
            Credential::Password(one) => json!({ "username": one.username, "password": one.password.expose_secret() }),
            Credential::Token(one) => json!({ "token": one.token.expose_secret() }),
        }
    }

    /// Its secret part, to be taken out of what others say.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        match self {
            Credential::Password(one) => &one.password,
            Credential::Token(one) => &one.token,
        }
    }

    /// Equal for equal credentials: a session belongs to those that it was opened with.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.exposed().to_string()).into()
    }
}

/// Who knows the credentials of agents.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The agent's credentials, if it has some.
    ///
    /// # Errors
    /// [`SourceError::NoCredentials`] if they cannot be opened, `Unreachable` if they cannot be looked up.
    async fn of(&self, agent: &AgentId) -> Result<Option<Credential>, SourceError>;
}

/// Nobody has credentials.
#[derive(Debug, Clone, Copy)]
pub struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn of(&self, _: &AgentId) -> Result<Option<Credential>, SourceError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret_unasked() {
        let password: Credential = serde_json::from_str(r#"{"username":"anna","password":"p-w"}"#).unwrap();
        let token: Credential = serde_json::from_str(r#"{"token":"t-k"}"#).unwrap();
        assert!(!format!("{password:?} {token:?}").contains("p-w"));
        assert!(!format!("{password:?} {token:?}").contains("t-k"));
        assert_eq!(password.exposed()["password"], "p-w");
        assert_ne!(password.digest(), token.digest());
        assert_eq!((password.wrong(), Credential::token("").wrong()), (None, Some("token")));
        for bad in [r#"{"username":"anna"}"#, r#"{"username":"a","password":"b","token":"c"}"#, "{}"] {
            assert!(serde_json::from_str::<Credential>(bad).is_err(), "{bad}");
        }
    }
}

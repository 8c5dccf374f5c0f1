//! An ERP over HTTP: one fresh log-in at once where a session has expired, redirects within known hosts alone.

mod config;
mod session;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};

pub use config::{Auth, HttpConfig, LoginConfig};

use super::{Ask, Credential, Credentials, Fetched, Source, SourceError, guarded::check};
use session::{Client, Sessions, sent};

/// Before the two kinds of version: what the server says, and when it says that the report was made.
const ETAG: &str = "etag";
const TIME: &str = "time";

/// Reports of an HTTP server.
pub struct HttpSource {
    config: HttpConfig,
    client: Client,
    shared: OnceLock<reqwest::Client>,
    sessions: Sessions,
    credentials: Arc<dyn Credentials>,
    limit: u64,
}

impl HttpSource {
    /// Reports as `config` says, of at most `limit` bytes each.
    ///
    /// # Errors
    /// The key of `[source.http]` that makes no sense, and why.
    pub fn new(config: HttpConfig, credentials: Arc<dyn Credentials>, limit: u64) -> Result<Self, String> {
        let silence = if config.silence_ms == 0 { 30_000 } else { config.silence_ms };
        let client = Client { hosts: config.hosts()?.into(), silence: Duration::from_millis(silence) };
        let sessions = Sessions::new(config.login.clone(), client.clone());
        // what cannot be made is known at the start
        client.build(true)?;
        Ok(Self { config, client, shared: OnceLock::new(), sessions, credentials, limit })
    }

    /// The agent's credentials, where the server asks for some.
    async fn credential(&self, ask: &Ask) -> Result<Option<Credential>, SourceError> {
        let found = match self.config.auth {
            Auth::None => return Ok(None),
            Auth::Basic | Auth::Bearer | Auth::Form => self.credentials.of(&ask.agent).await?,
        };
        let fits = match (&found, self.config.auth) {
            (Some(Credential::Token(_)), auth) => auth == Auth::Bearer,
            (Some(Credential::Password(_)), auth) => auth != Auth::Bearer,
            (None, _) => false,
        };
        if fits {
            return Ok(found);
        }
        let wanted = if self.config.auth == Auth::Bearer { "a token" } else { "a username and a password" };
        Err(SourceError::NoCredentials(format!("agent {} needs {wanted}", ask.agent)))
    }

    /// One request, with the client of its session.
    async fn get(&self, client: &reqwest::Client, url: Url, ask: &Ask, credential: Option<&Credential>) -> Answer {
        let mark = hex::encode(&Sha256::digest(url.as_str())[..4]);
        let request = with_credential(client.get(url), self.config.auth, credential);
        let response = with_condition(request, ask, &mark).send().await.map_err(|error| sent(&error, ask))?;
        if self.config.auth == Auth::Form && self.sessions.is_login(response.url()) {
            return Err(SourceError::Expired(format!("{ask}: the server sent us to its log-in page")));
        }
        let status = response.status();
        let said = format!("{ask}: the server answered {status}");
        match status {
            StatusCode::NOT_MODIFIED if ask.known.is_some() => return Ok(Fetched::Unchanged),
            StatusCode::UNAUTHORIZED if self.config.auth == Auth::Form => return Err(SourceError::Expired(said)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(SourceError::Refused(said)),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(SourceError::NotFound(ask.to_string())),
            // a part of a report, or none, is not the report
            StatusCode::OK => {}
            status if status.is_success() => return Err(SourceError::NotAReport(said)),
            _ => return Err(SourceError::Unreachable(said)),
        }
        let version = version(&response).map(|version| format!("{mark}:{version}"));
        let bytes = self.body(response, ask).await?;
        check(&bytes, ask)?;
        Ok(Fetched::New { bytes, version })
    }

    async fn body(&self, response: Response, ask: &Ask) -> Result<Vec<u8>, SourceError> {
        let too_large = |bytes| SourceError::TooLarge { place: ask.to_string(), bytes, limit: self.limit };
        let size = response.content_length();
        if let Some(size) = size.filter(|size| *size > self.limit) {
            return Err(too_large(size));
        }
        let mut parts = response.bytes_stream();
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.map_err(|error| sent(&error, ask))?);
            let come = bytes.len() as u64;
            if come > self.limit {
                return Err(too_large(come));
            }
            (ask.progress)(come, size);
        }
        Ok(bytes)
    }
}

type Answer = Result<Fetched, SourceError>;

fn with_credential(request: RequestBuilder, auth: Auth, credential: Option<&Credential>) -> RequestBuilder {
    match (auth, credential) {
        (Auth::Basic, Some(Credential::Password(one))) => {
            request.basic_auth(&one.username, Some(one.password.expose_secret()))
        }
        (Auth::Bearer, Some(Credential::Token(one))) => request.bearer_auth(one.token.expose_secret()),
        // a form's were shown before, and answered with a cookie
        (Auth::None | Auth::Basic | Auth::Bearer | Auth::Form, _) => request,
    }
}

/// Asks for what is newer than the known version, if that is one of this server's and of this URL's.
fn with_condition(request: RequestBuilder, ask: &Ask, mark: &str) -> RequestBuilder {
    let known = ask.known.as_deref().and_then(|known| known.strip_prefix(mark)?.strip_prefix(':'));
    match known.and_then(|known| known.split_once(':')) {
        Some((ETAG, tag)) => request.header(header::IF_NONE_MATCH, tag),
        Some((TIME, time)) => request.header(header::IF_MODIFIED_SINCE, time),
        Some(_) | None => request,
    }
}

fn version(response: &Response) -> Option<String> {
    let of = |name| response.headers().get(name)?.to_str().ok();
    let tag = of(header::ETAG).map(|tag| format!("{ETAG}:{tag}"));
    // a time has whole seconds: what was made in the same second as it was sent may be made again in it
    let is_settled = |made: &&str| Some(*made) != of(header::DATE);
    tag.or_else(|| of(header::LAST_MODIFIED).filter(is_settled).map(|time| format!("{TIME}:{time}")))
}

#[async_trait]
impl Source for HttpSource {
    async fn fetch(&self, ask: &Ask) -> Answer {
        let url = self.config.url(ask)?;
        let credential = self.credential(ask).await?;
        let (Auth::Form, Some(known)) = (self.config.auth, &credential) else {
            let client = self.client.shared(&self.shared)?;
            return self.get(&client, url, ask, credential.as_ref()).await;
        };
        let session = self.sessions.of(&ask.agent, known).await?;
        match self.get(&session.client, url.clone(), ask, None).await {
            Err(SourceError::Expired(text)) => {
                tracing::info!(agent = %ask.agent, "{text}: logging in afresh");
                let fresh = self.sessions.renew(&ask.agent, known, &session).await?;
                self.get(&fresh.client, url, ask, None).await
            }
            answer => answer,
        }
    }
}

//! An ERP over HTTP: one fresh log-in at once where a session has expired, redirects within known hosts alone.

mod config;
mod places;
mod session;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, FixedOffset, TimeDelta};
use futures_util::StreamExt as _;
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderMap},
};
use secrecy::ExposeSecret as _;
use sha2::{Digest, Sha256};

pub use config::{Auth, HttpConfig, LoginConfig};

use super::{Ask, Credential, Credentials, Fetched, Source, SourceError, guarded::check, refused::Refused};
use places::Places;
use session::{Client, Sessions, sent};

/// No source is left alone for longer, whatever it asks for.
const LONGEST_REST: Duration = Duration::from_hours(24);
/// A report that was made so shortly before it was sent may be made again within the same second.
const SETTLED: TimeDelta = TimeDelta::seconds(2);

/// Reports of an HTTP server.
pub struct HttpSource {
    config: HttpConfig,
    client: Client,
    shared: OnceLock<reqwest::Client>,
    sessions: Sessions,
    credentials: Arc<dyn Credentials>,
    refused: Arc<Refused>,
    limit: u64,
}

impl HttpSource {
    /// Reports as `config` says, of at most `limit` bytes each.
    ///
    /// # Errors
    /// The key of `[source.http]` that makes no sense, and why.
    pub fn new(config: HttpConfig, credentials: Arc<dyn Credentials>, limit: u64) -> Result<Self, String> {
        let silence = if config.silence_ms == 0 { 30_000 } else { config.silence_ms };
        let client = Client {
            places: Arc::new(Places::of(&config)?),
            silence: Duration::from_millis(silence),
            proxy: config.proxy.clone(),
        };
        let refused = Arc::new(Refused::default());
        let sessions = Sessions::new(config.login.clone(), client.clone(), refused.clone());
        // what cannot be made is known at the start
        client.build(true).map_err(|why| format!("report_url: no client can be made for it: {why}"))?;
        Ok(Self { config, client, shared: OnceLock::new(), sessions, credentials, refused, limit })
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
        if let Some(known) = found.filter(|_| fits) {
            self.refused.check(&ask.agent, &known)?;
            return Ok(Some(known));
        }
        let wanted = if self.config.auth == Auth::Bearer { "a token" } else { "a username and a password" };
        Err(SourceError::NoCredentials(format!("agent {} needs {wanted}", ask.agent)))
    }

    /// One request, with the client of its session.
    async fn get(&self, client: &reqwest::Client, url: Url, ask: &Ask, credential: Option<&Credential>) -> Answer {
        // a version belongs to the URL, and to whom it was shown to
        let shown_to = credential.map(Credential::digest).unwrap_or_default();
        let mark = hex::encode(&Sha256::digest([url.as_str().as_bytes(), &shown_to].concat())[..8]);
        let known = ask.known.as_deref().and_then(|known| known.strip_prefix(&mark)?.strip_prefix(':'));
        let mut request = with_credential(client.get(url.clone()), self.config.auth, credential);
        if let Some(tag) = known {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let response = request.send().await.map_err(|error| sent(&error, ask))?;
        if self.config.auth == Auth::Form && *response.url() != url && self.sessions.is_login(response.url()) {
            return Err(SourceError::Expired(format!("{ask}: the server sent us to its log-in page")));
        }
        let status = response.status();
        let said = format!("{ask}: the server answered {status}");
        match status {
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Fetched::Unchanged),
            StatusCode::UNAUTHORIZED if self.config.auth == Auth::Form => return Err(SourceError::Expired(said)),
            StatusCode::UNAUTHORIZED => {
                if let Some(known) = credential {
                    self.refused.note(&ask.agent, known);
                }
                return Err(SourceError::Refused(said));
            }
            StatusCode::FORBIDDEN => return Err(SourceError::Refused(said)),
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(SourceError::NotFound(ask.to_string())),
            // a part of a report, or none, is not the report
            StatusCode::OK => {}
            status if status.is_success() => return Err(SourceError::NotAReport(said)),
            _ => return Err(unavailable(said, response.headers())),
        }
        let version = tag(response.headers()).map(|tag| format!("{mark}:{tag}"));
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

/// An answer that another attempt may not get: at once, or when the server says.
fn unavailable(said: String, headers: &HeaderMap) -> SourceError {
    let after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|value| {
        let seconds = value.trim().parse::<u64>().ok().map(Duration::from_secs);
        let until = || (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - chrono::Utc::now()).to_std().ok();
        seconds.or_else(until)
    });
    match after {
        Some(after) if !after.is_zero() => SourceError::Busy { said, after: after.min(LONGEST_REST) },
        _ => SourceError::Unreachable(said),
    }
}

/// The tag by which a server tells whether its report is still the same: a strong one, of a report that was not
/// made just now. A time alone is none: it has whole seconds, and goes backwards where an older file is put back.
fn tag(headers: &HeaderMap) -> Option<&str> {
    let of = |name| headers.get(name)?.to_str().ok();
    let time = |name| DateTime::parse_from_rfc2822(of(name)?).ok();
    let is_young = |made: DateTime<FixedOffset>| time(header::DATE).is_none_or(|sent| sent - made < SETTLED);
    let tag = of(header::ETAG).filter(|tag| !tag.starts_with("W/"))?;
    time(header::LAST_MODIFIED).is_none_or(|made| !is_young(made)).then_some(tag)
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
        let mut session = self.sessions.of(&ask.agent, known).await?;
        let mut answer = self.get(&session.client, url.clone(), ask, Some(known)).await;
        // a session may also end with a page like any other
        let has_ended = |error: &SourceError| match error {
            SourceError::Expired(_) => session.may_be_renewed(),
            SourceError::NotAReport(_) => session.once_worked(),
            _ => false,
        };
        if let Err(text) = &answer
            && has_ended(text)
        {
            tracing::info!(agent = %ask.agent, "{text}: logging in afresh");
            session = self.sessions.renew(&ask.agent, known, &session).await?;
            answer = self.get(&session.client, url, ask, Some(known)).await;
        }
        if answer.is_ok() {
            session.has_worked();
        }
        answer
    }
}

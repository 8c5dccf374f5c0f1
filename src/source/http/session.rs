//! How is one logged in? A form, answered with cookies; a session is kept, and renewed before it ends.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use reqwest::{StatusCode, Url, redirect};
use scraper::{Html, Selector};
use secrecy::ExposeSecret as _;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{Credential, LoginConfig, Refused, SourceError};
use crate::domain::{AgentId, text::on_record};

/// Redirects that one request may follow.
const REDIRECTS: usize = 10;
/// How long a log-in that did not help is not repeated.
const REST: Duration = Duration::from_mins(10);
/// The largest page that is looked at on the way in.
const PAGE: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(10);

/// How clients are made: cookies of their own, redirects to known hosts alone.
#[derive(Clone)]
pub(super) struct Client {
    pub hosts: Arc<[String]>,
    pub silence: Duration,
}

impl Client {
    /// A client that keeps cookies, of which it has none yet; or one that keeps none.
    pub fn build(&self, cookies: bool) -> Result<reqwest::Client, String> {
        let hosts = self.hosts.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            let is_known = attempt.url().host_str().is_some_and(|host| hosts.iter().any(|known| known == host));
            let was_safe = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
            if attempt.previous().len() > REDIRECTS {
                attempt.error("redirected again and again")
            } else if !is_known {
                let host = attempt.url().host_str().unwrap_or_default().to_owned();
                attempt.error(format!("redirected to {host}, which source.http.allow_hosts does not name"))
            } else if was_safe && attempt.url().scheme() != "https" {
                attempt.error("redirected from https to http")
            } else {
                attempt.follow()
            }
        });
        let client = crate::http::client().cookie_store(cookies).redirect(policy);
        client.connect_timeout(CONNECT).read_timeout(self.silence).build().map_err(|error| crate::http::why(&error))
    }

    /// The client of all who have no session: no agent's cookie may reach another.
    pub fn shared(&self, cell: &OnceLock<reqwest::Client>) -> Result<reqwest::Client, SourceError> {
        if let Some(client) = cell.get() {
            return Ok(client.clone());
        }
        let client = self.build(false).map_err(SourceError::Unreachable)?;
        Ok(cell.get_or_init(|| client).clone())
    }
}

/// What an error of a request means.
pub(super) fn sent(error: &reqwest::Error, what: &impl std::fmt::Display) -> SourceError {
    let text = format!("{what}: {}", on_record(&crate::http::why(error)));
    if error.is_redirect() { SourceError::Refused(text) } else { SourceError::Unreachable(text) }
}

/// One agent logged in.
pub(super) struct Session {
    /// Has the cookies.
    pub client: reqwest::Client,
    opened: Instant,
    credential: [u8; 32],
    worked: AtomicBool,
}

impl Session {
    /// May one log in afresh because of a log-in page? Not soon after a log-in that did not help: that locks
    /// accounts, and it is not the session that is wrong.
    pub fn may_be_renewed(&self) -> bool {
        self.worked.load(Ordering::Relaxed) || self.opened.elapsed() >= REST
    }

    /// It has brought something.
    pub fn has_worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }
}

type Slot = Arc<AsyncMutex<Option<Arc<Session>>>>;

/// The sessions of all agents.
pub(super) struct Sessions {
    login: LoginConfig,
    client: Client,
    slots: Mutex<HashMap<AgentId, Slot>>,
    refused: Arc<Refused>,
}

impl Sessions {
    pub fn new(login: LoginConfig, client: Client, refused: Arc<Refused>) -> Self {
        Self { login, client, slots: Mutex::default(), refused }
    }

    fn slot(&self, agent: &AgentId) -> Slot {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(agent.clone()).or_default().clone()
    }

    /// The agent's session: the open one, unless it is about to end or belongs to other credentials.
    pub async fn of(&self, agent: &AgentId, credential: &Credential) -> Result<Arc<Session>, SourceError> {
        let slot = self.slot(agent);
        let mut slot = slot.lock().await;
        let life = Duration::from_secs(self.login.session_minutes * 60) * 9 / 10;
        let is_fresh = |session: &Session| {
            session.credential == credential.digest() && (life.is_zero() || session.opened.elapsed() < life)
        };
        match &*slot {
            Some(session) if is_fresh(session) => Ok(session.clone()),
            _ => self.open(agent, credential, &mut slot).await,
        }
    }

    /// A session in place of `stale`, unless somebody has renewed it meanwhile.
    pub async fn renew(
        &self,
        agent: &AgentId,
        credential: &Credential,
        stale: &Arc<Session>,
    ) -> Result<Arc<Session>, SourceError> {
        let slot = self.slot(agent);
        let mut slot = slot.lock().await;
        match &*slot {
            Some(session) if !Arc::ptr_eq(session, stale) => Ok(session.clone()),
            _ => self.open(agent, credential, &mut slot).await,
        }
    }

    /// Does this URL ask to log in?
    pub fn is_login(&self, url: &Url) -> bool {
        let is_there = |own: &String| {
            let Ok(own) = Url::parse(own) else { return false };
            let place =
                |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default(), url.path().to_owned());
            place(&own) == place(url) && (own.query().is_none() || own.query() == url.query())
        };
        is_there(&self.login.url) || is_there(&self.login.page_url)
    }

    async fn open(
        &self,
        agent: &AgentId,
        credential: &Credential,
        slot: &mut Option<Arc<Session>>,
    ) -> Result<Arc<Session>, SourceError> {
        *slot = None;
        let opened = self.log_in(agent, credential).await;
        if matches!(opened, Err(SourceError::Refused(_))) {
            self.refused.note(agent, credential);
        }
        let session = Session {
            client: opened?,
            opened: Instant::now(),
            credential: credential.digest(),
            worked: AtomicBool::new(false),
        };
        Ok(slot.insert(Arc::new(session)).clone())
    }

    async fn log_in(&self, agent: &AgentId, credential: &Credential) -> Result<reqwest::Client, SourceError> {
        let what = format!("the log-in of agent {agent}");
        let Credential::Password(known) = credential else {
            return Err(SourceError::NoCredentials(format!("{what} needs a username and a password")));
        };
        let client = self.client.build(true).map_err(SourceError::Unreachable)?;
        let mut fields = BTreeMap::new();
        if !self.login.page_url.is_empty() {
            let page = client.get(&self.login.page_url).send().await.and_then(reqwest::Response::error_for_status);
            let page = page_of(page.map_err(|error| sent(&error, &what))?, &what).await?;
            fields.extend(hidden_fields(&page));
        }
        let given = self.login.fields.iter();
        fields.extend(given.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())));
        fields.insert(self.login.username_field.clone(), known.username.clone());
        fields.insert(self.login.password_field.clone(), known.password.expose_secret().to_owned());
        let answer = client.post(&self.login.url).form(&fields).send().await.map_err(|error| sent(&error, &what))?;
        let status = answer.status();
        let said = format!("{what}: the server answered {status}");
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(SourceError::Unreachable(said));
        }
        let page = page_of(answer, &what).await?;
        if status.is_client_error() || asks_for_password(&page) {
            return Err(SourceError::Refused(format!("{said} and did not accept the credentials")));
        }
        if !status.is_success() {
            return Err(SourceError::Unreachable(said));
        }
        Ok(client)
    }
}

/// A page's text, as far as it is looked at: what is longer is no page of a log-in.
async fn page_of(answer: reqwest::Response, what: &str) -> Result<String, SourceError> {
    let mut parts = answer.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part.map_err(|error| sent(&error, &what))?);
        if bytes.len() > PAGE {
            return Err(SourceError::NotAReport(format!("{what}: the server sent more than {PAGE} bytes as a page")));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The hidden fields of a page's forms: what a browser would send along.
fn hidden_fields(page: &str) -> BTreeMap<String, String> {
    let Ok(hidden) = Selector::parse("form input[type=hidden][name]") else { return BTreeMap::new() };
    let page = Html::parse_document(page);
    let field = |input: scraper::ElementRef<'_>| {
        Some((input.attr("name")?.to_owned(), input.attr("value").unwrap_or_default().to_owned()))
    };
    page.select(&hidden).filter_map(field).collect()
}

fn asks_for_password(page: &str) -> bool {
    let password = Selector::parse("input[type=password]");
    password.is_ok_and(|password| Html::parse_document(page).select(&password).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_a_browser_reads_it() {
        let page = "<form><input TYPE='hidden' name=token value='a&amp;b'><input type=hidden name=empty>\
                    <input name=user><INPUT type=password name=p></form><p>hidden: login password</p>";
        let fields = hidden_fields(page);
        assert_eq!(fields, [("empty", ""), ("token", "a&b")].map(|(k, v)| (k.into(), v.into())).into());
        assert!(asks_for_password(page));
        assert!(!asks_for_password("<p>Last login: today. Change your password? <a>Log out</a></p>"));
    }
}

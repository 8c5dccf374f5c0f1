//! How is one logged in? A form, answered with cookies; a session is kept, and renewed before it ends.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use reqwest::{StatusCode, Url, redirect};
use scraper::{Html, Selector};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{Credential, LoginConfig, Refused, SourceError, places::Places};
use crate::domain::{AgentId, text::on_record};

/// Redirects that one request may follow.
const REDIRECTS: usize = 10;
/// How long a log-in that did not help is not repeated.
const REST: Duration = Duration::from_mins(10);
/// The largest page that is looked at on the way in.
const PAGE: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(10);

/// How clients are made: cookies of their own, redirects to known places alone.
#[derive(Clone)]
pub(super) struct Client {
    pub places: Arc<Places>,
    pub silence: Duration,
    pub proxy: Option<SecretString>,
}

impl Client {
    /// A client that keeps cookies, of which it has none yet; or one that keeps none.
    pub(crate) fn build(&self, cookies: bool) -> Result<reqwest::Client, String> {
        let places = self.places.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            let is_known = places.allow(attempt.url());
            let was_safe = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
            if attempt.previous().len() > REDIRECTS {
                attempt.error("redirected again and again")
            } else if !is_known {
                let place = attempt.url().origin().ascii_serialization();
                attempt.error(format!("redirected to {place}, which source.http.allow_hosts does not name"))
            } else if was_safe && attempt.url().scheme() != "https" {
                attempt.error("redirected from https to http")
            } else {
                attempt.follow()
            }
        });
        // what a page is called may say more than its server should tell others
        let mut client = crate::http::client().cookie_store(cookies).redirect(policy).referer(false);
        if let Some(proxy) = &self.proxy {
            let proxy = reqwest::Proxy::all(proxy.expose_secret());
            client = client.proxy(proxy.map_err(|error| crate::http::why(&error))?);
        }
        client.connect_timeout(CONNECT).read_timeout(self.silence).build().map_err(|error| crate::http::why(&error))
    }

    /// The client of all who have no session: no agent's cookie may reach another.
    pub(crate) fn shared(&self, cell: &OnceLock<reqwest::Client>) -> Result<reqwest::Client, SourceError> {
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
    pub(crate) fn may_be_renewed(&self) -> bool {
        self.worked.load(Ordering::Relaxed) || self.opened.elapsed() >= REST
    }

    /// Has it ever brought something?
    pub(crate) fn once_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    /// It has brought something.
    pub(crate) fn has_worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }
}

type Slot = Arc<AsyncMutex<Option<Arc<Session>>>>;

/// The sessions of all accounts: agents may share one, and a second log-in may end the first.
pub(super) struct Sessions {
    login: LoginConfig,
    client: Client,
    /// By the credentials' digest.
    slots: Mutex<HashMap<[u8; 32], Slot>>,
    refused: Arc<Refused>,
}

impl Sessions {
    pub(crate) fn new(login: LoginConfig, client: Client, refused: Arc<Refused>) -> Self {
        Self { login, client, slots: Mutex::default(), refused }
    }

    fn slot(&self, credential: &Credential) -> Slot {
        self.slots.lock().entry(credential.digest()).or_default().clone()
    }

    /// The agent's session: the open one, unless it is about to end or belongs to other credentials.
    pub(crate) async fn of(&self, agent: &AgentId, credential: &Credential) -> Result<Arc<Session>, SourceError> {
        let slot = self.slot(credential);
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
    pub(crate) async fn renew(
        &self,
        agent: &AgentId,
        credential: &Credential,
        stale: &Arc<Session>,
    ) -> Result<Arc<Session>, SourceError> {
        let slot = self.slot(credential);
        let mut slot = slot.lock().await;
        match &*slot {
            Some(session) if !Arc::ptr_eq(session, stale) => Ok(session.clone()),
            _ => self.open(agent, credential, &mut slot).await,
        }
    }

    /// Does this URL ask to log in?
    pub(crate) fn is_login(&self, url: &Url) -> bool {
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
        let mut target = self.login.url.clone();
        let mut passwords = vec![self.login.password_field.clone()];
        if !self.login.page_url.is_empty() {
            let page = client.get(&self.login.page_url).send().await.and_then(reqwest::Response::error_for_status);
            let page = page.map_err(|error| sent(&error, &what))?;
            let place = page.url().clone();
            if let Some(form) = Form::to_log_in(&page_of(page, &what).await?, &self.login.password_field) {
                passwords.extend(form.passwords);
                fields.extend(form.hidden);
                // where the form itself goes, if that is the ERP's
                let action = form.action.and_then(|action| place.join(&action).ok());
                if let Some(action) = action.filter(|action| self.client.places.allow(action)) {
                    target = action.into();
                }
            }
        }
        let given = self.login.fields.iter();
        fields.extend(given.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())));
        fields.insert(self.login.username_field.clone(), known.username.clone());
        fields.insert(self.login.password_field.clone(), known.password.expose_secret().to_owned());
        let answer = client.post(&target).form(&fields).send().await.map_err(|error| sent(&error, &what))?;
        let status = answer.status();
        let said = format!("{what}: the server answered {status}");
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(super::unavailable(said, answer.headers()));
        }
        let page = page_of(answer, &what).await?;
        // the form again; a landing page may offer to change the password
        let is_asked_again = Form::all(&page).iter().any(|form| passwords.iter().any(|name| form.asks_for(name)));
        if status.is_client_error() || is_asked_again {
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
        // a form stands near the beginning
        if bytes.len() > PAGE {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A form that asks for a password.
#[derive(Debug, PartialEq)]
struct Form {
    /// Where it goes, if it says so.
    action: Option<String>,
    /// What a browser would send along.
    hidden: BTreeMap<String, String>,
    /// What its password fields are called.
    passwords: Vec<String>,
}

impl Form {
    /// All forms of a page that ask for passwords.
    fn all(page: &str) -> Vec<Self> {
        let (Ok(forms), Ok(inputs)) = (Selector::parse("form"), Selector::parse("input")) else { return Vec::new() };
        let of_kind = |form: scraper::ElementRef<'_>, kind: &str| -> Vec<(String, String)> {
            let is_kind =
                |input: &scraper::ElementRef<'_>| input.attr("type").is_some_and(|of| of.eq_ignore_ascii_case(kind));
            let text = |input: scraper::ElementRef<'_>, name: &str| input.attr(name).unwrap_or_default().to_owned();
            form.select(&inputs).filter(is_kind).map(|input| (text(input, "name"), text(input, "value"))).collect()
        };
        let form = |form: scraper::ElementRef<'_>| {
            let action = form.attr("action").map(str::trim).filter(|action| !action.is_empty()).map(str::to_owned);
            let hidden = of_kind(form, "hidden").into_iter().filter(|(name, _)| !name.is_empty()).collect();
            let passwords: Vec<String> = of_kind(form, "password").into_iter().map(|(name, _)| name).collect();
            (!passwords.is_empty()).then_some(Self { action, hidden, passwords })
        };
        Html::parse_document(page).select(&forms).filter_map(form).collect()
    }

    /// The one to log in with: that has the field `password`, else one with a single password.
    fn to_log_in(page: &str, password: &str) -> Option<Self> {
        let mut forms = Self::all(page);
        let named = forms.iter().position(|form| form.asks_for(password));
        let at = named.or_else(|| forms.iter().position(|form| form.passwords.len() == 1))?;
        Some(forms.swap_remove(at))
    }

    fn asks_for(&self, password: &str) -> bool {
        self.passwords.iter().any(|name| name == password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_password_is_read_as_a_browser_reads_it() {
        let page = "<form action=/search><input type=hidden name=q value=x></form>\
                    <form action='/in?s=1'><input TYPE='hidden' name=token value='a&amp;b'><input type=hidden name=empty>\
                    <input name=user><INPUT type=password name=p></form><p>hidden: login password</p>";
        let form = Form::to_log_in(page, "p").unwrap();
        assert_eq!(form.hidden, [("empty", ""), ("token", "a&b")].map(|(k, v)| (k.into(), v.into())).into());
        assert_eq!((form.action.as_deref(), form.asks_for("p")), (Some("/in?s=1"), true));
        assert_eq!(Form::all("<p>Last login: today. Change your password? <a>Log out</a></p>"), []);
        let landing = "<form action=/change><input type=password name=new><input type=password name=again></form>";
        assert!(Form::to_log_in(landing, "p").is_none(), "a form to change the password asks for no log-in");
    }
}

//! Who asks? By a token, by the session of a page, or by what a trusted proxy says.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time},
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use parking_lot::Mutex;

use super::{Api, Problem, trace::request_id};
use crate::{
    domain::{
        Agents, Caller, Cause, Holder, Keys, Role, Token,
        session::LIFE,
        text::{NAME, plain_text},
    },
    store::{PageSession, token_hash},
};

/// A token that was looked up is believed for so long: another process may have revoked it.
const BELIEVED: Duration = Duration::from_secs(1);
/// Tokens that are remembered.
const TOKENS: usize = 1_000;
const COOKIE: &str = "lockstep_session";
/// Browsers take such a cookie from the host itself alone, and over TLS alone.
const SECURE_COOKIE: &str = "__Host-lockstep_session";

/// Whom a proxy lets in, by the headers that it sets.
#[derive(Debug, Clone)]
pub struct ProxyLogin {
    pub user: HeaderName,
    pub groups: Option<HeaderName>,
    /// The role of each group; the highest counts.
    pub roles: BTreeMap<String, Role>,
    /// The role of those who are in none of them.
    pub otherwise: Option<Role>,
}

impl ProxyLogin {
    fn role(&self, groups: &str) -> Option<Role> {
        let of_groups = groups.split(',').filter_map(|group| self.roles.get(group.trim()).copied());
        of_groups.reduce(|one, other| if one.includes(other) { one } else { other }).or(self.otherwise)
    }
}

/// Somebody who looks at the pages.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub caller: Caller,
    /// What their forms carry.
    pub form_key: String,
    session: PageSession,
}

/// Tokens that were looked up a moment ago, by their hashes.
#[derive(Debug, Default)]
pub struct KnownTokens(Mutex<HashMap<String, (Instant, Token)>>);

impl KnownTokens {
    fn get(&self, hash: &str) -> Option<Token> {
        let known = self.0.lock();
        known.get(hash).filter(|(since, _)| since.elapsed() < BELIEVED).map(|(_, token)| token.clone())
    }

    fn put(&self, hash: String, token: Token) {
        let mut known = self.0.lock();
        if known.len() >= TOKENS {
            known.clear();
        }
        known.insert(hash, (Instant::now(), token));
    }

    /// Looks all of them up again: one was revoked.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

impl Api {
    /// Whoever shows this token, and what their session would hang on; `None` if it is not known, or not any more.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked.
    pub async fn bearer_of(&self, token: &str) -> Result<Option<(Caller, Holder)>, Problem> {
        // hashes are compared, so the time it takes tells nothing of the token
        let hash = token_hash(token);
        if self.admin_token.as_deref() == Some(hash.as_str()) {
            return Ok(Some((Caller::admin("admin"), Holder::AdminToken(hash))));
        }
        let now = self.context.clock.now();
        let mut found = self.known_tokens.get(&hash);
        if found.is_none() {
            found = self.store().token(hash.clone(), now).await?;
            if let Some(token) = &found {
                self.known_tokens.put(hash, token.clone());
            }
        }
        Ok(found.filter(|token| token.is_valid(now)).map(|token| (token.caller(), Holder::Token(token.id))))
    }

    /// Whoever a proxy says that it is.
    ///
    /// # Errors
    /// A 403 where whoever says so is no proxy of ours, or the user has no role here.
    pub fn of_proxy(&self, request: &HttpRequest) -> Result<Option<(Caller, Holder)>, Problem> {
        let Some(login) = &self.proxy_login else { return Ok(None) };
        let headers = request.headers();
        let Some(user) = headers.get(&login.user) else { return Ok(None) };
        let refused = |code: &str, text: String| Err(Problem::new(StatusCode::FORBIDDEN, code, text));
        if !self.site.is_behind_proxy(request.peer_addr()) {
            let text = format!("the header {} counts from a proxy of server.trusted_proxies alone", login.user);
            return refused("untrusted_proxy", text);
        }
        let Some(user) = user.to_str().ok().map(str::trim).filter(|user| plain_text(user, NAME).is_ok()) else {
            return refused("bad_user", format!("the header {} has no usable name", login.user));
        };
        let groups = login.groups.as_ref().and_then(|name| headers.get(name)).and_then(|groups| groups.to_str().ok());
        let Some(role) = login.role(groups.unwrap_or_default()) else {
            return refused("no_role", format!("{user} is in no group that has a role here (auth.proxy.roles)"));
        };
        let name = format!("proxy:{user}");
        let caller = Caller { id: name.clone(), name, role, agents: Agents::All };
        Ok(Some((caller, Holder::Proxy(user.to_owned()))))
    }

    fn cookie_name(&self, request: &HttpRequest) -> &'static str {
        if self.site.is_secure(request) { SECURE_COOKIE } else { COOKIE }
    }

    /// Whose page sent this request; `None` without a session, or with one that is over.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked, or a proxy's word does not count.
    pub async fn visitor(&self, request: &HttpRequest) -> Result<Option<Visitor>, Problem> {
        let Some(cookie) = request.cookie(self.cookie_name(request)) else { return Ok(None) };
        let (keys, now) = (Keys::of(cookie.value()), self.context.clock.now());
        let Some(session) = self.store().session(keys.hash, now).await? else { return Ok(None) };
        let caller = match &session.holder {
            Holder::Token(_) => session.token.as_ref().filter(|token| token.is_valid(now)).map(Token::caller),
            Holder::AdminToken(hash) => {
                self.admin_token.as_ref().filter(|own| *own == hash).map(|_| Caller::admin("admin"))
            }
            Holder::Link => Some(Caller::admin("link")),
            Holder::Proxy(_) => {
                let said = self.of_proxy(request)?;
                said.filter(|(_, holder)| *holder == session.holder).map(|(caller, _)| caller)
            }
        };
        Ok(caller.map(|caller| Visitor { caller, form_key: keys.form_key, session }))
    }

    /// Lets a browser in: answers the cookie that it is to keep.
    ///
    /// # Errors
    /// [`Problem`] if the session cannot be stored.
    pub async fn let_in(
        &self,
        request: &HttpRequest,
        (caller, holder): (&Caller, Holder),
    ) -> Result<(Cookie<'static>, String), Problem> {
        let secret = Keys::secret().map_err(no_random)?;
        let (keys, now) = (Keys::of(&secret), self.context.clock.now());
        self.store().by(self.cause(request, caller), now).begin_session(keys.hash, holder, now).await?;
        Ok((self.cookie(request, secret, LIFE.num_seconds()), keys.form_key))
    }

    /// Lets whoever follows a one-time link in.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked.
    pub async fn follow_link(&self, request: &HttpRequest, key: &str) -> Result<Option<Cookie<'static>>, Problem> {
        if !self.store().follow_login_link(Keys::of(key).hash, self.context.clock.now()).await? {
            return Ok(None);
        }
        Ok(Some(self.let_in(request, (&Caller::admin("link"), Holder::Link)).await?.0))
    }

    /// Ends a session, or all that were begun by the same token, link or user; answers the cookie that is no more.
    ///
    /// # Errors
    /// [`Problem`] if the database cannot be asked.
    pub async fn let_out(
        &self,
        request: &HttpRequest,
        visitor: Visitor,
        everywhere: bool,
    ) -> Result<Cookie<'static>, Problem> {
        let store = self.store().by(self.cause(request, &visitor.caller), self.context.clock.now());
        store.end_session(visitor.session, everywhere).await?;
        Ok(self.cookie(request, String::new(), 0))
    }

    fn cookie(&self, request: &HttpRequest, value: String, seconds: i64) -> Cookie<'static> {
        let (name, is_secure) = (self.cookie_name(request), self.site.is_secure(request));
        let cookie = Cookie::build(name, value).path("/").http_only(true).same_site(SameSite::Strict);
        cookie.secure(is_secure).max_age(time::Duration::seconds(seconds)).finish()
    }

    /// Who asks for what this request changes, for the audit.
    #[must_use]
    pub fn cause(&self, request: &HttpRequest, caller: &Caller) -> Cause {
        Cause {
            who: caller.name.clone(),
            from: self.site.client(request).map(|client| client.to_string()),
            request_id: Some(request_id(request)),
        }
    }
}

/// The system gives no random numbers.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn no_random(error: crate::domain::random::NoRandom) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no_random", error.to_string())
}

/// The token of a request: `Authorization: Bearer ...`, in any case.
pub(super) fn bearer(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_role_of_somebodys_groups_counts() {
        let login = ProxyLogin {
            user: "remote-user".parse().unwrap(),
            groups: None,
            roles: [("staff", Role::Viewer), ("boss", Role::Admin), ("office", Role::Operator)]
                .map(|(group, role)| (group.to_owned(), role))
                .into(),
            otherwise: None,
        };
        assert_eq!(login.role("staff, office"), Some(Role::Operator));
        assert_eq!(login.role("boss,staff"), Some(Role::Admin));
        assert_eq!(login.role("cooks"), None);
        assert_eq!(ProxyLogin { otherwise: Some(Role::Viewer), ..login }.role(""), Some(Role::Viewer));
    }
}

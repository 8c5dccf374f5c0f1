//! `[source.http]`: which URLs has the ERP, and how is one logged in there?

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::super::{Ask, SourceError, Wanted};
use crate::domain::text::choice;

/// What stays as it is within a part of a URL (RFC 3986, unreserved).
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `[source.http]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the report of `{type}` for `{agent}` is.
    pub report_url: String,
    /// `[source.http.report_urls]`: for types whose reports are elsewhere.
    pub report_urls: BTreeMap<String, String>,
    /// Where the document `{number}` of the kind `{folder}` is.
    pub document_url: Option<String>,
    /// `[source.http.document_urls]`: for kinds whose documents are elsewhere.
    pub document_urls: BTreeMap<String, String>,
    /// How credentials are shown.
    pub auth: Auth,
    /// `[source.http.login]`, for `auth = "form"`.
    pub login: LoginConfig,
    /// Hosts to which redirects may lead, besides those of the URLs.
    #[serde(deserialize_with = "crate::domain::text::list")]
    pub allow_hosts: Vec<String>,
    /// How long a server may be silent, in milliseconds; 0 is 30 s.
    pub silence_ms: u64,
    /// The proxy that leads to the ERP, `http://...`; none if it is reached directly.
    pub proxy: Option<SecretString>,
}

/// How credentials are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// With each request, name and password.
    Basic,
    /// With each request, a token.
    Bearer,
    /// Once, in a form; then a cookie.
    Form,
}

impl TryFrom<String> for Auth {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        choice(&text, &[("none", Auth::None), ("basic", Auth::Basic), ("bearer", Auth::Bearer), ("form", Auth::Form)])
    }
}

/// `[source.http.login]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginConfig {
    /// Where the form goes.
    pub url: String,
    /// The field of the name.
    pub username_field: String,
    /// The field of the password.
    pub password_field: String,
    /// Fields that are sent along; some forms want a secret of their own.
    pub fields: BTreeMap<String, SecretString>,
    /// A page to fetch first, for its cookies and its hidden fields; none if empty.
    pub page_url: String,
    /// How long a session lives; it is renewed when nine tenths of that are over. 0: until the ERP says.
    pub session_minutes: u64,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            username_field: "username".to_owned(),
            password_field: "password".to_owned(),
            fields: BTreeMap::new(),
            page_url: String::new(),
            session_minutes: 0,
        }
    }
}

impl HttpConfig {
    /// Every URL with its key: all are checked at the start.
    fn urls(&self) -> impl Iterator<Item = (String, &str)> {
        let reports = self.report_urls.iter().map(|(name, url)| (format!("report_urls.{name}"), url.as_str()));
        let documents = self.document_urls.iter().map(|(name, url)| (format!("document_urls.{name}"), url.as_str()));
        let single = [
            ("report_url", Some(self.report_url.as_str())),
            ("document_url", self.document_url.as_deref()),
            ("login.url", Some(self.login.url.as_str()).filter(|_| self.auth == Auth::Form)),
            ("login.page_url", Some(self.login.page_url.as_str()).filter(|url| !url.is_empty())),
        ];
        let single = single.into_iter().filter_map(|(key, url)| Some((key.to_owned(), url?)));
        single.chain(reports).chain(documents)
    }

    /// The origins of all URLs: scheme, host and port.
    ///
    /// # Errors
    /// The key that makes no sense, and why.
    pub(super) fn origins(&self) -> Result<Vec<String>, String> {
        if let Some(proxy) = &self.proxy {
            reqwest::Proxy::all(proxy.expose_secret()).map_err(|_| "proxy: it is no URL of a proxy".to_owned())?;
        }
        let mut origins = Vec::new();
        for (key, url) in self.urls() {
            let filled = fill(url, |_| Some("x"));
            let filled = filled.map_err(|name| format!("{key}: '{{{name}}}' is no name that can be put in"))?;
            let url = Url::parse(&filled).map_err(|error| format!("{key}: {error}"))?;
            if url.host_str().is_none() || !matches!(url.scheme(), "http" | "https") {
                return Err(format!("{key}: must begin with http:// or https:// and a host"));
            }
            origins.push(url.origin().ascii_serialization());
        }
        Ok(origins)
    }

    /// Where what was asked for is.
    pub(super) fn url(&self, ask: &Ask) -> Result<Url, SourceError> {
        let (template, names): (&str, Vec<(&str, &str)>) = match &ask.wanted {
            Wanted::Report(sync_type) => {
                let own = self.report_urls.get(sync_type.as_str()).unwrap_or(&self.report_url);
                (own, vec![("type", sync_type.as_str()), ("agent", ask.agent.as_str())])
            }
            Wanted::Document { folder, number } => {
                let own = self.document_urls.get(folder.as_str()).or(self.document_url.as_ref());
                let own = own.ok_or_else(|| SourceError::NotFound(format!("no document_url is set for {folder}")))?;
                (own, vec![("folder", folder), ("number", number), ("agent", ask.agent.as_str())])
            }
        };
        // a part of dots would lead upwards
        let dots = |value: &str| value.is_empty() || value.bytes().all(|byte| byte == b'.');
        if let Some((_, bad)) = names.iter().find(|(_, value)| dots(value)) {
            return Err(SourceError::BadName((*bad).to_owned()));
        }
        let value = |name: &str| names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let filled = fill(template, value).map_err(|name| SourceError::BadName(format!("{{{name}}}")))?;
        Url::parse(&filled).map_err(|error| SourceError::BadName(format!("{template}: {error}")))
    }
}

/// Puts values into a template's `{names}`, encoded as parts of a URL; the name that has no value otherwise.
fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or_else(|| after.to_owned())?;
        filled.push_str(before);
        let known = ["type", "agent", "folder", "number"].contains(&name);
        let value = value(name).filter(|_| known).ok_or_else(|| name.to_owned())?;
        filled.extend(utf8_percent_encode(value, PART));
        rest = behind;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HttpConfig {
        HttpConfig {
            report_url: "https://erp.example/export/{type}?for={agent}".to_owned(),
            report_urls: [("prices".to_owned(), "https://prices.example/all".to_owned())].into(),
            document_url: Some("https://erp.example/{folder}/{number}.pdf".to_owned()),
            ..HttpConfig::default()
        }
    }

    #[test]
    fn urls_are_made_of_names_that_cannot_lead_elsewhere() {
        let report = |name: &str, agent: &str| config().url(&Ask::report(&name.into(), &agent.into()));
        assert_eq!(report("orders", "a&b=c").unwrap().as_str(), "https://erp.example/export/orders?for=a%26b%3Dc");
        assert_eq!(report("prices", "a").unwrap().as_str(), "https://prices.example/all");
        let document = |number: &str| config().url(&Ask::document("ddt", &"a".into(), number));
        assert_eq!(document("D/7 é").unwrap().as_str(), "https://erp.example/ddt/D%2F7%20%C3%A9.pdf");
        assert_eq!(document("../../x").unwrap().as_str(), "https://erp.example/ddt/..%2F..%2Fx.pdf");
        assert!(matches!(document(".."), Err(SourceError::BadName(_))));
        assert!(matches!(report("..", "a"), Err(SourceError::BadName(_))));
    }

    #[test]
    fn mistakes_are_named_by_key() {
        let (erp, prices) = ("https://erp.example", "https://prices.example");
        assert_eq!(config().origins().unwrap(), [erp, erp, prices]);
        let with = |change: fn(&mut HttpConfig)| {
            let mut config = config();
            change(&mut config);
            config.origins().unwrap_err()
        };
        assert!(with(|config| config.report_url = "/x".into()).starts_with("report_url: "));
        assert!(with(|config| config.report_url = "ftp://x/y".into()).starts_with("report_url: must begin"));
        assert!(with(|config| config.auth = Auth::Form).starts_with("login.url: "));
        let unknown = with(|config| config.document_url = Some("https://x/{colour}".into()));
        assert_eq!(unknown, "document_url: '{colour}' is no name that can be put in");
    }
}

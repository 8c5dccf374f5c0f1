//! `[server]` and `[auth]`: where does it listen, how is it reached, and who is let in by whom?

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::SettingsError;
use crate::{
    api::{ProxyLogin, Site, TlsFiles},
    domain::Role,
};

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where to listen.
    pub host: String,
    /// 0 picks a free port.
    pub port: u16,
    /// Its address for users.
    pub public_url: Option<String>,
    /// Listen for others without TLS.
    pub insecure: bool,
    /// Further names by which it is reached.
    #[serde(deserialize_with = "words")]
    pub allowed_hosts: Vec<String>,
    /// Addresses or networks of proxies whose word of the client counts.
    #[serde(deserialize_with = "words")]
    pub trusted_proxies: Vec<String>,
    /// Before all paths.
    pub base_path: String,
    #[serde(default)]
    pub tls: Tls,
}

/// `[server.tls]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The chain, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key, PEM.
    pub key_file: Option<PathBuf>,
}

impl Tls {
    /// The files, where TLS is spoken here.
    #[must_use]
    pub fn files(&self) -> Option<TlsFiles> {
        Some(TlsFiles { cert: self.cert_file.clone()?, key: self.key_file.clone()? })
    }
}

/// `[auth]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub admin_token: Option<SecretString>,
    pub proxy: Proxy,
}

/// `[auth.proxy]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// The header with the user's name; without it nobody is let in by a proxy.
    pub user_header: Option<String>,
    /// The header with the names of their groups.
    pub groups_header: Option<String>,
    /// The role of each group.
    pub roles: BTreeMap<String, String>,
    /// The role of those who are in none of them.
    pub default_role: Option<String>,
}

/// A list, or one text with commas, as the environment has it.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::List(list) => list,
        Words::Text(text) => {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
    })
}

fn invalid(key: &'static str, wrong: impl Into<String>) -> SettingsError {
    SettingsError::Invalid { key, wrong: wrong.into() }
}

impl Server {
    /// Can only this machine reach it?
    fn is_for_this_machine(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// How it is reached.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for what makes no sense, and for a door that stands open to others without TLS
    /// unasked.
    pub fn site(&self) -> Result<Site, SettingsError> {
        let public_url = match &self.public_url {
            None => None,
            Some(text) => Some(public_url(text)?),
        };
        if !self.is_for_this_machine() && public_url.is_none() && !self.insecure {
            let wrong = format!(
                "'{}' can be reached from elsewhere, and tokens would travel unprotected: set server.public_url to the \
                 https address by which users come (a proxy, or server.tls), or server.insecure = true where the \
                 network itself is trusted",
                self.host
            );
            return Err(invalid("server.host", wrong));
        }
        let is_name = |name: &String| {
            let name = name.strip_prefix("*.").unwrap_or(name);
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
        };
        if let Some(name) = self.allowed_hosts.iter().find(|name| !is_name(name)) {
            let wrong = format!("'{}' is no name of a host: expected one without scheme and port", name.escape_debug());
            return Err(invalid("server.allowed_hosts", wrong));
        }
        let net = |text: &String| {
            let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(ipnet::IpNet::from));
            net.map_err(|_| {
                let wrong = format!("'{}' is no address and no network like 10.0.0.0/8", text.escape_debug());
                invalid("server.trusted_proxies", wrong)
            })
        };
        let path = self.base_path.trim_end_matches('/');
        let is_path = path.is_empty()
            || (path.starts_with('/')
                && !path.contains("//")
                && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)));
        if !is_path {
            let wrong = format!("'{}': expected a path like /lockstep", path.escape_debug());
            return Err(invalid("server.base_path", wrong));
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return Err(invalid("server.tls", "cert_file and key_file belong together"));
        }
        Ok(Site {
            public_url,
            allowed_hosts: self.allowed_hosts.iter().map(|name| name.to_ascii_lowercase()).collect(),
            insecure: self.insecure,
            trusted_proxies: self.trusted_proxies.iter().map(net).collect::<Result<_, _>>()?,
            base_path: path.to_owned(),
            tls: self.tls.cert_file.is_some(),
        })
    }
}

fn public_url(text: &str) -> Result<reqwest::Url, SettingsError> {
    let wrong = || {
        let wrong = format!("'{}': expected https://host or http://host, without a path", text.escape_debug());
        invalid("server.public_url", wrong)
    };
    let url: reqwest::Url = text.parse().map_err(|_| wrong())?;
    let is_usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.username().is_empty();
    if is_usable { Ok(url) } else { Err(wrong()) }
}

impl Auth {
    /// Whom a proxy lets in; nobody if `None`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for a role that is none.
    pub fn proxy_login(&self) -> Result<Option<ProxyLogin>, SettingsError> {
        let Proxy { user_header, groups_header, roles, default_role } = &self.proxy;
        let role = |key: &'static str, name: &String| -> Result<Role, SettingsError> {
            name.parse().map_err(|wrong| invalid(key, format!("{wrong}")))
        };
        let header = |key: &'static str, name: &String| {
            name.parse().map_err(|_| invalid(key, format!("'{}' is no header's name", name.escape_debug())))
        };
        let by_group = roles.iter().map(|(group, name)| Ok((group.clone(), role("auth.proxy.roles", name)?)));
        let login = ProxyLogin {
            user: match user_header {
                Some(name) => header("auth.proxy.user_header", name)?,
                None if groups_header.is_some() || !roles.is_empty() || default_role.is_some() => {
                    return Err(invalid("auth.proxy.user_header", "without it nobody is let in by a proxy"));
                }
                None => return Ok(None),
            },
            groups: groups_header.as_ref().map(|name| header("auth.proxy.groups_header", name)).transpose()?,
            roles: by_group.collect::<Result<_, SettingsError>>()?,
            otherwise: default_role.as_ref().map(|name| role("auth.proxy.default_role", name)).transpose()?,
        };
        if login.roles.is_empty() && login.otherwise.is_none() {
            return Err(invalid("auth.proxy", "nobody has a role: set roles or default_role"));
        }
        Ok(Some(login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Result<Site, String> {
        let usual = "host = '127.0.0.1'\nport = 1\ninsecure = false\nallowed_hosts = []\ntrusted_proxies = []\n\
                     base_path = ''\n";
        let mut table: toml::Table = toml::from_str(usual).unwrap();
        table.extend(toml::from_str::<toml::Table>(text).unwrap());
        let server: Server = table.try_into().unwrap();
        server.site().map_err(|error| error.to_string())
    }

    #[test]
    fn a_door_for_others_is_opened_on_purpose() {
        for host in ["0.0.0.0", "::", "192.168.1.5", "box"] {
            let wrong = server(&format!("host = '{host}'")).unwrap_err();
            assert!(wrong.contains("server.public_url") && wrong.contains("server.insecure"), "{wrong}");
            assert!(server(&format!("host = '{host}'\ninsecure = true")).is_ok());
            assert!(server(&format!("host = '{host}'\npublic_url = 'https://a.example'")).is_ok());
        }
        for host in ["localhost", "127.0.0.1", "::1", "127.1.2.3"] {
            assert!(server(&format!("host = '{host}'")).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, named) in [
            ("public_url = 'a.example'", "server.public_url"),
            ("public_url = 'https://a.example/x'", "server.public_url"),
            ("public_url = 'ftp://a.example'", "server.public_url"),
            ("allowed_hosts = 'http://a'", "server.allowed_hosts"),
            ("trusted_proxies = ['10.0.0.0/33']", "server.trusted_proxies"),
            ("base_path = 'lockstep'", "server.base_path"),
            ("base_path = '/a?b'", "server.base_path"),
            ("tls.cert_file = 'a.pem'", "server.tls"),
        ] {
            let wrong = server(text).unwrap_err();
            assert!(wrong.contains(named), "{text}: {wrong}");
        }
        let site = server("allowed_hosts = 'A, b'\ntrusted_proxies = '10.0.0.1, fd00::/8'\nbase_path = '/x/'").unwrap();
        assert_eq!((site.allowed_hosts, site.trusted_proxies.len()), (vec!["a".to_owned(), "b".to_owned()], 2));
        assert_eq!(site.base_path, "/x");
    }

    #[test]
    fn a_proxy_lets_in_whom_it_is_told_to() {
        let auth = |text: &str| {
            let auth: Auth = toml::from_str(text).unwrap();
            auth.proxy_login().map_err(|error| error.to_string())
        };
        assert!(auth("").unwrap().is_none());
        let login = auth("proxy.user_header = 'Remote-User'\nproxy.roles = { boss = 'admin' }").unwrap().unwrap();
        assert_eq!(login.roles["boss"], Role::Admin);
        for (text, named) in [
            ("proxy.default_role = 'viewer'", "auth.proxy.user_header"),
            ("proxy.user_header = 'Remote-User'", "nobody has a role"),
            ("proxy.user_header = 'Remote-User'\nproxy.default_role = 'king'", "'king' is no role"),
            ("proxy.user_header = 'a b'\nproxy.default_role = 'viewer'", "auth.proxy.user_header"),
        ] {
            let wrong = auth(text).unwrap_err();
            assert!(wrong.contains(named), "{text}: {wrong}");
        }
    }
}

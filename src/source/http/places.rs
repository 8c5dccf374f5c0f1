//! Where may a redirect lead? To the origins of the configured URLs, and to hosts that are named.

use reqwest::Url;

use super::HttpConfig;

/// The places that may see what belongs to the ERP.
#[derive(Debug)]
pub(super) struct Places {
    /// Scheme, host and port of each.
    origins: Vec<String>,
    /// `host`, by whichever port, or `host:port`.
    hosts: Vec<String>,
}

impl Places {
    /// Those of a configuration.
    ///
    /// # Errors
    /// The key that makes no sense, and why.
    pub(super) fn of(config: &HttpConfig) -> Result<Self, String> {
        Ok(Self { origins: config.origins()?, hosts: config.allow_hosts.clone() })
    }

    /// Is this one of them: scheme, host and port?
    pub(super) fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        // a plain address that leads to the same host's safe one is the same place
        let is_upgraded =
            url.scheme() == "https" && url.port().is_none() && self.origins.contains(&format!("http://{host}"));
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        let is_named = |named: &String| named == host || with_port.as_ref() == Some(named);
        self.origins.contains(&url.origin().ascii_serialization()) || is_upgraded || self.hosts.iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_or_scheme_of_the_same_host_is_another_place() {
        let config = HttpConfig {
            report_url: "http://erp.example:8080/{type}".to_owned(),
            document_url: Some("http://plain.example/{number}".to_owned()),
            allow_hosts: vec!["files.example".to_owned(), "cdn.example:8443".to_owned()],
            ..HttpConfig::default()
        };
        let places = Places::of(&config).unwrap();
        for (url, allowed) in [
            ("http://erp.example:8080/x", true),
            ("http://erp.example:9090/x", false),
            ("http://erp.example/x", false),
            ("https://erp.example:8080/x", false),
            ("https://plain.example/x", true),
            ("https://plain.example:8443/x", false),
            ("https://files.example/x", true),
            ("https://files.example:8443/x", true),
            ("https://cdn.example/x", false),
            ("https://cdn.example:8443/x", true),
            ("https://erp.example.evil/x", false),
        ] {
            assert_eq!(places.allow(&Url::parse(url).unwrap()), allowed, "{url}");
        }
    }
}

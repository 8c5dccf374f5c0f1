//! How is this service reached? Its names, the proxies before it, and what a request says of itself through them.

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::header::{HOST, HeaderMap, ORIGIN},
};
use ipnet::IpNet;
use reqwest::Url;

/// Where the service is, as its users see it.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Its address for users, where they come through a proxy.
    pub public_url: Option<Url>,
    /// Further names by which it is reached; `*.example.org` holds for all below.
    pub allowed_hosts: Vec<String>,
    /// Is it meant to be reached without TLS from elsewhere? Then its addresses are as good as names.
    pub insecure: bool,
    /// Proxies whose word of the client counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Before all its paths: empty, or `/lockstep`.
    pub base_path: String,
    /// Is TLS spoken here?
    pub tls: bool,
}

/// Which page a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// One of this service.
    Own,
    /// Of somebody else.
    Foreign,
    /// No browser of today sent it.
    Unsaid,
}

/// The host of a `Host` header, without its port.
fn host_of(header: &str) -> &str {
    match header.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => header.rsplit_once(':').map_or(header, |(host, _)| host),
    }
}

fn is_loopback(host: &str) -> bool {
    let is_name = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    is_name || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

impl Site {
    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }

    /// Does a proxy that is trusted speak for the client?
    #[must_use]
    pub fn is_behind_proxy(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.trusts(peer.ip()))
    }

    /// Whom a request comes from: what trusted proxies say, else who is connected.
    #[must_use]
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.client_of(request.peer_addr(), request.headers())
    }

    fn client_of(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer?.ip().to_canonical();
        // the last hop is the nearest; what an untrusted one claims of those before it counts for nothing
        let hops: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .filter_map(|hops| hops.to_str().ok())
            .flat_map(|h| h.split(','))
            .collect();
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Ok(before) = hop.trim().trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() else { break };
            client = before.to_canonical();
        }
        Some(client)
    }

    /// Is this request's connection, as the client sees it, encrypted?
    #[must_use]
    pub fn is_secure(&self, request: &HttpRequest) -> bool {
        self.is_secure_of(request.peer_addr(), request.headers())
    }

    fn is_secure_of(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
        if self.tls {
            return true;
        }
        if self.is_behind_proxy(peer)
            && let Some(scheme) = text(headers, "x-forwarded-proto")
        {
            return scheme.trim().eq_ignore_ascii_case("https");
        }
        let is_public = |url: &Url| self.host(peer, headers).is_some_and(|host| url.host_str() == Some(host_of(&host)));
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https" && is_public(url))
    }

    /// The host that the client asked for, with its port.
    fn host(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<String> {
        let forwarded = text(headers, "x-forwarded-host").filter(|_| self.is_behind_proxy(peer));
        forwarded.or_else(|| text(headers, HOST.as_str())).map(|host| host.trim().to_ascii_lowercase())
    }

    /// Is this a name of ours? One that is not belongs to a page that made its own name point here.
    #[must_use]
    pub fn knows_host(&self, request: &HttpRequest) -> bool {
        // with HTTP/2 and absolute URLs the host is part of the address
        let of_uri = || request.uri().authority().map(ToString::to_string);
        let host = self.host(request.peer_addr(), request.headers()).or_else(of_uri);
        host.is_none_or(|host| self.is_ours(host_of(&host)))
    }

    fn is_ours(&self, host: &str) -> bool {
        let is_allowed = |allowed: &String| match allowed.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => host.eq_ignore_ascii_case(allowed),
        };
        is_loopback(host)
            || self.public_url.as_ref().and_then(Url::host_str) == Some(host)
            || self.allowed_hosts.iter().any(is_allowed)
            || (self.insecure && host.parse::<IpAddr>().is_ok())
    }

    /// Which page sent a request? Every browser of today says so with those that may change something.
    #[must_use]
    pub fn origin(&self, request: &HttpRequest) -> Origin {
        self.origin_of(request.peer_addr(), request.headers())
    }

    fn origin_of(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Origin {
        let Some(origin) = text(headers, ORIGIN.as_str()) else {
            return match text(headers, "sec-fetch-site") {
                None => Origin::Unsaid,
                // somebody typed it
                Some("same-origin" | "none") => Origin::Own,
                Some(_) => Origin::Foreign,
            };
        };
        let Ok(origin) = Url::parse(origin) else { return Origin::Foreign };
        let same = |host: String| Url::parse(&format!("{}://{host}", origin.scheme())).is_ok_and(|own| own == origin);
        let is_public = self.public_url.as_ref().is_some_and(|public| public.origin() == origin.origin());
        if is_public || self.host(peer, headers).is_some_and(same) { Origin::Own } else { Origin::Foreign }
    }

    /// A path of ours, as a browser asks for it.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        list.iter().map(pair).collect()
    }

    fn at(address: &str) -> Option<SocketAddr> {
        address.parse().ok().map(|address| SocketAddr::new(address, 1))
    }

    fn site() -> Site {
        Site {
            public_url: Some("https://sync.example.org".parse().unwrap()),
            allowed_hosts: vec!["box".to_owned(), "*.inside".to_owned()],
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Site::default()
        }
    }

    #[test]
    fn names_that_nobody_gave_it_are_not_its_own() {
        let site = site();
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "a.localhost", "sync.example.org", "BOX", "x.inside"]
        {
            assert!(site.is_ours(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "inside", "xinside", "192.168.1.1", "box.evil.example"] {
            assert!(!site.is_ours(host), "{host}");
        }
        assert!(
            Site { insecure: true, ..Site::default() }.is_ours("192.168.1.1"),
            "no name can be made to point there"
        );
        assert_eq!(["[::1]:80", "box:80", "box", "127.0.0.1:1"].map(host_of), ["::1", "box", "box", "127.0.0.1"]);
    }

    #[test]
    fn what_a_proxy_says_counts_if_it_is_trusted() {
        let site = site();
        let told = headers(&[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7"), ("x-forwarded-proto", "https")]);
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(site.client_of(at("10.1.1.1"), &told), ip("203.0.113.9"), "the first that is no proxy of ours");
        assert_eq!(site.client_of(at("203.0.113.1"), &told), ip("203.0.113.1"), "who is connected is no proxy");
        assert_eq!(site.client_of(at("::ffff:10.1.1.1"), &told), ip("203.0.113.9"));
        assert!(site.is_secure_of(at("10.1.1.1"), &told) && !site.is_secure_of(at("203.0.113.1"), &told));
        let plain = headers(&[("x-forwarded-proto", "http"), ("host", "sync.example.org")]);
        assert!(!site.is_secure_of(at("10.1.1.1"), &plain));
        assert!(site.is_secure_of(at("203.0.113.1"), &plain), "the public name is https");
        assert!(!site.is_secure_of(at("127.0.0.1"), &headers(&[("host", "localhost:8080")])));
    }

    #[test]
    fn a_change_comes_from_a_page_of_ours() {
        let site = site();
        for (list, origin) in [
            (vec![("origin", "http://localhost:8080"), ("host", "localhost:8080")], Origin::Own),
            (vec![("origin", "https://sync.example.org"), ("host", "10.0.0.5:8080")], Origin::Own),
            (vec![("origin", "http://localhost:8081"), ("host", "localhost:8080")], Origin::Foreign),
            (vec![("origin", "https://evil.example"), ("host", "localhost:8080")], Origin::Foreign),
            (vec![("origin", "null"), ("host", "localhost:8080")], Origin::Foreign),
            (vec![("host", "localhost:8080")], Origin::Unsaid),
            (vec![("sec-fetch-site", "same-origin"), ("host", "localhost:8080")], Origin::Own),
            (vec![("sec-fetch-site", "cross-site"), ("host", "localhost:8080")], Origin::Foreign),
        ] {
            assert_eq!(site.origin_of(at("127.0.0.1"), &headers(&list)), origin, "{list:?}");
        }
    }
}

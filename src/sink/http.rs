//! How is a server spoken to, and what does its answer mean for a change? Clients, statuses, errors.

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};

use super::{
    address::{PublicOnly, is_public},
    port::SinkError,
};

/// Redirects that are followed, all at the same host.
const REDIRECTS: usize = 3;

/// A server that says that its quota is used up, and not for how long, is left alone so long, ...
const QUOTA: Duration = Duration::from_secs(10);
/// ... and one that does, never longer than this.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A client for one server. It asks no proxy, and follows redirects only where they keep host, method and body.
///
/// # Errors
/// A URL that cannot be used, in words for people.
pub(super) fn client(url: &Url, timeout: Duration, allow_private: bool) -> Result<Client, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("'{}' is no http or https URL", url.scheme()));
    }
    let host = url.host_str().ok_or("the URL has no host")?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if !allow_private && literal.is_ok_and(|address| !is_public(address)) {
        return Err(format!("'{host}' is a private address; set allow_private if that is meant"));
    }
    let mut builder = crate::http::client()
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .redirect(redirect::Policy::custom(follow));
    if !allow_private {
        builder = builder.dns_resolver(Arc::new(PublicOnly));
    }
    builder.build().map_err(|error| format!("no client can be made for it: {}", crate::http::why(&error)))
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let keeps_body = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let is_same = attempt.previous().last().is_some_and(|from| place(from) == place(attempt.url()));
    if keeps_body && is_same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// What a failed request means. The URL is left out: it may hold a secret.
pub(super) fn failed(error: reqwest::Error) -> SinkError {
    let (is_connect, is_builder, is_timeout) = (error.is_connect(), error.is_builder(), error.is_timeout());
    let mut text = error.without_url().to_string();
    if is_timeout {
        "no answer in time".clone_into(&mut text);
    }
    match (is_connect, is_builder) {
        (true, _) => SinkError::unavailable(format!("cannot connect: {text}")),
        (false, true) => SinkError::Refused(format!("the request cannot be made: {text}")),
        (false, false) => SinkError::Unknown(text),
    }
}

/// What a status means; `said` is the server's own name for it, if it gives one.
///
/// # Errors
/// Every status but success.
pub(super) fn check(status: StatusCode, headers: &HeaderMap, said: Option<&str>) -> Result<(), SinkError> {
    let text = said.map_or_else(|| status.to_string(), |said| format!("{status} ({said})"));
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(SinkError::Unavailable { text, retry_after: Some(retry_after(headers).unwrap_or(QUOTA)) })
        }
        // without a time, it may as well be a proxy whose server took the request and died
        StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(RETRY_AFTER) => {
            Err(SinkError::Unavailable { text, retry_after: retry_after(headers) })
        }
        // not this change's fault, nor cured by another one
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(SinkError::unavailable(format!("{text}: credentials"))),
        StatusCode::TOO_EARLY => Err(SinkError::NotSent(text)),
        StatusCode::REQUEST_TIMEOUT => Err(SinkError::Unknown(text)),
        status if status.is_redirection() => Err(SinkError::NotThere(format!("{text}: redirects elsewhere"))),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(SinkError::NotThere(text)),
        status if status.is_client_error() => Err(SinkError::Refused(text)),
        _ => Err(SinkError::Unknown(text)),
    }
}

/// `Retry-After`: seconds, or a date; an hour at most, whatever it says.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - chrono::Utc::now()).to_std().ok()?.min(LONGEST))
}

/// A body of at most `most` bytes.
///
/// # Errors
/// [`SinkError::Unknown`] if it does not come, or does not end: the request has arrived.
pub(super) async fn body(response: Response, most: usize) -> Result<Vec<u8>, SinkError> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.map_err(|error| SinkError::Unknown(error.without_url().to_string()))?);
        if bytes.len() > most {
            return Err(SinkError::Unknown(format!("the answer is longer than {most} bytes")));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_says_whether_it_may_have_happened() {
        let of = |status: u16, after: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, after.parse().unwrap());
            }
            check(StatusCode::from_u16(status).unwrap(), &headers, None)
        };
        assert_eq!(of(204, None), Ok(()));
        for (status, code) in [
            (301, "sink_not_there"),
            (302, "sink_not_there"),
            (400, "sink_refused"),
            (401, "sink_unavailable"),
            (404, "sink_not_there"),
            (410, "sink_not_there"),
            (408, "effect_unknown"),
            (425, "not_sent"),
            (429, "sink_unavailable"),
            (500, "effect_unknown"),
            (503, "effect_unknown"),
        ] {
            assert_eq!(of(status, None).unwrap_err().code(), code, "{status}");
        }
        let Err(SinkError::Unavailable { retry_after, .. }) = of(429, Some("120")) else { panic!("429") };
        assert_eq!(retry_after, Some(Duration::from_secs(120)));
        let Err(SinkError::Unavailable { retry_after, .. }) = of(503, Some("1795000000")) else { panic!("503") };
        assert_eq!(retry_after, Some(LONGEST), "bounded");
        let date = (chrono::Utc::now() + chrono::Duration::seconds(90)).to_rfc2822();
        let Err(SinkError::Unavailable { retry_after, .. }) = of(503, Some(&date)) else { panic!("503") };
        assert!(retry_after.is_some_and(|wait| (80..=90).contains(&wait.as_secs())), "{retry_after:?}");
    }

    #[test]
    fn a_url_into_ones_own_network_is_refused() {
        let of = |url: &str, allow| client(&url.parse().unwrap(), Duration::from_secs(1), allow).map(|_| ());
        for url in ["http://127.0.0.1/x", "http://[::1]/", "https://10.0.0.1/", "http://169.254.169.254/latest"] {
            assert!(of(url, false).unwrap_err().contains("allow_private"), "{url}");
            assert_eq!(of(url, true), Ok(()));
        }
        assert!(of("ftp://example.com/", true).unwrap_err().contains("ftp"));
        assert_eq!(of("https://example.com/", false), Ok(()));
    }
}

//! With what are servers spoken to? The one kind of client in this program, before its owner adds to it.

use reqwest::ClientBuilder;

/// A client that asks no proxy, with this program's one provider of cryptography.
pub fn client() -> ClientBuilder {
    // an error says that it is set already
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
}

/// What kept a client from being made or a request from being answered: the last cause, because the first says only
/// that it was so. It holds no URL.
#[must_use]
pub fn why(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

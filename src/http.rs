//! With what are servers spoken to? The one kind of client in this program, before its owner adds to it.

use reqwest::ClientBuilder;

/// A client that asks no proxy, with this program's one provider of cryptography.
pub fn client() -> ClientBuilder {
    // an error says that it is set already
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
}

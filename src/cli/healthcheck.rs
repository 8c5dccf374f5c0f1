//! `lockstep healthcheck`: is the service of this configuration ready?

use std::time::Duration;

use super::Exit;
use crate::settings::Settings;

/// Asks `/readyz` on the configured port.
///
/// # Errors
/// If no request can be made at all.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<Exit> {
    // a service that listens on all addresses is asked on loopback
    let host = match settings.server.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "[::1]",
        host => host,
    };
    let scheme = if settings.server.tls.files().is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{host}:{}/readyz", settings.server.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // it asks this machine, whether it is ready: who has signed its certificate, and for which name, does not matter
        let client = crate::http::client().tls_certs_only([]).tls_danger_accept_invalid_certs(true);
        let client = client.timeout(Duration::from_secs(3)).build()?;
        match client.get(&url).send().await {
            Ok(response) if response.status().is_success() => Ok(Exit::Done),
            Ok(response) => {
                eprintln!("{url} answered {}", response.status());
                Ok(Exit::Failed)
            }
            Err(error) => {
                eprintln!("{url} does not answer: {error}");
                Ok(Exit::Failed)
            }
        }
    })
}

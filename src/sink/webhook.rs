//! A server that is told of each change: JSON over HTTP, signed as Standard Webhooks has it.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::{
    http,
    port::{Answers, Delivered, Delivery, Sink, SinkError},
};

/// Requests under way at once, of one batch.
const AT_ONCE: usize = 16;
/// Batches under way at once: a slow answer holds its own batch alone.
const BATCHES: usize = 4;
/// An answer's body is read so far, for the connection to be used again.
const ANSWER: usize = 64 << 10;

/// How a webhook is reached; `[sink.webhook.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where changes are posted to; people put tokens into URLs.
    pub url: SecretString,
    /// The key that signs: `whsec_` and base64, or any text of at least 16 bytes.
    pub secret: SecretString,
    /// While the key is changed: the one before, which signs as well.
    pub previous_secret: Option<SecretString>,
    /// The longest request, in milliseconds.
    #[serde(default = "ten_seconds")]
    pub timeout_ms: u64,
    /// May the URL lead into a private network?
    #[serde(default)]
    pub allow_private: bool,
}

fn ten_seconds() -> u64 {
    10_000
}

/// Posts each change to a URL.
pub struct Webhook {
    client: Client,
    url: Url,
    keys: Vec<Vec<u8>>,
}

impl Webhook {
    /// A webhook.
    ///
    /// # Errors
    /// A URL or key that cannot be used, in words for people.
    pub fn new(config: &WebhookConfig) -> Result<Self, String> {
        let url: Url = config.url.expose_secret().parse().map_err(|error| format!("url: {error}"))?;
        let client = http::client(&url, Duration::from_millis(config.timeout_ms), config.allow_private)
            .map_err(|wrong| format!("url: {wrong}"))?;
        let keys = std::iter::once(&config.secret)
            .chain(&config.previous_secret)
            .map(|secret| key(secret.expose_secret()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { client, url, keys })
    }

    async fn post(&self, delivery: &Delivery) -> Result<Delivered, SinkError> {
        let body = json!({
            "id": delivery.id,
            "action": delivery.action,
            "model": delivery.model,
            "recordId": delivery.record,
            "operation": delivery.operation,
            "agentId": delivery.agent,
            "data": delivery.data,
        });
        let body = body.to_string();
        let moment = chrono::Utc::now().timestamp().to_string();
        let signatures = self.keys.iter().map(|key| format!("v1,{}", sign(key, &delivery.id, &moment, &body)));
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", delivery.id.as_str())
            .header("webhook-timestamp", moment.as_str())
            .header("webhook-signature", signatures.collect::<Vec<_>>().join(" "))
            .body(body);
        let response = request.send().await.map_err(http::failed)?;
        let status = response.status();
        http::check(status, response.headers(), None)?;
        // it was told; what else it says decides nothing
        drop(http::body(response, ANSWER).await);
        Ok(Delivered { answer: json!({ "status": status.as_u16() }), row: None })
    }
}

/// The bytes of a key.
fn key(secret: &str) -> Result<Vec<u8>, String> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD.decode(encoded).map_err(|_| "secret: what follows whsec_ is no base64")?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < 16 { Err("secret: must have at least 16 bytes".to_owned()) } else { Ok(bytes) }
}

/// HMAC-SHA256 over `id.timestamp.body`, as base64.
fn sign(key: &[u8], id: &str, moment: &str, body: &str) -> String {
    // a key may have any length
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{moment}.{body}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[async_trait]
impl Sink for Webhook {
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_> {
        let post = move |(place, delivery): (usize, Delivery)| async move { (place, self.post(&delivery).await) };
        stream::iter(batch.into_iter().enumerate()).map(post).buffer_unordered(AT_ONCE).boxed()
    }

    fn parallel(&self) -> usize {
        BATCHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // the example of the standard's own libraries
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn short_keys_are_refused() {
        assert!(key("short").unwrap_err().contains("16"));
        assert!(key("whsec_***").unwrap_err().contains("base64"));
        assert!(key("a text of some length").is_ok());
    }
}

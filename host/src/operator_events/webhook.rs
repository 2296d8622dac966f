//! One event as a signed request, in the form of Standard Webhooks: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature` over both and the body.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use serde_json::json;
use sha2::Sha256;
use url::Url;

use super::condition::Event;
use crate::backoff::Backoff;
use crate::clock::{Clock, Timestamp};
use crate::http_client::{PLAIN, describe, retry_after};

/// How often one event is tried: some ten minutes in all.
const TRIES: u32 = 15;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const PAUSES: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(60) };

/// Where events are sent.
pub(super) struct Webhook {
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    pub(super) key: Vec<u8>,
    pub(super) clock: Clock,
}

/// A secret's bytes: of Standard Webhooks' form `whsec_…` what stands there in base64, of any other text the text itself.
pub(super) fn key(secret: &str) -> Vec<u8> {
    let encoded = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    encoded.unwrap_or_else(|| secret.as_bytes().to_vec())
}

/// An event's body. `link`: the page that shows it.
pub(super) fn body(event: &Event, link: Option<&str>) -> Bytes {
    let kind = event.condition.kind;
    let body = json!({
        "type": kind.name(),
        "timestamp": rfc3339(event.over.unwrap_or(event.since)),
        "data": {
            "state": if event.over.is_some() { "over" } else { "begun" },
            "since": rfc3339(event.since),
            "subject": event.condition.subject,
            "reason": event.condition.reason,
            "next": kind.next(),
            "link": link,
        },
    });
    body.to_string().into()
}

fn rfc3339(at: Timestamp) -> Option<String> {
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000).ok()?;
    at.format(&time::format_description::well_known::Rfc3339).ok()
}

impl Webhook {
    /// Sends an event until the other side has it; `Err` with the last reason where it never does.
    pub(super) async fn send(&self, id: &str, body: &Bytes) -> Result<(), String> {
        let mut attempt = 1;
        loop {
            let (cause, asked, is_final) = match self.send_once(id, body).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            if is_final || attempt >= TRIES {
                return Err(cause);
            }
            tokio::time::sleep(PAUSES.pause(attempt, asked, rand::random())).await;
            attempt += 1;
        }
    }

    /// Why it wasn't accepted, how long to wait, and whether it never will be.
    async fn send_once(
        &self,
        id: &str,
        body: &Bytes,
    ) -> Result<(), (String, Option<Duration>, bool)> {
        let now = self.clock.now().as_millis() / 1000;
        let request = self.client.post(self.url.clone()).timeout(TIMEOUT).body(body.clone());
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT_ENCODING, PLAIN)
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature(&self.key, id, now, body));
        let answer = request.send().await.map_err(|error| (describe(error), None, false))?;
        let (status, asked) = (answer.status(), retry_after(answer.headers(), self.clock.now()));
        if status.is_success() {
            return Ok(());
        }
        // By Standard Webhooks, whoever is gone says so; anything else may pass.
        Err((format!("it answers {status}"), asked, status == StatusCode::GONE))
    }
}

fn signature(key: &[u8], id: &str, at: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of the specification's libraries.
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_of_another_form_is_its_text() {
        assert_eq!(key("whsec_not base64"), b"whsec_not base64");
        assert_eq!(key("plain"), b"plain");
    }
}

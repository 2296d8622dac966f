//! How each platform signs its webhooks, written from the vendors' documentation and not from the plugins.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use sidenote::config::Plugin;
use sidenote::plugin::WebhookRequest;

use crate::guests::plugin;

/// A platform that signs webhooks.
pub(super) trait Signer {
    /// The platform.
    fn name(&self) -> &'static str;
    /// Its plugin, configured but for the secret.
    fn plugin(&self) -> Plugin;
    /// The secret that verifies.
    fn secret(&self) -> &'static str;
    /// The header of the signature.
    fn signature(&self) -> &'static str;
    /// The header of the time, and how far it may be from the host's, in seconds; `None` where the platform
    /// signs none.
    fn timestamp(&self) -> Option<(&'static str, u64)>;
    /// A time as the platform writes it.
    fn stamp(&self, at: u64) -> String;
    /// A genuine body; each number gives another.
    fn body(&self, number: usize) -> String;
    /// The value of the signature's header.
    fn sign(&self, key: &str, stamp: &str, body: &str) -> String;
    /// The signed bytes of a genuine webhook parted into another timestamp and body.
    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String);
}

/// A genuine webhook for whoever has the key.
pub(super) fn request(signer: &dyn Signer, key: &str, at: u64, number: usize) -> WebhookRequest {
    let (stamp, body) = (signer.stamp(at), signer.body(number));
    let signature = signer.sign(key, &stamp, &body);
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        (signer.signature().to_owned(), signature),
    ];
    headers.extend(signer.timestamp().map(|(name, _)| (name.to_owned(), stamp)));
    WebhookRequest {
        method: "POST".to_owned(),
        url: format!("https://notes.example/webhooks/{}", signer.name()),
        headers,
        body: body.into_bytes(),
    }
}

fn hex<M: Mac + KeyInit>(key: &str, data: &str) -> String {
    hex::encode(mac::<M>(key, data))
}

fn mac<M: Mac + KeyInit>(key: &str, data: &str) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The generic webhook: hex HMAC-SHA256 of `{ts}.{body}`.
pub(super) struct WebhookSigner;

impl Signer for WebhookSigner {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn plugin(&self) -> Plugin {
        let mut plugin = plugin("sidenote_webhook.wasm");
        plugin.config.insert("url".to_owned(), "https://bot.example/notes".to_owned());
        plugin
    }

    fn secret(&self) -> &'static str {
        "incoming"
    }

    fn signature(&self) -> &'static str {
        "x-sidenote-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        Some(("x-sidenote-timestamp", 300))
    }

    fn stamp(&self, at: u64) -> String {
        at.to_string()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"event":"opened","conversation_id":"c-{number}","session_id":"s-{number}","text":"help. me"}}"#
        )
    }

    fn sign(&self, key: &str, stamp: &str, body: &str) -> String {
        format!("sha256={}", hex::<Hmac<Sha256>>(key, &format!("{stamp}.{body}")))
    }

    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String) {
        let (start, end) = body.split_once('.').expect("the body has a dot in it");
        (format!("{stamp}.{start}"), end.to_owned())
    }
}

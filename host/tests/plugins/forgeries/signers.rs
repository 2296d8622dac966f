//! How each platform signs its webhooks, written from the vendors' documentation and not from the plugins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
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
    /// Whether the plugin makes something of the body by itself. Crisp's asks the platform about every
    /// person's message, so that its webhooks are those that tell of an operator's.
    fn means_something(&self) -> bool {
        true
    }
    /// The value of the signature's header.
    fn sign(&self, key: &str, stamp: &str, body: &str) -> String;
    /// The signed bytes of a genuine webhook parted into another timestamp and body. By default the
    /// platform parts them by a dot, and the body has one in it.
    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String) {
        let (start, end) = body.split_once('.').expect("the body has a dot in it");
        (format!("{stamp}.{start}"), end.to_owned())
    }
}

/// A genuine webhook for whoever has the key.
pub(super) fn request(signer: &dyn Signer, key: &str, at: u64, number: usize) -> WebhookRequest {
    signed(signer, key, at, signer.body(number))
}

/// A webhook with any body, signed as the platform would.
pub(super) fn signed(signer: &dyn Signer, key: &str, at: u64, body: String) -> WebhookRequest {
    let stamp = signer.stamp(at);
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
        configured("sidenote_webhook.wasm", &[("url", "https://bot.example/notes")])
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
}

/// Intercom: hex HMAC-SHA1 of the body, without a time.
pub(super) struct IntercomSigner;

impl Signer for IntercomSigner {
    fn name(&self) -> &'static str {
        "intercom"
    }

    fn plugin(&self) -> Plugin {
        configured("sidenote_intercom.wasm", &[("admin_id", "1")])
    }

    fn secret(&self) -> &'static str {
        "client_secret"
    }

    fn signature(&self) -> &'static str {
        "x-hub-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        None
    }

    fn stamp(&self, _: u64) -> String {
        String::new()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"type":"notification_event","topic":"conversation.user.created","id":"notif_{number}","data":{{"item":{{"id":"{number}","custom_attributes":{{"session_id":"s-{number}"}}}}}}}}"#
        )
    }

    fn sign(&self, key: &str, _: &str, body: &str) -> String {
        format!("sha1={}", hex::<Hmac<Sha1>>(key, body))
    }
}

/// Intercom with the header that its documentation names beside the other.
pub(super) struct Intercom256Signer;

impl Signer for Intercom256Signer {
    fn name(&self) -> &'static str {
        "intercom, SHA-256"
    }

    fn plugin(&self) -> Plugin {
        IntercomSigner.plugin()
    }

    fn secret(&self) -> &'static str {
        IntercomSigner.secret()
    }

    fn signature(&self) -> &'static str {
        "x-hub-signature-256"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        None
    }

    fn stamp(&self, at: u64) -> String {
        IntercomSigner.stamp(at)
    }

    fn body(&self, number: usize) -> String {
        IntercomSigner.body(number)
    }

    fn sign(&self, key: &str, _: &str, body: &str) -> String {
        format!("sha256={}", hex::<Hmac<Sha256>>(key, body))
    }
}

/// Zendesk: base64 HMAC-SHA256 of `{ts}{body}`, the time as in ISO 8601.
pub(super) struct ZendeskSigner;

impl Signer for ZendeskSigner {
    fn name(&self) -> &'static str {
        "zendesk"
    }

    fn plugin(&self) -> Plugin {
        configured("sidenote_zendesk.wasm", &[("subdomain", "acme")])
    }

    fn secret(&self) -> &'static str {
        "signing_secret"
    }

    fn signature(&self) -> &'static str {
        "x-zendesk-webhook-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        Some(("x-zendesk-webhook-signature-timestamp", 300))
    }

    fn stamp(&self, at: u64) -> String {
        let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(at).unwrap()).unwrap();
        let format =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        at.format(format).unwrap()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"ticket_id":"{number}","requester_email":"ann@example.com","trigger_type":"new_ticket","user_message":"help"}}"#
        )
    }

    fn sign(&self, key: &str, stamp: &str, body: &str) -> String {
        STANDARD.encode(mac::<Hmac<Sha256>>(key, &format!("{stamp}{body}")))
    }

    /// Nothing parts the two: the last characters of the time can begin the body.
    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String) {
        let (stamp, rest) = stamp.split_at(stamp.len() - 1);
        (stamp.to_owned(), format!("{rest}{body}"))
    }
}

/// Chatwoot: hex HMAC-SHA256 of `{ts}.{body}`.
pub(super) struct ChatwootSigner;

impl Signer for ChatwootSigner {
    fn name(&self) -> &'static str {
        "chatwoot"
    }

    fn plugin(&self) -> Plugin {
        let settings = [("url", "https://chat.example.com"), ("account", "7")];
        configured("sidenote_chatwoot.wasm", &settings)
    }

    fn secret(&self) -> &'static str {
        "webhook_secret"
    }

    fn signature(&self) -> &'static str {
        "x-chatwoot-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        Some(("x-chatwoot-timestamp", 300))
    }

    fn stamp(&self, at: u64) -> String {
        at.to_string()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"event":"message_created","id":{number},"content":"help. me","message_type":"incoming","private":false,"account":{{"id":7}},"conversation":{{"id":{number},"custom_attributes":{{"session_id":"s-{number}"}},"meta":{{"sender":{{"email":"ann@example.com"}}}}}}}}"#
        )
    }

    fn sign(&self, key: &str, stamp: &str, body: &str) -> String {
        format!("sha256={}", hex::<Hmac<Sha256>>(key, &format!("{stamp}.{body}")))
    }
}

/// Slack: hex HMAC-SHA256 of `v0:{ts}:{body}`.
pub(super) struct SlackSigner;

impl Signer for SlackSigner {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn plugin(&self) -> Plugin {
        configured("sidenote_slack.wasm", &[])
    }

    fn secret(&self) -> &'static str {
        "signing_secret"
    }

    fn signature(&self) -> &'static str {
        "x-slack-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        Some(("x-slack-request-timestamp", 300))
    }

    fn stamp(&self, at: u64) -> String {
        at.to_string()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"type":"event_callback","team_id":"T1","event_id":"Ev{number}","event":{{"type":"message","channel":"C1","user":"U1","text":"help","ts":"1700000000.{number:06}"}}}}"#
        )
    }

    fn sign(&self, key: &str, stamp: &str, body: &str) -> String {
        format!("v0={}", hex::<Hmac<Sha256>>(key, &format!("v0:{stamp}:{body}")))
    }

    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String) {
        let (start, end) = body.split_once(':').expect("JSON has a colon in it");
        (format!("{stamp}:{start}"), end.to_owned())
    }
}

/// Crisp: hex HMAC-SHA256 of `[{ts};{body}]`, the time in milliseconds.
pub(super) struct CrispSigner;

impl Signer for CrispSigner {
    fn name(&self) -> &'static str {
        "crisp"
    }

    fn plugin(&self) -> Plugin {
        let settings = [("website", "w-1"), ("identifier", "i-1")];
        configured("sidenote_crisp.wasm", &settings)
    }

    fn secret(&self) -> &'static str {
        "signing_secret"
    }

    fn signature(&self) -> &'static str {
        "x-crisp-signature"
    }

    fn timestamp(&self) -> Option<(&'static str, u64)> {
        Some(("x-crisp-request-timestamp", 300))
    }

    fn stamp(&self, at: u64) -> String {
        (at * 1000).to_string()
    }

    fn body(&self, number: usize) -> String {
        format!(
            r#"{{"website_id":"w-1","event":"message:received","data":{{"session_id":"session_{number}","from":"operator","content":"a;b"}},"timestamp":{number}}}"#
        )
    }

    fn means_something(&self) -> bool {
        false
    }

    fn sign(&self, key: &str, stamp: &str, body: &str) -> String {
        hex::<Hmac<Sha256>>(key, &format!("[{stamp};{body}]"))
    }

    fn moved_boundary(&self, stamp: &str, body: &str) -> (String, String) {
        let (start, end) = body.split_once(';').expect("the body has a semicolon in it");
        (format!("{stamp};{start}"), end.to_owned())
    }
}

fn configured(file: &str, settings: &[(&str, &str)]) -> Plugin {
    let mut plugin = plugin(file);
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    plugin.config = settings.iter().map(own).collect();
    plugin
}

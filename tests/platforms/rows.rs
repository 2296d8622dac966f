//! The platforms that have webhooks, one row each: how a conversation opens there that says whose it is.

use serde_json::{Value, json};
use sidenote_chatwoot::Chatwoot;
use sidenote_crisp::Crisp;
use sidenote_intercom::Intercom;
use sidenote_plugin::Webhook;
use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::webhook::{Event, Rejection, Request, Turn};
use sidenote_slack::Slack;
use sidenote_webhook::Generic;
use sidenote_zendesk::Zendesk;

const NOW: u64 = 1_616_648_967;

/// A platform.
pub(crate) struct Platform {
    /// The folder below `plugins/`.
    pub(crate) folder: &'static str,
    receive: fn(Request) -> Result<Vec<Event>, Rejection>,
    /// The secret that verifies, and settings that can't be left out.
    secret: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// The headers over a body.
    sign: fn(&[u8]) -> Vec<(&'static str, String)>,
    /// A conversation that opens.
    pub(crate) opens: fn(&Who) -> Scene,
    /// Makes it one of another tenant, and the settings that say which is ours.
    pub(crate) foreign: Option<Foreign>,
    /// Whether the platform's word is enough with no setting. Only a bot of the operator's own is believed so.
    pub(crate) is_believed: bool,
}

/// Where a webhook names its tenant: the place in the body, one that isn't ours, and ours in the settings.
pub(crate) struct Foreign {
    pub(crate) place: &'static str,
    pub(crate) theirs: Value,
    pub(crate) ours: (&'static str, &'static str),
}

/// Whose conversation it is, as a platform may write it.
pub(crate) struct Who {
    pub(crate) session: Value,
    pub(crate) user: Value,
    pub(crate) email: Value,
}

impl Who {
    /// Somebody with texts for everything.
    pub(crate) fn ann() -> Self {
        Self { session: json!("s-1"), user: json!("u-1"), email: json!("ann@example.com") }
    }
}

/// A webhook, and what the platform answers to what is asked meanwhile.
pub(crate) struct Scene {
    pub(crate) body: Value,
    pub(crate) answers: Vec<(u16, Value)>,
}

impl From<Value> for Scene {
    fn from(body: Value) -> Self {
        Self { body, answers: Vec::new() }
    }
}

impl Platform {
    /// A host with the platform's settings and these answers, installed.
    pub(crate) fn host(&self, more: &[(&str, &str)], answers: &[(u16, String)]) -> Host {
        let host = Host::new().at(NOW).secret(self.secret, "k");
        let settings = self.settings.iter().chain(more);
        let host = settings.fold(host, |host, (key, value)| host.config(key, value));
        let host = answers.iter().fold(host, |host, (status, body)| host.respond(*status, body));
        host.install()
    }

    /// What comes of a body that is signed as it should be, in the installed host.
    pub(crate) fn receive(&self, body: &[u8]) -> Result<Vec<Event>, Rejection> {
        let headers = (self.sign)(body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        (self.receive)(test::webhook("POST", &headers, body))
    }

    /// The turn that a scene comes to.
    pub(crate) fn turn(&self, settings: &[(&str, &str)], scene: &Scene) -> Turn {
        self.host(settings, &scene.answered());
        match self.receive(scene.body.to_string().as_bytes()).as_deref() {
            Ok([Event::Opened(turn) | Event::Replied(turn)]) => turn.clone(),
            other => panic!("{}: {other:?} of {}", self.folder, scene.body),
        }
    }
}

impl Scene {
    pub(crate) fn answered(&self) -> Vec<(u16, String)> {
        self.answers.iter().map(|(status, body)| (*status, body.to_string())).collect()
    }
}

fn signature(secret: &str, hash: Hash, encoding: Encoding, parts: &[&[u8]]) -> String {
    crypto::hmac_sign(secret, hash, encoding, &parts.concat()).unwrap()
}

fn hex(secret: &str, parts: &[&[u8]]) -> String {
    signature(secret, Hash::Sha256, Encoding::Hex, parts)
}

/// The rows.
pub(crate) fn platforms() -> [Platform; 6] {
    [webhook(), intercom(), zendesk(), chatwoot(), slack(), crisp()]
}

fn webhook() -> Platform {
    Platform {
        folder: "webhook",
        receive: Generic::receive,
        secret: "incoming",
        settings: &[],
        sign: |body| {
            let time = NOW.to_string();
            let hex = hex("incoming", &[time.as_bytes(), b".", body]);
            vec![("x-sidenote-signature", format!("sha256={hex}")), ("x-sidenote-timestamp", time)]
        },
        opens: |who| {
            json!({
                "event": "opened", "conversation_id": "c-1", "text": "TEXT",
                "session_id": who.session, "user_id": who.user, "email": who.email,
            })
            .into()
        },
        foreign: None,
        is_believed: true,
    }
}

fn intercom() -> Platform {
    Platform {
        folder: "intercom",
        receive: Intercom::receive,
        secret: "client_secret",
        settings: &[("admin_id", "7")],
        sign: |body| {
            let hex = signature("client_secret", Hash::Sha1, Encoding::Hex, &[body]);
            vec![("x-hub-signature", format!("sha1={hex}"))]
        },
        opens: |who| {
            json!({
                "type": "notification_event", "app_id": "a1", "topic": "conversation.user.created",
                "data": { "item": {
                    "id": "525",
                    "custom_attributes": { "session_id": who.session },
                    "contacts": { "contacts": [{ "id": "x-1", "external_id": who.user }] },
                    "source": {
                        "type": "conversation", "body": "TEXT",
                        "author": { "type": "user", "id": "x-1", "email": who.email },
                    },
                } },
            })
            .into()
        },
        foreign: Some(Foreign { place: "/app_id", theirs: json!("a2"), ours: ("app_id", "a1") }),
        is_believed: false,
    }
}

fn zendesk() -> Platform {
    Platform {
        folder: "zendesk",
        receive: Zendesk::receive,
        secret: "signing_secret",
        settings: &[("subdomain", "acme")],
        sign: |body| {
            let time = "2021-03-25T05:09:27Z";
            let parts = [time.as_bytes(), body];
            let value = signature("signing_secret", Hash::Sha256, Encoding::Base64, &parts);
            vec![
                ("x-zendesk-webhook-signature", value),
                ("x-zendesk-webhook-signature-timestamp", time.to_owned()),
            ]
        },
        opens: |who| {
            json!({
                "account_id": "1", "ticket_id": "35436", "trigger_type": "new_ticket",
                "session_id": who.session, "requester_external_id": who.user,
                "requester_email": who.email, "user_message": "TEXT",
            })
            .into()
        },
        foreign: Some(Foreign {
            place: "/account_id",
            theirs: json!(2),
            ours: ("account_id", "1"),
        }),
        is_believed: false,
    }
}

fn chatwoot() -> Platform {
    Platform {
        folder: "chatwoot",
        receive: Chatwoot::receive,
        secret: "webhook_secret",
        settings: &[("url", "https://chat.example"), ("account", "7")],
        sign: |body| {
            let time = NOW.to_string();
            let hex = hex("webhook_secret", &[time.as_bytes(), b".", body]);
            vec![("x-chatwoot-signature", format!("sha256={hex}")), ("x-chatwoot-timestamp", time)]
        },
        opens: |who| {
            json!({
                "event": "conversation_created", "id": 12, "account": { "id": 7 },
                "custom_attributes": { "session_id": who.session },
                "contact_inbox": { "hmac_verified": false },
                "meta": { "sender": { "identifier": who.user, "email": who.email } },
                "messages": [{ "content": "TEXT", "message_type": 0 }],
            })
            .into()
        },
        foreign: Some(Foreign { place: "/account/id", theirs: json!(8), ours: ("account", "7") }),
        is_believed: false,
    }
}

fn slack() -> Platform {
    Platform {
        folder: "slack",
        receive: Slack::receive,
        secret: "signing_secret",
        settings: &[],
        sign: |body| {
            let time = NOW.to_string();
            let hex = hex("signing_secret", &[b"v0:", time.as_bytes(), b":", body]);
            vec![("x-slack-signature", format!("v0={hex}")), ("x-slack-request-timestamp", time)]
        },
        opens: |who| {
            json!({
                "type": "event_callback", "team_id": "T1",
                "event": {
                    "type": "message_metadata_posted", "app_id": "A1", "team_id": "T1",
                    "channel_id": "C1", "message_ts": "1700000000.000100",
                    "metadata": { "event_type": "sidenote_conversation", "event_payload": {
                        "session_id": who.session, "user_id": who.user, "email": who.email,
                    } },
                },
            })
            .into()
        },
        foreign: Some(Foreign { place: "/team_id", theirs: json!("T2"), ours: ("team", "T1") }),
        is_believed: false,
    }
}

fn crisp() -> Platform {
    Platform {
        folder: "crisp",
        receive: Crisp::receive,
        secret: "signing_secret",
        settings: &[("website", "w-1"), ("identifier", "i-1")],
        sign: |body| {
            let time = NOW.to_string();
            let hex = hex("signing_secret", &[b"[", time.as_bytes(), b";", body, b"]"]);
            vec![("x-crisp-signature", hex), ("x-crisp-request-timestamp", time)]
        },
        opens: |who| Scene {
            body: json!({
                "website_id": "w-1", "event": "message:send",
                "data": { "session_id": "session_1", "from": "user", "content": "TEXT" },
            }),
            answers: vec![(
                200,
                json!({ "data": {
                    "email": who.email, "data": { "session_id": who.session, "user_id": who.user },
                } }),
            )],
        },
        foreign: Some(Foreign {
            place: "/website_id",
            theirs: json!("w-2"),
            ours: ("website", "w-1"),
        }),
        is_believed: false,
    }
}

/// The manifests of `plugins/`, by folder.
pub(crate) fn manifests() -> Vec<(String, Value)> {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let folders = std::fs::read_dir(plugins).unwrap().map(|entry| entry.unwrap().path());
    let read = |folder: std::path::PathBuf| {
        let text = std::fs::read(folder.join("manifest.json")).ok()?;
        let name = folder.file_name()?.to_str()?.to_owned();
        Some((name, serde_json::from_slice(&text).unwrap()))
    };
    folders.filter_map(read).collect()
}

#[test]
fn every_plugin_that_reads_webhooks_has_a_row() {
    let rows = platforms().map(|platform| platform.folder);
    for (folder, manifest) in manifests() {
        let secrets = manifest["secrets"].as_object();
        let mut secrets = secrets.into_iter().flat_map(|secrets| secrets.values());
        let reads = secrets.any(|secret| secret["verifies"] == true);
        assert_eq!(reads, rows.contains(&&*folder), "plugins/{folder}");
    }
}

//! Webhooks that nobody signed.

use sidenote::plugin::{ReceiveError, WebhookEvent, WebhookRequest};

use super::check::{Check, Verdict};
use super::stage::{Needs, Stage};

/// A body larger than platforms send.
const HUGE: usize = 900 << 10;

/// A request of somebody who knows no secret.
struct Stranger {
    name: &'static str,
    method: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: fn() -> Vec<u8>,
}

const STRANGERS: &[Stranger] = &[
    Stranger {
        name: "an unsigned webhook",
        method: "POST",
        headers: &[("content-type", "application/json")],
        body: || {
            br#"{"event":"opened","type":"conversation.created","conversation_id":"c1","id":"c1","session_id":"s1"}"#.to_vec()
        },
    },
    Stranger {
        name: "a webhook with a made-up signature",
        method: "POST",
        headers: &[
            ("content-type", "application/json"),
            ("authorization", "Bearer x"),
            ("x-hub-signature", "sha1=00"),
            ("x-hub-signature-256", "sha256=00"),
            ("x-signature", "00"),
            ("x-sidenote-timestamp", "0"),
            ("x-sidenote-signature", "sha256=00"),
        ],
        body: || br#"{"event":"opened","conversation_id":"c1"}"#.to_vec(),
    },
    Stranger { name: "a webhook without a body", method: "POST", headers: &[], body: Vec::new },
    Stranger { name: "a webhook that is a GET", method: "GET", headers: &[], body: Vec::new },
    Stranger {
        name: "a webhook of garbage",
        method: "POST",
        headers: &[("content-type", "application/json"), ("x-odd", "\u{fffd}é")],
        body: || b"\x00\xff{[\"\\u".repeat(20),
    },
    Stranger {
        name: "a huge webhook",
        method: "POST",
        headers: &[("content-type", "application/json")],
        body: || [b"[".repeat(HUGE / 2), b"]".repeat(HUGE / 2)].concat(),
    },
];

pub(super) fn checks() -> Vec<Check> {
    let check = |stranger: &'static Stranger| {
        Check::new(stranger.name, Needs::Export("webhook"), move |stage| {
            Box::pin(turned_away(stage, stranger))
        })
    };
    STRANGERS.iter().map(check).collect()
}

async fn turned_away(stage: &Stage<'_>, stranger: &Stranger) -> Verdict {
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let request = WebhookRequest {
        method: stranger.method.to_owned(),
        url: "https://notes.example.com/webhooks/plugin".to_owned(),
        headers: stranger.headers.iter().map(header).collect(),
        body: (stranger.body)(),
    };
    let received = receive(stage, request).await;
    match received {
        Err(ReceiveError::Rejected { status, code, .. }) => {
            Verdict::ok(format!("refused, {status} {code}"))
        }
        Err(error) => Verdict::failed(failed(&error)),
        Ok(events) => match events.iter().find(|event| changes_something(event)) {
            Some(event) => Verdict::failed(format!(
                "it is taken for {}, and nobody signed it: verify a signature over the raw body first",
                told(event)
            )),
            None if events.iter().any(|event| matches!(event, WebhookEvent::Challenge(_))) => {
                Verdict::ok("answered, and it means nothing")
            }
            None => Verdict::warning(
                "accepted and ignored; refuse what nobody signed, so that an operator sees it",
            ),
        },
    }
}

/// Has the plugin read a webhook.
pub(super) async fn receive(
    stage: &Stage<'_>,
    request: WebhookRequest,
) -> Result<Vec<WebhookEvent>, ReceiveError> {
    let received = stage.bench.registry.receive(&stage.bench.name, request).await;
    if let Err(ReceiveError::Crashed { code, message }) = &received {
        stage.crashed(code, message);
    }
    received
}

/// Why a plugin neither took nor refused a webhook.
pub(super) fn failed(error: &ReceiveError) -> String {
    match error {
        ReceiveError::Unavailable => {
            "it trapped so often that the host holds its calls back for a while".to_owned()
        }
        ReceiveError::NoSuchPlugin
        | ReceiveError::NoWebhook
        | ReceiveError::Rejected { .. }
        | ReceiveError::UnderWay
        | ReceiveError::Crashed { .. } => error.to_string(),
    }
}

/// Whether something is done on account of an event.
pub(super) fn changes_something(event: &WebhookEvent) -> bool {
    match event {
        WebhookEvent::Opened(_) | WebhookEvent::Replied(_) => true,
        WebhookEvent::Challenge(_) | WebhookEvent::Ignored => false,
    }
}

/// An event in a few words.
pub(crate) fn told(event: &WebhookEvent) -> String {
    let turn = |what: &str, turn: &sidenote::plugin::WebhookTurn| {
        let vouched = turn.vouched;
        let ids = [
            ("session", &turn.session_id, vouched.session_id),
            ("user", &turn.external_user_id, vouched.user_id),
            ("address", &turn.email, vouched.email),
            // It tells nobody from anybody.
            ("product", &turn.product_id, true),
        ];
        let mark = |vouched: bool| if vouched { "" } else { " (claimed)" };
        let known: Vec<_> = ids
            .iter()
            .filter_map(|(name, id, vouched)| {
                id.as_ref().map(|id| format!(", {name} {id:?}{}", mark(*vouched)))
            })
            .collect();
        let by = [turn.author.word(), turn.happened.word()];
        let by = match by {
            ["person", "message"] => String::new(),
            [author, happened] => format!(", {author}, {happened}"),
        };
        let named = [("option", &turn.option_id), ("message", &turn.message_id)];
        let named: Vec<_> = named
            .iter()
            .filter_map(|(name, id)| id.as_ref().map(|id| format!(", {name} {id:?}")))
            .collect();
        format!("{what} {:?}{}{by}{}", turn.conversation_id, known.concat(), named.concat())
    };
    match event {
        WebhookEvent::Opened(it) => turn("opened", it),
        WebhookEvent::Replied(it) => turn("replied", it),
        WebhookEvent::Challenge(answer) => format!("challenge, answered {}", answer.status),
        WebhookEvent::Ignored => "ignored".to_owned(),
    }
}
